"""Two models of how people judge speech, by optional packages (the extra `evaluate`): PESQ and STOI.

PESQ-WB (ITU-T P.862.2) predicts a listeners' mark from 1 to 4.6, STOI (Taal et al. 2011) the share of words that are
understood, 0 to 1. Both are for speech at 16 kHz with one channel: others are mixed and resampled to that.
"""

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np

from tinyencodec.audio import convert_audio

MEASURES = ("pesq", "stoi")
PACKAGES = {"pesq": "pesq", "stoi": "pystoi"}
WORST = {"pesq": 1.0, "stoi": 0.0}
_RATE = 16_000  # Hz

Measure = Callable[[np.ndarray, np.ndarray, int], float | None]


def find_measures() -> dict[str, Measure]:
    """Those of MEASURES whose packages are installed, each as a function of (x, y, sample rate)."""
    found = {"pesq": pesq, "stoi": stoi}
    return {name: found[name] for name in MEASURES if importlib.util.find_spec(PACKAGES[name]) is not None}


def pesq(x: np.ndarray, y: np.ndarray, sample_rate: int) -> float | None:
    """PESQ-WB of y, [C, T] as x. Where it finds no speech in y: WORST; where it finds none in x either: None."""
    from pesq import PesqError
    from pesq import pesq as score

    def attempt(x: np.ndarray, y: np.ndarray) -> float | None:
        try:
            return float(score(_RATE, x, y, "wb"))
        except PesqError:
            return None

    return _attempts("pesq", attempt, x, y, sample_rate)


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

    return _attempts("stoi", attempt, x, y, sample_rate)


def _attempts(name: str, attempt: Callable, x: np.ndarray, y: np.ndarray, sample_rate: int) -> float | None:
    x, y = (convert_audio(wav.astype(np.float32), sample_rate, _RATE, 1)[0] for wav in (x, y))
    if not x.any():
        return None
    found = attempt(x, y) if y.any() else None
    return WORST[name] if found is None and attempt(x, x) is not None else found
