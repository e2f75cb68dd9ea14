"""The whole benchmark, from arguments to one nested dict of figures (what `--json` writes)."""

import os
import platform
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import soundfile

from tinyencodec.models.store import DEFAULT_MODEL
from tinyencodec.system.compiler.jit import JIT
from tinyencodec.system.progress import progress
from tinyencodec.system.workers import processors
from tinyencodec.tools.bench.child import ask, start_times
from tinyencodec.tools.bench.peers import CannotRun, find_peer
from tinyencodec.tools.bench.speed import Contestant, our_contestant, profile_layers, race, stream
from tinyencodec.tools.bench.subject import Subject, make_subject, sound
from tinyencodec.tools.reporting import versions

_PATIENCE = 300  # seconds of sound: longer ones are coded less often, but twice at least


def run_benchmarks(models: list[str], seconds: list[float], threads: list[int], repeat: int, parts: list[str],
                   against: list[str], against_seconds: float, *, profile: bool, streamed: float) -> dict:
    """Measure `parts` and return the figures.

    models : names or folders. seconds, threads : all combinations. streamed : seconds of sound pushed frame by
    frame. Other arguments as those of the command. Raises `ValueError` for a model that cannot be loaded.
    """
    with tempfile.TemporaryDirectory() as scratch:
        subjects = [make_subject(name, Path(scratch)) for name in models]
        figures: dict = {
            "machine": machine(),
            "models": {s.model.name: {"random_weights": s.random, "bandwidth": s.model.usual_bandwidth,
                                      "sample_rate": s.model.sample_rate, "channels": s.model.channels}
                       for s in subjects},
            "peers": {}, "left_out": []}
        peers = _Peers(against, against_seconds, figures)
        work: list[tuple[str, Callable[[], list[dict]]]] = []
        if "speed" in parts:
            work += [("speed", partial(_speed, s, t, threads, repeat, peers))
                     for s in subjects for t in sorted(seconds)]
        if "streaming" in parts:
            work += [("streaming", partial(stream, s, streamed)) for s in subjects]
        if "memory" in parts:
            work += [("memory", partial(_memory, s, t, max(threads), peers, Path(scratch)))
                     for s in subjects for t in sorted(seconds)]
        if "start" in parts:
            subject = next((s for s in subjects if s.model.name == DEFAULT_MODEL), subjects[0])
            work.append(("start", lambda: [start_times(subject.folder, min(repeat, 3))]))
        work += [("profile", partial(profile_layers, s, min(10.0, max(seconds)))) for s in subjects
                 if profile or ("layers" in parts and s.model.name == DEFAULT_MODEL)]
        with progress("measuring") as report:
            for done, (part, step) in enumerate(work):
                if report is not None:
                    report(done, len(work))
                figures.setdefault(part, []).extend(step())
    figures["machine"]["load_after"] = _load()
    return figures


def machine() -> dict:
    """What the figures depend on."""
    cpu = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"cpu": cpu, "cores": processors(), "system": platform.system(), **versions("numpy", "numba"),
            "jit": JIT, "load_before": _load()}


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


class _Peers:
    """Those asked for; `figures` is told of each that takes part, and once of each that cannot."""

    def __init__(self, names: list[str], longest: float, figures: dict) -> None:
        self._names, self._longest, self._figures = names, longest, figures

    def contestants(self, subject: Subject, seconds: float, threads: int) -> list[Contestant]:
        """Those that can do this work, set up for it."""
        found = []
        for name in self._names if seconds <= self._longest else ():
            try:
                peer = find_peer(name)
                found.append(peer.contestant(subject, seconds, threads))
            except CannotRun as error:
                row = {"peer": name, "model": subject.model.name, "reason": str(error)}
                if row not in self._figures["left_out"]:
                    self._figures["left_out"].append(row)
            else:
                self._figures["peers"][name] = peer.version
        return found


def _speed(subject: Subject, seconds: float, threads: list[int], repeat: int, peers: _Peers) -> list[dict]:
    contestants = [one for n in threads
                   for one in [our_contestant(subject, n), *peers.contestants(subject, seconds, n)]]
    return race(subject, seconds, contestants, max(min(repeat, 2), min(repeat, int(_PATIENCE / seconds))))


def _memory(subject: Subject, seconds: float, threads: int, peers: _Peers, scratch: Path) -> list[dict]:
    name = subject.model.name
    who = ["ours", *(peer.who for peer in peers.contestants(subject, seconds, threads))]
    rows = []
    for operation in ("encode", "decode"):
        job = {"do": operation, "folder": str(subject.folder), "seconds": seconds, "threads": threads}
        rows += [{"model": name, "operation": operation, "seconds": seconds, "who": one, **ask(job | {"who": one})}
                 for one in who]
    wav, code, out = (str(scratch / file) for file in ("in.wav", "code.ecdc", "out.wav"))
    soundfile.write(wav, sound(subject.model, seconds).T, subject.model.sample_rate, "PCM_16")
    for operation, source, dest in (("encode", wav, code), ("decode", code, out)):
        job = {"do": "files", "operation": operation, "folder": str(subject.folder), "source": source, "dest": dest}
        rows.append({"model": name, "operation": operation, "seconds": seconds, "who": "ours, file to file",
                     **ask(job)})
    return rows
