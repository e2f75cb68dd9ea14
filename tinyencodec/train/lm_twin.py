"""The language model in PyTorch: the twin, for training, of the exact one that codes.

At every frame it sees the codes of the frames before and gives, for each codebook, a distribution over its N entries;
all codebooks of a frame at once, none seeing another one's code of the same frame. (Paper, section 3.3.)

    x_t  = norm_in(sum_k emb_k[1 + code_k,t-1]) + position_t        row 0 of emb_k: no code yet
    x    = norm1(x + attention(x)),  x = norm2(x + linear2(gelu(linear1(x))))        in every layer
    p_k  = softmax(linear_k(x))

Attention looks back `past_context` frames. In front of the first frame every layer's past is one vector of zeros,
which is attended to like a frame: its key and value are the projections' biases. `LanguageModel.forward` takes a whole
block, or goes on from the past that it returned; both give the same. The names of the parameters are those of
`LMConfig.tensors`, hence the official ones. But: a past holds the layers' inputs, not their keys and values, since
nothing here codes frame by frame in earnest.
"""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tinyencodec.lm.config import LMConfig
from tinyencodec.models.tensors import read_language_model_folder, write_model_folder

Past = list[Tensor]  # per layer [B, P, dim]: its inputs at the last P frames, 1 <= P <= past_context


def positions(first: int, n_frames: int, config: LMConfig) -> Tensor:
    """Position waves of frames first ... first + n_frames, the cosines before the sines: float32 [F, dim]."""
    half = config.dim // 2
    periods = config.max_period ** (torch.arange(half, dtype=torch.float64) / (half - 1))
    phase = torch.arange(first, first + n_frames, dtype=torch.float64)[:, None] / periods
    return torch.cat([phase.cos(), phase.sin()], dim=1).float()


class Attention(nn.Module):
    """Attention of `n_heads` heads; the parameters' names and layout are those of `nn.MultiheadAttention`."""

    def __init__(self, dim: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))  # queries, keys, values
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, seen: Tensor, mask: Tensor) -> Tensor:
        """Queries from x [B, F, dim], keys and values from seen [B, P + F, dim]; mask bool [F, P + F]: may look."""
        dim = x.shape[-1]
        q = F.linear(x, self.in_proj_weight[:dim], self.in_proj_bias[:dim])
        k, v = F.linear(seen, self.in_proj_weight[dim:], self.in_proj_bias[dim:]).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for t in (q, k, v))  # [B, H, F, dim / H]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention, then the feed-forward part; each is added to its input, and the sum normalised."""

    def __init__(self, config: LMConfig, dropout: float):
        super().__init__()
        self.self_attn = Attention(config.dim, config.n_heads)
        self.linear1 = nn.Linear(config.dim, config.ff_dim)
        self.linear2 = nn.Linear(config.ff_dim, config.dim)
        self.norm1, self.norm2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor, mask: Tensor) -> Tensor:
        """As `Attention`; [B, F, dim]."""
        x = self.norm1(x + self.dropout(self.self_attn(x, seen, mask)))
        return self.norm2(x + self.dropout(self.linear2(self.dropout(F.gelu(self.linear1(x))))))


class Transformer(nn.Module):
    """What stands between embeddings and heads."""

    def __init__(self, config: LMConfig, dropout: float):
        super().__init__()
        self.config = config
        self.norm_in = nn.LayerNorm(config.dim)
        self.layers = nn.ModuleList(Layer(config, dropout) for _ in range(config.n_layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, past: Past | None, first: int) -> tuple[Tensor, Past]:
        """x [B, F, dim], frames first ... first + F -> the same shape, and the past of the frame after them."""
        batch, n_frames, dim = x.shape
        if past is None:
            past = [x.new_zeros(batch, 1, dim)] * len(self.layers)
        context, n_past = self.config.past_context, past[0].shape[1]
        now = torch.arange(n_past, n_past + n_frames, device=x.device)[:, None]
        back = now - torch.arange(n_past + n_frames, device=x.device)  # [F, P + F], how far each lies behind
        mask = (back >= 0) & (back <= context)
        x = self.dropout(self.norm_in(x) + positions(first, n_frames, self.config).to(x.device))
        later = []
        for layer, before in zip(self.layers, past):
            seen = torch.cat([before.to(x.dtype), x], dim=1)
            later.append(seen[:, -context:])
            x = layer(x, seen, mask)
        return x, later


class LanguageModel(nn.Module):
    """The model that `config` describes, drawn from PyTorch's generator; `dropout` counts only in training."""

    def __init__(self, config: LMConfig, dropout: float = 0.0):
        super().__init__()
        self.config = config
        self.emb = nn.ModuleList(nn.Embedding(config.codebook_size + 1, config.dim) for _ in range(config.n_codebooks))
        self.transformer = Transformer(config, dropout)
        self.linears = nn.ModuleList(nn.Linear(config.dim, config.codebook_size) for _ in range(config.n_codebooks))

    def forward(self, previous: Tensor, past: Past | None = None, first: int = 0) -> tuple[Tensor, Past]:
        """Predict frames first ... first + F of a block.

        Parameters
        ----------
        previous : int [B, K, F], 1 + the codes of the frame before each, 0 where there is none; K may be less
            than `n_codebooks`
        past : what the call for the frames before `first` returned; None at the start of a block

        Returns
        -------
        logits float [B, K, F, N], and the past to go on from
        """
        if not 1 <= previous.shape[1] <= self.config.n_codebooks:
            raise ValueError(f"codes: expected 1 ... {self.config.n_codebooks} codebooks, got {previous.shape[1]}")
        x = sum(table(codes) for table, codes in zip(self.emb, previous.unbind(1)))  # -> [B, F, dim]
        x, past = self.transformer(x, past, first)
        return torch.stack([head(x) for head in self.linears[:previous.shape[1]]], dim=1), past


@torch.no_grad()
def start_at_frequencies(model: LanguageModel, codes: np.ndarray) -> None:
    """Make an untrained model predict about each code's frequency in `codes` [F, K], whatever came before.

    The heads' biases become log frequencies (each count one higher than it is), and their weights smaller. What is
    left to learn from there is only how codes depend on each other.
    """
    for k, head in enumerate(cast(list[nn.Linear], model.linears)):
        counts = np.bincount(codes[:, k], minlength=model.config.codebook_size) + 1.0
        head.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
        head.weight.mul_(0.3)


@torch.no_grad()
def start_from_codebooks(model: LanguageModel, codebooks: np.ndarray) -> None:
    """Give an untrained model the codec's own idea of which codes are alike.

    codebooks [K, N, D] are projected at random, the same way for all: to embeddings, those of the first codebook of
    power 1, the others in proportion; and to heads, each of the power that it had. K may be more than the model's.

    With a small codec (8 filters), 100 steps of 1024 frames lead to 8.10 bits per code (8 codebooks) or 7.13 (one);
    from random embeddings, to 8.26 and 7.46.
    """
    dim, books = model.config.dim, torch.from_numpy(codebooks).float()
    into, out = torch.randn(2, books.shape[2], dim) / books.shape[2] ** 0.5
    scale = (books[0] @ into).square().mean().sqrt()
    for book, table, head in zip(books, cast(list[nn.Embedding], model.emb), cast(list[nn.Linear], model.linears)):
        table.weight[1:] = book @ into / scale
        alike = book @ out
        head.weight.copy_(alike * (head.weight.square().mean() / alike.square().mean()).sqrt())


@torch.no_grad()
def deepened(model: LanguageModel, config: LMConfig) -> LanguageModel:
    """A copy in the shape of `config`, which may have more layers; what it predicts is the same.

    New layers follow the others. What they add to their input begins as zeros, and gain and bias of the norm that was
    the last one move to the new end: in between, a norm finds what is normalised already, and leaves it. (After
    Net2Net; Chen, Goodfellow & Shlens 2016.)

    Raises `ValueError` if `config` differs in more, or has fewer layers.
    """
    old = model.config
    if config.n_layers < old.n_layers or replace(config, n_layers=old.n_layers) != old:
        raise ValueError(f"language model to start from: expected {config}, or fewer layers, got {old}")
    deep = LanguageModel(config)
    deep.load_state_dict(model.state_dict(), strict=False)
    layers = cast(list[Layer], deep.transformer.layers)
    for layer in layers[old.n_layers:]:
        for part in (layer.self_attn.out_proj, layer.linear2):
            part.weight.zero_()
            part.bias.zero_()
    layers[-1].norm2.load_state_dict(layers[old.n_layers - 1].norm2.state_dict())
    for layer in layers[old.n_layers - 1:-1]:
        layer.norm2.reset_parameters()
    return deep


def save_folder(model: LanguageModel, folder: Path, precision: str = "float32") -> None:
    """Write `config.json` and `model.safetensors`, as the coder reads them.

    precision : "float32", "half" or "rows" (see `int8_rows`). What is lost by the latter two is lost for good: whoever
        reads the file in float32 has the same model.

    Raises `ValueError` for weights that are not finite in it, and `OSError`.
    """
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    write_model_folder(folder, model.config, weights, precision)


def load_folder(folder: Path) -> LanguageModel:
    """Read what `save_folder` wrote, in float32. Raises `OSError` or `ValueError`."""
    config, tensors = read_language_model_folder(folder)
    model = LanguageModel(config)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    return model.eval()
