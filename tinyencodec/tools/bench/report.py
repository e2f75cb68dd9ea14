"""The figures as a plain table, at most 100 columns wide."""

from collections.abc import Iterator


def table(figures: dict) -> str:
    """The text for what `run_benchmarks` returned; ends with a newline."""
    return "\n".join(_lines(figures)) + "\n"


def _lines(figures: dict) -> Iterator[str]:
    m = figures["machine"]
    yield f"{m['cpu']}, {m['cores']} core(s), {m['system']}, load {m['load_before']} before and {m['load_after']} after"
    yield (f"tinyencodec {m['tinyencodec']}, Python {m['python']}, NumPy {m['numpy']}, Numba {m['numba']}"
           + ("" if m["jit"] else ", JIT off"))
    yield from (f"{peer}: {version}" for peer, version in figures["peers"].items())
    yield from (f"left out for {row['model']}: {row['peer']}: {row['reason']}"[:100] for row in figures["left_out"])
    for part, lines in (("speed", _speed), ("streaming", _streaming), ("memory", _memory), ("start", _start),
                        ("profile", _profile)):
        if figures.get(part):
            yield ""
            yield from lines(figures)


def _speed(figures: dict) -> Iterator[str]:
    peak = figures["gemm_peak"]
    if "error" not in peak:
        yield (f"matrix product on one thread: ours {peak['ours_gflops']:.0f} GFLOP/s, "
               f"NumPy {peak['numpy_gflops']:.0f} GFLOP/s")
    for name, model in figures["models"].items():
        work = model["gflop_per_second"]
        yield (f"{name}: {work['encode']:.2f} GFLOP to encode a second at {model['bandwidth']:g} kbit/s, "
               f"{work['decode']:.2f} to decode it{', random weights' if model['random_weights'] else ''}")
    yield ""
    yield "Speed (x real time: seconds of sound per second; ratio: ours to the peer, median of pairs)"
    yield (f"{'model':15}{'':8}{'length':>7} {'threads':>8}  {'who':13}{'x real time':>11}  "
           f"{'of peak':>7}  {'speed-up':>8}  ratio")
    for row in figures["speed"]:
        ours = row["who"] == "ours"
        place = f"{row['model']:.14}" if ours else ""
        yield (f"{place:15}{row['operation'] if ours else '':8}{_seconds(row) if ours else '':>7} "
               f"{row['threads'] if ours else '':>8}  {row['who']:13}{row['realtime']:11.1f}  "
               f"{_percent(row, 'share_of_peak'):>7}  {_times(row, 'speedup'):>8}  "
               + (f"{row['ratio']:.2f} ({row['ratio_min']:.2f} - {row['ratio_max']:.2f})" if "ratio" in row else "")
               ).rstrip()


def _streaming(figures: dict) -> Iterator[str]:
    yield "Streaming, one frame at a time on one core (ms per frame; x real time)"
    yield f"{'model':15}{'samples':>8}  {'':7}{'median':>8}{'99 %':>8}{'x real time':>13}"
    for row in figures["streaming"]:
        for operation in ("encode", "decode", "both"):
            each = row[operation]
            yield (f"{row['model']:15.14}{row['samples']:8}  {operation:7}{each['median_ms']:8.2f}"
                   f"{each['p99_ms']:8.2f}{each['realtime']:13.1f}")


def _memory(figures: dict) -> Iterator[str]:
    yield "Peak memory of a process that does nothing else"
    yield f"{'model':15}{'':8}{'length':>7}  {'who':20}{'MB':>8}"
    for row in figures["memory"]:
        peak = row.get("error") or ("unknown" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}")
        yield f"{row['model']:15.14}{row['operation']:8}{_seconds(row):>7}  {row['who']:20}{peak:>8.48}"


def _start(figures: dict) -> Iterator[str]:
    for row in figures["start"]:
        if "error" in row:
            yield f"Start: {row['error']}"[:100]
        else:
            yield "Start (seconds)"
            yield f"an empty Python process {row['python']:.2f}; in it, import tinyencodec {row['import']:.3f}"
            yield (f"a process that encodes 1 s with {row['model']}: {row['compiling']:.1f} the first time "
                   f"(kernels are compiled), {row['cached']:.2f} from then on")


def _profile(figures: dict) -> Iterator[str]:
    yield "Where the time goes, on one thread"
    kinds: dict[tuple[str, str], dict[str, float]] = {}
    for row in figures["profile"]:
        kind = row["layer"].split()[-1]
        shares = kinds.setdefault((row["model"], row["operation"]), {})
        shares[kind] = shares.get(kind, 0.0) + row["share"]
    for (model, operation), shares in kinds.items():
        dearest = sorted(((share, kind) for kind, share in shares.items() if share >= 0.01), reverse=True)
        yield f"{model:15.14}{operation:8}" + ", ".join(f"{kind} {100 * share:.0f} %" for share, kind in dearest[:4])
    yield ""
    yield f"{'model':15}{'':8}{'length':>7}  {'layer':20}{'ms':>8}{'share':>8}{'GFLOP/s':>9}"
    for row in figures["profile"]:
        yield (f"{row['model']:15.14}{row['operation']:8}{_seconds(row):>7}  {row['layer']:20}"
               f"{1e3 * row['time']:8.1f}{_percent(row, 'share'):>8}{row['gflops']:9.0f}")


def _seconds(row: dict) -> str:
    return f"{row['seconds']:g} s"


def _percent(row: dict, name: str) -> str:
    return f"{100 * row[name]:.0f} %" if name in row else ""


def _times(row: dict, name: str) -> str:
    return f"{row[name]:.2f}" if name in row and row["threads"] > 1 else ""
