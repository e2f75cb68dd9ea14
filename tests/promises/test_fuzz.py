"""A few inputs of each fuzzer; `python tests/fuzz/run.py` has more to say."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "fuzz"
COUNTS = {"ecdc": 1000, "audio": 40, "config": 40, "safetensors": 40}
driver = runpy.run_path(str(FOLDER / "driver.py"))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of time and memory by signals and `resource`")
@pytest.mark.parametrize("parser", driver["PARSERS"])
def test_fuzz(parser, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    outcomes = driver["try_some"](parser, COUNTS.get(parser, 150), seed=7)
    assert len(outcomes) >= 3
    assert parser != "ecdc" or {"read", "lost"} <= outcomes.keys()
