"""The means as a table: plain, at most 100 columns wide, and as Markdown."""

from collections.abc import Iterator

from tinyencodec.tools.evaluate.figures import METRICS, RATES

TITLES = {"kbps": "kbit/s", "kbps_table": "by table", "kbps_lm": "by lm", "si_snr": "SI-SNR, dB", "mel": "mel distance",
          "pesq": "PESQ-WB", "stoi": "STOI", "visqol": "ViSQOL"}
_DIGITS = {"si_snr": 2, "mel": 3, "pesq": 2, "stoi": 3}  # 2 for the others
_NAME = 24  # columns


def table(figures: dict) -> str:
    """The text for what `measure_clips` returned and the command added; ends with a newline."""
    lines = list(_about(figures))
    for kind, columns, rows in _blocks(figures):
        widths = [max(5, len(TITLES[column])) for column in columns]
        lines += ["", f"{kind:{_NAME}}  " + "  ".join(TITLES[column] for column in columns)]
        for who, cells in rows:
            padded = (cell.rjust(width) for cell, width in zip(cells, widths))
            lines.append(f"{who:{_NAME}.{_NAME}}  " + "  ".join(padded))
    return "\n".join([*lines, "", *_legend(figures)]) + "\n"


def markdown(figures: dict) -> str:
    """The same in Markdown, one table per kind."""
    lines = [f"`{figures['command']}`", "", *(f"{line}  " for line in _about(figures))]
    for kind, columns, rows in _blocks(figures):
        lines += ["", f"| {kind} | " + " | ".join(TITLES[column] for column in columns) + " |",
                  "|---|" + "---:|" * len(columns)]
        lines += [f"| {who} | " + " | ".join(cells) + " |" for who, cells in rows]
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


def _blocks(figures: dict) -> Iterator[tuple[str, list[str], list[tuple[str, list[str]]]]]:
    """Of each kind: its name, the columns that it has figures for, and rows of cells."""
    for kind in dict.fromkeys(row["kind"] for row in figures["means"]):
        means = [row for row in figures["means"] if row["kind"] == kind]
        columns = [name for name in (*RATES.values(), *METRICS) if any(name in row for row in means)]
        rows = [(f"{row['coder']} at {row['rate']:g}",
                 [f"{row[name]:.{_DIGITS.get(name, 2)}f}" if name in row else "-" for name in columns])
                for row in means]
        yield kind, columns, rows


def _legend(figures: dict) -> Iterator[str]:
    yield "kbit/s: measured, without container; mel distance: 0.05 is 1 dB, lower is better (others: higher)"
    coded = [TITLES[name] for name in (RATES["table"], RATES["lm"]) if any(name in row for row in figures["means"])]
    if coded:
        yield f"{' and '.join(coded)}: kbit/s with entropy coding, blocks and checksums included"
    delays: dict[str, list[int]] = {}
    for row in figures["means"]:
        delays.setdefault(row["coder"], []).extend(row["delay"])
    yield "delay found and undone, in samples: " + "; ".join(
        f"{coder} {min(some)}" + (f" to {max(some)}" if min(some) < max(some) else "")
        for coder, some in delays.items())
