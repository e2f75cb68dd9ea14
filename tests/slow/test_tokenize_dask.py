"""`tinyencodec tokenize --scheduler` with a real cluster of processes: the same bytes as without it, whoever dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from tests.helpers import program
from tests.helpers.models import MONO, RATE, save_model
from tests.helpers.paths import tree
from tinyencodec.tools.tokenize import open_dataset, part, plan

dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")

BAD = "f3.wav"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A model, twelve recordings of 20 s, and a file that is none."""
    data, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    save_model(data / "model", MONO)
    (data / "in").mkdir()
    for i in range(12):
        soundfile.write(data / f"in/f{i:02d}.wav", 0.3 * random.standard_normal(20 * RATE), RATE)
    (data / "in" / BAD).write_bytes(b"RIFF, but no more")
    return data


@contextmanager
def started(**options):
    """Two workers, each a process that is started anew when it dies; patient, as the machine may be busy."""
    patience = {"distributed.comm.timeouts.connect": "60s", "distributed.scheduler.allowed-failures": 1}
    with dask.config.set(patience), distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                                             dashboard_address=":0", **options) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def cluster():
    with started() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(plan, "_LEAST", 100_000)


def run(data, out, *options):
    return program.run("tokenize", data / "in", "--out", data / out, "-m", data / "model", "-b", 8, "--shard-size", 0.2,
                       *options)


@pytest.fixture(scope="module")
def local(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_LEAST", 100_000)
        assert run(data, "local", "-j", "1") == 1
    found = tree(data / "local")
    assert len([name for name in found if name.startswith("shard-")]) > 2
    return found


def test_same_bytes_as_in_one_process(data, local, cluster, capsys):
    assert run(data, "cluster", "--scheduler", cluster.scheduler_address) == 1
    assert f"1 file could not be coded, as {data}/cluster/errors.jsonl tells:\n  {BAD}: " in capsys.readouterr().err
    assert tree(data / "cluster") == local
    assert BAD not in open_dataset(data / "cluster").names and len(open_dataset(data / "cluster")) == 12


def test_a_worker_killed_in_the_middle(data, local, cluster):
    """Killed while it codes, which the list of parts shows; its nanny starts another one."""
    killed = []

    def kill():
        unfinished = data / "killed" / plan.UNFINISHED
        while len(list(unfinished.glob("part-*.jsonl"))) < 2 or not list(unfinished.glob("part-*.at")):
            time.sleep(0.002)
        for process in [worker.process.process for worker in cluster.workers.values()][:1]:
            os.kill(process.pid, signal.SIGKILL)
            killed.append((process.pid, len(list(unfinished.glob("part-*.jsonl")))))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert run(data, "killed", "--scheduler", cluster.scheduler_address) == 1
    killer.join(1)
    assert killed and killed[0][1] < 13
    assert tree(data / "killed") == local


def test_taken_up_on_the_cluster_and_back(data, local, cluster, monkeypatch):
    """Begun in one process, interrupted; the rest on the cluster."""
    with monkeypatch.context() as patch:
        count = []

        def encode(job):
            if len(count) == 4:
                raise KeyboardInterrupt
            count.append(job)
            return part.encode_part(job)

        patch.setattr("tinyencodec.tools.tokenize.local.encode_part", encode)
        assert run(data, "both", "-j", "1") == 130
    assert len(list((data / "both" / plan.UNFINISHED).glob("part-*.jsonl"))) == 4
    assert run(data, "both", "--scheduler", cluster.scheduler_address) == 1
    assert tree(data / "both") == local


def test_a_file_that_kills_each_worker(data, local, tmp_path):
    """After as many deaths as are allowed, here two, it is listed as bad, and the rest is as ever."""
    (tmp_path / "preload.py").write_text(f"""
import os
from tinyencodec.tools.tokenize import part
def deadly(model, file, *rest, encode=part._encode_file):
    if file.name == {BAD!r}:
        os.kill(os.getpid(), 9)
    return encode(model, file, *rest)
if part._encode_file.__name__ != "deadly":  # Dask may load this twice
    part._encode_file, part.MOST_CRASHES = deadly, 2
""")
    with started(preload=str(tmp_path / "preload.py")) as cluster:
        assert run(data, "deadly", "--scheduler", cluster.scheduler_address) == 1
    made = tree(data / "deadly")
    assert json.loads(made["errors.jsonl"])["error"] == "2 processes died of it"
    assert {name for name in local if made[name] != local[name]} == {"errors.jsonl", "dataset.json"}


def test_workers_that_cannot(data, cluster, capsys, monkeypatch):
    """Another version: one line, and the work can be taken up."""
    monkeypatch.setattr("tinyencodec.tools.tokenize.build.__version__", "9.9")
    assert run(data, "version", "--scheduler", cluster.scheduler_address) == 2
    assert "tinyencodec: expected version 9.9 on each machine, got " in capsys.readouterr().err


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "x:y:z", "tls://127.0.0.1:9"])
def test_no_scheduler(data, address):
    """One line, and nothing later from the threads of a half-made client."""
    script = """if 1:
        import sys
        from tinyencodec.cli import main as cli
        from tinyencodec.tools.tokenize import cluster
        cluster._TIMEOUT = "1s"
        sys.exit(cli.main(["tokenize", *sys.argv[1:]]))"""
    done = subprocess.run(
        [sys.executable, "-c", script, data / "in", "--out", data / "none", "-m", data / "model",
         "--scheduler", address],
        capture_output=True, text=True, timeout=120, env={**os.environ, **program.ENVIRONMENT})
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"expected the address of a Dask scheduler that answers, got {address}: " in done.stderr
    assert not (data / "none").exists()
