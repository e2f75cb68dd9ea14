"""The shape of one codec: what `config.json` says, checked once.

The field names and defaults are those of the Hugging Face `EncodecConfig`, so a Hub folder's
`config.json` is read as it is. Fields that do not change the codec (`architectures`,
`torch_dtype`, ...) are ignored. Paper: arXiv 2210.13438, section 3.1 and appendix A.

Not supported, and refused: a codebook size that is not a power of two, a codebook dimension other
than the latent's (the official code would insert a projection there), and a group norm in a
causal model (it would look into the future).

Chapter 1 of the tutorials uses it.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from tinyencodec.system.untrusted import read_json

USUAL_BANDWIDTH = 6.0  # kbit/s, if none is chosen
# No real config comes near these limits; a hostile one must not cause allocations far beyond its weights.
_LIMIT = 1 << 20
_MAX_HOP, _MAX_SPAN, _MAX_SEGMENT = 1 << 16, 1 << 12, 1 << 22  # samples, inputs of a convolution, samples
C = TypeVar("C", bound="JsonConfig")


@dataclass(frozen=True)
class JsonConfig:
    """What the configurations of codec and language model share: a frozen dataclass that a JSON object fills in."""

    MODEL_TYPE: ClassVar[str]

    def _require(self, ok: bool, name: str, expected: str) -> None:
        if not ok:
            raise ValueError(f"config field {name}: expected {expected}, got {getattr(self, name)!r:.80}")

    def _require_integer(self, name: str, low: int, high: int) -> None:
        self._require(is_int(getattr(self, name)) and low <= getattr(self, name) <= high, name,
                      f"an integer from {low} to {high}")

    @classmethod
    def from_dict(cls: type[C], fields: object) -> C:
        """Make a config from parsed JSON; unknown keys are ignored, lists become tuples. The default type is "encodec".

        Raises `ValueError` for a wrong type or value, and for another model type.
        """
        if not isinstance(fields, Mapping):
            raise ValueError(f"config: expected a JSON object, got {type(fields).__name__}")
        if (model_type := fields.get("model_type", "encodec")) != cls.MODEL_TYPE:
            raise ValueError(f"config field model_type: expected {cls.MODEL_TYPE!r}, got {model_type!r:.80}")
        kept = {}
        for field in dataclasses.fields(cls):
            if field.name in fields:
                value = kept[field.name] = fields[field.name]
                if isinstance(field.default, tuple):
                    if not isinstance(value, (list, tuple)):
                        raise ValueError(f"config field {field.name}: expected a list, got {value!r:.80}")
                    kept[field.name] = tuple(value)
        return cls(**kept)

    @classmethod
    def from_file(cls: type[C], path: str | Path) -> C:
        """Read a `config.json`. Raises `OSError` or `ValueError` (naming the file)."""
        try:
            return cls.from_dict(read_json(Path(path)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def to_dict(self) -> dict:
        """The fields as `config.json` holds them, `model_type` first; `from_dict` reads them back."""
        fields = dataclasses.asdict(self)
        fields = {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
        return {"model_type": self.MODEL_TYPE, **fields}


def is_int(value: object) -> bool:
    """Whether JSON had an integer here; `true` is not one."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether JSON had a number here that float64 can hold. NaN is not one."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e300 < value < 1e300


@dataclass(frozen=True)
class CodecConfig(JsonConfig):
    """Hyperparameters of one EnCodec model.

    Raises `ValueError` at construction when a field is out of range or two contradict each other.
    """

    MODEL_TYPE = "encodec"

    sampling_rate: int = 24_000  # Hz
    audio_channels: int = 1
    target_bandwidths: tuple[float, ...] = (1.5, 3.0, 6.0, 12.0, 24.0)  # kbit/s, rising
    normalize: bool = False  # divide each segment by its RMS, keep the factor in the file
    chunk_length_s: float | None = None  # seconds per segment; None: one segment, any length
    overlap: float | None = None  # of two neighbouring segments, as a fraction of one
    num_filters: int = 32  # channels after the first convolution
    num_residual_layers: int = 1  # residual blocks per stage
    upsampling_ratios: tuple[int, ...] = (8, 5, 4, 2)  # decoder order; the encoder runs it backwards
    norm_type: str = "weight_norm"  # or "time_group_norm"
    kernel_size: int = 7  # first convolution of encoder and decoder
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_growth_rate: int = 2  # dilation of residual block j is this to the power j
    use_causal_conv: bool = True
    pad_mode: str = "reflect"  # or "constant" (zeros)
    compress: int = 2  # a residual block works on channels / compress
    num_lstm_layers: int = 2
    trim_right_ratio: float = 1.0  # where a causal transposed convolution trims
    hidden_size: int = 128  # D, channels of the latent
    codebook_size: int = 1024  # N, entries per codebook
    codebook_dim: int | None = None  # must equal hidden_size
    use_conv_shortcut: bool = True  # 1x1 convolution beside a residual block, or plain identity

    def __post_init__(self) -> None:
        for name in ("sampling_rate", "audio_channels", "num_filters", "num_residual_layers", "kernel_size",
                     "last_kernel_size", "residual_kernel_size", "dilation_growth_rate", "compress",
                     "hidden_size", "codebook_size"):
            self._require_integer(name, 1, _LIMIT)
        for name in ("normalize", "use_causal_conv", "use_conv_shortcut"):
            self._require(isinstance(getattr(self, name), bool), name, "true or false")
        self._require_integer("num_lstm_layers", 0, 16)
        self._require(self.audio_channels <= 2, "audio_channels", "1 or 2")
        self._require(1 <= len(self.upsampling_ratios) <= 16
                      and all(is_int(r) and 1 <= r <= _LIMIT for r in self.upsampling_ratios),
                      "upsampling_ratios", "1 to 16 positive integers")
        self._require(math.prod(self.upsampling_ratios) <= _MAX_HOP, "upsampling_ratios", f"a product up to {_MAX_HOP}")
        self._require(self.num_filters << len(self.upsampling_ratios) <= _LIMIT, "num_filters",
                      f"at most {_LIMIT} channels in the deepest stage")
        self._require_integer("num_residual_layers", 1, 64)
        dilation = self.dilation_growth_rate ** (self.num_residual_layers - 1)
        self._require((self.residual_kernel_size - 1) * dilation < _MAX_SPAN, "dilation_growth_rate",
                      f"one by which no residual block looks at more than {_MAX_SPAN} of its inputs")
        self._require(self.compress <= self.num_filters, "compress", f"at most num_filters {self.num_filters}")
        rates = self.target_bandwidths
        self._require(len(rates) > 0 and all(is_number(b) and 0 < b < 1e6 for b in rates)
                      and all(a < b for a, b in zip(rates, rates[1:])),
                      "target_bandwidths", "rising positive numbers in kbit/s")
        self._require(self.norm_type in ("weight_norm", "time_group_norm"),
                      "norm_type", "'weight_norm' or 'time_group_norm'")
        self._require(not (self.use_causal_conv and self.norm_type == "time_group_norm"),
                      "norm_type", "'weight_norm', since use_causal_conv is true")
        self._require(self.pad_mode in ("reflect", "constant"), "pad_mode", "'reflect' or 'constant'")
        self._require(2 <= self.codebook_size <= 1 << 16 and self.codebook_size & (self.codebook_size - 1) == 0,
                      "codebook_size", "a power of two from 2 to 65536")
        self._require(self.codebook_dim in (None, self.hidden_size), "codebook_dim",
                      f"hidden_size {self.hidden_size}")
        self._require(is_number(self.trim_right_ratio) and 0 <= self.trim_right_ratio <= 1,
                      "trim_right_ratio", "a number from 0 to 1")
        self._require(self.use_causal_conv or self.trim_right_ratio == 1, "trim_right_ratio",
                      "1, since use_causal_conv is false")
        if self.chunk_length_s is not None:
            self._require(is_number(self.chunk_length_s) and 0 < self.chunk_length_s <= 3600
                          and self.chunk_length_s * self.sampling_rate >= 1,
                          "chunk_length_s", "seconds, at least one sample and at most 3600")
            self._require(self.chunk_length_s * self.sampling_rate <= _MAX_SEGMENT, "chunk_length_s",
                          f"at most {_MAX_SEGMENT} samples")
            # Two segments may share at most half, so a sample belongs to two at most.
            self._require(is_number(self.overlap) and 0 <= (self.overlap or 0) <= 0.5, "overlap",
                          "a number from 0 to 0.5")
        self._require(self.n_codebooks >= 1, "target_bandwidths",
                      f"a top rate of at least one codebook, {self.bits_per_code * self.frame_rate / 1000} kbit/s")

    @property
    def hop_length(self) -> int:
        """Samples per frame: the product of the strides."""
        return math.prod(self.upsampling_ratios)

    @property
    def frame_rate(self) -> int:
        """Frames per second, rounded up."""
        return -(-self.sampling_rate // self.hop_length)

    @property
    def bits_per_code(self) -> int:
        """log2 of the number of entries in a codebook."""
        return self.codebook_size.bit_length() - 1

    @property
    def n_codebooks(self) -> int:
        """K, the codebooks of the highest rate."""
        return self.codebooks_for(self.target_bandwidths[-1])

    @property
    def usual_bandwidth(self) -> float:
        """kbit/s if no rate is chosen: 6, or the nearest of `target_bandwidths`."""
        return min(self.target_bandwidths, key=lambda rate: abs(rate - USUAL_BANDWIDTH))

    @property
    def segment_length(self) -> int | None:
        """Samples per segment, or None when the whole signal is one."""
        return None if self.chunk_length_s is None else int(self.chunk_length_s * self.sampling_rate)

    @property
    def segment_stride(self) -> int | None:
        """Samples from the start of one segment to the start of the next."""
        if self.segment_length is None:
            return None
        return max(1, int((1 - (self.overlap or 0)) * self.segment_length))

    @property
    def frames_per_segment(self) -> int | None:
        """Frames of a full segment, or None when the whole signal is one."""
        return None if self.segment_length is None else -(-self.segment_length // self.hop_length)

    def codebooks_for(self, bandwidth: float) -> int:
        """How many codebooks fit into `bandwidth` kbit/s (rounded down)."""
        return int(bandwidth * 1000 / (self.bits_per_code * self.frame_rate) + 1e-6)


ENCODEC_24KHZ = CodecConfig()
ENCODEC_48KHZ = CodecConfig(
    sampling_rate=48_000, audio_channels=2, target_bandwidths=(3.0, 6.0, 12.0, 24.0), normalize=True,
    chunk_length_s=1.0, overlap=0.01, norm_type="time_group_norm", use_causal_conv=False)
ENCODEC_32KHZ = CodecConfig(
    sampling_rate=32_000, target_bandwidths=(2.2,), num_filters=64, upsampling_ratios=(8, 5, 4, 4),
    use_causal_conv=False, codebook_size=2048, use_conv_shortcut=False)
PRESETS = {"encodec_24khz": ENCODEC_24KHZ, "encodec_48khz": ENCODEC_48KHZ, "encodec_32khz": ENCODEC_32KHZ}
