"""The running average of the weights, by itself and in a run."""

import dataclasses

import pytest
import torch

from tests.train.test_corpus import RATE, make_corpus
from tests.train.test_run import RECIPE, TINY, advance
from tinyencodec.train import checkpoints, export
from tinyencodec.train.average import Average
from tinyencodec.train.mixing import Mixer
from tinyencodec.train.network import Codec, load
from tinyencodec.train.packed import PackedCorpus
from tinyencodec.train.recipe import Recipe
from tinyencodec.train.trainer import Trainer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def weights(codec):
    return {name: value.detach().clone() for name, value in codec.state_dict().items()
            if name in dict(codec.named_parameters()) or name.endswith("embed")}


def test_it_is_the_stated_average():
    codec = Codec(TINY)
    codec.quantizer.start(torch.randn(50, 8), torch.Generator())
    average, expected = Average(codec, 0.6), weights(codec)
    for step in range(12):
        with torch.no_grad():
            for value in (*codec.parameters(), codec.quantizer.codebooks[0].embed):
                value.add_(torch.randn_like(value))
        average.update(codec)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * value for name, value in weights(codec).items()}
    for name, value in weights(average.codec).items():
        assert torch.allclose(value, expected[name], atol=1e-5), name
    assert any(not torch.allclose(value, expected[name], atol=0.1) for name, value in weights(codec).items())


def test_before_the_codebooks_it_is_a_copy():
    codec = Codec(TINY)
    average = Average(codec, 0.9)
    with torch.no_grad():
        for value in codec.parameters():
            value.add_(1.0)
    average.update(codec)
    assert all(torch.equal(a, b) for a, b in zip(average.codec.parameters(), codec.parameters()))


def trainer_of(corpus, **changes):
    recipe = dataclasses.replace(RECIPE, **changes)
    return Trainer(recipe, Mixer(PackedCorpus(corpus, "train"), int(recipe.seconds * RATE), recipe.seed), TINY)


def test_in_a_run(corpus, tmp_path):
    """It does not touch the run; a run that goes on has it to the bit; it is what is exported."""
    plain, whole, parts = (trainer_of(corpus, average=decay) for decay in (0.0, 0.9, 0.9))
    for trainer, steps in ((plain, 6), (whole, 6), (parts, 3)):
        for _ in range(steps):
            advance(trainer)
    assert all(torch.equal(a, b) for a, b in zip(plain.codec.parameters(), whole.codec.parameters()))
    checkpoints.save_checkpoint(parts, tmp_path)
    state = checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)
    again = Trainer(state["recipe"], parts.mixer, codec=checkpoints.codec_of(state))
    checkpoints.restore(again, state)
    for _ in range(3):
        advance(again)
    assert all(torch.equal(value, again.average.codec.state_dict()[name])
               for name, value in whole.average.codec.state_dict().items())
    checkpoints.save_checkpoint(again, tmp_path)
    for flags, expected in (([], again.average.codec), (["--last"], again.codec)):
        assert export.main([str(tmp_path), str(tmp_path / f"model{len(flags)}"), *flags]) == 0
        exported = weights(load(tmp_path / f"model{len(flags)}"))
        assert all(torch.equal(exported[name], value) for name, value in weights(expected).items())
    assert not all(torch.equal(a, b) for a, b in zip(again.codec.parameters(), again.average.codec.parameters()))


def test_begun_in_the_middle_of_a_run(corpus, tmp_path):
    """A run that kept none before begins with the weights that it has."""
    trainer = trainer_of(corpus)
    for _ in range(3):
        advance(trainer)
    checkpoints.save_checkpoint(trainer, tmp_path)
    state = checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)
    again = Trainer(dataclasses.replace(state["recipe"], average=0.9), trainer.mixer, config=TINY)
    checkpoints.restore(again, state)
    assert all(torch.equal(a, b) for a, b in zip(again.average.codec.parameters(), trainer.codec.parameters()))


@pytest.mark.parametrize("changes, said", [({"average": 1.0}, "average"), ({"mel_windows": 0}, "mel_windows"),
                                           ({"mel_windows": 8}, "mel_windows"), ({"fine_windows": 4}, "fine_windows"),
                                           ({"fine": -1.0}, "fine")])
def test_recipe_refuses(changes, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**changes)
