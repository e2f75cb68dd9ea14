"""The means as a table: plain, at most 100 columns wide, and as Markdown."""

import textwrap
from collections.abc import Iterator

from tinyencodec.tools.evaluate.listening import VISQOL_MODES
from tinyencodec.tools.evaluate.measures import MEASURES, RATES
from tinyencodec.tools.reporting import text_table

_NAME, _WIDTH = 24, 100  # letters
_DIGITS = {measure.name: measure.digits for measure in MEASURES} | dict.fromkeys(RATES.values(), 2)
_TITLES = {"kbps": "kbit/s", "kbps_table": "by table", "kbps_lm": "by lm"} | {
    measure.name: measure.heading for measure in MEASURES}


def table(figures: dict) -> str:
    """The text for what `measure_clips` returned and the command added; ends with a newline."""
    lines = list(_about(figures))
    for head, *rows in _blocks(figures):
        lines += ["", *text_table([head, *((who[:_NAME], *cells) for who, *cells in rows)])]
    return "\n".join([*lines, "", *_legend(figures)]) + "\n"


def markdown(figures: dict) -> str:
    """The same in Markdown, one table per kind."""
    lines = [f"`{figures['command']}`", "", *(f"{line}  " for line in _about(figures))]
    for head, *rows in _blocks(figures):
        lines.append("")
        lines += [f"| {' | '.join(cells)} |" for cells in (head, ["---", *["---:"] * (len(head) - 1)], *rows)]
    return "\n".join([*lines, "", *(f"{line}  " for line in _legend(figures))]) + "\n"


def _about(figures: dict) -> Iterator[str]:
    yield ", ".join(f"{name} {version}" if name == "tinyencodec" else version
                    for name, version in figures["versions"].items() if name in ("tinyencodec", "Opus", "MP3"))
    yield (f"clips from {figures['source']}, seed {figures['seed']}, {figures['sample_rate']} Hz "
           + ("mono" if figures["channels"] == 1 else "stereo"))
    seconds: dict[str, list[float]] = {}
    for clip in figures["clips"]:
        seconds.setdefault(clip["kind"], []).append(clip["seconds"])
    yield "; ".join(f"{kind}: {len(some)} clip{'s' * (len(some) > 1)}, {sum(some):.4g} s"
                    for kind, some in seconds.items())
    yield from (f"left out: {line}" for line in figures["left_out"])


def _blocks(figures: dict) -> Iterator[list[list[str]]]:
    """Of each kind the rows of three tables: its name with titles of the figures that it has, then who and the cells.

    The three are rates and measures, details, and half the widths of the 95 % intervals of means.
    """
    first, details = ([measure.name for measure in MEASURES if measure.detail == detail] for detail in (False, True))
    for kind in dict.fromkeys(row["kind"] for row in figures["means"]):
        means = [row for row in figures["means"] if row["kind"] == kind]
        for title, names, suffix in ((kind, [*RATES.values(), *first], ""), (f"{kind}, details", details, ""),
                                     (f"{kind}, means +-", [*first, "comb"], "_ci95")):
            columns = [name for name in names if any(name + suffix in row for row in means)]
            if columns:
                yield [[title, *(_TITLES[name] for name in columns)],
                       *([f"{row['coder']} at {row['rate']:g}",
                          *(f"{row[name + suffix]:.{_DIGITS[name]}f}" if name + suffix in row else "-"
                            for name in columns)] for row in means)]


def _legend(figures: dict) -> Iterator[str]:
    lower = ", ".join(f"{measure.title}: {measure.scale}, lower is better" for measure in MEASURES
                      if measure.lower_is_better and not measure.detail)
    yield f"kbit/s: measured, without container; {lower} (others: higher)"
    yield "as it is: SI-SNR with neither delay nor level undone; comb: how far lines of the frame rate rose"
    yield "0-1, 1-4 ...: mean difference of spectra between so many kHz, 0.05 is 1 dB, lower is better"
    yield f"ViSQOL: in its mode {VISQOL_MODES['visqol']}; ViSQOL-S: {VISQOL_MODES['visqol_speech']}"
    yield "means +-: in 95 of 100 draws of clips, they lie that near to those of all such sound"
    for model in figures["models"]:
        yield from textwrap.wrap(_model(model), _WIDTH)
    coded = [_TITLES[name] for name in (RATES["table"], RATES["lm"]) if any(name in row for row in figures["means"])]
    if coded:
        yield f"{' and '.join(coded)}: kbit/s with entropy coding, blocks and checksums included"


def _model(model: dict) -> str:
    tokens = ", ".join(f"{row['tokens_per_second']:g} at {row['rate']:g}" for row in model["tokens_per_second"])
    tokens += "; times real time to encode: " + ", ".join(f"{row['times_real_time']:.3g} at {row['rate']:g}"
                                                           for row in model["encoding"])
    books = model["codebooks"]
    used, even = (", ".join(f"{scale * row[name]:.0f}" for row in books) for name, scale in
                  (("used", 100), ("perplexity", 1)))
    whole = f"{model['coder']}: {model['frame_rate']:g} frames/s; tokens/s: {tokens}"
    if not model["frames"]:
        return whole
    return (f"{whole}; by codebook, over {model['seconds']:.4g} s, entries used: {used} %, perplexity: {even}")
