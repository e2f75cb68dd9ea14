"""What both trainers keep of a run, in one file of PyTorch's that appears complete or not at all."""

from collections.abc import Collection
from pathlib import Path

import torch

from tinyencodec.system.files import atomic_write


def write_state(path: Path, state: dict) -> None:
    """Write a dictionary of tensors and plain values; an earlier file is replaced at the end, in one move.

    Raises `OSError`.
    """
    try:
        with atomic_write(path, force=True) as fo:
            torch.save(state, fo)
    except RuntimeError as error:  # torch's for a full disk
        raise OSError(f"{path}: cannot be written: {error}") from None


def read_state(path: Path, names: Collection[str]) -> dict:
    """The dictionary that `write_state` wrote, on the CPU. Raises `OSError`, or `ValueError` unless it has `names`."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if missing := set(names) - state.keys():
            raise ValueError(f"nothing called {', '.join(sorted(missing))}")
        return state
    except OSError:
        raise
    except Exception as error:  # torch raises a wide choice of errors
        raise ValueError(f"{path}: expected a checkpoint, got a damaged or another file: {error!r:.200}") from None
