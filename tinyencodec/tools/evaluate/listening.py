"""Models of how people judge sound, by optional packages (the extra `evaluate`): PESQ, STOI and ViSQOL.

PESQ-WB (ITU-T P.862.2) predicts a listeners' mark from 1 to 4.6, STOI (Taal et al. 2011) the share of words that are
understood, 0 to 1. Both are for speech at 16 kHz with one channel: others are mixed and resampled to that.

ViSQOL (Chinen et al. 2020; the paper's own measure) predicts a mark from 1 to 4.73 for all kinds of sound at 48 kHz, by
how alike spectrograms are in small patches. That is its mode for audio, which is used for speech, too: so the treble
counts. Its mode for speech, at 16 kHz, is measured beside it, from similarity to mark by a polynomial: marks are one
to two points higher than those of its neural network, in the same order.
"""

import warnings
from collections.abc import Callable

import numpy as np

from tinyencodec.audio.files import convert_audio

WORST = {"pesq": 1.0, "stoi": 0.0, "visqol": 1.0, "visqol_speech": 1.0}
VISQOL_MODES = {"visqol": "audio", "visqol_speech": "speech, polynomial"}
_RATE, _FULL_RATE = 16_000, 48_000  # Hz


def pesq(x: np.ndarray, y: np.ndarray, sample_rate: int) -> float | None:
    """PESQ-WB of y, [C, T] as x. Where it finds no speech in y: WORST; where it finds none in x either: None."""
    from pesq import PesqError
    from pesq import pesq as score

    def attempt(x: np.ndarray, y: np.ndarray) -> float | None:
        try:
            return float(score(_RATE, x, y, "wb"))
        except PesqError:
            return None

    return _attempts("pesq", attempt, x, y, sample_rate, _RATE)


def stoi(x: np.ndarray, y: np.ndarray, sample_rate: int) -> float | None:
    """STOI of y, [C, T] as x; None where less than 0.4 s of x is louder than silence."""
    from pystoi import stoi as score

    def attempt(x: np.ndarray, y: np.ndarray) -> float | None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # its way to say that there is too little
            try:
                return float(score(x, y, _RATE))
            except RuntimeWarning:
                return None

    return _attempts("stoi", attempt, x, y, sample_rate, _RATE)


def visqol(x: np.ndarray, y: np.ndarray, sample_rate: int) -> float | None:
    """ViSQOL of y, [C, T] as x, in its mode for audio; None where x is silent or shorter than a second or so."""
    return _visqol("visqol", x, y, sample_rate, _FULL_RATE)


def visqol_speech(x: np.ndarray, y: np.ndarray, sample_rate: int) -> float | None:
    """The same in its mode for speech."""
    return _visqol("visqol_speech", x, y, sample_rate, _RATE)


def _visqol(name: str, x: np.ndarray, y: np.ndarray, sample_rate: int, rate: int) -> float | None:
    from visqol import VisqolApi

    api = VisqolApi()
    if name == "visqol_speech":
        api.create(mode="speech", use_lattice_model=False)  # its other model needs one more package
    else:
        api.create(mode="audio")

    def attempt(x: np.ndarray, y: np.ndarray) -> float | None:
        try:
            return float(api.measure_from_arrays(x.astype(np.float64), y.astype(np.float64), rate).moslqo)
        except (ValueError, IndexError):  # its ways to say that x is too short
            return None

    return _attempts(name, attempt, x, y, sample_rate, rate)


def _attempts(name: str, attempt: Callable, x: np.ndarray, y: np.ndarray, sample_rate: int, rate: int) -> float | None:
    x, y = (convert_audio(wav.astype(np.float32), sample_rate, rate, 1)[0] for wav in (x, y))
    if not x.any():
        return None
    found = attempt(x, y) if y.any() else None
    return WORST[name] if found is None and attempt(x, x) is not None else found
