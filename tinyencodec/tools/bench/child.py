"""Measurements that need a process of their own: peak memory and start-up.

`python -m tinyencodec.tools.bench.child JOB`, with JOB a JSON object, prints its figures as one. The parent calls
`ask`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tinyencodec.models.store import load_model
from tinyencodec.tools.bench.speed import our_contestant, timed
from tinyencodec.tools.bench.subject import Subject, codes_for, sound

_PACKAGE = Path(__file__).parents[3]


def ask(job: dict, **environment: str) -> dict:
    """Do `job` in a new process. Returns its figures, or {"error": one line} if it died."""
    done = _start(["-m", "tinyencodec.tools.bench.child", json.dumps(job)], environment)
    return {"error": _last_line(done)} if done.returncode else json.loads(done.stdout.splitlines()[-1])


def _last_line(done: subprocess.CompletedProcess) -> str:
    ended = f"ended by signal {-done.returncode}"
    return ended if done.returncode < 0 else (done.stderr.strip().splitlines() or [ended])[-1]


def _start(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess:
    path = os.pathsep.join(filter(None, [str(_PACKAGE), os.environ.get("PYTHONPATH")]))
    return subprocess.run([sys.executable, *arguments], env={**os.environ, "PYTHONPATH": path, **environment},
                          capture_output=True, text=True)


def peak_memory() -> float | None:
    """The most memory that this process has had, in MB (1e6 bytes); None where there is no /proc to tell.

    `getrusage` would not do: Linux carries its figure over from the parent into a new program.
    """
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        return None


def start_times(folder: Path, repeat: int) -> dict:
    """Seconds from a process' start to its end when it encodes 1 s of sound.

    `compiling` begins with no kernel in the cache, `cached` with all of them; `parts` are those of the latter. `numba`
    is a process that imports NumPy and Numba, to compare with. Medians of `repeat` processes of each kind.
    """
    numba = [timed(_start, ["-c", "import numpy, numba"], {})[0] for _ in range(repeat)]
    empty = [timed(_start, ["-c", "pass"], {})[0] for _ in range(repeat)]
    with tempfile.TemporaryDirectory() as cache:
        (compiling, figures), *later = (
            timed(_parts, ["-c", _START, str(folder)], {"NUMBA_CACHE_DIR": cache}) for _ in range(1 + repeat))
    if "error" in figures:
        return figures
    parts = {name: statistics.median(found[name] for _, found in later) for name in figures}
    return {"model": folder.name, "numba": statistics.median(numba), "compiling": compiling,
            "cached": statistics.median(seconds for seconds, _ in later),
            "parts": {"python": statistics.median(empty), **parts}}


# Prints the seconds of each part as JSON. The second run of the work tells what the first one spent to load kernels.
_START = """
import json, sys, time
parts, since = {}, time.perf_counter()
def done(part):
    global since
    parts[part], since = time.perf_counter() - since, time.perf_counter()
import numpy
done("numpy")
import llvmlite.binding
done("llvmlite")
import soundfile
done("soundfile")
import tinyencodec.cli.main, tinyencodec.codec.model, tinyencodec.models.store, tinyencodec.tools.transcode
done("modules")
model = tinyencodec.load_model(sys.argv[1])
done("weights")
wav = numpy.zeros((model.channels, model.sample_rate), numpy.float32)
model.encode(wav, model.usual_bandwidth)
done("kernels")
model.encode(wav, model.usual_bandwidth)
done("work")
parts["kernels"] -= parts["work"]
print(json.dumps(parts))
"""


def _parts(arguments: list[str], environment: dict[str, str]) -> dict:
    done = _start(arguments, environment)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": _last_line(done)}


# ---- in the child ------------------------------------------------------------------------------------


def _main(job: dict) -> dict:
    if job["do"] == "files":
        return _files(job)
    folder = Path(job["folder"])
    model = load_model(folder)
    subject = Subject(model, folder, False)
    if job.get("who", "ours") == "ours":
        contestant = our_contestant(subject, job["threads"])
    else:
        from tinyencodec.tools.bench.peers import find_peer

        contestant = find_peer(job["who"]).contestant(subject, job["seconds"], job["threads"])
    contestant.set_threads(job["threads"])
    if job["do"] == "encode":
        contestant.encode(sound(model, job["seconds"]))
    else:
        contestant.decode(codes_for(subject, job["seconds"]))
    return {"peak_mb": peak_memory()}


def _files(job: dict) -> dict:
    from tinyencodec.tools.transcode import compress_file, decompress_file

    model = load_model(job["folder"])
    if job["operation"] == "encode":
        compress_file(job["source"], Path(job["dest"]), model, force=True)
    else:
        with open(job["source"], "rb") as fo:
            decompress_file(fo, Path(job["dest"]), "WAV", lambda _: (model, None), job["source"], force=True,
                            rescale=True)
    return {"peak_mb": peak_memory()}


if __name__ == "__main__":
    print(json.dumps(_main(json.loads(sys.argv[1]))))
