"""Chapters as scripts. The site runs all of them as notebooks; two are enough to know that this way works too."""

import os
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

CHAPTERS = sorted(path.name for path in (ROOT / "tutorials").glob("[01][0-9]_*.py"))
ALWAYS = ("01", "12")
TIME_LIMIT = 240  # seconds; a chapter should need less than 60 on two cores that have nothing else to do


@pytest.mark.parametrize("name", CHAPTERS)
def test_runs_and_leaves_figures(name, request, tmp_path):
    if not (name[:2] in ALWAYS or request.config.getoption("--all-scripts")):
        pytest.skip("runs as a notebook in the site's build; --all-scripts runs it as a script too")
    done = subprocess.run([sys.executable, ROOT / "tutorials" / name], cwd=tmp_path, capture_output=True, text=True,
                          timeout=TIME_LIMIT, env={**os.environ, "MPLBACKEND": "Agg"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    figures = [line.partition(": ")[2] for line in done.stdout.split("\n") if line.startswith("[figure]")]
    assert figures and all((tmp_path / figure).stat().st_size > 2000 for figure in figures)
