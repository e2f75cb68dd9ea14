"""Where things lie in the repository."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
DATA, GOLDEN, FUZZ, HELPERS = TESTS / "data", TESTS / "golden", TESTS / "fuzz", TESTS / "helpers"
