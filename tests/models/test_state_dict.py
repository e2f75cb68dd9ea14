"""Where the weights are in what a file holds, whatever wraps them."""

import time
import tracemalloc

import numpy as np
import pytest

from tinyencodec.models.plainpickle import Foreign
from tinyencodec.models.state_dict import canonical_name, find_state_dicts, left_out

CODEC = {f"{part}.x": np.full(1, i, "f4") for i, part in enumerate(("encoder", "decoder", "quantizer"))}
LM = {f"{part}.x": np.zeros(1, "f4") for part in ("emb", "transformer", "linears")}


def prefixed(words, state):
    return {words + name: value for name, value in state.items()}


def foreign(items):
    made = Foreign("somewhere AttrDict")
    made.update(items)
    return made


def check(value, *prefixes):
    states = find_state_dicts(value)
    assert [state.prefix for state in states] == list(prefixes)
    assert all(state.tensors is not None and state.tensors.keys() == CODEC.keys() for state in states)
    return states


@pytest.mark.parametrize("wrapper", [
    "model_state_dict", "generator", "codec_model", "state_dict", "net_g", "the whole thing", "best.model", 7, ""])
@pytest.mark.parametrize("words", ["", "module.", "_orig_mod.", "model.", "generator.", "module._orig_mod.",
                                   "_orig_mod.module.", "model.generator.module.", "encoder.", "a.decoder.b."])
def test_any_wrapper_and_prefix(wrapper, words):
    inner = prefixed(words, CODEC)
    for value, before in ((inner, ""), ({"epoch": 3, wrapper: inner}, f"{wrapper}."),
                          ({"a": [1, ({wrapper: inner}, 2)]}, f"a.1.0.{wrapper}."),
                          (foreign({"b": foreign({wrapper: inner})}), f"b.{wrapper}.")):
        assert f"{before}{words}".lstrip(".") in [state.prefix.lstrip(".") for state in find_state_dicts(value)
                                                  if state.tensors.keys() == CODEC.keys()]


def test_parts_that_were_saved_or_wrapped_by_themselves():
    parts = {part: {"x": CODEC[f"{part}.x"]} for part in ("encoder", "decoder", "quantizer")}
    for value, prefix in ((parts, ""), ({"nets": parts}, "nets."),
                          ({name.replace(".x", ".module.x"): x for name, x in CODEC.items()}, ""),
                          ({name.replace(".x", "._orig_mod.module.x"): x for name, x in CODEC.items()}, "")):
        state, = check(value, prefix)
        assert all(state.tensors[name] is CODEC[name] for name in CODEC)


def test_which_is_preferred():
    """Whatever the order in the file."""
    order = ["best_state.model.", "ema.", "model.", "generator.module.", "old.model."]
    value = {"old": {"model": CODEC.copy()}, "model": CODEC.copy(), "generator": prefixed("module.", CODEC),
             "ema": CODEC.copy(), "best_state": {"model": CODEC.copy()}, "schema": 3}
    check(value, *order)
    check(dict(reversed(value.items())), *order)
    both = find_state_dicts({"best": LM, "codec": CODEC})
    assert [(state.prefix, state.of_language_model) for state in both] == [("codec.", False), ("best.", True)]


def test_what_is_shared_comes_once_and_what_contains_itself_ends():
    value = {"a": CODEC, "b": CODEC, "list": []}
    value["list"] += [value, value["list"]]
    check(value, "a.")


def test_what_is_left_out():
    value = {"best": {"model": prefixed("module.", CODEC | {"discriminator.0": np.zeros(1), "n": 3}), "epoch": 3},
             "optimizer": {"state": {0: {"step": 1}}}, "args": Foreign("argparse Namespace"), 5: 6}
    state, = check(value, "best.model.module.")
    assert left_out(value, state) == ["5", "args", "best.epoch", "best.model.module.discriminator",
                                      "best.model.module.n", "optimizer"]
    assert left_out(CODEC, find_state_dicts(CODEC)[0]) == []


def test_hostile_nesting_costs_little():
    """Names as long as the file again and again, a dict of dicts of the same dict, a chain, and many small models."""
    long, shared, chain = "encoder." * 50_000, {}, {}
    for _ in range(60):
        shared = {"encoder": shared, "decoder": shared}
    for _ in range(20_000):
        chain = {"encoder": chain, "x": np.zeros(0)}
    values = [{i: {long: np.zeros(0)} for i in range(20_000)}, shared, chain,
              {i: {"encoder.x": np.zeros(0)} for i in range(20_000)}]
    tracemalloc.start()
    start = time.perf_counter()
    assert [len(find_state_dicts(value)) <= 64 for value in values] == [True] * 4
    assert time.perf_counter() - start < 10 and tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name, canonical", [
    ("encoder.model.0.conv.conv.weight_g", "encoder.layers.0.conv.weight_g"),
    ("encoder.model.12.conv.conv.weight", "encoder.layers.12.conv.weight"),
    ("encoder.model.12.conv.norm.bias", "encoder.layers.12.norm.bias"),
    ("encoder.model.1.block.3.conv.conv.bias", "encoder.layers.1.block.3.conv.bias"),
    ("encoder.model.1.block.1.conv.norm.weight", "encoder.layers.1.block.1.norm.weight"),
    ("encoder.model.1.shortcut.conv.conv.weight_v", "encoder.layers.1.shortcut.conv.weight_v"),
    ("encoder.model.13.lstm.weight_hh_l1", "encoder.layers.13.lstm.weight_hh_l1"),
    ("decoder.model.3.convtr.convtr.weight_v", "decoder.layers.3.conv.weight_v"),
    ("decoder.model.3.convtr.norm.weight", "decoder.layers.3.norm.weight"),
    ("decoder.layers.3.conv.parametrizations.weight.original0", "decoder.layers.3.conv.weight_g"),
    ("encoder.model.0.conv.conv.parametrizations.weight.original1", "encoder.layers.0.conv.weight_v"),
    ("quantizer.vq.layers.31._codebook.embed", "quantizer.layers.31.codebook.embed"),
    ("quantizer.vq.layers.31._codebook.embed_avg", None), ("quantizer.layers.0.codebook.inited", None),
    ("quantizer.layers.0.codebook.cluster_size", None),
    ("quantizer.layers.0.codebook.embed", "quantizer.layers.0.codebook.embed"),
    ("transformer.layers.0.weight", "transformer.layers.0.weight"), ("", ""), ("inited", "inited")])
def test_canonical_name(name, canonical):
    assert canonical_name(name) == canonical


