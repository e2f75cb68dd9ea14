"""What is measured, each in one entry of MEASURES: to add a measure, write its function and an entry here."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from tinyencodec.tools.evaluate.distance import MelScales, mel_distance, si_snr
from tinyencodec.tools.evaluate.listening import pesq, stoi, visqol, visqol_speech
from tinyencodec.tools.evaluate.spectral import BANDS, band_error, comb_rise

SPEECH = "speech"  # the kind of sound that some measures are for
RATES = {"none": "kbps", "table": "kbps_table", "lm": "kbps_lm"}  # by entropy coding: measured, in kbit/s


class Measure(NamedTuple):
    """A way to tell how close a decoded sound is to the original.

    name : in JSON; that of the VERSA toolkit, where it has the measure: si_snr, pesq, stoi, visqol
    title, scale : in tables, where `scale` is its unit or what its values mean
    score : its function of (x, y, sample rate in Hz), float [C, T] both: the original, and the decoded sound laid over
        it. None where nothing can be said
    digits : after the point, in tables
    speech_only : whether it is for the kind of sound SPEECH only
    lower_is_better : its direction
    package, module : the optional package that it needs, and the module in it
    detail : whether it is for a second table, and for no picture
    aligned : False: y is as it came back, with neither delay nor level undone
    by_frames : whether the score's fourth argument is the frame rate (Hz) of the model in question
    """

    name: str
    title: str
    scale: str
    score: Callable[..., float | None]
    digits: int = 2
    speech_only: bool = False
    lower_is_better: bool = False
    package: str | None = None
    module: str | None = None
    detail: bool = False
    aligned: bool = True
    by_frames: bool = False

    @property
    def heading(self) -> str:
        """The title, with its unit if that is dB."""
        return f"{self.title}, dB" if self.scale == "dB" else self.title

    def installed(self) -> bool:
        """Whether what it needs is there."""
        return self.module is None or importlib.util.find_spec(self.module) is not None


def _si_snr(x: np.ndarray, y: np.ndarray, sample_rate: int) -> float:
    return si_snr(x, y)


def _mel(x: np.ndarray, y: np.ndarray, sample_rate: int) -> float:
    scales = MelScales(sample_rate)
    return mel_distance(scales(x), scales(y))


MEASURES = (
    Measure("si_snr_aligned", "SI-SNR", "dB", _si_snr),
    Measure("mel", "mel distance", "0.05 is 1 dB", _mel, 3, lower_is_better=True),
    Measure("pesq", "PESQ-WB", "1 to 4.6", pesq, speech_only=True, package="pesq", module="pesq"),
    Measure("stoi", "STOI", "0 to 1", stoi, 3, speech_only=True, package="pystoi", module="pystoi"),
    Measure("visqol", "ViSQOL", "1 to 4.7", visqol, package="visqol-python", module="visqol"),
    Measure("si_snr", "as it is", "dB", _si_snr, detail=True, aligned=False),
    Measure("visqol_speech", "ViSQOL-S", "1 to 5", visqol_speech, speech_only=True, package="visqol-python",
            module="visqol", detail=True),
    *(Measure(f"error_{low}_{high}", f"{low}-{high}", "0.05 is 1 dB", partial(band_error, low=low, high=high), 3,
              lower_is_better=True, detail=True) for low, high in BANDS),
    Measure("comb", "comb", "dB", comb_rise, 1, lower_is_better=True, detail=True, by_frames=True),
)


def find_measures(speech: bool, installed: bool = True, details: bool = True) -> list[Measure]:
    """Those for speech, or for other sounds, that are installed; or with `installed` False those that are not."""
    return [measure for measure in MEASURES
            if (speech or not measure.speech_only) and measure.installed() == installed
            and (details or not measure.detail)]


def left_out(speech: bool) -> list[str]:
    """A line for each measure whose package is missing."""
    return [f"{measure.name.upper()}: {measure.package} is not installed (pip install 'tinyencodec[evaluate]')"
            for measure in find_measures(speech, installed=False, details=False)]
