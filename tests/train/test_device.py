"""Would a GPU do? A training step on PyTorch's `meta` device, which computes shapes only, and needs no hardware.

Whatever is made in a step must be where the trainer is. A watch looks at the tensors that each operation gets, in the
backward pass and the optimiser, too: all of them on one device, but for single numbers. It cannot tell whether what
comes out is right; the same code on the CPU does.
"""

import dataclasses
from contextlib import nullcontext

import pytest
import torch
from torch.fx.experimental import _config as config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.train.test_corpus import make_corpus
from tests.train.test_lm import RECIPE as LM_RECIPE
from tests.train.test_lm import SMALL, toy_codes
from tests.train.test_run import RECIPE, advance, make_trainer
from tinyencodec.train import lm
from tinyencodec.train.network import load, save
from tinyencodec.train.trainer import Trainer

META = torch.device("meta")
ATEN = torch.ops.aten
MOVES = (ATEN._to_copy.default, ATEN.copy_.default)


class Watch(TorchDispatchMode):
    """Raises if an operation gets tensors on two devices; `seen` are the names of those that get one on META."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.ndim]
        devices = {tensor.device for tensor in tensors}
        assert len(devices) <= 1 or operation in MOVES, f"{operation} got tensors on {devices}"
        if META in devices:
            self.seen.add(operation.overloadpacket.__name__)
        if operation is ATEN.bincount.default and META in devices:  # has no shape without numbers
            return args[0].new_empty(kwargs["minlength"] if kwargs else args[2], device=META)
        return operation(*args, **(kwargs or {}))


@pytest.fixture
def shapes_only(monkeypatch):
    """What numbers decide is decided: every flag is set, every mask full."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know the device
    numbers = {"__bool__": lambda _: True, "__int__": lambda _: 1, "item": lambda _: 1.0,
               "tolist": lambda tensor: [1.0] * len(tensor)}
    for name, value in numbers.items():
        old = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda t, value=value, old=old: value(t) if t.is_meta else old(t))
    with config.patch(meta_nonzero_assume_all_nonzero=True):
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trainer on the CPU, and a folder of what it made."""
    trainer = make_trainer(make_corpus(tmp_path_factory.mktemp("corpus")))
    for _ in range(3):
        advance(trainer)
    folder = tmp_path_factory.mktemp("model") / "small"
    save(trainer.codec, folder)
    return trainer, folder


@pytest.mark.parametrize("freeze, search", [("", 1), ("encoder", 1), ("encoder", 4), ("quantizer", 1)])
def test_a_step_of_the_codec_leaves_nothing_behind(trained, shapes_only, freeze, search):
    old, folder = trained
    recipe = dataclasses.replace(RECIPE, unquantized=0, adversary_from=0, disc_rate=1.0, bypass=0.2, envelope=1.0,
                                 loudness=1.0, level=1.0, fine=1.0, average=0.9, disc_power=0.4, freeze=freeze,
                                 search=search)
    trainer = Trainer(recipe, old.mixer, codec=load(folder), device=META)
    with Watch() as watch:
        figures = advance(trainer)
    assert {"mel", "level", "fine", "envelope", "loudness", "features", "discriminator"} <= set(figures)
    nearest = "argmax" if search == 1 else "topk"
    assert {"convolution", "convolution_backward", nearest, "addcdiv_"} <= watch.seen
    assert {p.grad.device for p in trainer.parameters if p.grad is not None} == {META}
    assert {norm.device for norm in trainer.balancer.norms.values()} == {META}


@pytest.mark.parametrize("fresh", [True, False])
def test_codebooks_start_where_they_are(trained, shapes_only, fresh):
    quantizer = load(trained[1]).quantizer.to(META)
    with Watch() as watch:
        size = quantizer.codebooks[0].embed.shape[1]
        quantizer.start(torch.empty(100, size, device=META), torch.Generator().manual_seed(0), fresh, rounds=3)
    assert {"argmax", "index_add_", "index_put_"} <= watch.seen


def test_a_step_of_the_language_model_leaves_nothing_behind(shapes_only):
    trainer = lm.Trainer(SMALL, LM_RECIPE, toy_codes(), "meta")
    with Watch() as watch:
        trainer.train_step()
    assert {"embedding", "embedding_dense_backward", "_foreach_lerp_"} <= watch.seen
    assert {p.device for p in trainer.average.parameters()} == {META}


def test_the_watch_sees():
    here, there = torch.zeros(2, 2), torch.zeros(2, 2, device=META)
    with Watch(), pytest.raises(AssertionError, match="mm.* got tensors on"):
        there @ here
