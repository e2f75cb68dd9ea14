"""Files that processes die of: by a fault in a library, or for the memory they take.

While a part is worked on, `part-000000.at` tells which of its files it is at. Who finds it there when taking the part
up knows that a process died at that file, without a chance to say so, and notes it. After the fourth death the file
is left out and listed as one that cannot be coded: the part would never be done otherwise. That often, as a process may
be killed for reasons that are none of the file's, and a long recording is what it then most likely is at.
"""

import json
from pathlib import Path

MOST = 4


class Watch:
    """Keeps account of one part.

        with Watch(path) as watch:
            for index, file in enumerate(files):
                if watch.deaths_at(index) < MOST: ...
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._deaths: dict[str, int] = {}
        try:
            at, self._deaths = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return
        self._deaths[at] = self._deaths.get(at, 0) + 1

    def deaths_at(self, index: int) -> int:
        """How many processes have died at this file so far; from now on this one is at it."""
        self._path.write_text(json.dumps([str(index), self._deaths]))
        return self._deaths.get(str(index), 0)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:  # after errors and interruptions too: they are no deaths
        self._path.unlink(missing_ok=True)
