"""The site, built once for all tests (every chapter runs on the way, as a notebook), and a browser to look at it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]


def pytest_addoption(parser):
    parser.addoption("--all-scripts", action="store_true", help="run every chapter as a script as well, not only two")
    parser.addoption("--site", type=Path, help="look at this built site instead of building one")


@pytest.fixture(scope="session")
def site(request) -> Path:
    if request.config.getoption("--site"):
        return request.config.getoption("--site").resolve()
    folder = ROOT / "tutorials" / "out" / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-j", "2", "tutorials", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return folder


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def launch():
    """A function that starts a Chromium, given more options for it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser` (playwright)")
    with playwright.sync_playwright() as runner:
        own = Path(runner.chromium.executable_path)
        path = find_chromium() or (str(own) if own.exists() else None)
        if path is None:
            pytest.skip("no Chromium: `apt-get install chromium`, or `playwright install chromium`")
        yield lambda *options: runner.chromium.launch(executable_path=path, args=[*OPTIONS, *options])


@pytest.fixture(scope="session")
def browser(launch):
    chromium = launch()
    yield chromium
    chromium.close()


@pytest.fixture
def page(browser):
    """A page from `file://`."""
    yield from watched_page(browser, "file:")


def watched_page(browser, home):
    """A page that writes down what it should not do: errors, failed requests, requests to elsewhere than `home`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(30_000)
    page, page.complaints = context.new_page(), []
    page.on("console", lambda message: message.type in ("error", "warning") and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("requestfailed", lambda request: request.failure == "net::ERR_ABORTED"  # by leaving the page before its end
            or page.complaints.append(f"failed: {request.url[:200]}"))
    page.on("request", lambda request: request.url.startswith((home, "data:", "blob:"))
            or page.complaints.append(f"from the network: {request.url[:200]}"))
    yield page
    context.close()
