"""The shape of one language model: what the `config.json` in a model's `lm` folder says, checked once.

The defaults are those of the official 24 kHz language model (paper, section 3.3). A language model lives in the folder
`lm` inside the folder of the codec whose codes it predicts, as `config.json` and `model.safetensors`.
"""

from dataclasses import dataclass

from tinyencodec.codec.config import JsonConfig, is_number

_LIMITS = {"n_codebooks": 1024, "codebook_size": 4096, "dim": 4096, "n_layers": 64, "n_heads": 64, "ff_dim": 1 << 14,
           "past_context": 1 << 14}


@dataclass(frozen=True)
class LMConfig(JsonConfig):
    """Hyperparameters of one language model. Raises `ValueError` when a field is out of range."""

    MODEL_TYPE = "encodec_lm"

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
            self._require_integer(name, 1, limit)
        self._require(self.codebook_size >= 2, "codebook_size", "at least 2")
        self._require(self.dim % 2 == 0 and self.dim >= 4, "dim", "an even number of at least 4")
        self._require(self.dim % self.n_heads == 0, "n_heads", f"a divisor of dim {self.dim}")
        self._require(is_number(self.max_period) and 1 < self.max_period <= 1e9, "max_period",
                      "a number above 1, at most 1e9")

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
