"""Speed: encoding and decoding in turn with the peers, frame by frame, and layer by layer."""

import copy
import hashlib
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyencodec.codec.segments import EncodedFrame
from tinyencodec.layers.stack import ELU, Stack
from tinyencodec.tools.bench.subject import Subject, sound


class Contestant(NamedTuple):
    """Somebody who codes the sound. `who`: "ours" or the peer's name."""

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

    return Contestant("ours", threads, set_threads, lambda wav: model.encode(wav, subject.bandwidth), model.decode)


def race(subject: Subject, seconds: float, contestants: list[Contestant], repeat: int) -> list[dict]:
    """Let all contestants code the same sound, round by round; one row of figures each for encode and decode.

    The peers' codes are not ours, having other weights, but all decode ours. A peer's `ratio` is the median
    over the rounds of its time by ours on as many threads, right before.
    """
    wav = sound(subject.model, seconds)
    frames = subject.model.encode(wav, subject.bandwidth)
    times: dict[tuple[int, str], tuple[list[float], list[float]]] = {}
    digests = {}
    for round_number in range(repeat + 1):
        for who, threads, set_threads, encode, decode in contestants:
            set_threads(threads)
            encoding, codes = _timed(encode, wav)
            decoding, _ = _timed(decode, frames)
            if round_number:  # the first is to warm up
                encode_times, decode_times = times.setdefault((threads, who), ([], []))
                encode_times.append(encoding)
                decode_times.append(decoding)
            if who == "ours":
                digests[threads] = hashlib.sha256(b"".join(frame.codes.tobytes() for frame in codes)).hexdigest()
    rows = []
    for threads, operation in itertools.product(dict.fromkeys(c.threads for c in contestants), ("encode", "decode")):
        def of(who: str, threads: int = threads, i: int = operation == "decode") -> list[float]:
            return times[threads, who][i]

        for who in (c.who for c in contestants if c.threads == threads):
            row = {"model": subject.model.name, "operation": operation, "seconds": seconds, "threads": threads,
                   "who": who, "times": of(who), "realtime": seconds / statistics.median(of(who))}
            if who == "ours":
                row |= {"gflops": subject.gflop(operation, seconds) * row["realtime"], "codes": digests[threads]}
                if (1, who) in times:
                    row |= _ratio("speedup", [one / own for one, own in zip(of(who, 1), of(who))])
            else:
                row |= _ratio("ratio", [peer / own for peer, own in zip(of(who), of("ours"))])
            rows.append(row)
    return rows


def _timed(function: Callable, *args: object) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def _ratio(name: str, ratios: list[float]) -> dict:
    return {name: statistics.median(ratios), f"{name}_min": min(ratios), f"{name}_max": max(ratios)}


def stream(subject: Subject, seconds: float) -> dict | None:
    """Push one frame at a time through a streaming encoder and at once through a streaming decoder.

    Times in milliseconds per push, from the first that gives codes and sound; `realtime` is seconds of sound by
    seconds of work in all of them. None for a model that works by segments.
    """
    model = subject.model
    if not model.streams:
        return None
    model.threads = 1
    wav, hop = sound(model, seconds), model.hop_length
    encoder, decoder = model.streaming_encoder(subject.bandwidth), model.streaming_decoder(live=True)
    encoding, decoding = [], []
    for start in range(0, wav.shape[1] - hop + 1, hop):
        encode_time, codes = _timed(encoder.push, wav[:, start:start + hop])
        decode_time, out = _timed(decoder.push, codes)
        if out.shape[1]:
            encoding.append(1e3 * encode_time)
            decoding.append(1e3 * decode_time)
    # The first few make up for what was waiting, or find nothing in cache.
    times = {"encode": np.array(encoding)[10:], "decode": np.array(decoding)[10:]}
    times["both"] = times["encode"] + times["decode"]
    row: dict = {"model": model.name, "samples": hop, "pushes": len(times["both"]),
                 "encoder_delay_ms": 1e3 * (model.encoder_delay or 0) / model.sample_rate,
                 "decoder_delay_frames": model.decoder_delay}
    for operation, each in times.items():
        row[operation] = {"median_ms": float(np.median(each)), "p99_ms": float(np.percentile(each, 99)),
                          "realtime": 1e3 * hop / model.sample_rate / float(each.mean())}
    return row


class _Watched:
    """Stands in a stack for a layer, and adds up how long its calls take and how much they are given."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.seconds, self.inputs = layer, 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    def __call__(self, x: np.ndarray, **options: Any) -> Any:
        return self._watch(self.layer, x, **options)

    def step(self, x: np.ndarray, *args: Any, **options: Any) -> Any:
        return self._watch(self.layer.step, x, *args, **options)

    def encode(self, x: np.ndarray, *args: Any) -> Any:
        return self._watch(self.layer.encode, x, *args)

    def decode(self, codes: np.ndarray) -> Any:
        return self._watch(self.layer.decode, codes)

    def _watch(self, function: Callable, x: np.ndarray, *args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        y = function(x, *args, **options)
        self.seconds += time.perf_counter() - start
        self.inputs += len(x)
        return y


def profile(subject: Subject, seconds: float) -> list[dict]:
    """Where the time goes, on one thread: a row for each layer, the quantiser, and what is outside of both.

    The layers get the tiles that the engine makes. An ELU's time is in the layer after it, as in `Stack`.
    """
    rows = []
    for operation, part in (("encode", "encoder"), ("decode", "decoder")):
        model = copy.copy(subject.model)
        model.threads = 1
        wav = sound(model, seconds)
        codes = model.encode(wav, subject.bandwidth)  # to warm up
        layers = [layer if isinstance(layer, ELU) else _Watched(layer) for layer in getattr(model, part).layers]
        setattr(model, part, Stack(layers))
        quantizer: Any = _Watched(model.quantizer)
        model.quantizer = quantizer
        if operation == "encode":
            total, _ = _timed(model.encode, wav, subject.bandwidth)
        else:
            total, _ = _timed(model.decode, codes)
        found = [(f"{i} {type(layer.layer).__name__}", layer.seconds, 2e-9 * layer.macs * layer.inputs)
                 for i, layer in enumerate(layers) if isinstance(layer, _Watched)]
        search = model.codebooks_for(subject.bandwidth) * model.config.codebook_size * model.config.hidden_size
        found.append(("quantiser", quantizer.seconds,
                      2e-9 * search * quantizer.inputs if operation == "encode" else 0.0))
        found.append(("outside", total - sum(row[1] for row in found), 0.0))
        rows += [{"model": model.name, "operation": operation, "seconds": seconds, "layer": name, "time": spent,
                  "share": spent / total, "gflops": gflop / spent if spent > 0 else 0.0}
                 for name, spent, gflop in found]
    return rows
