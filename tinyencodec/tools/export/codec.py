"""Encoder and decoder of a model as graphs: for a whole signal, or a segment of one, and piece by piece.

    encoder   audio float32 [1, C, T]                     -> codes int64 [K, F], scale float32 [1]
    decoder   codes int64 [k, F], scale float32 [1]       -> audio float32 [1, C, F * hop]

`scale` is there only for a model that normalises. The encoder gives the codes of all K codebooks; those of a lower rate
are the first rows. The decoder takes any number k of rows, and any F. A code of -1 adds nothing to the sum.

The streaming pair, for causal models, has the state besides: inputs `state.N` and outputs `next.N`. The first call
needs `first_frames` frames of sound or of codes, because of the mirror at the start, and empty states for those whose
last dimension has a name, zeros for the others. Each further call takes any number of whole frames; the last one of
the encoder also a part of a frame, which it completes as the rule at the end of a signal says.
"""

import json

import numpy as np
import onnx

from tinyencodec.codec.model import EncodecModel
from tinyencodec.tools.export.graph import FLOAT, INT64
from tinyencodec.tools.export.layers import NetworkGraph


def streams(model: EncodecModel) -> bool:
    """Whether it has a streaming pair: its layers look back only, and what they make is never trimmed on the left."""
    return model.streams and model.config.use_causal_conv and model.config.trim_right_ratio == 1


def encoder_graph(model: EncodecModel, half: bool = False, streaming: bool = False, origin: dict | None = None,
                  n_codebooks: int | None = None) -> onnx.ModelProto:
    """Sound to codes, with the first `n_codebooks` (None: all). `origin`: more to be said in the metadata."""
    graph = NetworkGraph(half, streaming)
    x = graph.input("audio", FLOAT, [1, model.channels, "samples"])
    scale = _scale(graph, x) if model.config.normalize else None
    z = graph.run(model.encoder, x if scale is None else graph.op("Div", x, scale))  # -> [1, D, F]
    codebooks = model.quantizer.codebooks[:n_codebooks]
    rest, rows = graph.op("Squeeze", graph.op("Transpose", z, perm=[2, 1, 0]), [2]), []  # -> [F, D]
    for entries in codebooks:
        stored = entries.astype(np.float16 if half else np.float32).astype(np.float64)
        with np.errstate(over="ignore"):  # an entry of a length beyond float32 is never the nearest
            half_norms = (-0.5 * np.square(stored).sum(axis=1)).astype(np.float32)
        table = graph.weight("entries", entries)
        scores = graph.op("Gemm", rest, table, half_norms, transB=1)  # -> [F, N]
        codes = graph.op("ArgMax", scores, axis=1, keepdims=0)  # on a tie the lowest
        rest = graph.op("Sub", rest, graph.op("Gather", table, codes))
        rows.append(graph.op("Unsqueeze", codes, [0]))
    graph.output("codes", graph.op("Concat", *rows, axis=0), INT64, [len(codebooks), "frames"])
    if scale is not None:
        graph.output("scale", graph.op("Reshape", scale, [1]), FLOAT, [1])
    first = None if model.encoder_delay is None else -(-model.encoder_delay // model.hop_length)
    return _finish(graph, model, "encoder", first, origin)


def decoder_graph(model: EncodecModel, half: bool = False, streaming: bool = False,
                  origin: dict | None = None) -> onnx.ModelProto:
    """Codes to sound."""
    graph = NetworkGraph(half, streaming)
    codes = graph.input("codes", INT64, ["codebooks", "frames"])
    scale = graph.input("scale", FLOAT, [1]) if model.config.normalize else None
    # All codebooks one below the other, before each a row of zeros: [K * (1 + N), D]
    table = graph.weight("entries", np.concatenate([np.pad(e, ((1, 0), (0, 0))) for e in model.quantizer.codebooks]))
    starts = 1 + (1 + model.config.codebook_size) * np.arange(model.n_codebooks)[:, None]
    starts = graph.op("Slice", starts, [0], graph.op("Shape", codes, start=0, end=1), [0])
    chosen = graph.op("Gather", table, graph.op("Add", codes, starts))  # -> [k, F, D]
    z = graph.op("ReduceSum", chosen, [0], keepdims=1)  # -> [1, F, D]
    wav = graph.run(model.decoder, graph.op("Transpose", z, perm=[0, 2, 1]))
    graph.output("audio", wav if scale is None else graph.op("Mul", wav, scale), FLOAT, [1, model.channels, "samples"])
    return _finish(graph, model, "decoder", model.decoder_delay, origin)


def _scale(graph: NetworkGraph, x: str) -> str:
    """The RMS of the mono mix plus 1e-8, [1, 1, 1], as `codec.segments.scale_of`."""
    mono = graph.op("ReduceMean", x, [1])
    power = graph.op("ReduceMean", graph.op("Mul", mono, mono), [2])
    return graph.op("Add", graph.op("Sqrt", power), np.array(1e-8, np.float32))


def _finish(graph: NetworkGraph, model: EncodecModel, part: str, first: int | None,
            origin: dict | None) -> onnx.ModelProto:
    facts = {"model": model.name, "part": part, "sample_rate": model.sample_rate, "channels": model.channels,
             "hop_length": model.hop_length, "frame_rate": model.frame_rate, "codebooks": model.n_codebooks,
             "codebook_size": model.config.codebook_size, "bandwidths": list(model.bandwidths),
             "segment_length": model.segment_length, "segment_stride": model.segment_stride,
             "first_frames": first if graph.streaming else None, **(origin or {})}
    told = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()
            if value is not None}
    return graph.model(f"{model.name}_{part}", f"EnCodec {part}, {model.sample_rate} Hz", told)
