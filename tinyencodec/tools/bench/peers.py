"""Other programs that do the codec's work, if they are installed: `encodec`, `transformers`, `onnxruntime`.

The first two are given a model of the same size with random weights. PyTorch is no dependency of this package and
stays out of it: it is looked up by name, in here alone, and only once somebody has asked for a peer.

`onnxruntime` runs the same model as `tools.export` writes it. But: not models with segments, whose cutting and joining
an export does not hold.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.codec.model import EncodecModel
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
        versions = (f"{package} {importlib.metadata.version(package)}" for package in self.packages)
        self.version = ", ".join(versions)

    def contestant(self, subject: Subject, seconds: float, threads: int) -> Contestant:
        """A contestant for one length of sound and number of threads. Raises `CannotRun` for a model that it lacks."""
        self.check(subject.model.config)
        return Contestant(self.name, threads, self.set_threads, *self.code(subject, seconds, threads))

    def set_threads(self, threads: int) -> None:
        """Called before each run of a contestant."""

    def check(self, config: CodecConfig) -> None:
        """Raise `CannotRun` for a model that it lacks."""

    def code(self, subject: Subject, seconds: float, threads: int) -> tuple[Callable, Callable]:
        """Its ways to encode and to decode; see `Contestant`."""
        raise NotImplementedError


class _TorchPeer(_Peer):
    def __init__(self) -> None:
        super().__init__()
        self.torch: Any = importlib.import_module("torch")
        self.torch.manual_seed(0)

    def contestant(self, subject: Subject, seconds: float, threads: int) -> Contestant:
        theirs = super().contestant(subject, seconds, threads)
        without_gradients = self.torch.inference_mode()
        return theirs._replace(encode=without_gradients(theirs.encode), decode=without_gradients(theirs.decode))

    def set_threads(self, threads: int) -> None:
        self.torch.set_num_threads(threads)

    def model(self, config: CodecConfig) -> Any:
        """Its model of this size, of random weights."""
        raise NotImplementedError

    def fill_codebooks(self, model: Any) -> None:
        """Random entries: untrained codebooks are all zero, and so would be all that is decoded."""
        for name, tensor in model.state_dict().items():
            if name.endswith("codebook.embed"):
                tensor.normal_()


class _Encodec(_TorchPeer):
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


class _Transformers(_TorchPeer):
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
    name, packages = "onnxruntime", ("onnxruntime", "onnx")

    def check(self, config: CodecConfig) -> None:
        if config.segment_length is not None or config.normalize:
            raise CannotRun("an export does not hold the segments and their scales")

    def code(self, subject: Subject, seconds: float, threads: int) -> tuple[Callable, Callable]:
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        encoder, decoder = (runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
                            for graph in self.graphs(subject.model))

        def encode(wav: np.ndarray) -> Any:
            return encoder.run(None, {"audio": wav[None]})[0]

        def decode(frames: list[EncodedFrame]) -> Any:
            return decoder.run(None, {"codes": frames[0].codes.astype(np.int64)})[0]

        return encode, decode

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def graphs(self, model: EncodecModel) -> tuple[bytes, bytes]:
        export = importlib.import_module("tinyencodec.tools.export.codec")  # needs onnx
        encoder = export.encoder_graph(model, n_codebooks=model.codebooks_for(model.usual_bandwidth))
        return encoder.SerializeToString(), export.decoder_graph(model).SerializeToString()


@functools.cache
def find_peer(name: str) -> _Peer:
    """The peer of that name. Raises `CannotRun` if what it needs is not installed."""
    return {peer.name: peer for peer in (_Encodec, _Transformers, _OnnxRuntime)}[name]()
