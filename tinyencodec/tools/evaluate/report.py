"""The means as a table: plain, at most 100 columns wide, and as Markdown."""

from collections.abc import Iterator

from tinyencodec.tools.evaluate.measures import MEASURES, RATES
from tinyencodec.tools.reporting import text_table

_NAME = 24  # letters
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
    """Of each kind the rows of a table: its name with the titles of the figures that it has, then who and the cells."""
    for kind in dict.fromkeys(row["kind"] for row in figures["means"]):
        means = [row for row in figures["means"] if row["kind"] == kind]
        columns = [name for name in _TITLES if any(name in row for row in means)]
        yield [[kind, *(_TITLES[name] for name in columns)],
               *([f"{row['coder']} at {row['rate']:g}",
                  *(f"{row[name]:.{_DIGITS[name]}f}" if name in row else "-" for name in columns)] for row in means)]


def _legend(figures: dict) -> Iterator[str]:
    lower = ", ".join(f"{measure.title}: {measure.scale}, lower is better" for measure in MEASURES
                      if measure.lower_is_better)
    yield f"kbit/s: measured, without container; {lower} (others: higher)"
    coded = [_TITLES[name] for name in (RATES["table"], RATES["lm"]) if any(name in row for row in figures["means"])]
    if coded:
        yield f"{' and '.join(coded)}: kbit/s with entropy coding, blocks and checksums included"
