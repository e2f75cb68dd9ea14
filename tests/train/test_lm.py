"""The language model's trainer: the twin against the official model, what is shown, resuming, export, and learning."""

import csv
import json
import math
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.parity import oracles  # noqa: F401  the official package needs its stand-in
from tests.parity.report import LINES
from tests.parity.seeding import music
from tinyencodec.audio.files import write_audio
from tinyencodec.entropy.tables import load_tables
from tinyencodec.lm.coder import LMCoder
from tinyencodec.lm.config import LMConfig
from tinyencodec.models.store import DEFAULT_MODEL, find_model, load_language_model, load_model
from tinyencodec.train import lm, lm_codes, lm_evaluate, lm_twin
from tinyencodec.train.lm_batches import Shape, block_batches, blocks, draw_batch, shifted
from tinyencodec.train.packed import split_of
from tinyencodec.train.tables import count_codes, fit_tables

CONFIG = LMConfig(n_codebooks=3, codebook_size=37, dim=24, n_layers=2, n_heads=4, ff_dim=40, past_context=11)
SMALL = LMConfig(n_codebooks=2, codebook_size=16, dim=16, n_layers=1, n_heads=2, ff_dim=32, past_context=8)
DEEP = replace(SMALL, n_layers=3)
RECIPE = lm.LMRecipe(steps=8, rate=1e-2, warmup=2, frames=64, seconds=2.0, evaluate=4, dropout=0.2, noise=0.1)
FACTS = lm_codes.CodecFacts("toy", 16, (1, 2), 10)


def seeded(config: LMConfig) -> lm_twin.LanguageModel:
    """All parameters away from their usual start, biases included, and heads that are far from uniform."""
    torch.manual_seed(0)
    model = lm_twin.LanguageModel(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1:
                value.add_(0.3 * torch.randn_like(value))
            elif "linear" in name or "proj" in name:
                value.mul_(2)
    return model


def official(model: lm_twin.LanguageModel):
    """The official model, with the weights of `model`."""
    from encodec.model import LMModel

    c = model.config
    twin = LMModel(c.n_codebooks, c.codebook_size, c.dim, num_layers=c.n_layers, num_heads=c.n_heads,
                   hidden_scale=c.ff_dim / c.dim, max_period=c.max_period, past_context=c.past_context).eval()
    twin.load_state_dict(model.state_dict(), strict=True)
    return twin


def random_codes(config: LMConfig, n_frames: int, batch: int = 2, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(config.codebook_size, size=(batch, config.n_codebooks, n_frames)))


def toy_codes(n_frames: int = 400, seed: int = 0) -> lm_codes.Codes:
    """Codes of two codebooks of 16 that follow from the frame before, but for one in ten; all entries as frequent."""
    rng = np.random.default_rng(seed)

    def sound(n: int) -> np.ndarray:
        codes = rng.integers(16, size=(n, 2))
        for t in range(1, n):
            if rng.random() > 0.1:
                codes[t] = (3 * codes[t - 1, ::-1] + (1, 5)) % 16
        return codes.astype(np.int16)

    return lm_codes.Codes(FACTS, {"train": {"a": sound(n_frames), "b": sound(n_frames)},
                                  "validation": {"c": sound(n_frames // 2)}, "test": {"d": sound(7), "e": sound(23)}})


def weights(trainer: lm.Trainer) -> torch.Tensor:
    models = (trainer.model, trainer.average)
    return torch.cat([value.flatten() for model in models for value in model.state_dict().values()])


# ---- the twin


@pytest.mark.parametrize("config", [CONFIG, LMConfig(n_codebooks=4)], ids=["small", "official size"])
@torch.no_grad()
def test_the_official_model_gives_the_same_probabilities(config):
    model, n_frames = seeded(config), 3 * config.past_context if config is CONFIG else 600
    oracle, seen = official(model), shifted(random_codes(config, n_frames))
    for k in (1, config.n_codebooks):
        batch = model(seen[:, :k])[0].softmax(-1)  # [B, K, F, N]
        expected = oracle(seen[:, :k])[0].permute(0, 2, 3, 1)
        assert expected.max() > 10 / config.codebook_size  # far from uniform, else the test says little
        steps, past, their_steps, states, offset = [], None, [], None, 0
        for t in range(n_frames):
            logits, past = model(seen[:, :k, t:t + 1], past, t)
            steps.append(logits.softmax(-1))
            p, states, offset = oracle(seen[:, :k, t:t + 1], states, offset)
            their_steps.append(p.permute(0, 2, 3, 1))
        assert [value.shape for value in past] == [value.shape for value in states[:config.n_layers]]
        worst = {"block": (batch - expected).abs().max(),
                 "steps": (torch.cat(steps, 2) - torch.cat(their_steps, 2)).abs().max(),
                 "steps and block": (torch.cat(steps, 2) - batch).abs().max()}
        LINES.append(f"LM twin, dim {config.dim}, K = {k}, {n_frames} frames: probabilities differ by "
                     + ", ".join(f"{value:.1e} ({name})" for name, value in worst.items()))
        assert max(worst.values()) < 1e-6, worst


def test_the_coder_reads_what_is_exported(tmp_path):
    model, codes = seeded(CONFIG), random_codes(CONFIG, 40)
    lm_twin.save_folder(model, tmp_path, precision="half")
    exact, twin = load_language_model(tmp_path), lm_twin.load_folder(tmp_path)
    seen = shifted(codes)
    with torch.no_grad():
        expected = twin(seen)[0].softmax(-1).permute(0, 2, 1, 3)
    worst = np.abs(exact.step(seen.numpy() - 1, exact.start(2)) - expected.numpy()).max()
    LINES.append(f"LM twin and exact LM, dim {CONFIG.dim}: probabilities differ by {worst:.1e}")
    assert worst < 1e-6
    pieces, coder = [row.T.astype(np.int16) for row in codes.numpy()], LMCoder(exact)
    ideal = lm_evaluate.model_bits(twin, pieces).mean()
    assert 0 <= lm_evaluate.coder_bits(coder, pieces) - ideal < 32 / pieces[0].size
    payloads = coder.encode([piece.T for piece in pieces])
    for piece, found in zip(pieces, coder.decode([(data, 40) for data in payloads], 3)):
        np.testing.assert_array_equal(found, piece.T)


def test_parameters_are_those_of_the_config():
    assert {name: tuple(value.shape) for name, value in seeded(CONFIG).state_dict().items()} == CONFIG.tensors()


@torch.no_grad()
def test_a_block_in_pieces_gives_the_same():
    model, seen = seeded(CONFIG), shifted(random_codes(CONFIG, 40))
    past, parts, at = None, [], 0
    for size in (1, 7, 20, 12):
        logits, past = model(seen[..., at:at + size], past, at)
        parts.append(logits)
        at += size
    torch.testing.assert_close(torch.cat(parts, 2), model(seen)[0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_nothing_is_seen_of_the_future_nor_beyond_the_context():
    config = replace(CONFIG, n_layers=1)  # with more layers, the context of contexts
    model, codes = seeded(config), random_codes(config, 40)
    plain = model(shifted(codes))[0]
    codes[:, :, 9] = (codes[:, :, 9] + 1) % config.codebook_size  # seen from frame 10 on
    changed = (model(shifted(codes))[0] != plain).any(-1).any(1).any(0)
    assert changed.nonzero().flatten().tolist() == list(range(10, 10 + config.past_context + 1))


def test_more_codebooks_than_the_model_has():
    with pytest.raises(ValueError, match="1 ... 3 codebooks, got 4"):
        seeded(CONFIG)(torch.zeros(1, 4, 2, dtype=torch.long))


def test_start_at_frequencies():
    rng = np.random.default_rng(0)
    codes = np.minimum(rng.geometric(0.2, size=(5000, 3)) - 1, 36).astype(np.int16)
    torch.manual_seed(0)
    model = lm_twin.LanguageModel(CONFIG)
    lm_twin.start_at_frequencies(model, codes)
    table = lm_evaluate.table_bits(lm_evaluate.frequencies(codes, 37), codes)
    np.testing.assert_allclose(lm_evaluate.model_bits(model, blocks([codes], 50, 3)), table, atol=0.1)
    assert table.max() < math.log2(37) - 1


@torch.no_grad()
def test_start_from_codebooks():
    rng = np.random.default_rng(0)
    books = rng.normal(size=(4, 37, 6)) * np.array([4, 2, 1, 1])[:, None, None]
    books[1, 8] = books[1, 7]  # alike to the codec, so alike to the model
    torch.manual_seed(0)
    model = lm_twin.LanguageModel(CONFIG)
    powers = [float(head.weight.square().mean()) for head in model.linears]
    none_yet = model.emb[0].weight[0].clone()
    lm_twin.start_from_codebooks(model, books)
    assert torch.equal(model.emb[1].weight[1 + 8], model.emb[1].weight[1 + 7])
    assert torch.equal(model.linears[1].weight[8], model.linears[1].weight[7])
    assert torch.equal(model.emb[0].weight[0], none_yet)
    scale = [float(table.weight[1:].square().mean()) for table in model.emb]
    np.testing.assert_allclose(scale, [1, 1 / 4, 1 / 16], rtol=0.4)
    assert scale[0] == pytest.approx(1)
    np.testing.assert_allclose([float(head.weight.square().mean()) for head in model.linears], powers, rtol=1e-4)
    # One projection for all: a sum of entries becomes the sum of their embeddings.
    joined = torch.cat([table.weight[1:] for table in model.emb])
    assert torch.linalg.matrix_rank(joined, rtol=1e-5) == 6


def test_a_loss_that_is_not_finite_stops(tmp_path):
    trainer = lm.Trainer(SMALL, RECIPE, toy_codes())
    with torch.no_grad():
        trainer.model.linears[0].bias[0] = math.nan
    with pytest.raises(ValueError, match="step 0: expected a finite loss, got nan"):
        lm.train(trainer, tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()


# ---- export


def test_half_precision_loses_nothing_more(tmp_path):
    model = seeded(CONFIG)
    lm_twin.save_folder(model, tmp_path / "lm", precision="half")
    stored = load_file(tmp_path / "lm" / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {np.dtype(np.float16)}
    assert LMConfig.from_file(tmp_path / "lm" / "config.json") == CONFIG
    again = lm_twin.load_folder(tmp_path / "lm")
    for name, value in again.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), stored[name].astype(np.float32))
        np.testing.assert_allclose(value.numpy(), model.state_dict()[name].numpy(), rtol=2**-11, atol=2**-25)
    lm_twin.save_folder(again, tmp_path / "full")
    for name, value in lm_twin.load_folder(tmp_path / "full").state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_weights_that_float16_cannot_hold_are_refused(tmp_path):
    model = seeded(CONFIG)
    with torch.no_grad():
        model.linears[1].bias[3] = 7e4
    with pytest.raises(ValueError, match=r"linears\.1\.bias: expected numbers that are finite in float16"):
        lm_twin.save_folder(model, tmp_path, precision="half")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_shape_is_refused(tmp_path):
    lm_twin.save_folder(seeded(CONFIG), tmp_path)
    lm_twin.save_folder(seeded(SMALL), tmp_path / "other")
    os.replace(tmp_path / "other" / "config.json", tmp_path / "config.json")
    with pytest.raises(ValueError, match="model.safetensors: expected the tensors of .* emb.0.weight: expected"):
        lm_twin.load_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="model.safetensors: expected a whole safetensors file"):
        lm_twin.load_folder(tmp_path)


# ---- what is shown


def test_batches_are_crops_that_begin_anew():
    stream = np.stack([np.arange(5000) % 1024, np.arange(5000) // 1024, np.full(5000, 7)], axis=1).astype(np.int16)
    shape = Shape(frames=512, shortest=8, longest=128, codebooks=(1, 2, 3))
    lengths, counts = [], []
    for step in range(200):
        seen, target = draw_batch(stream, 1024, shape, 0, step)
        assert (seen[..., 0] == 0).all() and torch.equal(seen[..., 1:], target[..., :-1] + 1)
        if target.shape[1] > 1:  # the first two codebooks tell where a crop is from
            at = target[:, 1] * 1024 + target[:, 0]
            assert (at.diff(dim=1) == 1).all()
        lengths.append(target.shape[2])
        counts.append(target.shape[1])
        assert 512 - 128 < target.shape[0] * target.shape[2] <= 512
    assert min(lengths) < 12 and max(lengths) > 100 and set(counts) == {1, 2, 3}
    assert counts.count(1) < counts.count(2) < counts.count(3)
    again = draw_batch(stream, 1024, shape, 0, 3)
    assert all(torch.equal(a, b) for a, b in zip(again, draw_batch(stream, 1024, shape, 0, 3)))
    assert again[1].shape != draw_batch(stream, 1024, shape, 1, 3)[1].shape  # another seed


def test_noise_is_on_what_is_seen_only():
    stream = np.full((1000, 2), 5, np.int16)
    seen, target = draw_batch(stream, 16, Shape(4096, 64, 64, (2,), noise=0.25), 0, 0)
    assert (target == 5).all() and (seen[..., 0] == 0).all() and seen.min() == 0 and seen.max() <= 16
    assert abs(float((seen[..., 1:] != 6).float().mean()) - 0.25 * 15 / 16) < 0.02
    assert (seen[..., 1:] > 0).all()


def test_a_stream_shorter_than_a_crop():
    seen, target = draw_batch(np.zeros((5, 2), np.int16), 16, Shape(64, 8, 32, (2,)), 0, 0)
    assert target.shape[2] == 5 and target.shape[0] == 12


def test_padding_does_not_count():
    model, sounds = seeded(SMALL), toy_codes().sounds["test"].values()
    pieces = blocks(sounds, 10, 2)
    assert sorted(map(len, pieces)) == [3, 7, 10, 10] and sum(t.shape[0] for _, t in block_batches(pieces, 20)) == 4
    alone = [(lm_evaluate.model_bits(model, [piece]), len(piece)) for piece in pieces]
    expected = sum(bits * n for bits, n in alone) / sum(n for _, n in alone)
    np.testing.assert_allclose(lm_evaluate.model_bits(model, pieces), expected, rtol=1e-5)


# ---- training


def test_it_learns_what_is_there_to_learn(tmp_path):
    codes = toy_codes(4000)
    recipe = replace(RECIPE, steps=300, frames=1024, evaluate=100, average=0.95, dropout=0.0, noise=0.0)
    lm.train(lm.Trainer(SMALL, recipe, codes), tmp_path)
    model = lm_twin.load_folder(tmp_path)
    sound = codes.sounds["validation"]["c"]
    bits = lm_evaluate.model_bits(model, blocks([sound], 20, 2))
    # Who knows the rule pays little for a code that follows it, much for another, and 4 bits at a block's start.
    follows = np.concatenate([np.zeros((1, 2), bool), sound[1:] == (3 * sound[:-1, ::-1] + (1, 5)) % 16])
    ideal = -np.log2(np.where(follows, 0.9 + 0.1 / 16, 0.1 / 16))
    ideal[::20] = 4
    excess = bits - ideal.mean(0)
    assert (excess > -0.05).all() and (excess < 0.4).all(), (bits, excess)  # it knew nothing at 4 bits
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [100, 200, 300]
    assert float(rows[-1]["K=2"]) == pytest.approx(bits.mean(), abs=1e-3) and float(rows[-1]["K=1"]) > 2
    assert float(rows[-1]["codebook 0"]) == pytest.approx(bits[0], abs=1e-3)


def test_training_resumes_exactly(tmp_path):
    codes = toy_codes()
    straight = lm.Trainer(SMALL, RECIPE, codes)
    lm.train(straight, tmp_path)
    folder = tmp_path / "stopped"
    folder.mkdir()
    first = lm.Trainer(SMALL, RECIPE, codes)
    for _ in range(3):
        first.train_step()
    lm.save_checkpoint(first, folder)
    for _ in range(2):  # lost, as by a power cut
        first.train_step()
    second = lm.Trainer(SMALL, RECIPE, codes)
    second.restore(torch.load(folder / "checkpoint.pt", weights_only=True))
    assert second.step == 3 and not torch.equal(weights(second), weights(straight))
    lm.train(second, folder)
    assert torch.equal(weights(second), weights(straight)) and second.best == straight.best
    for name in ("model.safetensors", "config.json"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_rows_of_the_log_that_are_made_again_go(tmp_path):
    codes = toy_codes()
    trainer = lm.Trainer(SMALL, RECIPE, codes)
    lm.train(trainer, tmp_path)
    early = lm.Trainer(SMALL, RECIPE, codes)
    for _ in range(5):
        early.train_step()
    lm.train(early, tmp_path)
    assert [row["step"] for row in csv.DictReader((tmp_path / "log.csv").open())] == ["4", "8"]


def test_a_checkpoint_of_another_run_is_refused():
    codes = toy_codes()
    state = lm.Trainer(SMALL, RECIPE, codes).state()
    lm.Trainer(SMALL, replace(RECIPE, steps=99, precision="half"), codes).restore(state)
    for config, recipe in ((SMALL, replace(RECIPE, rate=1e-4)), (replace(SMALL, n_heads=4), RECIPE)):
        with pytest.raises(ValueError, match="checkpoint: expected one of"):
            lm.Trainer(config, recipe, codes).restore(state)


def test_an_error_beside_the_training_costs_no_step(tmp_path, monkeypatch, capsys):
    """Neither in the evaluation, nor in writing the table or the model."""
    for number, (owner, name) in enumerate(((lm.Trainer, "evaluate"), (lm.Log, "add"), (lm, "save_folder"))):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, lambda *_: 1 / 0)
            (tmp_path / str(number)).mkdir()
            lm.train(lm.Trainer(SMALL, RECIPE, toy_codes()), tmp_path / str(number))
        said = capsys.readouterr().err
        assert "step 4: no evaluation: ZeroDivisionError" in said and "step 8: no evaluation" in said
        assert lm.load_checkpoint(tmp_path / str(number))["step"] == 8


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves(tmp_path, monkeypatch, name):
    trainer, step = lm.Trainer(SMALL, RECIPE, toy_codes()), lm.Trainer.train_step

    def interrupted(self):
        if self.step == 2:
            os.kill(os.getpid(), name)
        return step(self)

    monkeypatch.setattr(lm.Trainer, "train_step", interrupted)
    before = signal.getsignal(name)
    lm.train(trainer, tmp_path)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 3
    assert signal.getsignal(name) is before


def test_a_codec_s_codebooks_are_where_it_starts():
    books = np.random.default_rng(0).normal(size=(2, 16, 4))
    books[0, 3] = books[0, 2]
    trainer = lm.Trainer(SMALL, RECIPE, toy_codes(), codebooks=books)
    for model in (trainer.model, trainer.average):
        rows = model.state_dict()["emb.0.weight"]
        assert torch.equal(rows[4], rows[3]) and not torch.equal(rows[2], rows[1])


def test_a_trained_model_is_where_it_starts():
    start = lm_twin.LanguageModel(SMALL)
    trainer = lm.Trainer(SMALL, RECIPE, toy_codes(), start=start)
    for model in (trainer.model, trainer.average):
        assert all(torch.equal(value, start.state_dict()[name]) for name, value in model.state_dict().items())
    trainer.train_step()
    assert not torch.equal(trainer.model.emb[0].weight, start.emb[0].weight)  # and it is left as it was


@pytest.mark.parametrize("config", [SMALL, DEEP], ids=["as many", "more"])
def test_more_layers_predict_the_same_at_first_and_learn(config):
    start = seeded(SMALL)
    trainer = lm.Trainer(config, RECIPE, toy_codes(), start=start)
    seen = random_codes(SMALL, 9) + 1
    with torch.no_grad():
        (one, _), (other, _) = start(seen), trainer.average(seen)
    # 2.2e-6 was found: what norms add to the variance, once more in every new layer
    torch.testing.assert_close(other, one, rtol=0, atol=1e-5 * float(one.abs().max()))
    for _ in range(2):  # what lies before a matrix of zeros is reached from the second step on
        trainer.train_step()
    parameters = dict(trainer.model.transformer.named_parameters())
    assert [name for name, value in parameters.items() if not value.grad.any()] == []


def test_fewer_layers_or_another_width_are_refused():
    for model, config in ((DEEP, SMALL), (SMALL, replace(DEEP, ff_dim=64))):
        with pytest.raises(ValueError, match="to start from: expected LMConfig.*or fewer layers, got LMConfig"):
            lm_twin.deepened(lm_twin.LanguageModel(model), config)


def test_the_average_follows_the_weights():
    trainer = lm.Trainer(SMALL, replace(RECIPE, average=0.5), toy_codes())
    before, name = trainer.average.state_dict()["linears.0.bias"].clone(), "linears.0.bias"
    for _ in range(20):
        trainer.train_step()
        expected = before + (trainer.model.state_dict()[name] - before) * (1 - min(0.5, trainer.step
                                                                                 / (trainer.step + 9)))
        torch.testing.assert_close(trainer.average.state_dict()[name], expected)
        before = trainer.average.state_dict()[name].clone()


def test_learning_rate():
    recipe = lm.LMRecipe(steps=1000, rate=1e-3, warmup=100)
    rates = [lm.learning_rate(step, recipe) for step in range(1001)]
    assert rates[0] == pytest.approx(1e-5) and rates[99] == rates[100] == pytest.approx(1e-3)
    assert rates[550] == pytest.approx(1e-3 * 1.05 / 2) and rates[1000] == pytest.approx(5e-5)
    assert np.all(np.diff(rates[100:]) <= 0) and lm.learning_rate(5000, recipe) == pytest.approx(5e-5)


def test_config_and_codes_must_fit():
    codes = toy_codes()
    for config, text in ((replace(SMALL, codebook_size=17), "codebook_size 16"), (replace(SMALL, n_codebooks=3), "3")):
        with pytest.raises(ValueError, match=text):
            lm.Trainer(config, RECIPE, codes)
    nothing = {split: {"a": np.zeros((1, 2), np.int16)} for split in ("train", "validation", "test")}
    with pytest.raises(ValueError, match="expected a sound of at least two frames, got none"):
        lm.Trainer(SMALL, RECIPE, lm_codes.Codes(FACTS, nothing))


@pytest.mark.parametrize("sizes, learnt, judged, said", [
    ({"train": [40, 100]}, {"0": 40, "1": 86}, {"1": 14}, "the last 1.40 s of 1 are held out"),
    ({"validation": [50]}, {"0": 45}, {"0": 5}, "those for validation are learnt from; no whole sound"),
    ({"test": [60, 20], "validation": [30]}, {"0": 60, "1": 20}, {"0": 30}, "those for test are learnt from"),
    ({"train": [9]}, {"0": 9}, {"0": 9}, "judged on what is learnt from"),
    ({"train": [40], "validation": [30]}, {"0": 40}, {"0": 30}, "")])
def test_codes_of_a_few_sounds_are_divided(sizes, learnt, judged, said):
    """Nothing is lost, and nothing is learnt from that is judged on, but where it is said."""
    sounds = {split: {str(i): np.full((n, 2), i, np.int16) for i, n in enumerate(sizes.get(split, []))}
              for split in ("train", "validation", "test")}
    divided, remark = lm_codes.divide(lm_codes.Codes(FACTS, sounds))
    assert {name: len(codes) for name, codes in divided.sounds["train"].items()} == learnt
    assert {name: len(codes) for name, codes in divided.sounds["validation"].items()} == judged
    assert said in remark and bool(said) == bool(remark)
    trainer = lm.Trainer(SMALL, RECIPE, lm_codes.Codes(FACTS, sounds))
    assert trainer.remark == remark and np.isfinite(trainer.train_step())
    assert all(np.isfinite(bits).all() for bits in trainer.evaluate().values())


def test_what_is_held_out_is_so_from_copies_too():
    codes = np.arange(120, dtype=np.int16)[:, None] % 16 * np.ones((1, 2), np.int16)
    sounds = {"train": {"C#4": codes, "C#4#1": codes[:-1], "C#4#2": codes, "C": codes[:50]}, "validation": {},
              "test": {}}
    divided, remark = lm_codes.divide(lm_codes.Codes(FACTS, sounds))
    part = len(divided.sounds["validation"]["C#4"])
    assert part == (120 + 119 + 120 + 50) // 30 and "of C#4 are held out" in remark
    sizes = {name: len(sound) for name, sound in divided.sounds["train"].items()}
    assert sizes == {"C#4": 120 - part, "C#4#1": 119 - part, "C#4#2": 120 - part, "C": 50}


# ---- figures


def test_entropy_and_tables():
    counts = np.array([[4, 4, 0, 0], [8, 0, 0, 0], [4, 2, 1, 1]])
    np.testing.assert_allclose(lm_evaluate.entropy(counts), [1, 0, 1.75])
    codes = np.array([[0, 3, 2], [1, 3, 2]], np.int16)
    expected = [math.log2(12 / 5), math.log2(12), math.log2(12 / 2)]  # (4 + 1) of (8 + 4), 1 of 12, 2 of 12
    np.testing.assert_allclose(lm_evaluate.table_bits(counts, codes), expected)


def test_a_model_that_knows_nothing_costs_what_fixed_width_does():
    model = lm_twin.LanguageModel(SMALL)
    for head in model.linears:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    np.testing.assert_allclose(lm_evaluate.model_bits(model, blocks([random_codes(SMALL, 30)[0].numpy().T], 8, 2)),
                               [4, 4], rtol=1e-6)


# ---- codes files and commands


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for i in range(40):
        write_audio(folder / f"{i}.wav", music(4000, seed=i), 24_000)
    (folder / "broken.wav").write_bytes(b"RIFF, or so it said")
    return folder


def test_codes_of_a_folder(audio, tmp_path, capsys):
    folder, path = tmp_path / "mine", tmp_path / "codes.safetensors"
    shutil.copytree(find_model(DEFAULT_MODEL), folder)
    (folder / "tables.safetensors").unlink()
    model = load_model(folder)
    assert lm_codes.main([str(folder), str(path), str(audio), "--copies", "3", "--tables"]) == 0
    assert "left out" in capsys.readouterr().err
    codes = lm_codes.read_codes(path)
    counts = tuple(model.codebooks_for(rate) for rate in model.bandwidths)
    assert codes.facts == lm_codes.CodecFacts("mine", 1024, counts, 75) and counts[-1] == 16
    everything = np.concatenate([sound.T for sound in codes.sounds["train"].values()], axis=1)
    np.testing.assert_array_equal(load_tables(folder), fit_tables(count_codes(everything, 1024)))
    for split, sounds in codes.sounds.items():
        names = {name for i in range(40) if split_of(name := f"{audio.name}/{i}.wav") == split}
        assert names == {name for name in sounds if "#" not in name}
        assert len(sounds) == len(names) * (3 if split == "train" else 1)
    for name in codes.sounds["train"]:
        if name.endswith("wav"):
            found = codes.sounds["train"][name]
            wav = lm_codes.sounds_in(audio, 24_000, 1)
            wav = next(wav for other, _, wav in wav if other == name)
            np.testing.assert_array_equal(found.T, model.encode(wav, 12.0)[0].codes)
            assert found.shape == (13, 16)
            copies = [codes.sounds["train"][f"{name}#{copy}"] for copy in (1, 2)]
            assert all(len(copy) in (12, 13) for copy in copies)
            assert not np.array_equal(copies[0][:12], copies[1][:12])
            break
    before = path.read_bytes()
    assert lm_codes.main([str(folder), str(path), str(audio), str(audio), "--copies", "3"]) == 0
    assert capsys.readouterr().err.count("one of this name already") == 40
    assert path.read_bytes() == before


def test_codes_of_a_packed_corpus_are_those_of_the_files(audio, tmp_path):
    from tinyencodec.train import corpus

    assert corpus.main(["--music", str(audio), "--", str(tmp_path / "packed")]) == 0
    files = {name: (split, wav) for name, split, wav in lm_codes.sounds_in(audio, 24_000, 1)}
    packed = {name: (split, wav) for name, split, wav in lm_codes.sounds_in(tmp_path / "packed", 24_000, 1)}
    assert files.keys() == packed.keys() and len(files) == 40
    for name, (split, wav) in files.items():
        assert packed[name][0] == split
        np.testing.assert_allclose(packed[name][1], wav, atol=1e-4)  # rounded once more
    with pytest.raises(ValueError, match="expected 48000 Hz and 2 channels, got 24000 and 1"):
        next(lm_codes.sounds_in(tmp_path / "packed", 48_000, 2))


def test_varied_copies_are_shifted_and_not_clipped():
    wav, rng, cuts, gains = music(9000), np.random.default_rng(0), set(), set()
    for _ in range(20):
        copy = lm_codes.varied(wav, 320, rng)
        cut = wav.shape[1] - copy.shape[1]
        gain = copy[0, 100] / wav[0, 100 + cut]
        assert 0 <= cut < 320 and 0.25 < gain < 2 and np.abs(copy).max() <= 1
        np.testing.assert_allclose(copy, wav[:, cut:] * gain, rtol=1e-4, atol=1e-6)
        cuts.add(cut)
        gains.add(gain)
    assert len(cuts) > 15 and max(cuts) > 200 and len(gains) > 10
    assert lm_codes.varied(wav[:, :1], 320, rng).shape == (1, 1)


@pytest.mark.parametrize("change, text", [
    (lambda arrays: {"train/a": arrays["train/a"].astype(np.int32)}, "expected int16"),
    (lambda arrays: {"train/a": arrays["train/a"][:, :1].copy()}, "expected int16"),
    (lambda arrays: {"train/a": arrays["train/a"] + np.int16(1)}, "expected codes below 16"),
    (lambda arrays: {"elsewhere": arrays["train/a"]}, "expected a codes file"),
    (lambda arrays: {}, "at least one sound")])
def test_bad_codes_files(tmp_path, change, text):
    sounds = toy_codes().sounds
    arrays = {f"{split}/{name}": codes for split in sounds for name, codes in sounds[split].items()}
    path = tmp_path / "codes"
    lm_codes.write_codes(path, FACTS, arrays)
    assert lm_codes.read_codes(path).sounds["train"].keys() == {"a", "b"}
    with pytest.raises(ValueError, match=text):
        lm_codes.write_codes(path, FACTS, change(arrays))
        lm_codes.read_codes(path)


def test_commands(tmp_path, capsys):
    path, out = tmp_path / "codes", tmp_path / "lm"
    sounds = toy_codes().sounds
    lm_codes.write_codes(path, FACTS, {f"{split}/{p}/{name}": codes for split in sounds for p in "xy"
                                       for name, codes in sounds[split].items()})
    (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
    command = [str(path), str(out), "--config", str(tmp_path / "config.json"), "--frames", "64", "--evaluate", "3"]
    assert lm.main([*command, "--steps", "6", "--minutes", "0"]) == 0
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 0
    assert lm.main([*command, "--steps", "6", "--precision", "half"]) == 0
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 6
    capsys.readouterr()
    assert lm.main([str(path), str(out), "--steps", "6", "--rate", "1", "--codec", "tiny_24khz"]) == 0
    said = capsys.readouterr().err
    assert f"goes on from {out / 'checkpoint.pt'} at step 6\n" in said and "nothing to do: 6 steps are done" in said
    assert "--rate 1.0: ignored, 0.002 is kept: a run goes on as it began\n" in said
    assert "--codec tiny_24khz: ignored, the checkpoint's model is kept\n" in said
    assert "kept from the checkpoint: frames 64, evaluate 3\n" in said
    assert lm.main([*command, "--dropout", "1"]) == 2
    assert "dropout: expected a share from 0 to below 1, got 1.0" in capsys.readouterr().err
    tuned = [str(path), str(tmp_path / "tuned"), "--model", str(out), "--frames", "64", "--rate", "1e-9"]
    assert lm.main([*tuned, "--steps", "1"]) == 0
    one, other = (lm_twin.load_folder(folder).emb[0].weight for folder in (out, tmp_path / "tuned"))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    (tmp_path / "deep.json").write_text(json.dumps(DEEP.to_dict()))
    deep = [str(tmp_path / "deep"), *tuned[2:], "--config", str(tmp_path / "deep.json"), "--steps", "1"]
    assert lm.main([str(path), *deep]) == 0
    assert lm_twin.load_folder(tmp_path / "deep").config == DEEP
    assert lm.main([*tuned, "--codec", "tiny_24khz"]) == 2
    assert "expected --model or --codec to start from, got both" in capsys.readouterr().err
    assert lm_evaluate.main([str(out), str(path), "--packages", "--coder"]) == 0
    table = capsys.readouterr().out
    assert table.count("by the coder") == 6
    assert table.count("K = 2") == 3 and "4 sounds, 60 frames, blocks of 40 frames" in table
    whole = (out / "checkpoint.pt").read_bytes()
    for damaged in (b"no checkpoint", b"", whole[:100], whole[:-100]):
        (out / "checkpoint.pt").write_bytes(damaged)
        assert lm.main([*command, "--steps", "6"]) == 2
        said = capsys.readouterr().err
        assert f"{out / 'checkpoint.pt'}: expected a checkpoint" in said and said.count("\n") == 1
    assert lm_evaluate.main([str(tmp_path), str(path)]) == 2
    assert lm.main([str(tmp_path / "none"), str(out)]) == 2
    (tmp_path / "text").write_text("no codes")
    assert lm.main([str(tmp_path / "text"), str(out)]) == 2
    assert lm_codes.main([DEFAULT_MODEL, str(path), str(tmp_path / "missing")]) == 2
