"""A running average of the weights: what a constant learning rate pulls to and fro cancels in it.

    average <- d * average + (1 - d) * weights      after each step, d = min(decay, (1 + n) / (10 + n)) after n of them

(Polyak & Juditsky 1992.) At the first steps it forgets faster, so that where it began does not stay in it. Entries of
codebooks are averaged like weights, since they belong to an encoder that is. Validation and export take the average.

Chapter 14 of the tutorials uses it.
"""

import copy

import torch
from torch import Tensor

from tinyencodec.train.network import Codec


class Average:
    """The average of a codec in training. `codec`: the averaged one, `steps`: how many it was made of."""

    def __init__(self, codec: Codec, decay: float):
        self.codec, self.decay, self.steps = copy.deepcopy(codec).requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, codec: Codec) -> None:
        """Take in the weights after a step. Until the codebooks have started, it is a copy of them."""
        if not self.codec.quantizer.started:
            self.codec.load_state_dict(codec.state_dict())
            return
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(_averaged(self.codec), _averaged(codec), 1 - decay)
        self.steps += 1

    def state_dict(self) -> dict:
        return {"steps": self.steps, "codec": self.codec.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.steps = state["steps"]
        self.codec.load_state_dict(state["codec"])


def _averaged(codec: Codec) -> list[Tensor]:
    return [*codec.parameters(), *(codebook.embed for codebook in codec.quantizer.codebooks)]
