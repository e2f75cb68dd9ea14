"""A few inputs of each fuzzer; `python tests/fuzz/run.py` has more to say."""

import sys

import pytest

from tests.fuzz import driver
from tests.helpers.paths import FUZZ

COUNTS = {"ecdc": 1000, "audio": 40, "config": 40, "safetensors": 40}


@pytest.mark.skipif(sys.platform == "win32", reason="limits of time and memory by signals and `resource`")
@pytest.mark.parametrize("parser", driver.PARSERS)
def test_fuzz(parser, monkeypatch):
    monkeypatch.syspath_prepend(str(FUZZ))
    outcomes = driver.try_some(parser, COUNTS.get(parser, 150), seed=7)
    assert len(outcomes) >= 3
    assert parser != "ecdc" or {"read", "lost"} <= outcomes.keys()
