"""Learning the codebooks of `rvq`: k-means start, moving averages, replacement of entries that nothing uses.

Nearest entries have no gradient. So the encoder gets the decoder's gradient as if there were no quantiser (straight
through; van den Oord et al. 2017) and is pulled towards the entries by the commitment loss, the mean of
|r_k - e_k[i_k]|^2 over the codebooks in use. The entries follow the encoder without gradient:

    count[n] <- 0.99 count[n] + 0.01 * (how many vectors chose entry n)
    total[n] <- 0.99 total[n] + 0.01 * (their sum)
    e[n] = total[n] / count[n]

(Paper, section 3.2 and appendix A.) "Used less than twice per batch" makes an entry dead in the paper, whose batches
have 4800 vectors; here the threshold falls with the batch, since otherwise a small batch would kill them all.

Chapter 14 of the tutorials walks through it.
"""

from typing import cast

import torch
from torch import Tensor, nn

from tinyencodec.train.distributed import gather_rows, sum_over_processes

DECAY = 0.99
_DEAD = 2 / 4800  # of a batch's vectors
_RARE = 0.02  # of an even share of the vectors, in k-means
_SEARCHED = 512  # vectors whose choices are compared at a time
_BLOCK = 4096  # vectors compared with all entries at a time in k-means


class Codebook(nn.Module):
    """N entries of D numbers. Buffers as in the official checkpoints: embed, cluster_size, embed_avg, inited."""

    embed: Tensor
    embed_avg: Tensor
    cluster_size: Tensor
    inited: Tensor

    def __init__(self, n_entries: int, size: int):
        super().__init__()
        self.register_buffer("embed", torch.zeros(n_entries, size))
        self.register_buffer("embed_avg", torch.zeros(n_entries, size))
        self.register_buffer("cluster_size", torch.zeros(n_entries))
        self.register_buffer("inited", torch.zeros(1))

    def nearest(self, vectors: Tensor) -> Tensor:
        """[M, D] -> [M], the entry that maximises v . e - |e|^2 / 2."""
        return torch.addmm(-0.5 * self.embed.square().sum(dim=1), vectors, self.embed.t()).argmax(dim=1)

    def start(self, vectors: Tensor, rng: torch.Generator, rounds: int = 10) -> None:
        """Set the entries by k-means on [M, D], M >= 1. The running statistics start as if in balance."""
        picks = torch.randperm(len(vectors), generator=rng)
        picks = picks.repeat(-(-len(self.embed) // len(picks)))[:len(self.embed)]
        self.embed.copy_(vectors[picks.to(vectors.device)])
        for _ in range(rounds):
            self._to_means(vectors)
        self.adopt()

    def refit(self, vectors: Tensor, rng: torch.Generator, rounds: int = 10) -> None:
        """The same k-means, from the entries as they are. In between, those with next to no vectors are drawn anew."""
        for left in reversed(range(rounds)):
            rare = self._to_means(vectors) < _RARE * len(vectors) / len(self.embed)
            if left and rare.any():
                picks = torch.randint(len(vectors), (int(rare.sum()),), generator=rng)
                self.embed[rare] = vectors[picks.to(vectors.device)]
        self.adopt()

    def _to_means(self, vectors: Tensor) -> Tensor:
        """One round of k-means; returns how many vectors chose each entry [N]."""
        chosen = torch.cat([self.nearest(block) for block in vectors.split(_BLOCK)])
        counts, sums = self._tally(vectors, chosen)
        filled = counts > 0
        self.embed[filled] = sums[filled] / counts[filled, None]
        return counts

    def adopt(self) -> None:
        """Take the entries as they are: each counts as used once, until the averages know better."""
        self.cluster_size.fill_(1.0)
        self.embed_avg.copy_(self.embed)
        self.inited.fill_(1.0)

    def learn(self, vectors: Tensor, chosen: Tensor, rng: torch.Generator) -> None:
        """Move the entries towards the vectors [M, D] that chose them [M], and replace dead ones.

        `cluster_size` is relative to even use: 1 for an entry that gets its share of the vectors.
        """
        counts, sums = self._tally(vectors, chosen)
        statistics = sum_over_processes(torch.cat([counts[:, None], sums], dim=1))
        share = len(self.embed) / statistics[:, 0].sum()
        self.cluster_size.lerp_(statistics[:, 0] * share, 1 - DECAY)
        self.embed_avg.lerp_(statistics[:, 1:] * share, 1 - DECAY)
        dead = self.cluster_size < _DEAD * len(self.embed)
        if dead.any():
            candidates = gather_rows(vectors)
            picks = torch.randint(len(candidates), (int(dead.sum()),), generator=rng)
            self.embed_avg[dead] = candidates[picks.to(candidates.device)]
            self.cluster_size[dead] = 1.0
        self.embed.copy_(self.embed_avg / self.cluster_size[:, None])

    def _tally(self, vectors: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        counts = torch.bincount(chosen, minlength=len(self.embed)).to(vectors.dtype)
        return counts, torch.zeros_like(self.embed).index_add_(0, chosen, vectors)


class _Layer(nn.Module):
    """Makes the codebook's name `layers.{k}.codebook`."""

    def __init__(self, n_entries: int, size: int):
        super().__init__()
        self.codebook = Codebook(n_entries, size)


class ResidualQuantizer(nn.Module):
    """K codebooks in a row, each for what the ones before left over."""

    def __init__(self, n_codebooks: int, n_entries: int, size: int):
        super().__init__()
        self.layers = nn.ModuleList(_Layer(n_entries, size) for _ in range(n_codebooks))

    @property
    def codebooks(self) -> list[Codebook]:
        return [cast(_Layer, layer).codebook for layer in self.layers]

    @property
    def started(self) -> bool:
        """Whether the codebooks hold anything yet."""
        return bool(self.codebooks[0].inited)

    def adopt(self) -> None:
        """Take all codebooks as they are, from a model folder."""
        for codebook in self.codebooks:
            codebook.adopt()

    def forget(self) -> None:
        """Be as before the start."""
        for codebook in self.codebooks:
            codebook.inited.zero_()

    @torch.no_grad()
    def start(self, latents: Tensor, rng: torch.Generator, fresh: bool = True, rounds: int = 10) -> None:
        """Set all codebooks by k-means: [M, D], best some ten times as many as there are entries.

        fresh : begin with entries drawn from the latents; False: with those that there are.
        """
        residual = latents.clone()
        for codebook in self.codebooks:
            (codebook.start if fresh else codebook.refit)(residual, rng, rounds)
            for block in residual.split(_BLOCK):
                block -= codebook.embed[codebook.nearest(block)]

    @torch.no_grad()
    def quantize(self, z: Tensor, n_codebooks: int) -> tuple[Tensor, Tensor]:
        """Latents [B, D, F] -> quantised [B, D, F], and codes int64 [B, K, F]."""
        residual, codes = _rows(z), []
        for codebook in self.codebooks[:n_codebooks]:
            codes.append(codebook.nearest(residual))
            residual = residual - codebook.embed[codes[-1]]
        quantized = z - _unrows(residual, z)
        return quantized, torch.stack([code.reshape(len(z), -1) for code in codes], dim=1)

    @torch.no_grad()
    def search(self, z: Tensor, n_codebooks: int, width: int) -> tuple[Tensor, Tensor]:
        """As `quantize`, but of the choices that can be made, the `width` best are kept from codebook to codebook.

        The nearest entry of each codebook is not always what leaves least to the ones after it. The first `width` by
        |residual|^2 go on, and the best of the last ones wins (beam search, as in arXiv 2509.19186). 1 is `quantize`.
        """
        rows, chosen = _rows(z), []
        for block in rows.split(_SEARCHED):
            residual = block[:, None]  # [M, choices, D]
            codes = torch.zeros(len(block), 1, 0, dtype=torch.long, device=z.device)
            for codebook in self.codebooks[:n_codebooks]:
                dots = residual.flatten(0, 1) @ codebook.embed.t() - 0.5 * codebook.embed.square().sum(dim=1)
                left = residual.square().sum(dim=2, keepdim=True) - 2 * dots.reshape(*residual.shape[:2], -1)
                best = left.flatten(1).topk(min(width, left[0].numel()), largest=False).indices
                parent, entry = best // len(codebook.embed), best % len(codebook.embed)
                residual = residual.gather(1, parent[:, :, None].expand(-1, -1, z.shape[1])) - codebook.embed[entry]
                codes = torch.cat([codes.gather(1, parent[:, :, None].expand(-1, -1, codes.shape[2])),
                                   entry[:, :, None]], dim=2)
            chosen.append(codes[:, 0])  # the best comes first
        found = torch.cat(chosen)
        quantized = sum(codebook.embed[column] for codebook, column in zip(self.codebooks, found.t()))
        return _unrows(cast(Tensor, quantized), z), found.reshape(len(z), -1, n_codebooks).transpose(1, 2)

    def forward(self, z: Tensor, n_codebooks: int, rng: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Quantise with gradient: latents [B, D, F] -> (quantised, straight through; commitment loss).

        rng : learn from this batch too, drawing with it (the same in all processes); None: leave the entries alone.
        """
        residual, losses = _rows(z), []
        for codebook in self.codebooks[:n_codebooks]:
            with torch.no_grad():
                vectors = residual.detach()
                chosen = codebook.nearest(vectors)
                entries = codebook.embed[chosen]
                if rng is not None:
                    codebook.learn(vectors, chosen, rng)
            losses.append((residual - entries).square().mean())
            residual = residual - entries
        return z - _unrows(residual, z).detach(), torch.stack(losses).mean()


def _rows(z: Tensor) -> Tensor:
    """[B, D, F] -> [B * F, D]."""
    return z.transpose(1, 2).reshape(-1, z.shape[1])


def _unrows(rows: Tensor, like: Tensor) -> Tensor:
    """[B * F, D] -> [B, D, F]."""
    return rows.reshape(len(like), -1, like.shape[1]).transpose(1, 2)
