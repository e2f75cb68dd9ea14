"""Chapters as scripts. The site runs all of them as notebooks; two are enough to know that this way works too."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.helpers.paths import ROOT

CHAPTERS = sorted(path.name for path in (ROOT / "tutorials").glob("[01][0-9]_*.py"))
ALWAYS = ("01", "12")
TIME_LIMIT = 600  # seconds: against one that hangs
WORK_LIMIT = 60  # seconds of processor time, which other programs do not change


@pytest.mark.parametrize("name", CHAPTERS)
def test_runs_and_leaves_figures(name, request, tmp_path):
    if not (name[:2] in ALWAYS or request.config.getoption("--all-scripts")):
        pytest.skip("runs as a notebook in the site's build; --all-scripts runs it as a script too")
    before = sum(os.times()[2:4])  # what children have used
    done = subprocess.run([sys.executable, ROOT / "tutorials" / name], cwd=tmp_path, capture_output=True, text=True,
                          timeout=TIME_LIMIT, env={**os.environ, "MPLBACKEND": "Agg"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert sum(os.times()[2:4]) - before < WORK_LIMIT
    figures = [line.partition(": ")[2] for line in done.stdout.split("\n") if line.startswith("[figure]")]
    assert figures and all((tmp_path / figure).stat().st_size > 2000 for figure in figures)


SOLVE = """
import re, sys
sys.path.insert(0, sys.argv[1])
chapter = f"{sys.argv[1]}/{sys.argv[2]}"
solutions = open(f"{sys.argv[1]}/solutions/{sys.argv[2][:-3]}.md").read()
sys.argv = [chapter]
names = {"__name__": "__main__"}
exec(compile(open(chapter).read(), chapter, "exec"), names)
print("SOLUTIONS")
for block in re.findall(r"^```python\\n(.*?)^```", solutions, flags=re.M | re.S):
    exec(compile(block, "solutions", "exec"), names)
"""


@pytest.mark.parametrize("name", CHAPTERS)
def test_solutions_are_right(name, request, tmp_path):
    """Each solution runs where its chapter ends, and `book.check` accepts it, but not what stands in the chapter."""
    if not (name[:2] in ALWAYS or request.config.getoption("--all-scripts")):
        pytest.skip("--all-scripts runs the solutions of all chapters")
    done = subprocess.run([sys.executable, "-c", SOLVE, ROOT / "tutorials", name], cwd=tmp_path, capture_output=True,
                          text=True, timeout=2 * TIME_LIMIT, env={**os.environ, "MPLBACKEND": "Agg"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    chapter, solutions = done.stdout.split("SOLUTIONS\n")
    assert solutions.count("**right**") == 3 and "not yet" not in solutions, solutions
    assert "**right**" not in chapter and chapter.count(f"Exercise {int(name[:2])}.") == 3


@pytest.mark.parametrize("name", CHAPTERS)
def test_takes_a_recording_of_the_readers(name, request, tmp_path):
    """A short, soft noise at another rate, in stereo: as unlike the book's sentence as can be."""
    if not (name[:2] in ALWAYS or request.config.getoption("--all-scripts")):
        pytest.skip("--all-scripts runs all chapters with another recording")
    noise = 0.01 * np.random.default_rng(0).standard_normal((20_000, 2))
    soundfile.write(tmp_path / "mine.wav", noise, 11_025)
    done = subprocess.run([sys.executable, ROOT / "tutorials" / name, "--clip", "mine.wav"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=TIME_LIMIT, env={**os.environ, "MPLBACKEND": "Agg"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.parametrize("samples, message", [(None, "No such file"), (np.zeros(9000), "expected sound, got silence")])
def test_a_recording_that_is_none(samples, message, tmp_path):
    if samples is not None:
        soundfile.write(tmp_path / "mine.wav", samples, 16_000)
    done = subprocess.run([sys.executable, ROOT / "tutorials" / CHAPTERS[0], "--clip", "mine.wav"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=TIME_LIMIT)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1] and not done.stdout
