"""Find the weights in what a file holds: the state dict of a model, whatever wraps it.

A training checkpoint keeps them in dicts, such as `{"best_state": {"model": ...}}`, and trainers put words before the
names of tensors, such as `module.`, `_orig_mod.` or `generator.`. Written as one path, the two are the same:

    best_state.model.module.encoder.model.0.conv.conv.bias

A state dict is then all that has the same words, here called its prefix, before the parts of a model: `encoder.`,
`decoder.` and `quantizer.` of a codec; `emb.`, `transformer.` and `linears.` of a language model. So no list of
wrappers is needed.

One model has gone by several sets of names: those of the official package, and those of the Hugging Face Hub before
and after PyTorch renamed its weight norm. All are mapped to the Hub's older ones, here called canonical: see `tensors`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from os.path import commonprefix
from typing import NamedTuple

import numpy as np

from tinyencodec.models.plainpickle import Foreign

_CODEC_PARTS, _LM_PARTS = ("encoder", "decoder", "quantizer"), ("emb", "transformer", "linears")
_PART = re.compile(rf"(?:^|(?<=\.))({'|'.join(_CODEC_PARTS + _LM_PARTS)})\.")
_LONGEST = 300  # letters of a path; what has a longer one is passed over
_MOST = 64  # state dicts that are looked at, the largest ones: no real file has more

_RENAMED = [(re.compile(pattern), new) for pattern, new in (
    (r"\.(?:module|_orig_mod)(?=\.)", ""),  # a part that was wrapped by itself
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"\.conv\.conv\.|\.convtr\.convtr\.", ".conv."),
    (r"\.(?:conv|convtr)\.norm\.", ".norm."),
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
    (r"^quantizer\.vq\.layers\.([0-9]+)\._codebook\.", r"quantizer.layers.\1.codebook."))]
_TRAINING_ONLY = re.compile(r"quantizer\.layers\.[0-9]+\.codebook\.(inited|cluster_size|embed_avg)")


class StateDict(NamedTuple):
    """What may be the weights of one model."""

    prefix: str  # the words before the names; "" or ending in a dot
    of_language_model: bool
    tensors: dict[str, object]  # by canonical name; tensors are NumPy arrays, all else is a fault
    training_only: list[str]  # names that were dropped
    twice: list[str]  # canonical names that several entries have


def find_state_dicts(value: object) -> list[StateDict]:
    """All state dicts, whole or not, in nested dicts, lists and tuples; the one to prefer first.

    That is: a codec rather than a language model, then the one said to be best, then the running average (`ema`), then
    the one that is nested least, then by the alphabet.
    """
    groups: dict[tuple[bool, str], dict[str, object]] = defaultdict(dict)
    for path, leaf in _leaves(value):
        for match in _PART.finditer(path):
            groups[match[1] in _LM_PARTS, path[:match.start()]][path[match.start():]] = leaf
    found = [(prefix, of_lm, entries) for (of_lm, prefix), entries in groups.items()
             if any(isinstance(entry, np.ndarray) for entry in entries.values())]
    found = sorted(found, key=lambda each: -len(each[2]))[:_MOST]
    return sorted((_named(*each) for each in found), key=_preference)


def left_out(value: object, state: StateDict) -> list[str]:
    """Names of what is in `value` beside the state dict, each where it parts from the way there."""
    names, way = set(), state.prefix.split(".")
    for path, _ in _leaves(value):
        words = path.split(".")
        shared = len(commonprefix([words, way]))
        if shared < len(way) - 1 or words[shared] not in _CODEC_PARTS + _LM_PARTS:
            names.add(".".join(words[:shared + 1]))
    return sorted(names)


def canonical_name(name: str) -> str | None:
    """The canonical form of a tensor's name, whichever of the known sets it is from.

    None for the codebooks' running statistics, which only training needs. A name of no known set comes back changed
    little or not at all, and so will not be among the expected ones.
    """
    for pattern, new in _RENAMED:
        name = pattern.sub(new, name)
    return None if _TRAINING_ONLY.fullmatch(name) else name


def _named(prefix: str, of_language_model: bool, entries: dict[str, object]) -> StateDict:
    state = StateDict(prefix, of_language_model, {}, [], [])
    for name, entry in entries.items():
        canonical = canonical_name(name)
        if canonical is None:
            state.training_only.append(name)
        elif canonical in state.tensors:
            state.twice.append(canonical)
        else:
            state.tensors[canonical] = entry
    return state


def _preference(state: StateDict) -> tuple:
    words = re.split(r"[._]", state.prefix)
    return state.of_language_model, "best" not in words, "ema" not in words, state.prefix.count("."), state.prefix


def _leaves(value: object) -> Iterator[tuple[str, object]]:
    """(path, what is there) of all that is no container, in order. A container that is shared has its first path."""
    pending, seen = [("", value)], set[int]()
    while pending:
        path, value = pending.pop()
        if not isinstance(value, (dict, list, tuple)) or isinstance(value, Foreign) and not value:
            yield path, value
        elif id(value) not in seen:
            seen.add(id(value))
            items = value.items() if isinstance(value, dict) else enumerate(value)
            below = [(f"{path}.{key}" if path else str(key), item) for key, item in items
                     if isinstance(key, int) or len(path) + len(key) < _LONGEST]
            pending += below[::-1]
