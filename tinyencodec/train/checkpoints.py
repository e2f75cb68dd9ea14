"""Stopping and going on: the whole state of a run in one file, which appears complete or not at all.

    checkpoint.pt   a dictionary: step, seconds, config, recipe, and the states of codec, optimiser, balancer and,
                    once there is one, discriminator and its optimiser
"""

import os
from dataclasses import asdict
from pathlib import Path

import torch

from tinyencodec.codec.config import CodecConfig
from tinyencodec.train.network import Codec
from tinyencodec.train.recipe import Recipe
from tinyencodec.train.trainer import Trainer

NAME = "checkpoint.pt"


def save_checkpoint(trainer: Trainer, folder: Path, name: str = NAME) -> None:
    """Write the state of `trainer`; an earlier file of this name is replaced at the end, in one move."""
    state = {"step": trainer.step, "seconds": trainer.seconds, "config": trainer.config.to_dict(),
             "recipe": asdict(trainer.recipe), "codec": trainer.codec.state_dict(),
             "optimizer": trainer.optimizer.state_dict(), "balancer": trainer.balancer.state_dict()}
    if trainer.discriminator is not None and trainer.disc_optimizer is not None:
        state |= {"discriminator": trainer.discriminator.state_dict(),
                  "disc_optimizer": trainer.disc_optimizer.state_dict()}
    part = folder / f".{name}.part"
    with part.open("wb") as fo:
        torch.save(state, fo)
        fo.flush()
        os.fsync(fo.fileno())
    part.replace(folder / name)


def read_checkpoint(path: Path) -> dict:
    """The dictionary in a file of `save_checkpoint`, on the CPU. Raises `OSError`, or `ValueError` for another file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return state | {"config": CodecConfig.from_dict(state["config"]), "recipe": Recipe(**state["recipe"])}
    except OSError:
        raise
    except Exception as error:  # torch raises a wide choice of errors
        raise ValueError(f"{path}: expected a checkpoint, got another file: {error!r:.200}") from None


def restore(trainer: Trainer, state: dict) -> None:
    """Put a new trainer of the same configuration into the state that `read_checkpoint` gave."""
    trainer.codec.load_state_dict(state["codec"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.balancer.load_state_dict({name: value.to(trainer.device) for name, value in state["balancer"].items()})
    if "discriminator" in state:
        trainer.add_discriminator()
        assert trainer.discriminator is not None and trainer.disc_optimizer is not None
        trainer.discriminator.load_state_dict(state["discriminator"])
        trainer.disc_optimizer.load_state_dict(state["disc_optimizer"])
    trainer.step, trainer.seconds = state["step"], state["seconds"]


def codec_of(state: dict) -> Codec:
    """The codec in a checkpoint."""
    codec = Codec(state["config"])
    codec.load_state_dict(state["codec"])
    return codec
