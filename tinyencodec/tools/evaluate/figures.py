"""The whole evaluation, from clips and coders to one nested dict of figures (what `results.json` holds)."""

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import numpy as np

from tinyencodec.system.progress import progress
from tinyencodec.tools.evaluate.clips import Clip
from tinyencodec.tools.evaluate.codecs import TestedCodec
from tinyencodec.tools.evaluate.distance import MelScales, mel_distance, si_snr
from tinyencodec.tools.evaluate.listening import PACKAGES, find_measures, left_out
from tinyencodec.tools.evaluate.match import match
from tinyencodec.version import __version__

SPEECH = "speech"  # the kind of sound that PESQ and STOI are for
METRICS = ("si_snr", "mel", "pesq", "stoi", "visqol")
RATES = {"none": "kbps", "table": "kbps_table", "lm": "kbps_lm"}  # by entropy coding
_PACKAGES = ("numpy", "scipy", "numba", *PACKAGES.values())


class Example(NamedTuple):
    """The first clip of a kind as somebody coded it, for pictures: float [C, T]."""

    kind: str
    coder: str
    rate: float
    wav: np.ndarray


def measure_clips(clips: dict[str, list[Clip]], coders: list[TestedCodec],
                  sample_rate: int) -> tuple[dict, list[Example]]:
    """Code all clips with all coders at all of their rates, and measure what comes back.

    Returns
    -------
    figures : `clips`, `means` (a row per kind, coder and rate), `each` (a row per clip besides), `versions`,
        `left_out`. A row has RATES (measured, kbit/s), METRICS as far as they are known (SI-SNR in dB, mel distance in
        powers of ten), delay (samples) and gain found. `rate` is the nominal one.
    examples : the first clip of each kind
    """
    mel, measures = MelScales(sample_rate), {kind: find_measures(kind == SPEECH) for kind in clips}
    work = [(clip, number) for some in clips.values() for number, clip in enumerate(some)]
    asked = [(coder, rate) for coder in coders for rate in coder.rates]
    each: list[dict] = []
    examples = []
    with progress("evaluating") as report:
        for clip, number in work:
            spectra = mel(clip.wav)
            for coder, rate in asked:
                if report is not None:
                    report(len(each), len(work) * len(asked))
                coded = coder.code(clip.wav, rate)
                y = match(clip.wav, coded.wav, sample_rate)
                row = {"kind": clip.kind, "coder": coder.name, "rate": rate, "clip": number}
                row |= {RATES[kind]: bits * sample_rate / clip.wav.shape[1] / 1000 for kind, bits in coded.bits.items()}
                row |= {"si_snr": si_snr(clip.wav, y.wav), "mel": mel_distance(spectra, mel(y.wav))}
                row |= {name: score(clip.wav, y.wav, sample_rate) for name, score in measures[clip.kind].items()}
                each.append(row | {"delay": y.delay, "gain": y.gain})
                if number == 0:
                    examples.append(Example(clip.kind, coder.name, rate, y.wav))
    figures = {
        "versions": _versions() | {coder.name: coder.version for coder in coders},
        "left_out": left_out(SPEECH in clips),
        "sample_rate": sample_rate, "channels": work[0][0].wav.shape[0],
        "clips": [{"kind": clip.kind, "clip": number, "name": clip.name, "start": clip.start,
                   "seconds": clip.wav.shape[1] / sample_rate} for clip, number in work],
        "means": list(means(each)), "each": each}
    return figures, examples


def means(each: Iterable[dict]) -> Iterator[dict]:
    """One row per kind, coder and rate, in the order in which they come: means over the clips of what is known."""
    groups: dict[tuple, list[dict]] = {}
    for row in each:
        groups.setdefault((row["kind"], row["coder"], row["rate"]), []).append(row)
    for (kind, coder, rate), rows in groups.items():
        mean = {"kind": kind, "coder": coder, "rate": rate, "clips": len(rows)}
        for name in (*RATES.values(), *METRICS, "gain"):
            known = [row[name] for row in rows if row.get(name) is not None]
            if known:
                mean[name] = float(np.mean(known))
        delays = [row["delay"] for row in rows]
        yield mean | {"delay": [min(delays), max(delays)]}


def _versions() -> dict[str, str]:
    found = {"tinyencodec": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    return found
