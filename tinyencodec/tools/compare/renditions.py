"""What there is to listen to: the original, and what the model makes of it at each rate, with figures.

Figures are measured as `tools.evaluate` does, from the decoded sound laid over the original. To be heard is the
decoded sound itself, as `tinyencodec` would write it.
"""

import os
from typing import NamedTuple

import numpy as np

from tinyencodec.audio.reader import AudioReader
from tinyencodec.system.progress import progress
from tinyencodec.tools.evaluate.codecs import OurCodec
from tinyencodec.tools.evaluate.figures import measure_clip
from tinyencodec.tools.evaluate.measures import RATES

SHORTEST = 0.1  # seconds
PEAK = 0.99  # what the loudest sample of all renditions may be: beyond it, files are clipped


class Rendition(NamedTuple):
    """One of the sounds.

    label : "original", or the rate asked for
    wav : float32 [C, T]
    figures : of `evaluate.measures`: RATES (measured, kbit/s) and MEASURES, as far as they are known
    """

    label: str
    wav: np.ndarray
    figures: dict[str, float]


class Start(NamedTuple):
    """The start of a sound: float32 [C, T], whether more follows, and how much there is in all (s) if that is known."""

    wav: np.ndarray
    is_cut: bool
    seconds: float | None


def read_start(path: str | os.PathLike, sample_rate: int, channels: int, seconds: float) -> Start:
    """At most the first `seconds` of a file. Raises as `audio.read_audio`, and `ValueError` if it is too short."""
    wanted, got, blocks = round(seconds * sample_rate), 0, []
    with AudioReader(path, sample_rate, channels) as sound:
        for block in sound:
            blocks.append(block)
            got += block.shape[1]
            if got > wanted:
                break
    if got < SHORTEST * sample_rate:
        raise ValueError(f"{path}: expected at least {SHORTEST:g} s of sound, got {got / sample_rate:.3g}")
    whole = sound.length / sample_rate if sound.length else None
    return Start(np.concatenate(blocks, axis=1)[:, :wanted], got > wanted, whole)


def listen(codec: OurCodec, wav: np.ndarray, sample_rate: int, is_speech: bool) -> list[Rendition]:
    """The original, [C, T], and what comes back at each of the codec's rates. PESQ and STOI for speech only."""
    renditions = [Rendition("original", wav, {RATES["none"]: wav.shape[0] * sample_rate * 16 / 1000})]
    with progress("comparing") as report:
        for number, rate in enumerate(codec.rates):
            if report is not None:
                report(number, len(codec.rates))
            coded = codec.code(wav, rate)
            figures, _ = measure_clip(wav, coded, sample_rate, is_speech, details=False)
            known = {name: value for name, value in figures.items() if value is not None}
            renditions.append(Rendition(f"{rate:g} kbit/s", coded.wav, known))
    return renditions


def find_gain(renditions: list[Rendition]) -> float:
    """What all renditions are to be multiplied by, alike, so that none is clipped; 1 if none would be."""
    peak = max(float(np.abs(rendition.wav).max()) for rendition in renditions)
    return min(1.0, PEAK / peak) if peak else 1.0
