"""Pictures: figures over the bitrate, and spectrograms. By matplotlib, which is optional (the extra `evaluate`).

Backgrounds are clear and lines of text mid-grey, to be seen on a light page and on a dark one.
"""

import io
from typing import Any

import numpy as np

from tinyencodec.tools.evaluate.clips import Clip
from tinyencodec.tools.evaluate.distance import spectrum
from tinyencodec.tools.evaluate.figures import METRICS, RATES, SPEECH, Example
from tinyencodec.tools.evaluate.listening import FOR_SPEECH
from tinyencodec.tools.evaluate.report import TITLES

SHOWN = (6.0, 12.0)  # kbit/s: each coder's nearest rates get a spectrogram
_GREY = "#7f7f7f"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by the colour-blind too
_MARKS = "os^Dv*"
_LINES = {RATES["none"]: ("", {}), RATES["lm"]: (", language model", {"linestyle": "--", "markerfacecolor": "none"})}
_WINDOW, _RANGE = 1024, 80  # samples; dB below the loudest


def rate_distortion(figures: dict) -> bytes:
    """A PNG of a column for each kind and one for speech alone, with a panel per metric; a line for each coder."""
    plt, means = _pyplot(), figures["means"]
    kinds = list(dict.fromkeys(row["kind"] for row in means))
    wanted = [[(kind, metric) for metric in METRICS if metric not in FOR_SPEECH] for kind in kinds]
    wanted.append([(SPEECH, metric) for metric in FOR_SPEECH])
    known = {(row["kind"], metric) for row in means for metric in METRICS if metric in row}
    columns = [column for panels in wanted if (column := [panel for panel in panels if panel in known])]
    height = max(map(len, columns))
    figure, axes = plt.subplots(height, len(columns), figsize=(3.7 * len(columns), 3 * height), squeeze=False,
                                layout="constrained")
    rates = [row[name] for row in means for name in _LINES if name in row]
    lines: dict[str, object] = {}
    for column, panels in zip(columns, axes.T):
        for (kind, metric), axis in zip(column, panels):
            rows = [row for row in means if row["kind"] == kind and metric in row]
            lines |= _draw_lines(axis, rows, metric, [*dict.fromkeys(row["coder"] for row in means)])
            axis.set_title(f"{kind}: {TITLES[metric]}" + (" (lower is better)" if metric == "mel" else ""),
                           fontsize="medium")
            _rate_axis(axis, rates)
        panels[len(column) - 1].set_xlabel("kbit/s, measured")
        for axis in panels[len(column):]:
            axis.set_axis_off()
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=min(6, len(lines)), frameon=False,
                  labelcolor=_GREY)
    return _png(plt, figure)


def _draw_lines(axis: Any, rows: list[dict], metric: str, coders: list[str]) -> dict[str, object]:
    """A line for each coder, and one for its language model if there is; by label."""
    lines = {}
    for number, coder in enumerate(coders):
        style = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKS[number % len(_MARKS)], "markersize": 5}
        for name, (suffix, more) in _LINES.items():
            points = sorted((row[name], row[metric]) for row in rows if row["coder"] == coder and name in row)
            if points:
                [lines[coder + suffix]] = axis.plot(*zip(*points), **style | more)
    return lines


def _rate_axis(axis: Any, rates: list[float]) -> None:
    """Logarithmic, with ticks at rates that people use."""
    low, high = min(rates) / 1.2, max(rates) * 1.2
    ticks = [tick for tick in (0.375, 0.75, 1.5, 3, 6, 12, 24, 48, 96, 192) if low <= tick <= high]
    axis.set_xscale("log", base=2)
    axis.set_xlim(low, high)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.25, color=_GREY)
    axis.margins(y=0.1)


def spectrograms(clip: Clip, examples: list[Example], sample_rate: int) -> bytes:
    """A PNG: the clip, and what coders make of it at their rates nearest to SHOWN. Channels are mixed."""
    plt = _pyplot()
    panels = [("original", clip.wav)]
    for coder in dict.fromkeys(example.coder for example in examples):
        of = [example for example in examples if example.coder == coder]
        nearest = {min(range(len(of)), key=lambda i: abs(np.log(of[i].rate / rate))) for rate in SHOWN}  # noqa: B023
        panels += [(f"{coder} at {of[i].rate:g} kbit/s", of[i].wav) for i in sorted(nearest)]
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4 * columns, 2.5 * lines + 0.3), squeeze=False, sharex=True,
                                sharey=True, layout="constrained")
    levels = [20 * np.log10(spectrum(wav.mean(axis=0, keepdims=True), _WINDOW)[0].T) for _, wav in panels]
    loudest = levels[0].max()
    for axis, (title, wav), level in zip(axes.flat, panels, levels):
        image = axis.imshow(level, origin="lower", aspect="auto", cmap="magma", vmin=loudest - _RANGE, vmax=loudest,
                            extent=(0, wav.shape[1] / sample_rate, 0, sample_rate / 2000), interpolation="nearest")
        axis.set_title(title, fontsize="medium")
    for axis in axes.flat[len(panels):]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("kHz")
    for axis in axes[-1]:
        axis.set_xlabel("s")
    bar = figure.colorbar(image, ax=axes, label="dB", shrink=0.8, pad=0.01)
    bar.ax.yaxis.label.set_color(_GREY)
    return _png(plt, figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _png(plt: Any, figure: Any) -> bytes:
    for axis in figure.axes:
        axis.tick_params(colors=_GREY, labelsize="small")
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label):
            text.set_color(_GREY)
        for spine in axis.spines.values():
            spine.set_color(_GREY)
        axis.patch.set_alpha(0)
    fo = io.BytesIO()
    figure.savefig(fo, format="png", dpi=100, transparent=True, metadata={"Software": None})
    plt.close(figure)
    return fo.getvalue()
