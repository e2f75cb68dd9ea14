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
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
        return {"error": last if done.returncode > 0 else f"ended by signal {-done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


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
    """Seconds to `import tinyencodec`, and from a process' start to its end when it encodes 1 s of sound.

    `compiling` begins with no kernel in Numba's cache, `cached` with all of them. `python` is an empty process.
    """
    script = "import time; t = time.perf_counter(); import tinyencodec; print(time.perf_counter() - t)"
    imports = [float(_start(["-c", script], {}).stdout) for _ in range(repeat)]
    empty = [timed(_start, ["-c", "pass"], {})[0] for _ in range(repeat)]
    job = {"do": "encode", "folder": str(folder), "seconds": 1, "threads": 1}
    with tempfile.TemporaryDirectory() as cache:
        (compiling, figures), *later = (timed(ask, job, NUMBA_CACHE_DIR=cache) for _ in range(1 + repeat))
    if "error" in figures:
        return figures
    return {"model": folder.name, "python": statistics.median(empty), "import": statistics.median(imports),
            "compiling": compiling, "cached": statistics.median(seconds for seconds, _ in later)}


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
