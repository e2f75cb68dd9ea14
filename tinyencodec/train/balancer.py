"""The loss balancer: each loss gets the share of the gradient that was asked for, whatever its scale.

With g_i the gradient of loss i with respect to the output y, and <|g_i|> a moving average of its length, the
parameters receive

    sum over i of  (w_i / sum_j w_j) * g_i / <|g_i|>

in place of the gradient of a weighted sum. So a weight says how much a loss moves the output, not how large its
numbers happen to be. (Paper, section 3.4, with R = 1 and decay 0.999.)

The average remembers for a thousand steps, and one odd batch may not mute a loss for so long. So a batch's length
counts at most as ten times the average so far, and faint batches, whose gradients are enormous where a loss is
relative to the signal's size, have a smaller share in the average.

Chapter 14 of the tutorials walks through it.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from tinyencodec.train.distributed import mean_over_processes

DECAY = 0.999
_MOST = 10  # times the average


class Balancer:
    """Keeps the averages. `norms`: by loss, [sum, weight], two tensors whose quotient is <|g|>.

    freed : losses that share nothing but the output with others, and are not used again: frees memory
    """

    def __init__(self, decay: float = DECAY, freed: Collection[str] = ()):
        self.decay, self.freed = decay, freed
        self.norms: dict[str, Tensor] = {}

    def gradient(self, losses: Mapping[str, Tensor], weights: Mapping[str, float], output: Tensor,
                 share: float = 1.0) -> Tensor:
        """The balanced gradient with respect to `output` [B, C, T], to call `output.backward` with.

        Only losses with a weight above 0 count. Lengths are those of one clip's gradient, a mean over the batch.
        `share` is how much this batch counts in the averages, beside 1 for another.
        """
        total = sum(weights[name] for name in losses)
        result = torch.zeros_like(output)
        for name, loss in losses.items():
            if weights[name] <= 0:
                continue
            (gradient,) = torch.autograd.grad(loss, output, retain_graph=name not in self.freed)
            length = gradient.flatten(1).norm(dim=1).mean()
            old = self.norms.get(name, torch.zeros(2, device=length.device))
            length = torch.where(old[0] > 0, torch.minimum(length, _MOST * old[0] / old[1]), length)
            new = mean_over_processes(share * torch.stack([length, torch.ones_like(length)]))
            self.norms[name] = self.decay * old + (1 - self.decay) * new
            mean = self.norms[name][0] / self.norms[name][1]  # as old as it is: not biased towards 0
            result += weights[name] / total * gradient / mean.clamp(min=1e-12)
        return result

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self.norms)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.norms = dict(state)
