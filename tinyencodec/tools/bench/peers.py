"""Other programs that do the codec's work, if they are installed: `encodec`, `transformers`, `onnxruntime`.

Each is given a model of the same size with random weights. PyTorch is no dependency of this package and stays out of
it: it is looked up by name, in here alone, and only once somebody has asked for a peer.

`onnxruntime` runs the official model as PyTorch exports it, one graph for each length of sound. But: not models
with segments, whose cutting and joining an export does not hold.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import io
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.codec.segments import EncodedFrame
from tinyencodec.tools.bench.speed import Contestant
from tinyencodec.tools.bench.subject import Subject


class CannotRun(Exception):
    """Why a peer is left out, in one line."""


class _Peer:
    """name, and the packages it needs, its own first."""

    name: str
    packages: tuple[str, ...]

    def __init__(self) -> None:
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise CannotRun(f"{package} is not installed")
        self.torch: Any = importlib.import_module("torch")
        self.torch.manual_seed(0)
        versions = (f"{package} {importlib.metadata.version(package)}" for package in self.packages)
        self.version = ", ".join(versions)

    def contestant(self, subject: Subject, seconds: float, threads: int) -> Contestant:
        """A contestant for one length of sound and number of threads. Raises `CannotRun` for a model that it lacks."""
        self.check(subject.model.config)
        # without what PyTorch does to be able to differentiate
        encode, decode = map(self.torch.inference_mode(), self.code(subject, seconds, threads))
        return Contestant(self.name, threads, self.torch.set_num_threads, encode, decode)

    def check(self, config: CodecConfig) -> None:
        """Raise `CannotRun` for a model that it lacks."""

    def code(self, subject: Subject, seconds: float, threads: int) -> tuple[Callable, Callable]:
        """Its ways to encode and to decode; see `Contestant`."""
        raise NotImplementedError

    def model(self, config: CodecConfig) -> Any:
        """Its model of this size, of random weights."""
        raise NotImplementedError

    def fill_codebooks(self, model: Any) -> None:
        """Random entries: untrained codebooks are all zero, and so would be all that is decoded."""
        for name, tensor in model.state_dict().items():
            if name.endswith("codebook.embed"):
                tensor.normal_()


class _Encodec(_Peer):
    name, packages = "encodec", ("encodec", "torch", "einops")
    builders = {PRESETS["encodec_24khz"]: "encodec_model_24khz", PRESETS["encodec_48khz"]: "encodec_model_48khz"}

    def code(self, subject: Subject, seconds: float, threads: int) -> tuple[Callable, Callable]:
        model, torch = self.model(subject.model.config), self.torch
        model.set_target_bandwidth(subject.model.usual_bandwidth)

        def encode(wav: np.ndarray) -> Any:
            return model.encode(torch.from_numpy(wav)[None])

        def decode(frames: list[EncodedFrame]) -> Any:
            return model.decode([(torch.from_numpy(codes)[None].long(),
                                  None if scale is None else torch.tensor([scale])) for codes, scale in frames])

        return encode, decode

    def check(self, config: CodecConfig) -> None:
        if config not in self.builders:
            raise CannotRun("it builds models of the official 24 and 48 kHz sizes only")

    @functools.cache  # noqa: B019 (a peer lives as long as the process)
    def model(self, config: CodecConfig) -> Any:
        # It only reads files with torchaudio, but imports it in any case.
        missing = "torchaudio" not in sys.modules and importlib.util.find_spec("torchaudio") is None
        if missing:
            sys.modules["torchaudio"] = types.ModuleType("torchaudio")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = getattr(importlib.import_module("encodec").EncodecModel, self.builders[config])(pretrained=False)
        if missing:
            del sys.modules["torchaudio"]
        self.fill_codebooks(model)
        return model.eval()


class _Transformers(_Peer):
    name, packages = "transformers", ("transformers", "torch")

    def code(self, subject: Subject, seconds: float, threads: int) -> tuple[Callable, Callable]:
        model, torch = self.model(subject.model.config), self.torch

        def encode(wav: np.ndarray) -> Any:
            return model.encode(torch.from_numpy(wav)[None], bandwidth=subject.model.usual_bandwidth)

        def decode(frames: list[EncodedFrame]) -> Any:
            size = frames[0].codes.shape[1]
            padded = [np.pad(codes, ((0, 0), (0, size - codes.shape[1]))) for codes, _ in frames]
            scales = [None if scale is None else torch.tensor([scale]) for _, scale in frames]
            return model.decode(torch.from_numpy(np.stack(padded)[:, None]).long(), scales,
                                last_frame_pad_length=size - frames[-1].codes.shape[1])

        return encode, decode

    def check(self, config: CodecConfig) -> None:
        if config.num_lstm_layers == 0:
            raise CannotRun("it cannot build a model without LSTM")

    @functools.cache  # noqa: B019
    def model(self, config: CodecConfig) -> Any:
        fields = config.to_dict()
        del fields["model_type"]
        transformers = importlib.import_module("transformers")
        model = transformers.EncodecModel(transformers.EncodecConfig(**fields))
        self.fill_codebooks(model)
        return model.eval()


class _OnnxRuntime(_Peer):
    name, packages = "onnxruntime", ("onnxruntime", "onnx", "encodec", "torch", "einops")

    def check(self, config: CodecConfig) -> None:
        if config.segment_length is not None:
            raise CannotRun("an export does not hold the segments")
        find_peer("encodec").check(config)

    def code(self, subject: Subject, seconds: float, threads: int) -> tuple[Callable, Callable]:
        graphs = self.graphs(subject.model.config, subject.model.usual_bandwidth,
                             round(seconds * subject.model.sample_rate))
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        encoder, decoder = (runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
                            for graph in graphs)

        def encode(wav: np.ndarray) -> Any:
            return encoder.run(None, {"wav": wav[None]})[0]

        def decode(frames: list[EncodedFrame]) -> Any:
            return decoder.run(None, {"codes": frames[0].codes[:, None].astype(np.int64)})[0]

        return encode, decode

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def graphs(self, config: CodecConfig, bandwidth: float, samples: int) -> tuple[bytes, bytes]:
        """The official encoder with the search in the codebooks, and the decoder: ONNX for one length of sound."""
        torch, model = self.torch, find_peer("encodec").model(config)
        module: Any = torch.nn.Module

        class Part(module):
            def __init__(self, forward: Callable) -> None:
                super().__init__()
                self.codec, self.forward = model, forward

        encoder = Part(lambda wav: model.quantizer.encode(model.encoder(wav), model.frame_rate, bandwidth))
        decoder = Part(lambda codes: model.decoder(model.quantizer.decode(codes)))

        codes = torch.zeros(config.codebooks_for(bandwidth), 1, -(-samples // config.hop_length), dtype=torch.long)
        wav = torch.zeros(1, config.audio_channels, samples)
        return self.export(encoder, wav, "wav"), self.export(decoder, codes, "codes")

    def export(self, module: Any, example: Any, name: str) -> bytes:
        graph = io.BytesIO()
        with warnings.catch_warnings(), self.torch.no_grad():
            warnings.simplefilter("ignore")  # that lengths become constants: they are
            try:
                self.torch.onnx.export(module.eval(), (example,), graph, input_names=[name], dynamo=False,
                                       opset_version=17)
            except Exception as error:
                raise CannotRun(f"the export failed: {' '.join(str(error).split())[:120]}") from error
        return graph.getvalue()


@functools.cache
def find_peer(name: str) -> _Peer:
    """The peer of that name. Raises `CannotRun` if what it needs is not installed."""
    return {peer.name: peer for peer in (_Encodec, _Transformers, _OnnxRuntime)}[name]()
