"""The figures as plain tables, at most 100 columns wide."""

import statistics
from collections.abc import Callable, Iterator

from tinyencodec.tools.reporting import text_table

_Cells = dict[str, Callable[[dict], str]]  # by the column's title, from a row of figures to its cell
_MODEL: _Cells = {"model": lambda row: row["model"][:14], "": lambda row: row["operation"]}
_LENGTH: _Cells = {"length": lambda row: f"{row['seconds']:g} s"}
_REALTIME: _Cells = {"x real time": lambda row: f"{row['realtime']:.1f}"}

# by part: a heading, columns of words, columns of numbers
_TABLES: dict[str, tuple[str, _Cells, _Cells]] = {
    "speed": (
        "Speed (x real time: seconds of sound per second; ratio: ours to the peer, median of pairs)",
        _MODEL | {"who": lambda row: row["who"]},
        _LENGTH | {"threads": lambda row: f"{row['threads']}"} | _REALTIME
        | {"speed-up": lambda row: f"{row['speedup']:.2f}" if "speedup" in row else "",
           "ratio": lambda row: (f"{row['ratio']:.2f} ({row['ratio_min']:.2f} - {row['ratio_max']:.2f})"
                                 if "ratio" in row else "")}),
    "streaming": (
        "Streaming, one frame at a time on one core (ms per frame; x real time)",
        _MODEL,
        {"samples": lambda row: f"{row['samples']}", "median": lambda row: f"{row['median_ms']:.2f}",
         "99 %": lambda row: f"{row['p99_ms']:.2f}"} | _REALTIME),
    "memory": (
        "Peak memory of a process that does nothing else",
        _MODEL | {"who": lambda row: row["who"]},
        _LENGTH | {"MB": lambda row: row.get("error", "unknown" if row.get("peak_mb") is None
                                             else f"{row['peak_mb']:.0f}")[:48]}),
    "profile": (
        "Where the time goes, on one thread (peak: share of what the matrix product does at its best)",
        _MODEL | {"layer": lambda row: row["layer"]},
        _LENGTH | {"ms": lambda row: f"{1e3 * row['time']:.1f}", "share": lambda row: f"{100 * row['share']:.0f} %",
                   "GFLOP/s": lambda row: f"{row['gflops']:.0f}", "peak": lambda row: f"{100 * row['peak']:.0f} %"}),
}


def table(figures: dict) -> str:
    """The text for what `run_benchmarks` returned; ends with a newline."""
    return "\n".join([*_machine(figures), *_start(figures), *_tables(figures), *_summary(figures)]) + "\n"


def _machine(figures: dict) -> Iterator[str]:
    m = figures["machine"]
    yield f"{m['cpu']}, {m['cores']} core(s), {m['system']}, load {m['load_before']} before and {m['load_after']} after"
    yield (f"tinyencodec {m['tinyencodec']}, Python {m['python']}, NumPy {m['numpy']}, Numba {m['numba']}"
           + ("" if m["jit"] else ", JIT off"))
    yield from (f"{name}: {model['bandwidth']:g} kbit/s{', random weights' if model['random_weights'] else ''}"
                for name, model in figures["models"].items())
    yield from (f"{peer}: {version}" for peer, version in figures["peers"].items())
    yield from (f"left out for {row['model']}: {row['peer']}: {row['reason']}"[:100] for row in figures["left_out"])


def _tables(figures: dict) -> Iterator[str]:
    for part, (heading, words, numbers) in _TABLES.items():
        if rows := figures.get(part):
            cells = [[cell(row) for cell in (words | numbers).values()] for row in rows]
            yield from ("", heading, *text_table([[*words, *numbers], *cells], left=len(words)))


def _start(figures: dict) -> Iterator[str]:
    for row in figures.get("start", ()):
        if "error" in row:
            yield f"Start: {row['error']}"[:100]
        else:
            yield (f"Start: a process that encodes 1 s with {row['model']}: {row['compiling']:.1f} s the first time "
                   f"(kernels are compiled),")
            yield (f"{row['cached']:.2f} s from then on; import numpy, numba takes {row['numba']:.2f} s. Its parts: "
                   + ", ".join(f"{name} {seconds:.3f}" for name, seconds in row["parts"].items()))


def _summary(figures: dict) -> Iterator[str]:
    """One line: how often as fast as each peer, to encode and to decode, medians of all that was measured."""
    rows = [row for row in figures.get("speed", ()) if "ratio" in row]
    told = []
    for peer in dict.fromkeys(row["who"] for row in rows):
        own = [row for row in rows if row["who"] == peer]
        encode, decode = (statistics.median(row["ratio"] for row in own if row["operation"] == operation)
                          for operation in ("encode", "decode"))
        told.append(f"{encode:.2f} and {decode:.2f} times as fast as {peer}")
    if told:
        yield from ("", "In all, to encode and to decode: " + ", ".join(told))
