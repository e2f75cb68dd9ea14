"""The package as others get it: built twice to the same bytes, installed without a compiler, used, removed.

Needs `build`, and an index from which pip gets the dependencies. `PYTHON=python3.13 pytest tests/slow/test_package.py`
installs it for another version.
"""

import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser

import pytest

import tinyencodec
from tests.helpers.paths import DATA, ROOT

pytest.importorskip("build", reason="the package build is not installed")
SOUND = DATA / "speech.flac"
LEFT_OUT = {".git", ".venv", "build", "dist", "out", "__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache",
            ".mypy_cache"}
NAME = f"tinyencodec-{tinyencodec.__version__}"
PYTHON = os.environ.get("PYTHON", sys.executable)


def run(*words, **more):
    result = subprocess.run([*map(str, words)], capture_output=True, text=True, **more)
    assert result.returncode == 0, f"{words}: {result.stdout}{result.stderr}"
    return result.stdout


def copy_sources(folder, file_mode, time):
    """The checkout elsewhere, as another umask and another day would have it."""
    shutil.copytree(ROOT, folder, ignore=lambda _, names: LEFT_OUT.intersection(names))
    for path in folder.rglob("*"):
        path.chmod(file_mode | 0o111 if path.is_dir() else file_mode)
        os.utime(path, (time, time))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two builds: the usual one (the wheel from the sdist), and both straight from the sources of another copy."""
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("another")
    copy_sources(first / "src", 0o644, 1_000_000_000)
    copy_sources(second / "sources", 0o600, 1_700_000_000)
    command = [sys.executable, "-m", "build", "--outdir"]
    others = [subprocess.Popen([*command, first / "out", first / "src"], stdout=subprocess.DEVNULL),
              subprocess.Popen([*command, second / "out", "--sdist", "--wheel", second / "sources"],
                               stdout=subprocess.DEVNULL)]
    assert [other.wait() for other in others] == [0, 0]
    return first / "out", second / "out"


def test_two_builds_are_the_same_bytes(built):
    first, second = built
    names = [f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz"]
    for folder in built:
        assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_what_is_in_the_wheel(built):
    with zipfile.ZipFile(built[0] / f"{NAME}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "tinyencodec").rglob("*.py")}
    weights = {f"tinyencodec/{path.relative_to(ROOT)}" for path in (ROOT / "weights").rglob("*") if path.is_file()}
    pages = {f"tinyencodec/tools/compare/page.{suffix}" for suffix in ("html", "css", "js")}
    about = {f"{NAME}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt",
                                                    "licenses/LICENSE")}
    assert names == modules | weights | pages | about | {"tinyencodec/py.typed", "tinyencodec/__init__.pyi"}
    for name in ("README.md", "config.json", "model.safetensors", "lm/model.safetensors"):
        assert f"tinyencodec/weights/tiny_24khz/{name}" in names
    assert (metadata["Version"], metadata["Requires-Python"]) == (tinyencodec.__version__, ">=3.10")
    extras = {"cli", "compare", "completion", "evaluate", "scale", "test", "train"}
    assert extras <= {*metadata.get_all("Provides-Extra")}
    core = [line for line in metadata.get_all("Requires-Dist") if ";" not in line]
    assert sorted(line.split(">")[0] for line in core) == ["numba", "numpy", "safetensors", "soundfile"]


def test_what_is_in_the_sdist(built):
    with tarfile.open(built[0] / f"{NAME}.tar.gz") as sdist:
        names = {name.removeprefix(f"{NAME}/") for name in sdist.getnames()}
        modes = {stat.S_IMODE(member.mode) for member in sdist.getmembers()}
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "tests/cli/test_code.py",
                 "tests/data/speech.flac", "tutorials/09_rvq.py", "weights/tiny_24khz/model.safetensors"):
        assert name in names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".kernel", ".pyc"))]
    assert modes <= {0o644, 0o755}


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The folder of programs of an environment with the wheel and nothing but what it needs."""
    folder = tmp_path_factory.mktemp("environment")
    run(PYTHON, "-m", "venv", "--without-pip", folder)
    run(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet",
        "--only-binary", ":all:", built[0] / f"{NAME}-py3-none-any.whl")
    return folder / "bin"


def clean(**more):
    """The environment variables of a user who has set none that matter here."""
    ours = ("PYTHON", "NUMBA", "TINYENCODEC", "XDG", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more


def test_a_new_user(installed, tmp_path):
    """In an empty folder, outside the checkout, as the README tells."""
    shutil.copy(SOUND, tmp_path / "x.flac")
    environment = clean(HOME=str(tmp_path / "home"), PATH=f"{installed}:/usr/bin:/bin")

    def call(line, *words):
        return run(*line.split(), *words, cwd=tmp_path, env=environment)

    assert call("tinyencodec --version") == call("python -m tinyencodec --version") == \
        f"tinyencodec {tinyencodec.__version__}\n"
    assert "TINYENCODEC_HOME" in call("tinyencodec --help")
    call("tinyencodec x.flac y.ecdc")
    call("tinyencodec y.ecdc y.wav")
    call("python -m tinyencodec --lm x.flac small.ecdc")
    assert "tiny_24khz" in call("tinyencodec info y.ecdc")
    assert "tiny_24khz" in call("tinyencodec models")
    assert 0 < (tmp_path / "small.ecdc").stat().st_size < (tmp_path / "y.ecdc").stat().st_size < 6000
    length = call("python -c", "import tinyencodec; print(tinyencodec.read_audio('y.wav', 24000, 1).shape[1])")
    assert int(length) > 24000
    assert {path.name for path in tmp_path.iterdir()} <= {"x.flac", "y.ecdc", "y.wav", "small.ecdc", "home"}


@pytest.fixture
def read_only(installed):
    """A command line's start for somebody who cannot write where the package lies."""
    packages = next((installed.parent / "lib").glob("python*/site-packages"))
    package = packages / "tinyencodec"
    folders = [package, *(path for path in package.rglob("*") if path.is_dir())]
    for path in list(package.rglob("*.kernel")):
        path.unlink()
    for path in folders:
        path.chmod(0o555)
    start = []
    if os.geteuid() == 0:  # whom modes do not hold back
        if not shutil.which("setpriv"):
            pytest.skip("root without setpriv can write everywhere")
        start = ["setpriv", "--bounding-set", "-dac_override"]
    yield start
    for path in folders:
        path.chmod(0o755)


def test_nobody_can_write_beside_the_package(installed, read_only, tmp_path):
    """The compiled loops are kept in the user's folder for caches; without one the program works all the same."""
    command, users = [*read_only, installed / "tinyencodec", SOUND], []
    for name, mode in (("home", 0o755), ("sealed", 0o555)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        users.append(subprocess.Popen([*map(str, command), tmp_path / f"{name}.ecdc"],
                                      env=clean(HOME=str(tmp_path / name)), stderr=subprocess.PIPE))
    told = [user.communicate()[1] for user in users]
    assert all(b"compiling" in line and line.count(b"\n") == 1 for line in told), told
    assert not any(user.returncode for user in users)
    assert (tmp_path / "home.ecdc").read_bytes() == (tmp_path / "sealed.ecdc").read_bytes()
    assert list((tmp_path / "home").rglob("*.kernel")) and not list((tmp_path / "sealed").iterdir())
    assert not list(installed.parent.rglob("tinyencodec/**/*.kernel"))


def test_uninstall_leaves_nothing_but_caches(installed):
    run(sys.executable, "-m", "pip", "--python", installed / "python", "uninstall", "--quiet", "--yes", "tinyencodec")
    left = [path for path in installed.parent.rglob("*tinyencodec*/**/*") if path.is_file()]
    assert not [path for path in left if path.suffix != ".kernel"]
    assert not (installed / "tinyencodec").exists()
