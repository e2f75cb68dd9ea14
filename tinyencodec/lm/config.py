"""The shape of one language model: what the `config.json` in a model's `lm` folder says, checked once.

The defaults are those of the official 24 kHz language model (paper, section 3.3). A language model lives in the folder
`lm` inside the folder of the codec whose codes it predicts, as `config.json` and `model.safetensors`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyencodec.system.untrusted import read_json

MODEL_TYPE = "encodec_lm"
_LIMITS = {"n_codebooks": 1024, "codebook_size": 4096, "dim": 4096, "n_layers": 64, "n_heads": 64, "ff_dim": 1 << 14,
           "past_context": 1 << 14}


@dataclass(frozen=True)
class LMConfig:
    """Hyperparameters of one language model. Raises `ValueError` when a field is out of range."""

    n_codebooks: int = 32  # K, at most; a file may use fewer
    codebook_size: int = 1024  # N, entries per codebook
    dim: int = 200  # width of the transformer
    n_layers: int = 5
    n_heads: int = 8
    ff_dim: int = 800  # width of the feed-forward part
    max_period: float = 10_000.0  # of the slowest position wave, in frames, over 2 pi
    past_context: int = 262  # frames that attention looks back: 3.5 s at 75 Hz

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            self._require(type(value) is int and 1 <= value <= limit, name, f"an integer from 1 to {limit}")
        self._require(self.codebook_size >= 2, "codebook_size", "at least 2")
        self._require(self.dim % 2 == 0 and self.dim >= 4, "dim", "an even number of at least 4")
        self._require(self.dim % self.n_heads == 0, "n_heads", f"a divisor of dim {self.dim}")
        self._require(type(self.max_period) in (int, float) and 1 < self.max_period <= 1e9, "max_period",
                      "a number above 1, at most 1e9")

    def _require(self, ok: bool, name: str, expected: str) -> None:
        if not ok:
            raise ValueError(f"config field {name}: expected {expected}, got {getattr(self, name)!r:.80}")

    @classmethod
    def from_dict(cls, fields: object) -> "LMConfig":
        """Make a config from parsed JSON; unknown keys are ignored. Raises `ValueError` for a wrong type or value."""
        if not isinstance(fields, Mapping):
            raise ValueError(f"config: expected a JSON object, got {type(fields).__name__}")
        if fields.get("model_type") != MODEL_TYPE:
            raise ValueError(f"config field model_type: expected {MODEL_TYPE!r}, got {fields.get('model_type')!r:.80}")
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in fields.items() if key in known})

    @classmethod
    def from_file(cls, path: str | Path) -> "LMConfig":
        """Read a `config.json`. Raises `OSError` or `ValueError` (naming the file)."""
        try:
            return cls.from_dict(read_json(Path(path)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def to_dict(self) -> dict:
        """The fields as `config.json` holds them; `from_dict` reads them back."""
        return {"model_type": MODEL_TYPE, **dataclasses.asdict(self)}

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor: the official names, which are PyTorch's for such a transformer."""
        dim, shapes = self.dim, {}

        def affine(place: str, *shape: int) -> None:
            shapes[f"{place}.weight"], shapes[f"{place}.bias"] = shape, shape[:1]

        for k in range(self.n_codebooks):
            shapes[f"emb.{k}.weight"] = (self.codebook_size + 1, dim)  # row 0: no code yet
        affine("transformer.norm_in", dim)
        for i in range(self.n_layers):
            place = f"transformer.layers.{i}"
            shapes[f"{place}.self_attn.in_proj_weight"] = (3 * dim, dim)
            shapes[f"{place}.self_attn.in_proj_bias"] = (3 * dim,)
            affine(f"{place}.self_attn.out_proj", dim, dim)
            affine(f"{place}.linear1", self.ff_dim, dim)
            affine(f"{place}.linear2", dim, self.ff_dim)
            affine(f"{place}.norm1", dim)
            affine(f"{place}.norm2", dim)
        for k in range(self.n_codebooks):
            affine(f"linears.{k}", self.codebook_size, dim)
        return shapes


LM_PRESETS = {"encodec_lm_24khz": LMConfig(), "encodec_lm_48khz": LMConfig(n_codebooks=16, past_context=525)}
