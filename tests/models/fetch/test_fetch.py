"""Fetching a small model from a real server on this machine: arrives whole or not at all, whatever happens."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinyencodec
from tests.helpers import file_server as web
from tests.helpers import small_official as small
from tests.helpers.paths import ROOT
from tinyencodec.entropy import tables
from tinyencodec.models import official, store
from tinyencodec.models.fetch import download, install
from tinyencodec.models.fetch.local_files import TABLES
from tinyencodec.models.lm_store import load_language_model

FILES = ["LICENCE.txt", "README.md", "config.json", "model.safetensors", "provenance.json"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A home, a server with the official files, and a folder `away` that has them too."""
    monkeypatch.setattr(download, "_PAUSE", 0)
    for name in ("TINYENCODEC_OFFLINE", "TINYENCODEC_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path / "home"))
    (tmp_path / "away").mkdir()
    files = small.write(tmp_path / "away")
    hashes = [official.sha256_of(file) for file in files]
    with web.serving({f"/official/{file.name}": file.read_bytes() for file in files}) as server:
        small.register(monkeypatch.setitem, server.url, hashes)
        yield SimpleNamespace(server=server, hashes=hashes, home=tmp_path / "home", away=tmp_path / "away", files=files,
                              folder=tmp_path / "home" / "models" / small.NAME, told=[])


def fetch(world, *args, **options):
    world.told.clear()
    assert tinyencodec.fetch_model(small.NAME, *args, tell=world.told.append, **options) == world.folder
    check_whole(world)


def check_whole(world):
    """A model that loads, and nothing besides."""
    assert [path.name for path in world.folder.parent.iterdir()] == [small.NAME]
    assert sorted(path.name for path in world.folder.iterdir() if path.name not in ("lm", TABLES)) == FILES
    assert [path.name for path in (world.home / "downloads").iterdir()] == [f"{small.NAME}.lock"]
    assert tinyencodec.load_model(small.NAME).config == small.CONFIG


def refused(world, kind, match, *args, **options):
    before = sorted(world.home.rglob("*"))
    with pytest.raises(kind, match=match) as caught:
        tinyencodec.fetch_model(small.NAME, *args, **options)
    assert "\n" not in str(caught.value)
    models = [path for path in world.home.rglob("*") if "downloads" not in path.parts and path.name != "models"]
    assert [path for path in models if path not in before] == []


def provenance(folder):
    return json.loads((folder / "provenance.json").read_text())


def test_arrives(world):
    fetch(world)
    model = tinyencodec.load_model(small.NAME)
    assert model.name == small.NAME and model.folder == world.folder
    np.testing.assert_array_equal(tinyencodec.models.tensors.read_model_folder(world.folder)[1]["encoder.layers.0.conv.bias"],
                                  small.draw(small.CONFIG)["encoder.layers.0.conv.bias"])
    assert load_language_model(world.folder / "lm").config == small.LM_CONFIG
    assert [request.path for request in world.server.requests] == ["/official/small.th", "/official/small_lm.th"]
    assert world.told == ["small: These weights are random. Nobody wants them.",
                          f"small: fetching {world.server.url}/official/small.th",
                          f"small: fetching {world.server.url}/official/small_lm.th"]


def test_says_where_it_is_from(world):
    fetch(world)
    for folder, part, digest, name in ((world.folder, "codec", world.hashes[0], small.CODEC),
                                       (world.folder / "lm", "lm", world.hashes[1], small.LM)):
        told, url = provenance(folder), f"{world.server.url}/official/{name}"
        assert (told["model"], told["part"], told["sha256"], told["checked"]) == (small.NAME, part, digest, "SHA-256")
        assert told["source"] == told["official"] == url
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", told["date"])
        assert told["files"]["model.safetensors"] == official.sha256_of(folder / "model.safetensors")
        assert (folder / "LICENCE.txt").read_text() == "These weights are random. Nobody wants them.\n"


def test_is_kept(world):
    fetch(world)
    stamps = {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")}
    fetch(world, half=True)
    assert world.told == [f"small: is here already, {world.folder}"]
    assert len(world.server.requests) == 2
    assert stamps == {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")}


def test_force(world):
    fetch(world)
    (world.folder / "notes").write_text("")
    fetch(world, force=True, half=True, lm=False)
    assert not (world.folder / "lm").exists() and provenance(world.folder)["stored"] == "float16"
    fetch(world)  # the language model, and no more
    assert [request.path[10:] for request in world.server.requests] == [small.CODEC, small.LM, small.CODEC, small.LM]
    assert provenance(world.folder)["stored"] == "float16"


def test_without_language_model_then_with(world):
    fetch(world, lm=False)
    assert not (world.folder / "lm").exists() and len(world.server.requests) == 1
    fetch(world, offline=True, lm=False)
    refused(world, OSError, "small_lm.th: not here", offline=True)
    fetch(world)
    assert (world.folder / "lm" / "provenance.json").is_file()
    fetch(world, force=True, source=world.away / small.LM)
    assert provenance(world.folder / "lm")["source"] == str(world.away / small.LM)


def test_goes_on_after_a_cut(world):
    size = len(world.server.files["/official/small.th"])
    world.server.acts = [web.cut(1000)]
    fetch(world)
    assert [request.range for request in world.server.requests] == [None, "bytes=1000-", None]
    assert sum(request.sent for request in world.server.requests[:2]) == size


def test_goes_on_in_the_next_call(world):
    world.server.acts = [web.cut(1000)] + [web.cut(0)] * 4
    refused(world, OSError, "small.th: the connection was cut .*; 1000 bytes are kept for the next one; with the file "
            "from elsewhere: tinyencodec fetch small --from FILE$")
    fetch(world)
    assert world.server.requests[-2].range == "bytes=1000-"


def test_a_language_model_that_cannot_be_had(world):
    del world.server.files["/official/small_lm.th"]
    refused(world, OSError, "small_lm.th: HTTP 404 Not Found; .*; or without the language model: --no-lm$")
    assert (world.home / "downloads" / small.CODEC).is_file()
    fetch(world, lm=False)
    assert [request.path[10:] for request in world.server.requests] == [small.CODEC, small.LM]  # each once


def test_wrong_hash(world):
    world.server.files["/official/small.th"] = b"not what it should be"
    refused(world, ValueError, f"small.th: expected a file whose SHA-256 is {world.hashes[0]}, got .*; it was removed")
    assert [path.name for path in (world.home / "downloads").iterdir()] == ["small.lock"]


def test_a_spoiled_download_is_not_used(world):
    (world.home / "downloads").mkdir(parents=True)
    (world.home / "downloads" / small.CODEC).write_bytes(b"spoiled")
    fetch(world)


def test_right_hash_but_no_model(world, monkeypatch):
    """Should the registry be wrong, nothing is installed."""
    data = (world.away / small.LM).read_bytes()
    world.server.files["/official/small.th"] = data
    small.register(monkeypatch.setitem, world.server.url, [hashlib.sha256(data).hexdigest(), world.hashes[1]])
    refused(world, ValueError, "expected the configuration of small, got another: model_type 'encodec_lm' in place of "
            "'encodec', ")


def test_only_what_is_known_of_a_hash(world, monkeypatch):
    small.register(monkeypatch.setitem, world.server.url, [digest[:8] for digest in world.hashes])
    fetch(world)
    assert provenance(world.folder)["checked"] == "first 8 hex digits of the SHA-256"
    assert provenance(world.folder)["sha256"] == world.hashes[0]


def test_endless(world):
    world.server.acts = [web.endless]
    refused(world, OSError, "expected at most [0-9]+ bytes, got more")


@pytest.mark.parametrize("variable", [True, False])
def test_mirror(world, monkeypatch, variable):
    world.server.files = {f"/a/b/{file.name}": file.read_bytes() for file in world.files}
    base = f"{world.server.url}/a/b/"
    if variable:
        monkeypatch.setenv("TINYENCODEC_MIRROR", base)
    fetch(world, mirror=None if variable else base)
    told = provenance(world.folder)
    assert told["source"] == f"{base}{small.CODEC}" and told["official"] == f"{world.server.url}/official/{small.CODEC}"
    world.server.files[f"/a/b/{small.CODEC}"] = b"something else"
    refused(world, ValueError, "expected a file whose SHA-256", force=True, mirror=base)
    check_still_there(world)
    refused(world, ValueError, "expected an address", force=True, mirror="file:///tmp")


def check_still_there(world):
    assert tinyencodec.load_model(small.NAME).config == small.CONFIG
    assert [path.name for path in world.folder.parent.iterdir()] == [small.NAME]


@pytest.mark.parametrize("variable", ["1", "true", None])
def test_offline(world, monkeypatch, variable):
    if variable:
        monkeypatch.setenv("TINYENCODEC_OFFLINE", variable)
    url = world.server.url + "/official"
    refused(world, OSError, "^small.th and small_lm.th: not here, and the network is not to be used .--offline or "
            f"TINYENCODEC_OFFLINE.; to be had at {url}/small.th and {url}/small_lm.th; with the file from elsewhere: "
            "tinyencodec fetch small --from FILE$", offline=None if variable else True)
    assert world.server.requests == []
    fetch(world, world.away, offline=None if variable else True)
    assert world.server.requests == []


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_not_offline(world, monkeypatch, value):
    monkeypatch.setenv("TINYENCODEC_OFFLINE", value)
    fetch(world)


def test_no_network(world):
    world.server.server_close()
    refused(world, OSError, "official/small.th: no network, or no such host .*; with the file from elsewhere: ")


def test_unknown(world):
    for name in ("nobody", "", "../small", "tiny_24khz"):
        with pytest.raises(ValueError, match=f"expected the name of an official model, .*small, got '{name}'"):
            tinyencodec.fetch_model(name)


def test_a_folder_of_something_else(world):
    world.folder.mkdir(parents=True)
    fetch(world)  # empty: all right
    shutil.rmtree(world.folder)
    world.folder.mkdir()
    (world.folder / "precious").write_text("")
    with pytest.raises(ValueError, match="models/small: expected a model folder or nothing, got another; -f replaces"):
        tinyencodec.fetch_model(small.NAME)
    assert [path.name for path in world.folder.iterdir()] == ["precious"]
    fetch(world, force=True)


def test_a_link_is_replaced_and_its_target_kept(world):
    shutil.copytree(store.find_model(store.DEFAULT_MODEL), world.away / "mine")
    world.folder.parent.mkdir(parents=True)
    world.folder.symlink_to(world.away / "mine")
    fetch(world, force=True)
    assert not world.folder.is_symlink() and (world.away / "mine" / "config.json").is_file()


# ---- the disk ----------------------------------------------------------------------------------------


def test_too_little_room(world, monkeypatch):
    usage = shutil.disk_usage(world.away)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000_000))
    refused(world, OSError, "expected 17 MB of free disk space for small, got 10 MB")
    assert world.server.requests == []


def test_full_while_downloading(world, monkeypatch):
    def fail(part, headers):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_keep_tag", fail)
    refused(world, OSError, "No space left on device: .*small.th.part")


def test_full_while_converting(world, monkeypatch):
    def fail(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[1]))

    monkeypatch.setattr(tinyencodec.models.convert, "save_file", fail)
    refused(world, OSError, "No space left on device: .*model.safetensors")
    monkeypatch.undo()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("kilobytes", [4, 16, 32, 48])
def test_a_disk_that_is_really_full(world, monkeypatch, kilobytes):
    world.home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", world.home],
                      capture_output=True).returncode:
        pytest.skip("this root may not mount")
    try:
        usage = shutil.disk_usage(world.away)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)  # somebody else fills it meanwhile
        refused(world, OSError, "No space left on device")
        assert not (world.home / "models").exists() or list((world.home / "models").iterdir()) == []
        assert store.list_models().count(small.NAME) == 0
    finally:
        subprocess.run(["umount", world.home], check=True)


def test_a_home_that_cannot_be_written(world):
    world.home.write_text("a file")
    with pytest.raises(OSError, match="home"):
        tinyencodec.fetch_model(small.NAME)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_may_not_be_written(world):
    fetch(world)
    for folder in (world.home, world.folder.parent, world.home / "downloads"):
        folder.chmod(0o500)
    fetch(world)  # is here already
    with pytest.raises(PermissionError):
        tinyencodec.fetch_model(small.NAME, force=True)
    for folder in (world.home, world.folder.parent, world.home / "downloads"):
        folder.chmod(0o700)


def test_an_interruption_leaves_nothing(world, monkeypatch):
    def interrupt(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "_sync", interrupt)
    refused(world, KeyboardInterrupt, None)
    monkeypatch.undo()


def test_the_old_one_comes_back(world, monkeypatch):
    fetch(world)
    rename = Path.rename

    def fail(self, target):
        if Path(target) == world.folder and self.parent.name.startswith(".fetch"):
            monkeypatch.setattr(Path, "rename", rename)
            raise OSError(errno.EIO, "no more")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no more"):
        tinyencodec.fetch_model(small.NAME, force=True)
    check_still_there(world)
    assert (world.folder / "lm" / "config.json").is_file()


# ---- processes ---------------------------------------------------------------------------------------


def start(world, *args, **how):
    how = {"url": world.server.url, "hashes": world.hashes, **how}
    return subprocess.Popen([sys.executable, "-m", "tests.helpers.small_official", json.dumps(how), *args], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once(world):
    """The second one waits, and finds it done."""
    waits = threading.Event()

    def slow(handler, data):
        waits.wait(60)
        web.plain(handler, data)

    world.server.acts = [slow]
    processes = [start(world, "fetch", small.NAME) for _ in range(2)]
    outputs = [[], []]

    def read(process, lines):
        for line in process.stdout:
            lines.append(line)
            if "waiting" in line:
                waits.set()

    readers = [threading.Thread(target=read, args=pair) for pair in zip(processes, outputs)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(90)
    assert [process.wait(30) for process in processes] == [0, 0]
    assert [process.stderr.read() for process in processes] == ["", ""]
    assert len(world.server.requests) == 2  # one for each file
    first, second = sorted(outputs, key=lambda lines: "waiting" in "".join(lines))
    assert [line.split(":")[1][:10] for line in first] == [" These wei", " fetching ", " fetching ", " 24000 Hz,"]
    assert [line.strip() for line in second] == [
        "small: another process is fetching it; waiting", f"small: is here now, {world.folder}",
        first[-1].strip()]
    check_whole(world)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such processes")
def test_killed(world, tmp_path, monkeypatch):
    """Wherever a process dies, there is the old model or the new one or none, and the next call succeeds."""
    fetch(world)
    deaths = [(tmp_path / "new" / place, place, False)
              for place in ("download", "arrival", "conversion", "before the renaming")]
    deaths += [(tmp_path / "replaced" / place, place, place != "between the renamings")
               for place in ("before the renaming", "between the renamings", "clearing away")]
    for home, _, _ in deaths[4:]:
        shutil.copytree(world.home, home)
    process = start(world, "fetch", "-f", small.NAME, deaths=[(str(home), place) for home, place, _ in deaths])
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0 and json.loads(out.splitlines()[-1]) == [-signal.SIGKILL] * 7, (out, err)
    for home, place, installed in deaths:
        world.home, world.folder = home, home / "models" / small.NAME
        monkeypatch.setenv("TINYENCODEC_HOME", str(home))
        assert store.list_models().count(small.NAME) == installed, home
        if installed:
            assert tinyencodec.load_model(small.NAME).config == small.CONFIG
        if place == "download":
            assert (home / "downloads" / f"{small.CODEC}.part").stat().st_size > 8192
        world.server.requests.clear()
        fetch(world)
        if home.parent.name == "replaced":  # the old one was put back
            assert world.told == [f"small: is here now, {world.folder}"] and not world.server.requests
            fetch(world, force=True)
            assert len(world.server.requests) == 2
        else:
            assert [request.range is None for request in world.server.requests] == {
                "download": [False, True], "arrival": [False, True]}.get(place, [])


def test_nothing_is_imported_for_it():
    code = ("import sys\nfrom tinyencodec.models import official\n"
            "from tinyencodec.models.fetch import download, install, local_files\n"
            "assert not {'numba', 'scipy', 'soundfile'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
    assert TABLES == tables.FILE_NAME
