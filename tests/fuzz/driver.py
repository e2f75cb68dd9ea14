"""What all fuzzers share: mutations, limits of time and memory, and a process of its own for the parser.

A fuzzer is a module of this folder with

    corpus() -> list[bytes]              good inputs, always the same
    read(data, random) -> str            read an input; what came of it, in a word. `ValueError`, `EOFError` and
                                         `OSError` of one printable line are the right answer to a bad one
    mutated(random, files) -> bytes      (may be missing) one input; else `mutate` of one of the corpus
    MEMORY                               (may be missing) bytes by which one input may make the process grow

Input number i of seed s is made by a generator that is seeded with both, so each can be made again alone.
"""

import contextlib
import importlib
import json
import mmap
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

FOLDER = Path(__file__).parent
PARSERS = ("ecdc", "torchfile", "safetensors", "config", "audio", "codes", "tables")
SECONDS = 10  # of processor time for one input; most take a millisecond
MEMORY = 96 << 20  # bytes, by which the process may grow at one input, unless the fuzzer says otherwise
ROOM = 8 << 30  # bytes of address space; NumPy, Numba and their threads take some of it without using it
NUMBERS = (0, 1, 2, 7, 8, 9, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1,
           2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


class TooSlow(BaseException):
    """An input took more than SECONDS."""


# ---- mutations ---------------------------------------------------------------------------------------


def number(random: random.Random) -> bytes:
    """A number that parsers stumble over, binary in either byte order, or as text."""
    value = random.choice(NUMBERS)
    size = random.choice("BHIQ")
    low = value % (1 << 8 * struct.calcsize(size))
    return random.choice((struct.pack("<" + size, low), struct.pack(">" + size, low), str(value).encode(),
                          str(-value).encode()))


def mutate(random: random.Random, data: bytes, files: list[bytes], words: tuple = ()) -> bytes:
    """`data` after one to six damages; `words` are texts of the format that may be put anywhere."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        at, size = random.randrange(len(data) + 1), random.choice((1, 2, 4, 10, random.randrange(1, 60)))
        kind = random.randrange(11)
        if kind < 3 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif kind == 3:
            data[at:at + size] = random.randbytes(len(data[at:at + size]))
        elif kind == 4:
            data[at:at + size] = random.choice((b"\0", b"\xff", b"\x01", b"9")) * len(data[at:at + size])
        elif kind == 5:
            del data[at:at + size]
        elif kind == 6:
            data[at:at] = random.randbytes(size)
        elif kind == 7:
            data[at:at] = data[(start := random.randrange(len(data) + 1)):start + size]
        elif kind == 8:
            other = random.choice(files)
            data[at:] = other[random.randrange(len(other) + 1):]
        elif kind == 9 and words:
            word = random.choice(words)
            data[at:at + (len(word) if random.random() < 0.5 else 0)] = word
        else:
            put = number(random)
            data[at:at + len(put)] = put
    return bytes(data)


# ---- one input ---------------------------------------------------------------------------------------


def generator(parser: str, seed: int, i: int) -> random.Random:
    return random.Random(f"{parser} {seed} {i}")


def make(fuzzer, source: random.Random, files: list[bytes]) -> bytes:
    """One input."""
    own = getattr(fuzzer, "mutated", None)
    return own(source, files) if own else mutate(source, source.choice(files), files)


def shape_of(message: str) -> str:
    """A message without what is different each time."""
    message = re.sub(r"^/\S+: ", "", message)
    message = re.sub(r"'[^']*'?|\"[^\"]*\"?|\[[^]]*\]?|\([^)]*\)?", "...", message)
    return re.sub(r"\b[0-9a-f]*\d[0-9a-f.]*\b", "#", message)[:160]


def judge(fuzzer, data: bytes, source: random.Random) -> tuple[str, str | None]:
    """Read an input: (what came of it, what is wrong with that)."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        outcome, wrong = fuzzer.read(data, source), None
    except (ValueError, EOFError, OSError) as error:
        message = str(error)
        outcome, wrong = f"{type(error).__name__}: {shape_of(message)}", None
        if not message or not message.isprintable() or len(message) > 2000:
            wrong = f"message: expected one printable line of at most 2000 letters, got {message[:300]!r}"
    except (Exception, TooSlow) as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcome = type(error).__name__
        place = traceback.extract_tb(error.__traceback__)[-1]
        wrong = f"{outcome} in {Path(place.filename).name}:{place.lineno}: {str(error)[:200]!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    if grown > getattr(fuzzer, "MEMORY", MEMORY):
        wrong = wrong or f"memory: grew by {grown >> 20} MiB"
    return outcome, wrong


def prepare(parser: str) -> tuple:
    """The fuzzer and its corpus, every file of which can be read; time is limited from here on."""
    def too_slow(*_) -> None:
        raise TooSlow(f"more than {SECONDS} s")

    if str(FOLDER) not in sys.path:
        sys.path[:0] = [str(FOLDER), str(FOLDER.parent.parent)]
    fuzzer = importlib.import_module(f"fuzz_{parser}")
    files = fuzzer.corpus()
    warnings.simplefilter("ignore", UserWarning)  # of zipfile, about what a fuzzer writes
    warnings.simplefilter("error", RuntimeWarning)  # NumPy's, which would end up on the user's terminal
    signal.signal(signal.SIGPROF, too_slow)
    for i, data in enumerate(files):
        outcome = fuzzer.read(data, generator(parser, 0, -1))
        assert outcome == "read", f"{parser}: file {i} of the corpus: expected it read, got {outcome}"
    return fuzzer, files


def try_some(parser: str, count: int, seed: int = 0) -> dict[str, int]:
    """Read so many inputs in this process; how often each outcome came. `AssertionError` for a wrong one."""
    fuzzer, files = prepare(parser)
    outcomes: dict[str, int] = {}
    for i in range(count):
        source = generator(parser, seed, i)
        outcome, wrong = judge(fuzzer, make(fuzzer, source, files), source)
        assert wrong is None, f"input {i} of seed {seed}, {parser}: {wrong}"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


# ---- many inputs, in a process that may die ----------------------------------------------------------


def child(parser: str, seed: int, start: int, seconds: float, most: int, state: str, out: str) -> None:
    """Read inputs from number `start` on; report on standard output. `state`: where to note the number at hand."""
    fuzzer, files = prepare(parser)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(state, "r+b") as fo:
        note = mmap.mmap(fo.fileno(), 8)
    told = os.fdopen(os.dup(1), "w")
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries in C say of damaged files
    outcomes: dict[str, int] = {}
    slowest, largest, wrongs = (0.0, -1), (0, -1), []
    began, i = time.monotonic(), start
    while i < start + most and time.monotonic() - began < seconds:
        note[:] = struct.pack("<Q", i)
        source = generator(parser, seed, i)
        data = make(fuzzer, source, files)
        before, at = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        outcome, wrong = judge(fuzzer, data, source)
        slowest = max(slowest, (time.process_time() - at, i))
        largest = max(largest, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, i))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if wrong:
            wrongs.append((i, wrong, save(out, parser, seed, i, data)))
            if len(wrongs) >= 50:
                break
        i += 1
    json.dump({"next": i, "outcomes": outcomes, "slowest": slowest, "largest": largest, "wrongs": wrongs,
               "seconds": time.monotonic() - began}, told)
    told.close()


def save(out: str, parser: str, seed: int, i: int, data: bytes) -> str:
    """Keep a failing input; its path."""
    Path(out).mkdir(parents=True, exist_ok=True)
    path = Path(out) / f"{parser}-{seed}-{i}.bin"
    path.write_bytes(data)
    return str(path)


def fuzz(parser: str, seed: int, start: int, seconds: float, most: int, out: str) -> dict:
    """Run a fuzzer for so long, or so many inputs, in processes of its own; what `child` reports, of all of them.

    A process that dies (a crash in a library in C) is a failure of the input at hand; another goes on after it.
    """
    total: dict = {"outcomes": {}, "slowest": (0.0, -1), "largest": (0, -1), "wrongs": [], "seconds": 0.0}
    end, first = time.monotonic() + seconds, start
    with tempfile.NamedTemporaryFile() as state:
        while most > start - first and (left := end - time.monotonic()) > 0 and len(total["wrongs"]) < 50:
            state.seek(0)
            state.write(struct.pack("<Q", start))
            state.flush()
            arguments = [parser, seed, start, left, most - (start - first), state.name, out]
            done = subprocess.run([sys.executable, str(FOLDER / "run.py"), "--child", json.dumps(arguments)],
                                  stdout=subprocess.PIPE, text=True, timeout=left + 300)
            if done.returncode == 0:
                report = json.loads(done.stdout)
            elif done.returncode > 0:
                raise RuntimeError(f"{parser}: the fuzzer itself failed")
            else:
                i = struct.unpack("<Q", Path(state.name).read_bytes())[0]
                fuzzer, files = prepare(parser)
                path = save(out, parser, seed, i, make(fuzzer, generator(parser, seed, i), files))
                report = {"next": i + 1, "outcomes": {"died": i - start + 1}, "slowest": (0.0, -1), "largest": (0, -1),
                          "wrongs": [(i, f"the process was ended by signal {-done.returncode}", path)], "seconds": 0.0}
            start = report["next"]
            total["wrongs"] += report["wrongs"]
            total["seconds"] += report["seconds"]
            for key in ("slowest", "largest"):
                total[key] = max(tuple(total[key]), tuple(report[key]))
            for outcome, count in report["outcomes"].items():
                total["outcomes"][outcome] = total["outcomes"].get(outcome, 0) + count
    return total
