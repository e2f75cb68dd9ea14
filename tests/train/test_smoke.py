"""The whole way on real sound: a corpus, a codec that learns one sentence by heart, stopped and gone on with, exported,
and run by NumPy. Two minutes."""

import shutil

import numpy as np
import pytest
import torch

from tests.helpers.paths import DATA
from tinyencodec import compress, decompress, load_model, read_audio
from tinyencodec.train import checkpoints, codec, corpus, export, log
from tinyencodec.train.losses import si_snr
from tinyencodec.train.network import load
from tinyencodec.train.packed import SPLITS, split_of

SPEECH = DATA / "speech.flac"
RATE = 24_000
RECIPE = ["--batch", "4", "--seconds", "0.5", "--unquantized", "100", "--lr", "4e-4", "--rise", "50", "--mel", "0.2",
          "--adversary-from", "660", "--disc-filters", "2", "--seed", "3", "--threads", "1", "--device", "cpu",
          "--log-every", "50", "--validate-every", "350", "--clips", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run: 350 steps, and after a stop 350 more."""
    folder = tmp_path_factory.mktemp("smoke")
    (folder / "sounds").mkdir()
    names = {}
    for number in range(400):  # the one sentence under a name of each split
        names.setdefault(split_of(f"sounds/{number}.flac"), number)
    for split in SPLITS:
        shutil.copy(SPEECH, folder / "sounds" / f"{names[split]}.flac")
    assert corpus.main(["--speech", str(folder / "sounds"), "--", str(folder / "corpus")]) == 0
    common = ["--corpus", str(folder / "corpus"), "--out", str(folder / "run"), *RECIPE]
    assert codec.main([*common, "--preset", "nano_24khz", "--steps", "350"]) == 0
    assert checkpoints.read_checkpoint(folder / "run" / checkpoints.NAME)["step"] == 350
    assert codec.main([*common, "--steps", "700", "--cooldown", "250"]) == 0
    assert export.main([str(folder / "run"), str(folder / "model"), "--precision", "rows"]) == 0
    return folder


def test_it_learnt(run):
    """From the start on the sound comes through; the codebooks cost half of it, and it comes back, by the log."""
    rows = log.read_table(run / "run" / "train.csv")
    error = {int(row["step"]): float(row["squared"]) for row in rows}
    print({step: round(value, 3) for step, value in error.items()})
    assert sorted(error) == list(range(50, 701, 50))
    assert error[100] < 0.2 and error[200] > error[350] > error[700] and error[700] < 0.15
    assert {int(row["step"]) for row in rows if row["adversarial"]} == {700}


def test_numpy_runs_it(run):
    """The sentence comes back through bytes, better at every rate, and with PyTorch's codes."""
    model, wav = load_model(run / "model"), read_audio(SPEECH, RATE, 1)
    snr = {}
    for kbps in model.bandwidths:
        heard, rate = decompress(compress(model, wav, kbps), model)
        assert rate == RATE and heard.shape == wav.shape
        snr[kbps] = float(si_snr(torch.from_numpy(wav[0]), torch.from_numpy(heard[0])))
    print({kbps: round(value, 2) for kbps, value in snr.items()})
    assert snr[1.5] < snr[3.0] < snr[6.0] and snr[6.0] > 3

    (frame,) = model.encode(wav, 6.0)
    twin = load(run / "model").eval()
    with torch.no_grad():
        codes = twin.quantizer.quantize(twin.latent(torch.from_numpy(wav)[None]), 8)[1][0].numpy()
    assert np.mean(codes != frame.codes) <= 0.002  # ties, and what follows from them
