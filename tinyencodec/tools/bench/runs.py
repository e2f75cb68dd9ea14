"""The whole benchmark, from arguments to one nested dict of figures (what `--json` writes)."""

import os
import platform
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import soundfile

from tinyencodec.models.store import DEFAULT_MODEL
from tinyencodec.system.progress import progress
from tinyencodec.tools.bench.child import ask, gemm_peak, start_times
from tinyencodec.tools.bench.speed import our_contestant, profile, race, stream
from tinyencodec.tools.bench.subject import Subject, make_subject, sound
from tinyencodec.version import __version__

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
            "models": {s.model.name: {"random_weights": s.random, "bandwidth": s.bandwidth,
                                      "sample_rate": s.model.sample_rate, "channels": s.model.channels,
                                      "gflop_per_second": {operation: s.gflop(operation, 10.0)
                                                           for operation in ("encode", "decode")}}
                       for s in subjects},
            "peers": {}, "left_out": []}
        peers = _Peers(against, against_seconds, figures)
        work: list[tuple[str, Callable[[], list[dict]]]] = []
        if "speed" in parts:
            figures["gemm_peak"] = gemm_peak()
            work += [("speed", partial(_speed, s, t, threads, repeat, peers))
                     for s in subjects for t in sorted(seconds)]
        if "streaming" in parts:
            work += [("streaming", partial(_stream, s, streamed)) for s in subjects]
        if "memory" in parts:
            work += [("memory", partial(_memory, s, t, max(threads), peers, Path(scratch)))
                     for s in subjects for t in sorted(seconds)]
        if "start" in parts:
            subject = next((s for s in subjects if s.model.name == DEFAULT_MODEL), subjects[0])
            work.append(("start", lambda: [start_times(subject.folder, min(repeat, 3))]))
        if profile:
            work += [("profile", partial(_profile, s, min(10.0, max(seconds)))) for s in subjects]
        with progress("measuring") as report:
            for done, (part, step) in enumerate(work):
                if report is not None:
                    report(done, len(work))
                figures.setdefault(part, []).extend(step())
    figures["machine"]["load_after"] = _load()
    peak = figures.get("gemm_peak", {}).get("ours_gflops")
    for row in figures.get("speed", ()):
        if peak and "gflops" in row:
            row["share_of_peak"] = row["gflops"] / (peak * row["threads"])
    return figures


def machine() -> dict:
    """What the figures depend on."""
    cpu = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    import numba

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "cores": cores, "system": platform.system(), "python": platform.python_version(),
            "tinyencodec": __version__, "numpy": version("numpy"), "numba": version("numba"),
            "jit": not numba.config.DISABLE_JIT, "load_before": _load()}


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


class _Peers:
    """Those asked for, as far as they can do the work; `figures` is told of each that cannot, once."""

    def __init__(self, names: list[str], longest: float, figures: dict) -> None:
        self.names, self.longest, self.figures = names, longest, figures

    def able(self, subject: Subject, seconds: float) -> list[str]:
        """Names of those that can be given so much sound."""
        return [name for name in self.names if seconds <= self.longest
                and self._try(name, subject, lambda peer: peer.check(subject.model.config)) is not None]

    def contestants(self, subject: Subject, seconds: float, threads: int) -> list:
        """Those that can, set up for it."""
        found = (self._try(name, subject, lambda peer: peer.contestant(subject, seconds, threads))
                 for name in self.able(subject, seconds))
        return [contestant for contestant in found if contestant is not None]

    def _try(self, name: str, subject: Subject, ask: Callable) -> Any:
        """What `ask` returns for the peer, True for nothing; None if the peer is left out."""
        from tinyencodec.tools.bench.peers import CannotRun, find_peer

        try:
            answer = ask(peer := find_peer(name))
        except CannotRun as error:
            row = {"peer": name, "model": subject.model.name, "reason": str(error)}
            if row not in self.figures["left_out"]:
                self.figures["left_out"].append(row)
            return None
        self.figures["peers"][name] = peer.version
        return True if answer is None else answer


def _speed(subject: Subject, seconds: float, threads: list[int], repeat: int, peers: _Peers) -> list[dict]:
    contestants = [one for n in threads
                   for one in [our_contestant(subject, n), *peers.contestants(subject, seconds, n)]]
    return race(subject, seconds, contestants, max(min(repeat, 2), min(repeat, int(_PATIENCE / seconds))))


def _stream(subject: Subject, seconds: float) -> list[dict]:
    row = stream(subject, seconds)
    return [] if row is None else [row]


def _profile(subject: Subject, seconds: float) -> list[dict]:
    return profile(subject, seconds)


def _memory(subject: Subject, seconds: float, threads: int, peers: _Peers, scratch: Path) -> list[dict]:
    name = subject.model.name
    who = ["ours", *peers.able(subject, seconds)]
    rows = []
    for operation in ("encode", "decode"):
        job = {"do": operation, "folder": str(subject.folder), "seconds": seconds, "threads": threads}
        rows += [{"model": name, "operation": operation, "seconds": seconds, "who": one, **ask(job | {"who": one})}
                 for one in who]
    wav, code, out = (str(scratch / file) for file in ("in.wav", "code.ecdc", "out.wav"))
    with soundfile.SoundFile(wav, "w", subject.model.sample_rate, subject.model.channels, "PCM_16") as file:
        minute = sound(subject.model, min(60.0, seconds)).T
        left = max(1, round(seconds * subject.model.sample_rate))
        while left:
            file.write(minute[:left])
            left -= min(left, len(minute))
    model = ["-f", "-m", str(subject.folder)]
    for operation, arguments in (("encode", ["-b", str(subject.bandwidth), wav, code]), ("decode", ["-r", code, out])):
        rows.append({"model": name, "operation": operation, "seconds": seconds, "who": "ours, file to file",
                     **ask({"do": "files", "arguments": [*model, *arguments]})})
    return rows
