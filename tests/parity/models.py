"""Which models are compared, and on what: the official sizes, and small ones for everything a config can say."""

import functools
import tempfile
from pathlib import Path

import numpy as np

from tinyencodec import EncodecModel, EncodedFrame, load_model
from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.models.convert import convert

from .oracles import Oracle
from .seeding import music

_SMALL = {"num_filters": 4, "hidden_size": 16, "codebook_size": 64}

SMALL = {
    # Odd strides, several residual blocks with growing dilation, and some of the trimming on the left.
    "dilated": CodecConfig(**_SMALL, sampling_rate=12_000, upsampling_ratios=(5, 3), num_residual_layers=3,
                           dilation_growth_rate=3, residual_kernel_size=4, trim_right_ratio=0.4, compress=1,
                           target_bandwidths=(4.81, 19.21)),
    # Zero padding, other kernels, one LSTM layer, a stride of 1.
    "zero_padded": CodecConfig(**_SMALL, sampling_rate=12_000, upsampling_ratios=(4, 1, 3), pad_mode="constant",
                               kernel_size=4, last_kernel_size=3, residual_kernel_size=5, num_lstm_layers=1,
                               compress=4, target_bandwidths=(6.01, 24.01)),
    # Not causal, no shortcut convolution, zero padding.
    "identity_skip": CodecConfig(**_SMALL, sampling_rate=12_000, upsampling_ratios=(5, 2, 2), use_causal_conv=False,
                                 use_conv_shortcut=False, pad_mode="constant", num_residual_layers=2,
                                 target_bandwidths=(3.61, 14.41)),
    # Not causal, reflection, even kernels and odd strides: the two sides get unequal padding.
    "uneven": CodecConfig(**_SMALL, sampling_rate=12_000, upsampling_ratios=(3, 7), use_causal_conv=False,
                          kernel_size=6, last_kernel_size=8, residual_kernel_size=2, dilation_growth_rate=3,
                          num_residual_layers=2, target_bandwidths=(3.45, 13.8)),
    # Stereo, group norm, scale, segments that overlap by a quarter.
    "segments": CodecConfig(**_SMALL, sampling_rate=12_000, audio_channels=2, upsampling_ratios=(5, 4),
                            use_causal_conv=False, norm_type="time_group_norm", normalize=True,
                            chunk_length_s=0.25, overlap=0.25, target_bandwidths=(3.61, 14.41)),
    # Mono with group norm but without scale or segments.
    "group_norm": CodecConfig(**_SMALL, sampling_rate=12_000, upsampling_ratios=(4, 5), use_causal_conv=False,
                              norm_type="time_group_norm", use_conv_shortcut=False, target_bandwidths=(3.61, 14.41)),
    # Stereo and causal, segments without overlap, scale, no LSTM (which transformers cannot build).
    "no_lstm": CodecConfig(**_SMALL, sampling_rate=12_000, audio_channels=2, upsampling_ratios=(4, 3),
                           num_lstm_layers=0, normalize=True, chunk_length_s=0.1, overlap=0.0,
                           target_bandwidths=(6.01, 24.01)),
}
CONFIGS = PRESETS | SMALL

FULL_PAIRS = [("encodec", "encodec_24khz"), ("encodec", "encodec_48khz"),
              ("transformers", "encodec_24khz"), ("transformers", "encodec_48khz"), ("transformers", "encodec_32khz")]
SMALL_PAIRS = [(kind, name) for name in SMALL for kind in ("encodec", "transformers")
               if (kind, name) != ("transformers", "no_lstm")]
PAIRS = FULL_PAIRS + SMALL_PAIRS


@functools.cache
def oracle(kind: str, name: str) -> Oracle:
    """The oracle with its seeded weights; both kinds of one name have different weights."""
    return Oracle(kind, CONFIGS[name], name).seed(PAIRS.index((kind, name)))


@functools.cache
def ours(kind: str, name: str) -> EncodecModel:
    """tinyencodec's model with the same weights, converted from what the oracle itself writes to disk."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        convert(oracle(kind, name).export(Path(scratch)), folder)
        return load_model(folder)


def signal(config: CodecConfig, n_samples: int) -> np.ndarray:
    """The test signal of that length for a model, [C, T]."""
    return music(n_samples, config.audio_channels, seed=n_samples, rate=config.sampling_rate)


def segment_bounds(config, n_samples: int) -> list[tuple[int, int]]:
    """First sample and samples of each segment."""
    starts = range(0, n_samples, config.segment_stride or n_samples)
    return [(start, min(config.segment_length or n_samples, n_samples - start)) for start in starts]


def oracle_can(kind: str, config, n_samples: int) -> bool:
    """False at lengths that the oracle itself fails at; see that test in test_model.py."""
    bounds = segment_bounds(config, n_samples)
    frames = [-(-n // config.hop_length) for _, n in bounds]
    ends = [start + f * config.hop_length for (start, _), f in zip(bounds, frames)]
    if kind == "transformers" and len(set(frames[:-1])) > 1:
        return False
    return max(ends) == ends[-1]


def latents_of(model: EncodecModel, wav: np.ndarray, frames: list[EncodedFrame]) -> list[np.ndarray]:
    """What our encoder makes of each segment [C, n] of `wav`, divided by the scales that our model found."""
    segments = [wav[:, start:start + n] for start, n in segment_bounds(model.config, wav.shape[1])]
    scaled = [segment if f.scale is None else segment / np.float32(f.scale) for segment, f in zip(segments, frames)]
    return [model.encoder(np.ascontiguousarray(segment.T)) for segment in scaled]
