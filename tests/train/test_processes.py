"""Training in two processes on the CPU. Each child runs this file as a module: see `main` at the end."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.paths import ROOT
from tests.train.test_corpus import make_corpus
from tests.train.test_run import advance, make_trainer, state_of
from tinyencodec.train import checkpoints, distributed
from tinyencodec.train.network import save
from tinyencodec.train.quantizer import ResidualQuantizer


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def run_children(task, size, *arguments):
    """Run `task` in `size` processes that know of each other as under torchrun."""
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"tests.train.{Path(__file__).stem}", task, *map(str, arguments)]
    children = [subprocess.Popen(command, cwd=ROOT, env=os.environ | shared | {"RANK": str(rank)},
                                 stderr=subprocess.PIPE, text=True) for rank in range(size)]
    try:
        for child in children:
            said = child.communicate(timeout=300)[1]
            assert child.returncode == 0, said[-2000:]
    finally:
        for child in children:
            child.kill()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def test_codebooks_of_two_processes_are_those_of_one(tmp_path):
    for size in (1, 2):
        run_children("learn", size, tmp_path)
    one, first, second = (torch.load(tmp_path / name) for name in ("0-of-1.pt", "0-of-2.pt", "1-of-2.pt"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert all(torch.allclose(value, first[name], atol=1e-5) for name, value in one.items())


def learn(folder):
    rows = torch.randn(128, 8, generator=torch.Generator().manual_seed(0))
    quantizer = ResidualQuantizer(2, 16, 8)
    quantizer.start(rows, torch.Generator().manual_seed(0))
    for step in range(30):
        part = rows.chunk(distributed.size())[distributed.rank()] + 0.01 * step
        quantizer(part.t()[None], 2, torch.Generator().manual_seed(step))
    torch.save(quantizer.state_dict(), Path(folder) / f"{distributed.rank()}-of-{distributed.size()}.pt")


def test_two_processes_stay_alike(corpus, tmp_path):
    """Different clips, one model: through all stages, every tensor is the same in both."""
    run_children("train", 2, corpus, tmp_path)
    first, second = (torch.load(tmp_path / f"state-{rank}.pt") for rank in (0, 1))
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    alone = make_trainer(corpus)
    for _ in range(6):
        advance(alone)
    assert not torch.equal(first["codec.encoder.layers.0.conv.weight_v"],
                           alone.codec.state_dict()["encoder.layers.0.conv.weight_v"])


def train(corpus, folder):
    trainer = make_trainer(Path(corpus))
    for _ in range(6):
        trainer.take_step(trainer.mixer.batch(trainer.step, trainer.recipe.batch, distributed.rank()))
    torch.save(state_of(trainer), Path(folder) / f"state-{distributed.rank()}.pt")


def test_torchrun(corpus, tmp_path):
    trainer = make_trainer(corpus)
    for _ in range(3):
        advance(trainer)
    save(trainer.codec, tmp_path / "model")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(),
               "-m", "tinyencodec.train.codec", "--corpus", str(corpus), "--model", str(tmp_path / "model"),
               "--out", str(tmp_path / "run"), "--steps", "3", "--batch", "1", "--seconds", "0.1", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert checkpoints.read_checkpoint(tmp_path / "run" / checkpoints.NAME)["step"] == 3


def main(task, *arguments):
    torch.set_num_threads(1)
    distributed.start(torch.device("cpu"))
    {"learn": learn, "train": train}[task](*arguments)
    distributed.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
