"""Files that crash processes: by a fault in a library, or for the memory they take.

While a part is worked on, `part-000000.at` tells which of its files it is at. Whoever takes up the part and finds the
file there knows that a process crashed at it, without a chance to say so, and notes it. After the fourth crash the file
is left out and listed as one that cannot be coded; otherwise the part would never be done. Only after the fourth, since
a process may be killed for other reasons, and then it is most likely working on a long recording.
"""

import json
from pathlib import Path

MOST_CRASHES = 4


class CrashLog:
    """Keeps account of one part.

        with CrashLog(path) as log:
            for index, file in enumerate(files):
                if log.crashes_at(index) < MOST_CRASHES: ...
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._crashes: dict[str, int] = {}
        try:
            at, self._crashes = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return
        self._crashes[at] = self._crashes.get(at, 0) + 1

    def crashes_at(self, index: int) -> int:
        """How many processes have crashed at this file so far; from now on this one is at it."""
        self._path.write_text(json.dumps([str(index), self._crashes]))
        return self._crashes.get(str(index), 0)

    def __enter__(self) -> "CrashLog":
        return self

    def __exit__(self, *_: object) -> None:  # after errors and interruptions too: they are no crashes
        self._path.unlink(missing_ok=True)
