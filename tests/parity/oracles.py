"""The reference implementations behind one face.

Two oracles: the official package `encodec` 0.1.1, and `EncodecModel` of `transformers`; the
weights are seeded (seeding.py). Arrays on this face are laid out as in tinyencodec: activations
[T, C], latents [F, D], waveforms [C, T], codes [K, F].

Needs torch, transformers and encodec.
"""

import importlib
import json
import re
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from transformers import EncodecConfig
from transformers import EncodecModel as HubModel

from tinyencodec.codec.config import PRESETS, CodecConfig

from .seeding import draw_codebooks, music, seed_layers

# encodec imports torchaudio, for resampling only; the empty stand-in goes again, lest others take it for the real one.
_stand_in = sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
from encodec import modules, quantization  # noqa: E402
from encodec.model import EncodecModel as OfficialModel  # noqa: E402

official_model = importlib.import_module("encodec.model")
official_ecdc = importlib.import_module("encodec.compress")  # as an attribute of the package, a function hides it
if _stand_in.__spec__ is None:
    del sys.modules["torchaudio"]

Frames = list[tuple[np.ndarray, float | None]]  # one (codes [K, F], scale) per segment


def canonical_name(key: str) -> str | None:
    """The name tinyencodec gives to a tensor of an oracle; None for what only training needs."""
    if key.endswith((".inited", ".cluster_size", ".embed_avg")):
        return None
    key = re.sub(r"^(encoder|decoder)\.model\.", r"\1.layers.", key)
    key = re.sub(r"\.(?:conv|convtr)\.(conv|convtr|norm)\.", lambda m: f".{m[1].removesuffix('tr')}.", key)
    key = key.replace("quantizer.vq.", "quantizer.").replace("._codebook.", ".codebook.")
    key = key.replace("parametrizations.weight.original0", "weight_g")
    return key.replace("parametrizations.weight.original1", "weight_v")


class Oracle:
    """One reference model. `kind` is "encodec" or "transformers"; `config` is tinyencodec's, for both."""

    def __init__(self, kind: str, config: CodecConfig, name: str):
        self.kind, self.config, self.name = kind, config, name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # encodec uses the old weight norm
            self.model = (_official(config, name) if kind == "encodec" else _hub(config)).eval()
        layers = "model" if kind == "encodec" else "layers"
        self.layers = {part: list(getattr(getattr(self.model, part), layers)) for part in ("encoder", "decoder")}

    # ---- weights

    def seed(self, seed: int) -> "Oracle":
        """Draw all weights from `seed`."""
        seed_layers(self.model, seed)
        config = self.config
        n_segment = config.segment_length or 5 * config.sampling_rate
        n_samples = max(config.codebook_size * 3 // 2, 600) * config.hop_length
        wav = music(max(n_samples, n_segment), config.audio_channels, 1000 + seed, config.sampling_rate)
        segments = [wav[:, at:at + n_segment] for at in range(0, wav.shape[1] - n_segment + 1, n_segment)]
        latents = np.concatenate([self.latents(self.normalised(segment)) for segment in segments])
        draw_codebooks(self._embeds(), latents, seed)
        return self

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights under tinyencodec's names."""
        named = ((canonical_name(key), value) for key, value in self.model.state_dict().items())
        return {name: value.numpy().copy() for name, value in named if name}

    def load(self, tensors: dict[str, np.ndarray]) -> "Oracle":
        """Take all weights from `tensors`, under tinyencodec's names."""
        state = self.model.state_dict()
        for key in state:
            if name := canonical_name(key):
                state[key] = torch.from_numpy(tensors[name])
        self.model.load_state_dict(state)
        return self

    def save(self, parent: Path) -> Path:
        """Write the weights and the config as a tinyencodec model folder, `parent`/name; the folder."""
        folder = parent / self.name
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.tensors(), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(self.config.to_dict(), indent=1) + "\n", encoding="utf-8")
        return folder

    def export(self, parent: Path) -> Path:
        """Write what the oracle itself writes: a `.th` beside a config.json, or a Hub folder. The path to convert."""
        folder = parent / f"{self.name}_source"
        folder.mkdir(parents=True, exist_ok=True)
        if self.kind == "transformers":
            self.model.save_pretrained(folder)
            return folder
        (folder / "config.json").write_text(json.dumps(self.config.to_dict()), encoding="utf-8")
        torch.save(self.model.state_dict(), folder / "state.th")
        return folder / "state.th"

    def _embeds(self) -> list[torch.Tensor]:
        """The codebooks themselves, not copies."""
        return [value for key, value in self.model.state_dict().items() if key.endswith("codebook.embed")]

    def embeds(self) -> np.ndarray:
        """The codebooks, float32 [K, N, D]."""
        return torch.stack(self._embeds()).numpy()

    # ---- parts of the signal's way

    @torch.no_grad()
    def layer_signals(self, part: str, x: np.ndarray) -> Iterator[tuple[int, nn.Module, np.ndarray, np.ndarray]]:
        """Run "encoder" or "decoder" on x [T, C]; of each layer: index, module, input and output."""
        signal = _batch(x)
        for index, layer in enumerate(self.layers[part]):
            before, signal = signal, layer(signal)
            yield index, layer, _unbatch(before), _unbatch(signal)

    @torch.no_grad()
    def latents(self, wav: np.ndarray) -> np.ndarray:
        """The encoder alone: [C, T] -> [F, D]."""
        return _unbatch(self.model.encoder(_batch(wav.T)))

    @torch.no_grad()
    def audio(self, latents: np.ndarray) -> np.ndarray:
        """The decoder alone: [F, D] -> [C, T]."""
        return _unbatch(self.model.decoder(_batch(latents))).T

    def normalised(self, segment: np.ndarray) -> np.ndarray:
        """What of a segment [C, T] reaches the encoder."""
        if not self.config.normalize:
            return segment
        x = torch.from_numpy(segment)
        return (x / (x.mean(0).pow(2).mean().sqrt() + 1e-8)).numpy()

    # ---- the whole way, through the oracle's public methods

    @torch.no_grad()
    def encode(self, wav: np.ndarray, bandwidth: float) -> tuple[Frames, list[np.ndarray]]:
        """Audio [C, T] -> one (codes, scale) per segment, and the latents [F, D] that were quantised for each."""
        latents: list[np.ndarray] = []
        hook = self.model.encoder.register_forward_hook(lambda _module, _args, out: latents.append(_unbatch(out)))
        try:
            return self._encode(wav, bandwidth), latents
        finally:
            hook.remove()

    def _encode(self, wav: np.ndarray, bandwidth: float) -> Frames:
        x = torch.from_numpy(wav)[None]
        if self.kind == "encodec":
            self.model.set_target_bandwidth(bandwidth)
            encoded, pad = self.model.encode(x), 0
        else:
            codes, scales, pad = self.model.encode(x, bandwidth=bandwidth, return_dict=False)
            encoded = list(zip(codes, scales))
        frames = [(codes[0].numpy(), None if scale is None else scale.item()) for codes, scale in encoded]
        if pad:  # transformers fills up the last segment
            frames[-1] = (frames[-1][0][:, :-pad], frames[-1][1])
        return frames

    @torch.no_grad()
    def decode(self, frames: Frames) -> np.ndarray:
        """Frames -> audio [C, T], not trimmed."""
        codes = [torch.from_numpy(codes)[None] for codes, _ in frames]
        scales = [None if scale is None else torch.tensor([scale]) for _, scale in frames]
        if self.kind == "encodec":
            return self.model.decode(list(zip(codes, scales)))[0].numpy()
        pad = codes[0].shape[-1] - codes[-1].shape[-1]
        codes[-1] = nn.functional.pad(codes[-1], (0, pad))
        return self.model.decode(torch.stack(codes), scales, last_frame_pad_length=pad)[0][0].numpy()


def _official(config: CodecConfig, name: str) -> OfficialModel:
    if config in (PRESETS["encodec_24khz"], PRESETS["encodec_48khz"]):
        build = OfficialModel.encodec_model_24khz if config.audio_channels == 1 else OfficialModel.encodec_model_48khz
        model = build(pretrained=False)
        model.name = name
        return model
    seanet = {
        "channels": config.audio_channels, "dimension": config.hidden_size, "n_filters": config.num_filters,
        "n_residual_layers": config.num_residual_layers, "ratios": list(config.upsampling_ratios),
        "norm": config.norm_type, "kernel_size": config.kernel_size, "last_kernel_size": config.last_kernel_size,
        "residual_kernel_size": config.residual_kernel_size, "dilation_base": config.dilation_growth_rate,
        "causal": config.use_causal_conv, "pad_mode": config.pad_mode, "true_skip": not config.use_conv_shortcut,
        "compress": config.compress, "lstm": config.num_lstm_layers}
    return OfficialModel(
        modules.SEANetEncoder(**seanet), modules.SEANetDecoder(**seanet, trim_right_ratio=config.trim_right_ratio),
        quantization.ResidualVectorQuantizer(config.hidden_size, config.n_codebooks, config.codebook_size),
        list(config.target_bandwidths), config.sampling_rate, config.audio_channels, config.normalize,
        config.chunk_length_s, 0.01 if config.overlap is None else config.overlap, name)


def _hub(config: CodecConfig) -> HubModel:
    fields = config.to_dict()
    del fields["model_type"]
    return HubModel(EncodecConfig(**fields))


def _batch(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.T))[None]  # [T, C] -> [1, C, T]


def _unbatch(x: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(x[0].numpy().T)
