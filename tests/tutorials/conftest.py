"""The site, built once for all tests; every chapter runs on the way, as a notebook."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def pytest_addoption(parser):
    parser.addoption("--all-scripts", action="store_true", help="run every chapter as a script as well, not only two")
    parser.addoption("--site", type=Path, help="look at this built site instead of building one")


@pytest.fixture(scope="session")
def site(request) -> Path:
    if request.config.getoption("--site"):
        return request.config.getoption("--site").resolve()
    folder = ROOT / "tutorials" / "out" / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-j", "2", "tutorials", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return folder
