"""From sounds and figures to one HTML file. By jinja2, which escapes whatever is shown.

Sounds are FLAC, 16 bits, pictures WebP, both in the page as `data:` addresses. Its content security policy forbids
it everything else, so that it can reach no network whatever its contents.
"""

import base64
import io
import math

import numpy as np

from tinyencodec.audio.writer import FORMATS, AudioWriter
from tinyencodec.system.version import __version__
from tinyencodec.tools.compare.pictures import (
    RANGE,
    SPAN,
    difference_scale,
    draw_difference,
    draw_level,
    level_scale,
    levels,
)
from tinyencodec.tools.compare.renditions import Rendition, find_gain
from tinyencodec.tools.evaluate.measures import MEASURES

_RATES = {"kbps": "fixed width", "kbps_table": "tables", "kbps_lm": "language model"}
_TITLES = {name: (title, "kbit/s") for name, title in _RATES.items()} | {
    measure.name: (measure.title, measure.scale) for measure in MEASURES}
_DIGITS = {measure.name: measure.digits for measure in MEASURES} | dict.fromkeys(_RATES, 2)
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)


def render(name: str, model: str, notes: list[str], renditions: list[Rendition], sample_rate: int) -> bytes:
    """The page.

    name, model : of the file, and of the model
    notes : what a reader should know
    renditions : of the same length, and the original is the first
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    wav, gain = renditions[0].wav, find_gain(renditions)
    seconds = wav.shape[1] / sample_rate
    notes = [*notes, *([] if gain == 1 else [f"All sounds are played {-20 * math.log10(gain):.1f} dB softer, "
                                             "alike, so that none is clipped."])]
    drawn = [levels(rendition.wav) for rendition in renditions]
    loudest = float(drawn[0].max())
    cards = [{"label": rendition.label, "rates": _rates(rendition.figures),
              "sound": _sound(gain * rendition.wav, sample_rate),
              "level": _uri("image/webp", draw_level(level, loudest)),
              "difference": number and _uri("image/webp", draw_difference(level, drawn[0], loudest))}
             for number, (rendition, level) in enumerate(zip(renditions, drawn))]
    environment = Environment(loader=PackageLoader("tinyencodec.tools.compare", "."), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    columns, rows = _table(renditions, seconds)
    return environment.get_template("page.html").render(
        name=name.encode(errors="surrogateescape").decode(errors="replace"), version=__version__, model=model,
        form=f"{sample_rate} Hz {'mono' if wav.shape[0] == 1 else 'stereo'}", length=clock(seconds), notes=notes,
        cards=cards, times=_ticks(seconds, 6), frequencies=_ticks(sample_rate / 2000, 4), columns=columns, rows=rows,
        range=RANGE, span=SPAN, level_scale=level_scale(), difference_scale=difference_scale(),
        player={"sampleRate": sample_rate, "seconds": seconds}).encode()


def clock(seconds: float) -> str:
    """Such as 3:07, or 7.5 s below a minute."""
    return f"{seconds:.3g} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _rates(figures: dict[str, float]) -> str:
    """Measured rates in a line, of a decoded sound."""
    if "si_snr_aligned" not in figures:
        return f"{figures['kbps']:g} kbit/s as 16-bit PCM"
    return ", ".join(f"{_TITLES[name][0]} {figures[name]:.2f}" for name in _RATES if name in figures)


def _table(renditions: list[Rendition], seconds: float) -> tuple[list[tuple[str, str]], list[dict]]:
    """Titles with units of the columns that there are figures for, and rows of cells with a small second line."""
    names = [name for name in _TITLES if any(name in rendition.figures for rendition in renditions[1:])]
    rows = []
    for rendition in renditions:
        cells = []
        for name in names:
            value = rendition.figures.get(name)
            text = "–" if value is None else f"{value:.{_DIGITS[name]}f}"
            size = "" if value is None or name not in _RATES else _size(value * seconds * 125)
            cells.append({"text": text, "size": size})
        rows.append({"label": rendition.label, "cells": cells})
    return [_TITLES[name] for name in names], rows


def _size(n_bytes: float) -> str:
    return f"{n_bytes:.0f} B" if n_bytes < 1000 else f"{n_bytes / 1000:.1f} kB" if n_bytes < 1e6 else \
        f"{n_bytes / 1e6:.2f} MB"


def _ticks(end: float, most: int) -> list[tuple[float, str]]:
    """At most `most` + 1 round values from 0 to `end`, each with its place in percent."""
    step = next((step for step in _TICKS if end / step <= most), end)
    return [(round(100 * i * step / end, 3), f"{i * step:g}") for i in range(int(end / step + 1e-9) + 1)]


def _sound(wav: np.ndarray, sample_rate: int) -> str:
    fo = io.BytesIO()
    with AudioWriter(fo, FORMATS[".flac"], sample_rate, *wav.shape) as writer:
        writer.write(wav)
    return _uri("audio/flac", fo.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
