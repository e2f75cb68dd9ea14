"""Limits on what is read of an untrusted file.

JSON, the directory of a zip file and the header of a safetensors file take many times their length in memory once they
are parsed, and a few bytes may claim any length. Each is refused, before it is read, above a length that no real one
comes near: so the memory that a file takes is a small multiple of its own size, whatever it claims.
"""

import io
import json
import struct
from pathlib import Path

MAX_JSON = 1 << 20  # bytes; a `config.json` has about 1000
MAX_DIRECTORY = 1 << 20  # bytes of a zip file's directory; the official models need some 20 kB
MAX_HEADER = 1 << 22  # bytes of a safetensors file's header; the official language models need some 20 kB


def read_json(path: Path) -> object:
    """What a JSON file holds.

    Raises `ValueError` for one that is too long, no UTF-8, no JSON or nested too deeply; `OSError` as `open`.
    """
    with path.open("rb") as fo:
        data = fo.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise ValueError(f"expected a JSON file of at most {MAX_JSON} bytes, got more")
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("expected JSON, got brackets nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"expected JSON, got something else: {error}") from None


def check_header(path: Path) -> None:
    """Raise `ValueError` if a safetensors file has too long a header; `OSError` as `open`."""
    with path.open("rb") as fo:
        start = fo.read(8)
    size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if MAX_HEADER < size < path.stat().st_size:  # a claim beyond the end of the file the library refuses itself
        raise ValueError(f"expected a safetensors header of at most {MAX_HEADER} bytes, got {size}")


class ZipSource(io.FileIO):
    """A zip file that refuses to read more than `limit` bytes at once.

    `zipfile` reads the whole directory, whatever its length, and takes some 15 times its length in memory. Once it has
    done so, members are no danger, and `limit` may become the size of the file.
    """

    limit = MAX_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.limit:
            raise ValueError(f"expected at most {self.limit} bytes of zip directory, got {size}")
        return super().read(size) or b""
