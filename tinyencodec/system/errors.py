"""How errors are worded: what was expected, what came, and of which file; in one line that any terminal can show."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np  # the command line words its errors without it, and starts quicker

_LISTED = 12  # phrases that one line names


def require(ok: object, what: str, expected: str, got: object) -> None:
    """Raise the `ValueError` "{what}: expected {expected}, got {got}" unless `ok`."""
    if not ok:
        shown = " ".join(f"{got!r:.80}".split("\n"))  # an array has lines
        raise ValueError(f"{what}: expected {expected}, got {shown}")


def check_codes(codes: "np.ndarray", n_codebooks: int, n_entries: int) -> "np.ndarray":
    """`codes`, or a `ValueError` unless they are integers [1 ... n_codebooks, F] from 0 to n_entries - 1."""
    require(codes.ndim == 2 and 1 <= len(codes) <= n_codebooks, "codes", f"shape [1 ... {n_codebooks}, F]",
            list(codes.shape))
    require(codes.dtype.kind in "iu", "codes", "integers", codes.dtype)
    if codes.size:
        low, high = int(codes.min()), int(codes.max())
        require(0 <= low <= high < n_entries, "codes", f"0 ... {n_entries - 1}", [low, high])
    return codes


def listing(phrases: Sequence[str]) -> str:
    """The phrases in one line, the first dozen of them."""
    more = f"; and {len(phrases) - _LISTED} more" if len(phrases) > _LISTED else ""
    return "; ".join(phrases[:_LISTED]) + more


@contextmanager
def blame(name: str) -> Iterator[None]:
    """Put the file's name before errors that do not tell it."""
    try:
        yield
    except (EOFError, ValueError) as error:
        raise (EOFError if isinstance(error, EOFError) else ValueError)(f"{name}: {error}") from None


def printable(words: object, longest: int | None = 300) -> str:
    """What may quote a stranger, such as another library's error: `longest` letters, none of which a terminal obeys."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(words)[:longest])


def one_line(text: str) -> str:
    """The text without line breaks, and with other control characters as escapes: a terminal would obey them."""
    return printable(" ".join(text.splitlines()), None)
