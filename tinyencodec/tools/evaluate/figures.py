"""The whole evaluation, from clips and codecs to one nested dict of figures (what `results.json` holds)."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec

import numpy as np

from tinyencodec.system.progress import progress
from tinyencodec.tools.evaluate.clips import Clip
from tinyencodec.tools.evaluate.codecs import Coded, OurCodec, Pcm
from tinyencodec.tools.evaluate.listening import VISQOL_MODES
from tinyencodec.tools.evaluate.match import Matched, match, shift
from tinyencodec.tools.evaluate.measures import MEASURES, RATES, SPEECH, find_measures, left_out
from tinyencodec.tools.evaluate.programs import Program
from tinyencodec.tools.reporting import versions


def measure_clips(clips: dict[str, list[Clip]], codecs: Sequence[OurCodec | Program | Pcm], sample_rate: int,
                  frame_rate: float | None = None) -> dict:
    """Code all clips with all codecs at all of their rates, and measure what comes back.

    frame_rate : of the model in question, in Hz, for the comb; None: it is not measured

    Returns `clips`, `means` (a row per kind, codec and rate), `each` (also a row per clip), `models` (their frames,
    tokens and codebooks), `versions`, `visqol_modes`, `left_out`. A row has RATES (measured, kbit/s), MEASURES as far
    as they are known (SI-SNR in dB, distances of spectra in powers of ten), delay (samples) and gain found. `rate` is
    the nominal one.
    """
    work = [(clip, number) for some in clips.values() for number, clip in enumerate(some)]
    asked = [(codec, rate) for codec in codecs for rate in codec.rates]
    each: list[dict] = []
    with progress("evaluating") as report:
        for clip, number in work:
            for codec, rate in asked:
                if report is not None:
                    report(len(each), len(work) * len(asked))
                figures, y = measure_clip(clip.wav, codec.code(clip.wav, rate), sample_rate, clip.kind == SPEECH,
                                          frame_rate=frame_rate)
                each.append({"kind": clip.kind, "coder": codec.name, "rate": rate, "clip": number, **figures,
                             "delay": y.delay, "gain": y.gain})
    packages = (measure.package for measure in MEASURES if measure.package)
    return {
        "versions": versions("numpy", "scipy", "numba", *packages) | {codec.name: codec.version for codec in codecs},
        "visqol_modes": VISQOL_MODES, "left_out": left_out(SPEECH in clips),
        "models": [codec.about() for codec in codecs if isinstance(codec, OurCodec)],
        "sample_rate": sample_rate, "channels": work[0][0].wav.shape[0],
        "clips": [{"kind": clip.kind, "clip": number, "name": clip.name, "start": clip.start,
                   "seconds": clip.wav.shape[1] / sample_rate} for clip, number in work],
        "means": list(means(each)), "each": each}


def measure_clip(wav: np.ndarray, coded: Coded, sample_rate: int, speech: bool, details: bool = True,
                 frame_rate: float | None = None) -> tuple[dict, Matched]:
    """What a codec made of a clip [C, T]: RATES and MEASURES (None where unknown), and the sound laid over the clip."""
    y = match(wav, coded.wav, sample_rate)
    figures: dict = {RATES[entropy]: bits * sample_rate / wav.shape[1] / 1000 for entropy, bits in coded.bits.items()}
    for measure in find_measures(speech, details=details):
        sound = y.wav if measure.aligned else shift(coded.wav, 0, wav.shape[1])
        if not measure.by_frames:
            figures[measure.name] = measure.score(wav, sound, sample_rate)
        elif frame_rate is not None:
            figures[measure.name] = measure.score(wav, sound, sample_rate, frame_rate)
    return figures, y


def means(each: Iterable[dict]) -> Iterator[dict]:
    """One row per kind, codec and rate, in the order in which they come: means over the clips of what is known.

    Beside each measure, `_ci95`: the true mean lies within that much of it with a probability of 95 %, if clips are
    independent (Student's t). It is missing for a single clip, and without SciPy.
    """
    groups: dict[tuple, list[dict]] = {}
    measured = [measure.name for measure in MEASURES]
    for row in each:
        groups.setdefault((row["kind"], row["coder"], row["rate"]), []).append(row)
    for (kind, coder, rate), rows in groups.items():
        mean = {"kind": kind, "coder": coder, "rate": rate, "clips": len(rows)}
        for name in (*RATES.values(), *measured, "gain"):
            known = [row[name] for row in rows if row.get(name) is not None]
            if known:
                mean[name] = float(np.mean(known))
            if len(known) > 1 and name in measured and find_spec("scipy"):
                mean[f"{name}_ci95"] = interval(known)
        delays = [row["delay"] for row in rows]
        yield mean | {"delay": [min(delays), max(delays)]}


def interval(values: list[float]) -> float:
    """Half the width of the 95 % interval of the mean of two or more values."""
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values)))
