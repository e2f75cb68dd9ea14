"""Whole runs: stages, stopping and going on to the bit, several processes, what is left behind."""

import dataclasses
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch

from tests.train.test_corpus import RATE, make_corpus
from tinyencodec import load_model
from tinyencodec.codec.config import CodecConfig
from tinyencodec.train import checkpoints, codec, export, log
from tinyencodec.train.feed import batches
from tinyencodec.train.mixing import Mixer
from tinyencodec.train.network import load, save
from tinyencodec.train.packed import PackedCorpus
from tinyencodec.train.recipe import CODECS, Recipe
from tinyencodec.train.trainer import Trainer
from tinyencodec.train.validation import dimensions

TINY = CodecConfig(sampling_rate=RATE, num_filters=4, hidden_size=8, codebook_size=16, upsampling_ratios=(5, 4),
                   target_bandwidths=(4.8, 9.6))
RECIPE = Recipe(batch=2, seconds=0.1, unquantized=2, adversary_from=4, disc_filters=2, rise=2, lr=1e-3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def model(tmp_path_factory, corpus):
    """A small model folder, to start runs from."""
    folder = tmp_path_factory.mktemp("models") / "small"
    trainer = make_trainer(corpus)
    for _ in range(3):
        advance(trainer)
    save(trainer.codec, folder)
    return folder


def make_trainer(corpus, **changes):
    recipe = dataclasses.replace(RECIPE, **changes)
    mixer = Mixer(PackedCorpus(corpus, "train"), int(recipe.seconds * RATE), recipe.seed)
    return Trainer(recipe, mixer, TINY)


def advance(trainer):
    return trainer.take_step(trainer.mixer.batch(trainer.step, trainer.recipe.batch))


def state_of(trainer):
    """Every tensor that a run's future depends on."""
    found = {f"codec.{name}": value for name, value in trainer.codec.state_dict().items()}
    found |= {f"balancer.{name}": value for name, value in trainer.balancer.state_dict().items()}
    for part in ("optimizer", "disc_optimizer"):
        if getattr(trainer, part) is not None:
            for number, slots in getattr(trainer, part).state_dict()["state"].items():
                found |= {f"{part}.{number}.{slot}": value for slot, value in slots.items()}
    if trainer.discriminator is not None:
        found |= {f"discriminator.{name}": value for name, value in trainer.discriminator.state_dict().items()}
    if trainer.average is not None:
        found |= {f"average.{name}": value for name, value in trainer.average.codec.state_dict().items()}
    return found


def test_stages(corpus):
    trainer = make_trainer(corpus)
    seen = [set(advance(trainer)) for _ in range(6)]
    assert "mel" not in seen[1] and {"mel", "commitment"} <= seen[2]
    assert "features" not in seen[3] and {"adversarial", "features"} <= seen[4]
    assert any("discriminator" in figures for figures in seen[4:])


@pytest.mark.parametrize("stop", [1, 3, 5])  # in each of the stages
def test_goes_on_to_the_bit(corpus, tmp_path, stop):
    """Six steps equal some, a checkpoint, a new process' trainer, and the rest."""
    whole = make_trainer(corpus)
    for _ in range(6):
        advance(whole)
    first = make_trainer(corpus)
    for _ in range(stop):
        advance(first)
    checkpoints.save_checkpoint(first, tmp_path)
    torch.manual_seed(99)  # nothing may depend on the global generator
    state = checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)
    second = Trainer(state["recipe"], whole.mixer, codec=checkpoints.codec_of(state))
    checkpoints.restore(second, state)
    for _ in range(6 - stop):
        advance(second)
    expected, found = state_of(whole), state_of(second)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_command_stops_and_goes_on(corpus, model, tmp_path):
    """The same by the command line, with the logs: 7 steps equal 3 and 4; the end is validated too."""
    common = ["--corpus", str(corpus), "--batch", "2", "--seconds", "0.1", "--adversary-from", "2",
              "--disc-filters", "2", "--log-every", "1", "--validate-every", "3", "--clips", "1", "--threads", "1",
              "--device", "cpu"]
    new = ["--model", str(model)]
    assert codec.main([*common, *new, "--out", str(tmp_path / "whole"), "--steps", "7"]) == 0
    assert codec.main([*common, *new, "--out", str(tmp_path / "parts"), "--steps", "3"]) == 0
    assert codec.main([*common, "--out", str(tmp_path / "parts"), "--steps", "7", "--workers", "2"]) == 0
    a, b = (checkpoints.read_checkpoint(tmp_path / name / checkpoints.NAME) for name in ("whole", "parts"))
    assert all(torch.equal(value, b["codec"][name]) for name, value in a["codec"].items())
    for name, column in (("train.csv", "minutes"), ("validation.csv", "minutes"), ("codebooks.csv", "")):
        one, other = log.read_table(tmp_path / "whole" / name), log.read_table(tmp_path / "parts" / name)
        assert len(one) > 2
        assert [{**row, column: 0} for row in one] == [{**row, column: 0} for row in other]
    validation = log.read_table(tmp_path / "whole" / "validation.csv")
    assert {row["kbps"] for row in validation} == {"inf", "4.8", "9.6"}
    assert {row["step"] for row in validation} == {"3", "6", "7"}
    for name in ("curves.png", "spectrograms.png"):
        assert (tmp_path / "parts" / name).read_bytes().startswith(b"\x89PNG")
    assert export.main([str(tmp_path / "parts"), str(tmp_path / "exported"), "--precision", "half"]) == 0
    wav = np.random.default_rng(0).standard_normal((1, 2400)).astype(np.float32) * 0.1
    exported = load_model(tmp_path / "exported")
    assert exported.decode(exported.encode(wav, 9.6), 2400).shape == (1, 2400)


def test_command_refuses(corpus, model, tmp_path, capsys):
    common = ["--out", str(tmp_path / "run"), "--device", "cpu"]
    for arguments, said in (
            (["--corpus", str(corpus)], "expected either --preset or --model"),
            (["--corpus", str(corpus), "--preset", "tiny_24khz"], "expected 1 channel(s) at 24000 Hz, got 1 at 12000"),
            (["--corpus", str(tmp_path), "--model", str(model)], "manifest.csv"),
            (["--corpus", str(corpus), "--model", str(model), "--batch", "0"], "batch: expected a number above 0")):
        assert codec.main([*common, *arguments]) == 2
        assert said in capsys.readouterr().err
    assert export.main([str(tmp_path), str(tmp_path / "model")]) == 2
    (tmp_path / "run" / checkpoints.NAME).write_bytes(b"no checkpoint")
    assert codec.main([*common, "--corpus", str(corpus)]) == 2
    assert "expected a checkpoint" in capsys.readouterr().err


def test_sigterm_saves(corpus, model, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "tinyencodec.train.codec", "--corpus", str(corpus), "--model", str(model), "--out",
               str(out), "--batch", "1", "--seconds", "0.1", "--log-every", "1", "--threads", "1", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(log.read_table(out / "train.csv")) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and "saved" in said
    assert checkpoints.read_checkpoint(out / checkpoints.NAME)["step"] >= 3


def test_minutes(corpus, model, tmp_path):
    assert codec.main(["--corpus", str(corpus), "--model", str(model), "--out", str(tmp_path), "--batch", "1",
                       "--seconds", "0.1", "--minutes", "0.01", "--device", "cpu"]) == 0
    assert checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)["step"] > 0


@pytest.mark.parametrize("part, learns", [("encoder", {"decoder"}), ("quantizer", {"encoder", "decoder"}),
                                          ("decoder", {"encoder", "quantizer"})])
def test_frozen_parts_stay(corpus, model, part, learns):
    mixer = Mixer(PackedCorpus(corpus, "train"), 1200, 0)
    trainer = Trainer(dataclasses.replace(RECIPE, freeze=part), mixer, codec=load(model))
    before = {name: value.clone() for name, value in trainer.codec.state_dict().items()}
    for _ in range(3):
        advance(trainer)
    changed = {name.split(".")[0] for name, value in trainer.codec.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == learns


def test_searched_codes_for_a_decoder(corpus, model):
    """With a frozen encoder the decoder can learn from searched codes: it gets what they make, and a smaller error."""
    seen, left = {}, {}
    for search in (1, 8):
        mixer = Mixer(PackedCorpus(corpus, "train"), 1200, 0)
        recipe = dataclasses.replace(RECIPE, freeze="encoder", bypass=0.0, search=search)
        trainer = Trainer(recipe, mixer, codec=load(model))
        hook = partial(lambda search, part, given, y: seen.update({search: given[0].detach()}), search)
        trainer.codec.decoder.register_forward_hook(hook)
        wav = torch.from_numpy(mixer.batch(0, 2))
        z = trainer.codec.latent(wav).detach()
        before = [value.clone() for value in trainer.codec.encoder.parameters()]
        advance(trainer)
        left[search] = (seen[search] - z).square().mean()
        assert all(torch.equal(a, b) for a, b in zip(before, trainer.codec.encoder.parameters()))
    assert left[8] < left[1]
    with pytest.raises(ValueError, match="search: expected 1, or 'encoder' for freeze"):
        Recipe(search=4)


def test_some_scales_of_the_adversary(corpus, monkeypatch):
    """Only as many windows look as asked, others at other steps; and it learns at its own pace."""
    trainer = make_trainer(corpus, disc_scales=2, disc_pace=3.0, disc_power=0.4, disc_rate=1.0)
    seen, figures = [], []
    for _ in range(9):
        figures.append(advance(trainer))
        if trainer.discriminator is not None and not seen:
            for number, scale in enumerate(trainer.discriminator.scales):
                scale.register_forward_hook(lambda part, given, y, number=number: seen.append((trainer.step, number)))
    by_step = {step: {number for at, number in seen if at == step} for step, _ in seen}
    assert len(by_step) == 4 and set().union(*by_step.values()) > by_step[5]
    assert all(2 <= len(numbers) <= 4 for numbers in by_step.values())  # two for the codec, two for the lesson
    assert trainer.disc_optimizer.param_groups[0]["lr"] == pytest.approx(3 * trainer.optimizer.param_groups[0]["lr"])
    assert all(np.isfinite(value) for step in figures for value in step.values())


@pytest.mark.parametrize("bypass, changes", [(0.0, True), (1.0, False)])
def test_bypass_leads_round_the_quantiser(corpus, bypass, changes):
    """With bypass 1 the decoder's input is the latent itself, whatever the codebooks hold."""
    seen = []
    for entries in (0.0, 1.0):
        trainer = make_trainer(corpus, unquantized=0, bypass=bypass, freeze="encoder")
        trainer.codec.quantizer.start(torch.full((16, 8), entries), torch.Generator())
        trainer.codec.decoder.register_forward_hook(lambda part, given, y: seen.append(given[0].detach()))
        advance(trainer)
    assert torch.equal(seen[0], seen[1]) != changes


def test_fresh_codebooks(corpus, model, tmp_path):
    """The codebooks start anew, and the rest goes on."""
    out, common = tmp_path / "run", ["--corpus", str(corpus), "--device", "cpu", "--threads", "1"]
    assert codec.main([*common, "--out", str(out), "--model", str(model), "--batch", "2", "--seconds", "0.1",
                       "--unquantized", "0", "--steps", "2"]) == 0
    args = codec.parser().parse_args([*common, "--out", str(out)])
    again = codec.parser().parse_args([*common, "--out", str(out), "--fresh-codebooks", "--average", "0.9"])
    trainer, fresh = (codec.make_trainer(a, torch.device("cpu")) for a in (args, again))
    assert trainer.codec.quantizer.started and not fresh.codec.quantizer.started
    assert not fresh.average.codec.quantizer.started  # nor are those of the average kept
    assert fresh.step == 2 and advance(fresh)["mel"] > 0 and fresh.codec.quantizer.started
    embed, averaged = (part.quantizer.codebooks[0].embed for part in (fresh.codec, fresh.average.codec))
    assert torch.equal(embed, averaged)


def test_dimensions_of_a_latent():
    rows = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0))
    assert dimensions(rows) == pytest.approx(8, abs=0.01)
    assert dimensions(rows[:, :1] * torch.ones(8) + 3) == pytest.approx(1, abs=1e-6)
    assert dimensions(rows * torch.tensor([1.0, 1, 1, 1e-3, 0, 0, 0, 0])) == pytest.approx(3, abs=0.01)


def test_group_norm_stereo_trains(tmp_path):
    """The 48 kHz shape, small."""
    config = dataclasses.replace(TINY, audio_channels=2, use_causal_conv=False, norm_type="time_group_norm",
                                 normalize=True, chunk_length_s=0.2, overlap=0.01)
    mixer = Mixer(PackedCorpus(make_corpus(tmp_path, channels=2), "train"), 2400, 0)
    trainer = Trainer(RECIPE, mixer, config)
    figures = [advance(trainer) for _ in range(6)]
    assert all(np.isfinite(value) for step in figures for value in step.values())


def test_bf16(corpus):
    trainer = make_trainer(corpus, bf16=True)
    figures = [advance(trainer) for _ in range(6)]
    assert all(np.isfinite(value) for step in figures for value in step.values())
    assert all(value.dtype == torch.float32 for value in trainer.codec.parameters())


def test_learns(corpus):
    """A few seconds of training from nothing follow the signal: half of the energy, through the codebooks."""
    trainer = make_trainer(corpus, start="random", unquantized=60, adversary_from=10**6, lr=3e-3, batch=4, mel=0.2)
    figures = [advance(trainer) for _ in range(140)]
    assert np.mean([step["squared"] for step in figures[-10:]]) < 0.5 < figures[0]["squared"]


def test_feed_is_the_same_with_workers(corpus):
    mixer = Mixer(PackedCorpus(corpus, "train"), 500, 3)
    feeds = [batches(mixer, 5, 2, workers=workers) for workers in (0, 3)]
    for _ in range(5):
        one, other = (next(feed) for feed in feeds)
        assert np.array_equal(one, other)
    for feed in feeds:
        feed.close()


def test_learning_rate():
    recipe = Recipe(lr=1.0, rise=10, steps=100, cooldown=20)
    assert [round(recipe.rate(step), 3) for step in (0, 4, 9, 50, 80, 90, 99)] == [0.1, 0.5, 1, 1, 1, 0.5, 0.05]
    with pytest.raises(ValueError, match="freeze"):
        Recipe(freeze="everything")
    assert CODECS["tiny_24khz"].n_codebooks == 16 and CODECS["tiny_48khz"].n_codebooks == 8


def test_averaged_checkpoints(corpus, model, tmp_path, capsys):
    """A share of the way from one to the other, in what was trained; other codebooks are refused."""
    def run(name, **changes):
        recipe = dataclasses.replace(RECIPE, freeze="encoder", **changes)
        trainer = Trainer(recipe, Mixer(PackedCorpus(corpus, "train"), 1200, 0), codec=load(model))
        for _ in range(2):
            advance(trainer)
        checkpoints.save_checkpoint(trainer, tmp_path, name)
        return trainer.codec.state_dict()

    a, b = run("a.pt"), run("b.pt", mel=1.0, squared=3.0)
    arguments = [str(tmp_path / "a.pt"), str(tmp_path / "mean"), "--average", str(tmp_path / "b.pt")]
    assert export.main([*arguments, "--share", "0.25"]) == 0
    mean = load(tmp_path / "mean").state_dict()
    assert any(not torch.equal(a[name], b[name]) for name in a)
    for name in dict(load(model).named_parameters()):
        assert torch.allclose(mean[name], 0.75 * a[name] + 0.25 * b[name], atol=1e-7)
    assert torch.equal(mean["quantizer.layers.0.codebook.embed"], a["quantizer.layers.0.codebook.embed"])
    assert export.main([*arguments, "--share", "1.5"]) == 2
    assert "--share: expected a number from 0 to 1, got 1.5" in capsys.readouterr().err
    trainer = make_trainer(corpus)
    for _ in range(5):  # its codebooks are two steps further
        advance(trainer)
    checkpoints.save_checkpoint(trainer, tmp_path, "c.pt")
    assert export.main([str(tmp_path / "c.pt"), str(tmp_path / "no"), *arguments[2:]]) == 2
    assert "expected two models with the same codebooks" in capsys.readouterr().err and not (tmp_path / "no").exists()
