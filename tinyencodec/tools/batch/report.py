"""What became of many files: a table, sums, and what failed; for people, and as JSON."""

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from tinyencodec.system.errors import printable
from tinyencodec.tools.batch.tasks import Outcome, Task
from tinyencodec.tools.reporting import write_json


class Report:
    """Collects outcomes.

    Parameters
    ----------
    tasks : all of them, in the order in which they are to be told
    todo : those that are not skipped
    compress : whether outputs are the coded files, else the inputs are
    cores : that have work
    """

    def __init__(self, tasks: Sequence[Task], todo: Sequence[Task], compress: bool, cores: int) -> None:
        self._tasks, self._todo, self._compress, self._cores = tasks, set(todo), compress, cores
        self._outcomes: dict[Task, Outcome] = {}
        self._start, self._elapsed = time.monotonic(), 0.0

    @property
    def failed(self) -> list[Task]:
        """What could not be coded, so far."""
        return [task for task in self._tasks if self.status(task) == "failed"]

    def add(self, task: Task, outcome: Outcome) -> Iterator[str]:
        """Take an outcome; yield lines that are worth telling at once."""
        self._outcomes[task], self._elapsed = outcome, time.monotonic() - self._start
        if outcome.error:
            yield showable(f"{task.source}: {outcome.error}")
        for remark in outcome.remarks:
            yield showable(f"warning: {task.source}: {remark}")

    def status(self, task: Task) -> str:
        """In one word: done, failed, skipped, or left."""
        if task in self._outcomes:
            return "failed" if self._outcomes[task].error else "done"
        return "left" if task in self._todo else "skipped"

    def totals(self) -> dict[str, Any]:
        """Counts and sums; kbit/s of all sound together; hours of sound per hour, also per core."""
        status = [self.status(task) for task in self._tasks]
        done = [outcome for outcome in self._outcomes.values() if not outcome.error]
        seconds = sum(outcome.seconds for outcome in done)
        speed = seconds / self._elapsed if seconds else 0.0
        sizes = {key: sum(getattr(outcome, key) for outcome in done) for key in ("bytes_in", "bytes_out")}
        return {**{word: status.count(word) for word in ("done", "skipped", "failed", "left")}, "seconds": seconds,
                **sizes, "kbit_s": self._rate(sizes["bytes_in"], sizes["bytes_out"], seconds), "elapsed": self._elapsed,
                "cores": self._cores, "times_real_time": speed, "times_real_time_per_core": speed / self._cores}

    def _rate(self, bytes_in: int, bytes_out: int, seconds: float) -> float:
        """Measured, in kbit/s."""
        return (bytes_out if self._compress else bytes_in) * 8 / 1000 / seconds if seconds else 0.0

    def print(self, each: bool) -> None:
        """To standard output; with a line for `each` file that is done."""
        totals = self.totals()
        if each and totals["done"]:
            print("  seconds     bytes in    bytes out   kbit/s  x real time")
            for task, (_, _, seconds, bytes_in, bytes_out, elapsed) in self._done():
                rate = self._rate(bytes_in, bytes_out, seconds)
                print(f"{seconds:9.2f} {bytes_in:12} {bytes_out:12} {rate:8.2f} {seconds / elapsed:12.1f}  "
                      f"{showable(task.source)}")
        counts = [f"{totals[word]} {word}" for word in ("done", "skipped", "failed", "left") if totals[word]]
        print(f"{len(self._tasks)} file{'s' * (len(self._tasks) != 1)}: {', '.join(counts)}")
        if totals["done"]:
            print("{} of sound, {} bytes to {} bytes, {:.2f} kbit/s".format(
                timedelta(seconds=round(totals["seconds"])), totals["bytes_in"], totals["bytes_out"],
                totals["kbit_s"]))
            print("in {}: {:.1f} hours of sound an hour, {:.1f} on each of {} cores".format(
                timedelta(seconds=round(totals["elapsed"])), totals["times_real_time"],
                totals["times_real_time_per_core"], totals["cores"]))
        if self.failed:
            print("failed:")
        for task in self.failed:
            print(showable(f"  {task.source}: {self._outcomes[task].error}"))

    def _done(self) -> list[tuple[Task, Outcome]]:
        return [(task, self._outcomes[task]) for task in self._tasks if self.status(task) == "done"]

    def save(self, path: Path) -> None:
        """The same and more, as JSON."""
        files = []
        for task in self._tasks:
            outcome = self._outcomes.get(task, Outcome())
            files.append({"input": str(task.source), "output": str(task.dest), "status": self.status(task),
                          **outcome._asdict(), "kbit_s": self._rate(outcome.bytes_in, outcome.bytes_out,
                                                                    outcome.seconds)})
        write_json(path, {"totals": self.totals(), "files": files}, force=True)


def showable(text: str | Path) -> str:
    """On one line, without what would move the cursor, in letters that standard output has."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text, None).encode(encoding, "backslashreplace").decode(encoding)
