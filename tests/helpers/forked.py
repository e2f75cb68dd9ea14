"""The real program many times over, without its start-up: a process that has imported and compiled all forks for each.

    program = Program(folder, environment)
    done = program(["in.wav", "out.ecdc"], kill=signal.SIGKILL, event=3)

A fork has a terminal, exit code, signals and limits of its own, as if it had been started by a shell. To be ended at
chosen moments it counts what it does to files (Python's audit events that name a file in the working folder): `event=3`
kills it right before the fourth, `after=0.01` so many seconds after its start.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ENDS_QUICKLY = False
WATCHED = ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir", "os.rmdir", "shutil.rmtree")


class Ended(NamedTuple):
    """How a run of the program ended."""

    code: int  # exit code, or minus the number of the signal
    err: str  # what it wrote to standard error
    events: int  # that it came to
    seconds: float


class Program:
    """Runs the program in `folder`; `warm`: argument lists that are run first, in the process that is forked later."""

    def __init__(self, folder: Path, environment: dict[str, str], warm: list[list[str]]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]), **environment})
        for argv in warm:
            self._ask(warm=argv)

    def __call__(self, argv: list[str], *, kill: int | None = None, event: int | None = None,
                 after: float | None = None, fsize: int | None = None, stdout: str = os.devnull) -> Ended:
        return Ended(**self._ask(argv=[str(arg) for arg in argv], kill=kill, event=event, after=after, fsize=fsize,
                                 stdout=stdout))

    def _ask(self, **request: object) -> dict:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


# ---- in the process that forks -----------------------------------------------------------------------


def serve() -> list[str]:
    """Answer requests; in each fork, return its arguments."""
    import gc

    import tinyencodec.cli.main

    for line in sys.stdin:
        gc.freeze()  # so that collections in the forks leave shared memory alone
        request = json.loads(line)
        if "warm" in request:
            with contextlib.redirect_stdout(sys.stderr):
                code = tinyencodec.cli.main.main(request["warm"])
            print(json.dumps({"code": code}), flush=True)
            continue
        errors, counter = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            become(request, errors.fileno(), counter.fileno())
            return request["argv"]
        if request["after"] is not None:
            time.sleep(request["after"])
            os.kill(pid, request["kill"])
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        took = time.monotonic() - began
        errors.seek(0)
        err = errors.read().decode(errors="replace")
        print(json.dumps({"code": status, "err": err, "events": os.fstat(counter.fileno()).st_size, "seconds": took}),
              flush=True)
        errors.close()
        counter.close()
    os._exit(0)


def become(request: dict, errors: int, counter: int) -> None:
    """Make this fork a process as a shell starts it."""
    import resource

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, flags, target in ((0, os.O_RDONLY, os.devnull), (1, os.O_WRONLY | os.O_CREAT, request["stdout"])):
        os.dup2(os.open(target, flags, 0o666), number)
    os.dup2(errors, 2)
    global ENDS_QUICKLY
    ENDS_QUICKLY = request["stdout"] == os.devnull
    if request["fsize"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["fsize"], request["fsize"]))
    here, count, counter = os.getcwd(), 0, os.dup(counter)  # of a file that the caller closes

    def watch(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in WATCHED or not isinstance(arguments[0], str | os.PathLike):
            return
        if os.path.dirname(os.path.abspath(arguments[0])).startswith(here):
            count += 1
            if count - 1 == request["event"]:
                os.kill(os.getpid(), request["kill"])
            os.write(counter, b".")

    if request["after"] is None:
        sys.addaudithook(watch)


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    arguments = serve()
    from tinyencodec.cli.main import main

    sys.argv = ["tinyencodec", *arguments]
    try:
        code = main()
    except SystemExit as stop:
        code = stop.code
    if ENDS_QUICKLY:  # the interpreter takes longer to leave than the program to run
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
