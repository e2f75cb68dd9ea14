"""Ours: a model's sound and the bits of its files, by the codec and the container themselves."""

import io
from typing import Any, NamedTuple

import numpy as np

from tinyencodec.codec.model import EncodecModel
from tinyencodec.compression import compress, decompress
from tinyencodec.ecdc.coders import load_coder
from tinyencodec.ecdc.container import read_header
from tinyencodec.version import __version__


class Coded(NamedTuple):
    """What became of a clip: decoded sound [C, t], and bits by entropy coding ("none" for what has only one)."""

    wav: np.ndarray
    bits: dict[str, int]


class OurCodec:
    """A model at fixed width and with the entropy coders asked for, as far as it has them.

    Counted is the file but for its header: all of the payload, with what blocks add in an entropy-coded one.

    Attributes
    ----------
    missing : a line for each entropy coder that the model does not have

    Raises `ValueError` for a rate (kbit/s; None: all) that the model does not have.
    """

    version = __version__

    def __init__(self, model: EncodecModel, rates: list[float] | None, entropy: list[str]) -> None:
        self.name, self.rates = model.name, tuple(rates or model.bandwidths)
        self._model = model
        self._coders: dict[str, Any] = {}
        self.missing: list[str] = []
        for kind in entropy:
            try:
                self._coders[kind] = load_coder(kind, model)
            except ValueError as error:
                self.missing.append(str(error))
        lm = self._coders.get("lm")
        self._known = lm.model.config.n_codebooks if lm else 0  # of the language model: perhaps fewer than the codec's
        self.missing += [f"language model of {model.name} at {rate:g} kbit/s: it knows {self._known} codebooks only"
                         for rate in self.rates if model.codebooks_for(rate) > self._known and lm]

    def code(self, wav: np.ndarray, rate: float) -> Coded:
        """Encode and decode [C, T], at a rate in kbit/s; as many samples as came."""
        data, n_codebooks = compress(self._model, wav, rate), self._model.codebooks_for(rate)
        bits = {"none": payload_bits(data)}
        for kind, coder in self._coders.items():
            if kind != "lm" or n_codebooks <= self._known:
                bits[kind] = payload_bits(compress(self._model, wav, rate, entropy=coder))
        return Coded(decompress(data, self._model)[0], bits)


def payload_bits(data: bytes) -> int:
    """Bits of an `.ecdc` file after its header."""
    fo = io.BytesIO(data)
    read_header(fo)
    return 8 * (len(data) - fo.tell())
