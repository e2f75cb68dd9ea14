"""Several processes that train one model, each on its own clips (`torchrun`): what they tell each other.

Parameters are the same everywhere and stay so: gradients are averaged before each step, codebook statistics are
summed, and what is drawn at random for all is drawn from the same seed. With one process, nothing happens here.
"""

import os
from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist


def start(device: torch.device) -> None:
    """Join the other processes if `torchrun` started this one."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def stop() -> None:
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_processes(value: Tensor) -> Tensor:
    """The sum of `value` over all processes, in all of them; may overwrite it."""
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of `value` over all processes, in all of them; may overwrite it."""
    return sum_over_processes(value) / size()


def copy_from_first(values: list[Tensor]) -> None:
    """Overwrite the tensors with those of the first process."""
    if dist.is_initialized():
        for value in values:
            dist.broadcast(value, 0)


def gather_rows(rows: Tensor) -> Tensor:
    """The rows [M, D] of all processes in the order of their numbers; M must be the same in all."""
    if not dist.is_initialized():
        return rows
    parts = [torch.empty_like(rows) for _ in range(size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its mean over all processes, all in one message."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = mean_over_processes(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
        gradient.copy_(part.view_as(gradient))


def agree(flag: bool, device: torch.device) -> bool:
    """Whether `flag` is true in any process."""
    return bool(sum_over_processes(torch.tensor(float(flag), device=device)) > 0)
