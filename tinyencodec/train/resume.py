"""A codec's training that goes on: what it keeps from its checkpoint, and which options it can no longer follow."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tinyencodec.codec.config import CodecConfig
from tinyencodec.train.command import nothing_left, resumed
from tinyencodec.train.network import Codec
from tinyencodec.train.recipe import CODECS, Recipe


def going_on(state: dict, codec: Codec, wanted: Mapping[str, Any], fresh: bool) -> tuple[Recipe, list[str]]:
    """The recipe of a run that goes on, and lines that say what it keeps.

    state, codec : of its checkpoint
    wanted : by field of the recipe, what the command line gives
    fresh : whether the codebooks start anew
    """
    kept = {"start": "the run has started", "freeze": "the optimiser's state is that of the weights that learn"}
    if codec.quantizer.started and not fresh:
        kept["unquantized"] = "the codebooks have started"
    if "discriminator" in state:
        kept |= dict.fromkeys(("adversary_from", "disc_filters"), "the adversary has joined")
    changes, lines = resumed(state["recipe"], wanted, kept)
    recipe = replace(state["recipe"], **changes)
    return recipe, lines + nothing_left(state["step"], recipe.steps)


def ignored_models(config: CodecConfig, preset: str | None, model: str | None) -> list[str]:
    """A line for each option that asks for another model than that of the checkpoint."""
    options = [f"--model {model}"] if model else []
    if preset and CODECS[preset] != config:
        options.append(f"--preset {preset}")
    return [f"{option}: ignored, the checkpoint's model is kept" for option in options]
