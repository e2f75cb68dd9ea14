"""The whole codec in PyTorch: encoder, quantiser, decoder; read from and written to model folders.

Layers are numbered as in `seanet`, so a `state_dict` has the canonical names of `checkpoint`, and besides them the
codebooks' running statistics. A folder that `save` wrote loads with `tinyencodec.load_model`; `load` reads any model
folder, to go on training from it.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from tinyencodec.codec.config import CodecConfig
from tinyencodec.models.tensors import expected_tensors, read_model_folder, write_model_folder
from tinyencodec.train.fused import Elu
from tinyencodec.train.layers import Conv, ConvTranspose, Residual, SkipLSTM
from tinyencodec.train.quantizer import ResidualQuantizer


class Chain(nn.Module):
    """Layers in a row, as `layers.0`, `layers.1`, ..."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def encoder(config: CodecConfig) -> Chain:
    """Waveform [B, C, T] to latent [B, D, ceil(T / hop)]."""
    c = config.num_filters
    layers: list[nn.Module] = [Conv(config, config.audio_channels, c, config.kernel_size)]
    for ratio in reversed(config.upsampling_ratios):
        layers += [Residual(config, c, config.dilation_growth_rate**j) for j in range(config.num_residual_layers)]
        layers += [Elu(), Conv(config, c, 2 * c, 2 * ratio, stride=ratio)]
        c *= 2
    if config.num_lstm_layers:
        layers.append(SkipLSTM(c, config.num_lstm_layers))
    return Chain([*layers, Elu(), Conv(config, c, config.hidden_size, config.last_kernel_size)])


def decoder(config: CodecConfig) -> Chain:
    """Latent [B, D, F] to waveform [B, C, F * hop]."""
    c = config.num_filters << len(config.upsampling_ratios)
    layers: list[nn.Module] = [Conv(config, config.hidden_size, c, config.kernel_size)]
    if config.num_lstm_layers:
        layers.append(SkipLSTM(c, config.num_lstm_layers))
    for ratio in config.upsampling_ratios:
        layers += [Elu(), ConvTranspose(config, c, c // 2, 2 * ratio, ratio)]
        c //= 2
        layers += [Residual(config, c, config.dilation_growth_rate**j) for j in range(config.num_residual_layers)]
    return Chain([*layers, Elu(), Conv(config, c, config.audio_channels, config.last_kernel_size)])


class Codec(nn.Module):
    """EnCodec, to be trained: `encoder`, `quantizer`, `decoder`, of the sizes that a `CodecConfig` says.

    A signal [B, C, T] is one segment here: training sees clips, and the scale is each clip's own.
    """

    def __init__(self, config: CodecConfig):
        super().__init__()
        self.config = config
        self.encoder, self.decoder = encoder(config), decoder(config)
        self.quantizer = ResidualQuantizer(config.n_codebooks, config.codebook_size, config.hidden_size)

    def scale(self, wav: Tensor) -> Tensor | None:
        """What a normalising model divides each signal by: RMS of the mono mix + 1e-8, [B, 1, 1]; else None."""
        if not self.config.normalize:
            return None
        mono = wav.mean(dim=1, keepdim=True)
        return mono.square().mean(dim=2, keepdim=True).sqrt() + 1e-8

    def latent(self, wav: Tensor) -> Tensor:
        """[B, C, T] -> [B, D, F], before quantisation; float32 also under autocast."""
        scale = self.scale(wav)
        return self.encoder(wav if scale is None else wav / scale).float()

    def sound(self, latent: Tensor, like: Tensor) -> Tensor:
        """[B, D, F] -> [B, C, T], as long and as loud as `like`, the signal that was coded."""
        wav, scale = self.decoder(latent).float(), self.scale(like)
        wav = wav[..., :like.shape[2]]
        return wav if scale is None else wav * scale

    @torch.no_grad()
    def reconstruct(self, wav: Tensor, n_codebooks: int) -> Tensor:
        """[B, C, T] coded and decoded with the first `n_codebooks` codebooks."""
        return self.sound(self.quantizer.quantize(self.latent(wav), n_codebooks)[0], wav)


def load(folder: str | Path) -> Codec:
    """A codec to go on training with, from any model folder. Raises as `read_model_folder`."""
    config, tensors = read_model_folder(folder)
    codec = Codec(config)
    codec.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()}, strict=False)
    codec.quantizer.adopt()
    return codec


def save(codec: Codec, folder: str | Path, precision: str = "float32") -> None:
    """Write `config.json` and `model.safetensors` into `folder`, which may exist.

    precision : "float32", "half" (float16) or "rows" (codebooks and LSTMs as `int8_rows`, the rest float16).
    Raises `ValueError` if a number is not finite, or too large for float16.
    """
    state = codec.state_dict()
    tensors = {name: state[name].detach().cpu().numpy() for name in expected_tensors(codec.config)}
    write_model_folder(Path(folder), codec.config, tensors, precision)


def freeze(part: nn.Module) -> None:
    """Keep the parameters of `part` as they are."""
    for parameter in part.parameters():
        parameter.requires_grad_(False)
