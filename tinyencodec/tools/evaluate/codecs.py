"""Ours: a model's sound and the bits of its files, by the codec and the container themselves."""

import io
from typing import Any, NamedTuple

import numpy as np

from tinyencodec.codec.model import EncodecModel
from tinyencodec.compression import compress, decompress
from tinyencodec.ecdc.coders import load_coder
from tinyencodec.ecdc.container import read_header


class Coded(NamedTuple):
    """What became of a clip: decoded sound [C, t], and bits by entropy coding ("none" for what has only one)."""

    wav: np.ndarray
    bits: dict[str, int]


class TestedCodec:
    """Somebody who codes clips.

    name : for tables and plots
    version : of the program
    rates : kbit/s, to be asked for
    """

    name: str
    version: str
    rates: tuple[float, ...]

    def code(self, wav: np.ndarray, rate: float) -> Coded:
        """Encode and decode [C, T]. Raises `ValueError` if that fails."""
        raise NotImplementedError


class OurCodec(TestedCodec):
    """A model at fixed width and with the entropy coders asked for, as far as it has them.

    Counted is the file but for its header: all of the payload, with what blocks add in an entropy-coded one.

    Attributes
    ----------
    missing : a line for each entropy coder that the model does not have
    """

    def __init__(self, model: EncodecModel, rates: tuple[float, ...], entropy: list[str], version: str) -> None:
        self.name, self.version, self.rates = model.name, version, rates
        self._model = model
        self._coders: dict[str, Any] = {}
        self.missing: list[str] = []
        for kind in entropy:
            try:
                self._coders[kind] = load_coder(kind, model)
            except ValueError as error:
                self.missing.append(str(error))
        self._codebooks = {kind: coder.model.config.n_codebooks for kind, coder in self._coders.items()
                           if kind == "lm"}  # a language model may know fewer than the codec
        self.missing += [f"language model of {model.name} at {rate:g} kbit/s: it knows {most} codebooks only"
                         for most in self._codebooks.values() for rate in rates if model.codebooks_for(rate) > most]

    def code(self, wav: np.ndarray, rate: float) -> Coded:
        """As `TestedCodec.code`; as many samples as came."""
        data, n_codebooks = compress(self._model, wav, rate), self._model.codebooks_for(rate)
        bits = {"none": payload_bits(data)}
        for kind, coder in self._coders.items():
            if n_codebooks <= self._codebooks.get(kind, n_codebooks):
                bits[kind] = payload_bits(compress(self._model, wav, rate, entropy=coder))
        return Coded(decompress(data, self._model)[0], bits)


def payload_bits(data: bytes) -> int:
    """Bits of an `.ecdc` file after its header."""
    fo = io.BytesIO(data)
    read_header(fo)
    return 8 * (len(data) - fo.tell())
