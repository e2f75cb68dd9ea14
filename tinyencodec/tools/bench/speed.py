"""Speed: encoding and decoding in turn with the peers, frame by frame, and layer by layer."""

import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tinyencodec.codec.segments import EncodedFrame
from tinyencodec.kernels.gemm import gemm, pack
from tinyencodec.layers.stack import ELU, Stack
from tinyencodec.tools.bench.subject import Subject, sound


class Contestant(NamedTuple):
    """A codec to be timed. `who`: "ours" or the peer's name."""

    who: str
    threads: int
    set_threads: Callable[[int], None]
    encode: Callable[[np.ndarray], object]  # wav [C, T] -> codes, in its own form
    decode: Callable[[list[EncodedFrame]], object]  # codes, in our form -> wav, in its own


def our_contestant(subject: Subject, threads: int) -> Contestant:
    """The model's own `encode` and `decode`."""
    model = subject.model

    def set_threads(n: int) -> None:
        model.threads = n

    return Contestant("ours", threads, set_threads, lambda wav: model.encode(wav, model.usual_bandwidth), model.decode)


def race(subject: Subject, seconds: float, contestants: list[Contestant], repeat: int) -> list[dict]:
    """Let all contestants code the same sound, round by round; one row of figures each for encode and decode.

    The peers' codes are not ours, having other weights, but all decode ours. A peer's `ratio` is the median
    over the rounds of its time by ours on as many threads, right before; our `speedup` that of one thread by several.
    """
    wav = sound(subject.model, seconds)
    frames = subject.model.encode(wav, subject.model.usual_bandwidth)
    times: dict[tuple[int, str, str], list[float]] = {}
    for round_number in range(repeat + 1):
        for who, threads, set_threads, encode, decode in contestants:
            set_threads(threads)
            for operation, spent in (("encode", timed(encode, wav)[0]), ("decode", timed(decode, frames)[0])):
                if round_number:  # the first is to warm up
                    times.setdefault((threads, operation, who), []).append(spent)
    rows = []
    for (threads, operation, who), own in sorted(times.items(), key=lambda item: (item[0][0], item[0][1] == "decode")):
        row = {"model": subject.model.name, "operation": operation, "seconds": seconds, "threads": threads,
               "who": who, "times": own, "realtime": seconds / statistics.median(own)}
        if who != "ours":
            ratios = [peer / ours for peer, ours in zip(own, times[threads, operation, "ours"])]
            row |= {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
        elif threads > 1 and (1, operation, who) in times:
            row["speedup"] = statistics.median(one / n for one, n in zip(times[1, operation, who], own))
        rows.append(row)
    return rows


def timed(function: Callable, *args: Any, **options: Any) -> tuple[float, Any]:
    """Seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = function(*args, **options)
    return time.perf_counter() - start, result


def stream(subject: Subject, seconds: float) -> list[dict]:
    """Push one frame at a time through a streaming encoder and at once through a streaming decoder; a row each.

    Times in milliseconds per push, from the first that gives codes and sound; `realtime` is seconds of sound by
    seconds of work in all of them. No rows for a model that works by segments.
    """
    model = subject.model
    if not model.streams:
        return []
    model.threads = 1
    wav, hop = sound(model, seconds), model.hop_length
    encoder, decoder = model.streaming_encoder(model.usual_bandwidth), model.streaming_decoder(live=True)
    times = []
    for start in range(0, wav.shape[1] - hop + 1, hop):
        encoding, codes = timed(encoder.push, wav[:, start:start + hop])
        decoding, out = timed(decoder.push, codes)
        if out.shape[1]:
            times.append((encoding, decoding, encoding + decoding))
    # The first few make up for what was waiting, or find nothing in cache.
    return [{"model": model.name, "operation": operation, "samples": hop, "pushes": len(each),
             "median_ms": 1e3 * float(np.median(each)), "p99_ms": 1e3 * float(np.percentile(each, 99)),
             "realtime": hop / model.sample_rate / float(each.mean())}
            for operation, each in zip(("encode", "decode", "both"), np.array(times[10:]).T)]


class _Watched:
    """Stands in a stack for a layer, and adds up how long its calls take and how much they are given."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.seconds, self.inputs = layer, 0.0, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.layer, name)
        return partial(self._watch, found) if name in ("step", "encode", "decode") else found

    def _watch(self, function: Callable, x: np.ndarray, *args: Any, **options: Any) -> Any:
        seconds, y = timed(function, x, *args, **options)
        self.seconds += seconds
        self.inputs += len(x)
        return y


def peak() -> float:
    """GFLOP/s of the codec's matrix product on one thread at its best: everything in cache, and whole tiles only."""
    n_rows, size, best = 480, 256, 0.0
    x, bias, out = np.ones((n_rows, size), np.float32), np.ones(size, np.float32), np.empty((n_rows, size), np.float32)
    matrix = pack(np.full((size, size), 0.01, np.float32))
    for _ in range(200):
        spent, _ = timed(gemm, x, matrix, n_rows, size, bias, out)
        best = max(best, 2e-9 * n_rows * size * size / spent)
    return best


def profile_layers(subject: Subject, seconds: float, repeat: int = 3) -> list[dict]:
    """Where the time goes, on one thread: a row for each layer, the quantiser, what is outside of both, and all of it.

    The fastest of `repeat` runs. The layers get the tiles that `TileRunner` makes. An ELU's time is in the layer after
    it, as in `Stack`. `peak`: the share of what the matrix product alone does per second.
    """
    rows: list[dict] = []
    for operation in ("encode", "decode"):
        fastest: list[dict] = min((_profile(subject, seconds, operation) for _ in range(repeat)),
                                  key=lambda found: found[-1]["time"])
        rows += fastest
    best = peak()
    return [row | {"peak": row["gflops"] / best} for row in rows]


def _profile(subject: Subject, seconds: float, operation: str) -> list[dict]:
    part, model = operation.replace("code", "coder"), copy.copy(subject.model)
    model.threads = 1
    wav = sound(model, seconds)
    codes = model.encode(wav, model.usual_bandwidth)  # to warm up
    layers = [layer if isinstance(layer, ELU) else _Watched(layer) for layer in getattr(model, part).layers]
    setattr(model, part, Stack(layers))
    quantizer: Any = _Watched(model.quantizer)
    model.quantizer = quantizer
    total, _ = timed(model.encode, wav, model.usual_bandwidth) if operation == "encode" else timed(model.decode, codes)
    found = [(f"{i} {type(layer.layer).__name__}", layer.seconds, 2e-9 * layer.macs * layer.inputs)
             for i, layer in enumerate(layers) if isinstance(layer, _Watched)]
    search = model.codebooks_for(model.usual_bandwidth) * model.config.codebook_size * model.config.hidden_size
    found.append(("quantiser", quantizer.seconds, 2e-9 * search * quantizer.inputs if operation == "encode" else 0.0))
    found.append(("outside", total - sum(row[1] for row in found), 0.0))
    found.append(("all", total, sum(row[2] for row in found)))
    return [{"model": model.name, "operation": operation, "seconds": seconds, "layer": name, "time": spent,
             "share": spent / total, "gflops": gflop / spent if spent > 0 else 0.0} for name, spent, gflop in found]
