"""Where things lie in the repository."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
DATA, GOLDEN, FUZZ, HELPERS = TESTS / "data", TESTS / "golden", TESTS / "fuzz", TESTS / "helpers"


def tree(folder):
    """All files below a folder: their bytes, by their paths in it."""
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
