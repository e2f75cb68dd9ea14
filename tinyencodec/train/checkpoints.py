"""Stopping and going on: the whole state of a run in one file, which appears complete or not at all.

    checkpoint.pt   a dictionary: step, seconds, config, recipe, and the states of codec, optimiser, balancer and, if
                    there are any, running average, discriminator and its optimiser
"""

from dataclasses import asdict
from pathlib import Path

from tinyencodec.codec.config import CodecConfig
from tinyencodec.train.network import Codec
from tinyencodec.train.recipe import Recipe
from tinyencodec.train.state_file import read_state, write_state
from tinyencodec.train.trainer import Trainer

NAME = "checkpoint.pt"


def save_checkpoint(trainer: Trainer, folder: Path, name: str = NAME) -> None:
    """Write the state of `trainer`; an earlier file of this name is replaced at the end, in one move.

    Raises `OSError` if it cannot be written.
    """
    state = {"step": trainer.step, "seconds": trainer.seconds, "config": trainer.config.to_dict(),
             "recipe": asdict(trainer.recipe), "codec": trainer.codec.state_dict(),
             "optimizer": trainer.optimizer.state_dict(), "balancer": trainer.balancer.state_dict()}
    if trainer.discriminator is not None and trainer.disc_optimizer is not None:
        state |= {"discriminator": trainer.discriminator.state_dict(),
                  "disc_optimizer": trainer.disc_optimizer.state_dict()}
    if trainer.average is not None:
        state["average"] = trainer.average.state_dict()
    write_state(folder / name, state)


def newest_checkpoint(folder: Path) -> tuple[dict, str] | None:
    """What `read_checkpoint` gives for the run in a folder, and a line that says where it goes on; None: none yet.

    If the last checkpoint is damaged, it is the newest that was kept (`--keep-every`) and can be read. Raises as
    `read_checkpoint` if there is none.
    """
    kept = sorted((path for path in folder.glob("checkpoint-*.pt") if path.stem[11:].isdigit()),
                  key=lambda path: int(path.stem[11:]), reverse=True)
    if not (folder / NAME).exists():
        return None
    damage = ""
    for path in [folder / NAME, *kept]:
        try:
            state = read_checkpoint(path)
        except (ValueError, OSError) as error:
            damage = damage or str(error)
            continue
        line = f"goes on from {path} at step {state['step']}"
        return state, f"{damage}; {line} instead" if damage else line
    raise ValueError(f"{damage}; no earlier checkpoint can be read either: remove it to begin anew")


def read_checkpoint(path: Path) -> dict:
    """The dictionary in a file of `save_checkpoint`, on the CPU. Raises `OSError`, or `ValueError` for another file."""
    state = read_state(path, {"step", "seconds", "config", "recipe", "codec", "optimizer", "balancer"})
    try:
        return state | {"config": CodecConfig.from_dict(state["config"]), "recipe": Recipe(**state["recipe"])}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a checkpoint of this version, got another: {error}") from None


def restore(trainer: Trainer, state: dict) -> None:
    """Put a new trainer of the same configuration into the state that `read_checkpoint` gave."""
    trainer.codec.load_state_dict(state["codec"])
    fused = trainer.optimizer.param_groups[0]["fused"]  # a matter of this device, not of the one that wrote the state
    groups = [group | {"fused": fused} for group in state["optimizer"]["param_groups"]]  # it tells where tensors belong
    trainer.optimizer.load_state_dict(state["optimizer"] | {"param_groups": groups})
    trainer.balancer.load_state_dict({name: value.to(trainer.device) for name, value in state["balancer"].items()})
    if "discriminator" in state:
        trainer.add_discriminator()
        assert trainer.discriminator is not None and trainer.disc_optimizer is not None
        trainer.discriminator.load_state_dict(state["discriminator"])
        trainer.disc_optimizer.load_state_dict(state["disc_optimizer"])
    if trainer.average is not None:
        if "average" in state:
            trainer.average.load_state_dict(state["average"])
        else:
            trainer.average.codec.load_state_dict(state["codec"])
    trainer.step, trainer.seconds = state["step"], state["seconds"]


def codec_of(state: dict, average: bool = False) -> Codec:
    """The codec in a checkpoint, or the running average of it, if there is one and it is wanted."""
    codec = Codec(state["config"])
    codec.load_state_dict(state["average"]["codec"] if average and "average" in state else state["codec"])
    return codec
