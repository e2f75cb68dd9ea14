"""The whole evaluation, from clips and codecs to one nested dict of figures (what `results.json` holds)."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tinyencodec.system.progress import progress
from tinyencodec.tools.evaluate.clips import Clip
from tinyencodec.tools.evaluate.codecs import Coded, OurCodec
from tinyencodec.tools.evaluate.match import Matched, match
from tinyencodec.tools.evaluate.measures import MEASURES, RATES, SPEECH, find_measures, left_out
from tinyencodec.tools.evaluate.programs import Program
from tinyencodec.tools.reporting import versions


def measure_clips(clips: dict[str, list[Clip]], codecs: Sequence[OurCodec | Program],
                  sample_rate: int) -> dict:
    """Code all clips with all codecs at all of their rates, and measure what comes back.

    Returns `clips`, `means` (a row per kind, codec and rate), `each` (a row per clip besides), `versions`, `left_out`.
    A row has RATES (measured, kbit/s), MEASURES as far as they are known (SI-SNR in dB, mel distance in powers of ten),
    delay (samples) and gain found. `rate` is the nominal one.
    """
    work = [(clip, number) for some in clips.values() for number, clip in enumerate(some)]
    asked = [(codec, rate) for codec in codecs for rate in codec.rates]
    each: list[dict] = []
    with progress("evaluating") as report:
        for clip, number in work:
            for codec, rate in asked:
                if report is not None:
                    report(len(each), len(work) * len(asked))
                figures, y = measure_clip(clip.wav, codec.code(clip.wav, rate), sample_rate, clip.kind == SPEECH)
                each.append({"kind": clip.kind, "coder": codec.name, "rate": rate, "clip": number, **figures,
                             "delay": y.delay, "gain": y.gain})
    packages = (measure.package for measure in MEASURES if measure.package)
    return {
        "versions": versions("numpy", "scipy", "numba", *packages) | {codec.name: codec.version for codec in codecs},
        "left_out": left_out(SPEECH in clips),
        "sample_rate": sample_rate, "channels": work[0][0].wav.shape[0],
        "clips": [{"kind": clip.kind, "clip": number, "name": clip.name, "start": clip.start,
                   "seconds": clip.wav.shape[1] / sample_rate} for clip, number in work],
        "means": list(means(each)), "each": each}


def measure_clip(wav: np.ndarray, coded: Coded, sample_rate: int, speech: bool) -> tuple[dict, Matched]:
    """What a codec made of a clip [C, T]: RATES and MEASURES (None where unknown), and the sound laid over the clip."""
    y = match(wav, coded.wav, sample_rate)
    rates = {RATES[entropy]: bits * sample_rate / wav.shape[1] / 1000 for entropy, bits in coded.bits.items()}
    return rates | {measure.name: measure.score(wav, y.wav, sample_rate) for measure in find_measures(speech)}, y


def means(each: Iterable[dict]) -> Iterator[dict]:
    """One row per kind, codec and rate, in the order in which they come: means over the clips of what is known."""
    groups: dict[tuple, list[dict]] = {}
    for row in each:
        groups.setdefault((row["kind"], row["coder"], row["rate"]), []).append(row)
    for (kind, coder, rate), rows in groups.items():
        mean = {"kind": kind, "coder": coder, "rate": rate, "clips": len(rows)}
        for name in (*RATES.values(), *(measure.name for measure in MEASURES), "gain"):
            known = [row[name] for row in rows if row.get(name) is not None]
            if known:
                mean[name] = float(np.mean(known))
        delays = [row["delay"] for row in rows]
        yield mean | {"delay": [min(delays), max(delays)]}
