"""Runs that go on: silence changes nothing, no error beside the training costs a step, and a resumed run says what
it keeps."""

import dataclasses

import numpy as np
import pytest
import soundfile
import torch

from tests.train.test_corpus import RATE, make_sounds
from tests.train.test_run import RECIPE, TINY, state_of
from tinyencodec.train import checkpoints, codec, corpus, log, losses, refit
from tinyencodec.train.balancer import Balancer
from tinyencodec.train.mixing import HEARD, with_sound
from tinyencodec.train.network import load, save
from tinyencodec.train.recipe import Recipe
from tinyencodec.train.trainer import Trainer
from tinyencodec.train.validation import Report, Validator

COMMON = ["--batch", "2", "--seconds", "0.1", "--unquantized", "1", "--disc-filters", "2", "--log-every", "1",
          "--clips", "1", "--threads", "1", "--device", "cpu"]


class Clips:
    """A mixer of noise; the batches of the steps in `silent` are scaled by `level`."""

    def __init__(self, silent=(), level=0.0):
        self.silent, self.level = silent, level

    def batch(self, step, size, rank=0):
        wav = 0.1 * np.random.default_rng([step, rank]).standard_normal((size, 1, 1200))
        return (wav * (self.level if step in self.silent else 1.0)).astype(np.float32)


def trained(mixer, steps=8, **changes):
    recipe = dataclasses.replace(RECIPE, disc_rate=1.0, **changes)
    trainer = Trainer(recipe, mixer, TINY)
    return trainer, [trainer.take_step(mixer.batch(step, recipe.batch)) for step in range(steps)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder to start from."""
    folder = tmp_path_factory.mktemp("models") / "small"
    save(trained(Clips(), steps=3)[0].codec, folder)
    return folder


def packed(folder, n_files=1, gain=1.0, seconds=4.0):
    """A corpus of sounds whose peak is at the start, and the rest `gain` of it."""
    make_sounds(folder / "own", n_files, seconds=seconds)
    for path in (folder / "own").iterdir():
        wav, _ = soundfile.read(path)
        wav[10:] *= gain
        soundfile.write(path, wav, RATE, subtype="FLOAT")
    assert corpus.main([str(folder / "packed"), "--effects", str(folder / "own"), "--rate", str(RATE), "--min-rate",
                        "8000"]) == 0
    return folder / "packed"


@pytest.fixture(scope="module")
def one_file(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("corpus"))


# ---- silence


@pytest.mark.parametrize("level", [0.0, 1e-7, 5e-4])  # digital, next to nothing, a tenth of the faintest heard
@pytest.mark.parametrize("start", ["transform", "random"])
def test_a_silent_batch_changes_nothing(level, start):
    """At no stage: neither averages, codebooks, weights nor the discriminator; and the steps after it are the same."""
    trainer, _ = trained(Clips(), start=start, average=0.9)
    quiet = (level * 0.1 * np.random.default_rng(0).standard_normal((2, 1, 1200))).astype(np.float32)
    before = {name: value.clone() for name, value in state_of(trainer).items()}
    assert trainer.discriminator is not None and trainer.codec.quantizer.started
    assert trainer.take_step(quiet) == {} and trainer.step == 9
    after = state_of(trainer)
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


@pytest.mark.parametrize("steps", [(0,), (0, 1, 2, 3), (2,), (3, 5, 6)])  # before each of the stages begins, and in it
def test_silent_batches_anywhere(steps):
    trainer, figures = trained(Clips(silent=steps))
    assert all(torch.isfinite(value).all() for value in state_of(trainer).values())
    assert [step for step, found in enumerate(figures) if not found] == list(steps)
    _, undisturbed = trained(Clips())
    for name in undisturbed[-1]:
        assert 0.3 < (figures[-1][name] + 1e-6) / (undisturbed[-1][name] + 1e-6) < 3


@pytest.mark.parametrize("level", [2e-3, 1e-2, 0.05])  # heard, but faint: RMS 0.0002 ... 0.005
def test_faint_batches_do_not_mute_a_loss(level):
    norms = [{name: float(total / weight) for name, (total, weight) in trained(mixer, 14)[0].balancer.norms.items()}
             for mixer in (Clips(), Clips(silent=(4, 8, 9), level=level))]
    assert all(0.5 < norms[1][name] / norms[0][name] < 3 for name in norms[0])


def test_a_silent_clip_gives_its_place_to_another():
    clips = Clips().batch(0, 4)
    assert with_sound(clips) is clips
    clips[1], clips[3] = 0, 0.5 * HEARD
    assert np.array_equal(with_sound(clips), clips[[0, 2, 0, 2]])
    assert with_sound(0 * clips).shape == (0, 1, 1200)
    changed, same = (trained(Clips(), 6)[0] for _ in range(2))
    batch = Clips().batch(6, 2)
    changed.take_step(np.stack([batch[0], 0 * batch[0]]))
    same.take_step(batch[[0, 0]])
    assert all(torch.equal(value, state_of(same)[name]) for name, value in state_of(changed).items())


def test_nothing_but_silence_is_told():
    with pytest.raises(ValueError, match="corpus: expected clips with sound in them, got silence"):
        trained(Clips(silent=range(10**6)))


def test_losses_of_silence_are_of_the_size_of_others():
    """Gradients of what is relative to a signal's size are what they would be at an RMS of 0.001."""
    noise = torch.randn(2, 1, 1200, generator=torch.Generator().manual_seed(0))

    def slope(loss, x):
        y = (x + 0.02 * noise).requires_grad_(True)
        return float(torch.autograd.grad(loss(x, y), y)[0].norm())

    def features(x, y):
        return losses.feature_matching([[x]], [[y]])

    for loss in (losses.relative_squared_error, features):
        assert slope(loss, 0 * noise) <= 2.5 * slope(loss, 0.001 * noise)


def test_the_balancer_forgives_one_odd_batch():
    balancer, y = Balancer(), torch.zeros(1, 1, 100, requires_grad=True)
    for scale in [1.0] * 50 + [1e6]:
        balancer.gradient({"a": (scale * y).sum()}, {"a": 1.0}, y)
    total, weight = balancer.norms["a"]
    assert float(total / weight) == pytest.approx(10 * (50 + 10) / 51, rel=0.02)  # the length of ones [100] is 10
    for _ in range(60):  # but what lasts is followed
        balancer.gradient({"a": (0 * y).sum()}, {"a": 1.0}, y)
    assert float(balancer.norms["a"][0]) > 0


# ---- errors beside the training


@pytest.mark.parametrize("owner, name, what", [
    (Validator, "measure", "validation"), (log.RunLog, "report", "validation"),
    (log.RunLog, "draw_curves", "curves"), (log.RunLog, "draw_spectrograms", "spectrograms"),
    (log.Table, "append", "row of the log")])
def test_an_error_beside_the_training_costs_no_step(one_file, model, tmp_path, monkeypatch, capsys, owner, name, what):
    def fail(*args, **options):
        if (tmp_path / checkpoints.NAME).exists():
            steps.append(checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)["step"])
        raise OSError("no space left")

    steps = []
    monkeypatch.setattr(owner, name, fail)
    assert codec.main(["--corpus", str(one_file), "--model", str(model), "--out", str(tmp_path), "--steps", "3",
                       "--validate-every", "2", *COMMON]) == 0
    assert f"step 2: no {what}: OSError('no space left')" in capsys.readouterr().err
    assert checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)["step"] == 3
    assert {2, 3} <= set(steps)  # it was written first


def test_a_corpus_that_cannot_be_read_any_more_costs_no_step(one_file, model, tmp_path, monkeypatch, capsys):
    batch = codec.Mixer.batch

    def fail(self, step, *args):
        if step == 3:
            raise OSError("the disk is gone")
        return batch(self, step, *args)

    monkeypatch.setattr(codec.Mixer, "batch", fail)
    assert codec.main(["--corpus", str(one_file), "--model", str(model), "--out", str(tmp_path), *COMMON]) == 2
    assert "the disk is gone" in capsys.readouterr().err
    assert checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)["step"] == 3


@pytest.mark.parametrize("gain, seconds, n_files", [(0.002, 4.0, 1), (0.002, 1.0, 40), (1.0, 0.5, 1)],
                         ids=["one faint sound", "many faint sounds", "too short to hold a part out"])
def test_without_figures(model, tmp_path, capsys, gain, seconds, n_files):
    folder = packed(tmp_path, n_files, gain, seconds)
    arguments = ["--corpus", str(folder), "--model", str(model), "--out", str(tmp_path / "run"), *COMMON]
    assert codec.main([*arguments, "--steps", "2"]) == 0
    assert codec.main([*arguments, "--steps", "3"]) == 0
    assert "step 3: no figures: no held-out clip is loud enough" in capsys.readouterr().out
    assert checkpoints.read_checkpoint(tmp_path / "run" / checkpoints.NAME)["step"] == 3
    rows = log.read_table(tmp_path / "run" / "validation.csv")
    assert [(row["step"], row["kbps"]) for row in rows] == [("2", ""), ("3", "")]
    assert (tmp_path / "run" / "curves.png").exists()
    assert refit.main([str(model), str(tmp_path / "new"), "--corpus", str(folder), "--clips", "24", "--seconds", "0.2",
                       "--rounds", "1"]) == 0
    assert "no figures" in capsys.readouterr().err and load(tmp_path / "new")


# ---- going on


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, one_file, model):
    """The folder of a run of four steps whose adversary has joined, with the checkpoints of steps 2 and 4 kept."""
    folder = tmp_path_factory.mktemp("run")
    assert codec.main(["--corpus", str(one_file), "--model", str(model), "--out", str(folder), "--steps", "4",
                       "--adversary-from", "2", "--keep-every", "2", *COMMON]) == 0
    return folder


def again(folder, stopped, one_file, *options, n_kept=2):
    folder.mkdir(exist_ok=True)
    for name in [checkpoints.NAME, "checkpoint-2.pt", "checkpoint-4.pt", "train.csv"][:4 if n_kept else 1]:
        if not (folder / name).exists():
            (folder / name).write_bytes((stopped / name).read_bytes())
    return codec.main(["--corpus", str(one_file), "--out", str(folder), "--device", "cpu", "--threads", "1", *options])


def test_a_resumed_run_says_what_it_keeps(stopped, one_file, tmp_path, capsys):
    assert again(tmp_path, stopped, one_file, "--steps", "5", "--preset", "tiny_48khz", "--model", "other",
                 "--disc-filters", "4", "--freeze", "encoder", "--start", "random", "--unquantized", "7",
                 "--adversary-from", "9", "--lr", "0.001", "--batch", "2") == 0
    said = capsys.readouterr().err.splitlines()
    for line in (f"goes on from {tmp_path / checkpoints.NAME} at step 4",
                 "--preset tiny_48khz: ignored, the checkpoint's model is kept",
                 "--model other: ignored, the checkpoint's model is kept",
                 "--disc-filters 4: ignored, 2 is kept: the adversary has joined",
                 "--adversary-from 9: ignored, 2 is kept: the adversary has joined",
                 "--freeze encoder: ignored, '' is kept: the optimiser's state is that of the weights that learn",
                 "--start random: ignored, 'transform' is kept: the run has started",
                 "--unquantized 7: ignored, 1 is kept: the codebooks have started",
                 "--lr 0.001: from now on, in place of 0.0003", "--steps 5: from now on, in place of 4"):
        assert said.count(line) == 1, line
    kept, = (line for line in said if line.startswith("kept from the checkpoint: "))
    assert {"batch 2", "seconds 0.1", "disc-filters 2"} <= set(kept[26:].replace("_", "-").split(", "))
    assert "lr" not in kept and not any(line.startswith("--batch") for line in said)
    state = checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)
    assert state["step"] == 5 and state["config"] == TINY and state["recipe"].disc_filters == 2
    assert state["recipe"].lr == 0.001 and state["recipe"].freeze == ""


def test_a_run_at_its_end_says_so(stopped, one_file, tmp_path, capsys):
    assert again(tmp_path, stopped, one_file, "--steps", "3") == 0
    assert "nothing to do: 4 steps are done, of 3" in capsys.readouterr().err
    assert checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)["step"] == 4


@pytest.mark.parametrize("damage", [lambda data: data[:-50], lambda data: data[:1000], lambda data: b"",
                                    lambda data: b"no checkpoint"], ids=["end", "half", "empty", "text"])
def test_a_damaged_checkpoint(stopped, one_file, tmp_path, capsys, damage):
    """It is named. Without another nothing is done; with one kept before, the run goes on from there, and says so."""
    broken = tmp_path / checkpoints.NAME
    broken.write_bytes(data := damage((stopped / checkpoints.NAME).read_bytes()))
    assert again(tmp_path, stopped, one_file, n_kept=0) == 2
    said = capsys.readouterr().err
    assert f"{broken}: expected a checkpoint, got" in said and said.count("\n") == 1
    assert broken.read_bytes() == data
    (tmp_path / "checkpoint-4.pt").write_bytes(data)  # so is the newest kept one
    assert again(tmp_path, stopped, one_file, "--steps", "3") == 0
    said = capsys.readouterr().err
    assert f"{broken}: expected a checkpoint" in said
    assert f"goes on from {tmp_path / 'checkpoint-2.pt'} at step 2 instead" in said
    assert checkpoints.read_checkpoint(broken)["step"] == 3


def test_another_programs_file_is_no_checkpoint(tmp_path):
    for state in ({"step": 1}, [1, 2], {"model": {}, "recipe": {}}):
        torch.save(state, tmp_path / checkpoints.NAME)
        with pytest.raises(ValueError, match=f"{checkpoints.NAME}: expected a checkpoint"):
            checkpoints.read_checkpoint(tmp_path / checkpoints.NAME)


def test_a_table_that_a_power_cut_left_unfinished(tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes(b"step,minutes,lr\n1,0.1,1\n2,0.2,1\n3,0.")
    assert [row["step"] for row in log.read_table(path)] == ["1", "2"]
    path.write_bytes(b"step,minutes,lr\n1,0.1,1\n\0\0\0\0\xff")
    log.Table(path, ("step", "minutes", "lr"), 1).append(step=2, minutes=0.5)
    assert [(row["step"], row["minutes"]) for row in log.read_table(path)] == [("1", "0.1"), ("2", "0.5")]


# ---- absurd values


@pytest.mark.parametrize("options, said", [
    (["--seconds", "0.0005"], "seconds: expected clips of at least 0.0033 s, two frames, got 0.0005"),
    (["--seconds", "inf"], "seconds: expected a finite number, got inf"),
    (["--seconds", "nan"], "seconds: expected a finite number, got nan"),
    (["--seconds", "1e9"], "seconds: expected a batch of at most 3600 s in all, got 1000000000.0"),
    (["--batch", "1000000000"], "seconds: expected a batch of at most 3600 s in all"),
    (["--lr", "inf"], "lr: expected a finite number, got inf"),
    (["--disc-filters", "1000000"], "disc_filters: expected at most 1024, got 1000000"),
    (["--search", "1000000000", "--freeze", "encoder"], "search: expected a number from 1 to 64, got 1000000000"),
    (["--log-every", "0"], "--log-every: expected at least 1, got 0"),
    (["--validate-every", "0"], "--validate-every: expected at least 1, got 0"),
    (["--keep-every", "-2"], "--keep-every: expected at least 1, got -2"),
    (["--threads", "-1"], "--threads: expected at least 1, got -1"),
    (["--minutes", "nan"], "--minutes: expected 0 ... inf, got nan"),
    (["--clips", "-1"], "--clips: expected 0 ... 1000, got -1"),
    (["--device", "nonsense"], "--device: expected one that can be used, got nonsense"),
    (["--device", "cuda:99"], "--device: expected one that can be used, got cuda:99"),
    (["--steps", "0"], "steps: expected a number above 0, got 0")])
def test_absurd_values_get_one_line(one_file, model, tmp_path, capsys, options, said):
    assert codec.main(["--corpus", str(one_file), "--model", str(model), "--out", str(tmp_path), "--device", "cpu",
                       *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / checkpoints.NAME).exists()


def test_numbers_of_a_recipe_are_finite():
    for field in dataclasses.fields(Recipe):
        if field.type is float:
            with pytest.raises(ValueError, match=f"{field.name}: expected a finite number, got inf"):
                Recipe(**{field.name: np.inf})


def test_figures_are_of_the_average(one_file, model, tmp_path, monkeypatch):
    """Validation and spectrograms hear the running average, whatever else goes wrong."""
    heard = []
    monkeypatch.setattr(Validator, "measure", lambda self, codec: heard.append(codec) or Report([], [], 0.0, 0.0))
    monkeypatch.setattr(log.RunLog, "draw_curves", lambda self: 1 / 0)
    monkeypatch.setattr(log.RunLog, "draw_spectrograms", lambda self, codec, validator: heard.append(codec))
    monkeypatch.setattr(codec.Run, "save", lambda self: averages.append(self.trainer.average.codec))
    averages = []
    assert codec.main(["--corpus", str(one_file), "--model", str(model), "--out", str(tmp_path), "--steps", "2",
                       "--average", "0.9", *COMMON]) == 0
    assert len(heard) == 2 and all(one is averages[0] for one in heard)
