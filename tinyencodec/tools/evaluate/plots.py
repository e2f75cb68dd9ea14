"""A picture: figures over the bitrate. By matplotlib, which is optional (the extra `evaluate`).

Backgrounds are clear and lines of text mid-grey, to be seen on a light page and on a dark one.
"""

import io
from typing import Any

from tinyencodec.tools.evaluate.codecs import Pcm
from tinyencodec.tools.evaluate.measures import MEASURES, RATES, SPEECH

_SHOWN = [measure for measure in MEASURES if not measure.detail]
_GREY = "#7f7f7f"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by the colour-blind too
_MARKS = "os^Dv*"
_LINES = {RATES["none"]: ("", {}), RATES["lm"]: (", language model", {"linestyle": "--", "markerfacecolor": "none"})}
_STYLE = {"axes.titlesize": "medium", "figure.constrained_layout.use": True, "legend.frameon": False,
          "savefig.transparent": True, "xtick.labelsize": "small", "ytick.labelsize": "small",
          **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "legend.labelcolor", "xtick.color",
                           "ytick.color"), _GREY)}


def rate_distortion(figures: dict) -> bytes:
    """A PNG of a column for each kind and one for speech alone, with a panel per measure; a line for each codec."""
    import matplotlib
    from matplotlib.figure import Figure

    means, file = [row for row in figures["means"] if row["coder"] != Pcm.name], io.BytesIO()  # far off to the right
    kinds = list(dict.fromkeys(row["kind"] for row in means))
    wanted = [[(kind, measure) for measure in _SHOWN if not measure.speech_only] for kind in kinds]
    wanted.append([(SPEECH, measure) for measure in _SHOWN if measure.speech_only])
    columns = [column for panels in wanted
               if (column := [(kind, measure) for kind, measure in panels
                              if any(row["kind"] == kind and measure.name in row for row in means)])]
    height = max(map(len, columns))
    rates = [row[name] for row in means for name in _LINES if name in row]
    coders = [*dict.fromkeys(row["coder"] for row in means)]
    lines: dict[str, Any] = {}
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.7 * len(columns), 3 * height))
        axes = figure.subplots(height, len(columns), squeeze=False)
        for column, panels in zip(columns, axes.T):
            for (kind, measure), axis in zip(column, panels):
                rows = [row for row in means if row["kind"] == kind and measure.name in row]
                lines |= _draw_lines(axis, rows, measure.name, coders)
                axis.set_title(f"{kind}: {measure.heading}" + " (lower is better)" * measure.lower_is_better)
                _rate_axis(axis, rates)
            panels[len(column) - 1].set_xlabel("kbit/s, measured")
            for axis in panels[len(column):]:
                axis.set_axis_off()
        figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=len(columns))
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _draw_lines(axis: Any, rows: list[dict], metric: str, coders: list[str]) -> dict[str, Any]:
    """A line for each codec, and one for its language model if there is; by label."""
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
