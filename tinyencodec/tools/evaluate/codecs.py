"""Ours: a model's sound and the bits of its files, by the codec and the container themselves; and PCM beside it."""

import io
import time
from typing import Any, NamedTuple

import numpy as np

from tinyencodec.codec.model import EncodecModel
from tinyencodec.ecdc.coders import load_coder
from tinyencodec.ecdc.compression import compress, decompress
from tinyencodec.ecdc.container import read_ecdc
from tinyencodec.ecdc.header import read_header
from tinyencodec.system.version import __version__
from tinyencodec.tools.evaluate.codebooks import CodebookUse


class Coded(NamedTuple):
    """What became of a clip: decoded sound [C, t], and bits by entropy coding ("none" for what has only one)."""

    wav: np.ndarray
    bits: dict[str, int]


class Pcm:
    """No codec at all: samples rounded to 8 bits each. Used as an `OurCodec`."""

    name, version, bits = "PCM", "8 bits", 8

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.rates = (self.bits * sample_rate * channels / 1000,)

    def code(self, wav: np.ndarray, rate: float) -> Coded:
        """Round [C, T]; `rate` is the only one there is."""
        half = 2 ** (self.bits - 1)
        return Coded(np.clip(np.round(wav * half), -half, half - 1) / half, {"none": self.bits * wav.size})


class OurCodec:
    """A model at fixed width and with the entropy coders asked for, as far as it has them.

    Counted is the file but for its header: all of the payload, with what blocks add in an entropy-coded one.

    search : as in `compress`
    chosen_by : "table" or "lm", if the codes are chosen by that coder's bits too: then only its rate is known

    Attributes
    ----------
    missing : a line for each entropy coder that the model does not have

    Raises `ValueError` for a rate (kbit/s; None: all) that the model does not have.
    """

    version = __version__

    def __init__(self, model: EncodecModel, rates: list[float] | None, entropy: list[str], search: int = 1,
                 chosen_by: str | None = None) -> None:
        self.name, self.rates = model.name, tuple(rates or model.bandwidths)
        if search > 1:
            self.name += f" search {search}" + (f" {chosen_by}" if chosen_by else "")
        self._model, self._search, self._chosen_by = model, search, chosen_by
        self._use = CodebookUse(model.n_codebooks, model.config.codebook_size)
        self._seconds = 0.0
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
        if chosen_by:
            self.rates = tuple(rate for rate in self.rates if model.codebooks_for(rate) <= self._known or not lm)
        self._encoding = dict.fromkeys(self.rates, (0.0, 0.0))  # seconds of sound, and seconds that coding took

    def code(self, wav: np.ndarray, rate: float) -> Coded:
        """Encode and decode [C, T], at a rate in kbit/s; as many samples as came."""
        n_codebooks, start = self._model.codebooks_for(rate), time.perf_counter()
        if self._chosen_by:
            coder = self._coders[self._chosen_by]
            data = compress(self._model, wav, rate, entropy=coder, search=self._search)
        else:
            data = compress(self._model, wav, rate, search=self._search)
        sound, took = self._encoding[rate]
        self._encoding[rate] = sound + wav.shape[1] / self._model.sample_rate, took + time.perf_counter() - start
        if self._chosen_by:
            return Coded(decompress(data, self._model, coder=coder)[0], {self._chosen_by: payload_bits(data)})
        bits = {"none": payload_bits(data)}
        if rate == max(self.rates):  # its first codes are those of lower rates
            for codes, _ in read_ecdc(fo := io.BytesIO(data), self._model, read_header(fo)):
                self._use.add(codes)
            self._seconds += wav.shape[1] / self._model.sample_rate
        for kind, coder in self._coders.items():
            if kind != "lm" or n_codebooks <= self._known:
                bits[kind] = payload_bits(compress(self._model, wav, rate, entropy=coder, search=self._search,
                                                   rate_weight=0))
        return Coded(decompress(data, self._model)[0], bits)

    @property
    def kinds(self) -> list[str]:
        """Entropy coders that it has."""
        return list(self._coders)

    @property
    def frame_rate(self) -> float:
        """Frames per second, in Hz."""
        return self._model.config.sampling_rate / self._model.config.hop_length

    def about(self) -> dict:
        """Frames and tokens per second, and what became of each codebook at the highest rate asked for."""
        return {"coder": self.name, "frame_rate": self.frame_rate,
                "tokens_per_second": [{"rate": rate,
                                       "tokens_per_second": self.frame_rate * self._model.codebooks_for(rate)}
                                      for rate in self.rates],
                "encoding": [{"rate": rate, "times_real_time": sound / took}
                             for rate, (sound, took) in self._encoding.items() if took],
                "codebooks": self._use.rows(), "frames": self._use.frames, "seconds": self._seconds}


def payload_bits(data: bytes) -> int:
    """Bits of an `.ecdc` file after its header."""
    fo = io.BytesIO(data)
    read_header(fo)
    return 8 * (len(data) - fo.tell())
