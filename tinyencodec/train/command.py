"""What the training commands share: options for the numbers of a recipe, and how a command ends.

A recipe is a dataclass of plain numbers, each of which is an option. An option that is not given is None, so that a
run that goes on can tell what its user wants changed.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

from tinyencodec.system.errors import one_line


def add_numbers(parser: argparse.ArgumentParser, recipe: type, said: Mapping[str, str] | None = None) -> None:
    """Add an option for each field of the dataclass `recipe`. `said`: by field, what its help says of it."""
    group = parser.add_argument_group("recipe")
    for field in fields(recipe):
        about = (said or {}).get(field.name, "")
        text = f"{about}{'; ' if about else ''}default: {field.default!r}".replace("%", "%%")
        if field.type is bool:
            group.add_argument(flag(field.name), action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            kind = cast(type, field.type)
            group.add_argument(flag(field.name), type=kind, metavar=kind.__name__.upper(), help=text)


def given(args: argparse.Namespace, recipe: type) -> dict[str, Any]:
    """The fields of `recipe` that the command line gives."""
    return {field.name: value for field in fields(recipe) if (value := getattr(args, field.name)) is not None}


def resumed(saved: Any, wanted: Mapping[str, Any], kept: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """What changes in the recipe of a run that goes on, and a line about each option, and about what stays.

    saved : the checkpoint's recipe
    wanted : by field, what the command line gives
    kept : by field, why it cannot change any more
    """
    changes, lines = {}, []
    for name, value in wanted.items():
        before = getattr(saved, name)
        if value == before:
            continue
        if name in kept:
            lines.append(f"{flag(name)} {value}: ignored, {before!r} is kept: {kept[name]}")
        else:
            changes[name] = value
            lines.append(f"{flag(name)} {value}: from now on, in place of {before!r}")
    own = [f"{field.name} {value!r}" for field in fields(saved)
           if (value := getattr(saved, field.name)) != field.default and field.name not in changes]
    return changes, [*lines, f"kept from the checkpoint: {', '.join(own) or 'the defaults'}"]


def nothing_left(step: int, steps: int) -> list[str]:
    """A line if a run of `steps` has come to its end at `step`."""
    return [f"nothing to do: {step} steps are done, of {steps}; --steps may be more"] if step >= steps else []


def tell(*lines: str) -> None:
    """Print lines on stderr, but for empty ones."""
    for line in filter(None, lines):
        print(one_line(line), file=sys.stderr)


def attempt(what: str, work: Callable[..., object], *args: Any, **options: Any) -> None:
    """Do something beside the training, such as a plot. Whatever goes wrong in it is told; no step is lost for it."""
    try:
        work(*args, **options)
    except Exception as error:  # validation, plots and logs raise a wide choice
        tell(f"{what}: {error!r:.300}")


def run(prog: str, work: Callable[[], object]) -> int:
    """Do `work`. Returns the exit status: 0, or 2 after one line on stderr that says what is wrong."""
    try:
        work()
    except MemoryError as error:
        return _fail(prog, f"out of memory: {error}")
    except (ValueError, EOFError, OSError) as error:
        return _fail(prog, str(error) or type(error).__name__)
    return 0


def _fail(prog: str, message: str) -> int:
    tell(f"{prog}: {message}")
    return 2


def flag(name: str) -> str:
    """The option that stands for a field."""
    return "--" + name.replace("_", "-")
