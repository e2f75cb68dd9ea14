"""Fetching a small model from a real server on this machine: arrives whole or not at all, whatever happens."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

import tinyencodec
from tests.helpers import file_server as web
from tests.helpers import small_official as small
from tinyencodec.models import convert, store
from tinyencodec.models.fetch import download, install
from tinyencodec.models.tensors import read_model_folder
from tinyencodec.system.files import sha256_of

FILES = ["LICENCE.txt", "README.md", "config.json", "model.safetensors", "provenance.json"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    with small.served(tmp_path, monkeypatch) as world:
        yield world


def fetch(world, *args, **options):
    world.told.clear()
    assert tinyencodec.fetch_model(small.NAME, *args, tell=world.told.append, **options) == world.folder
    check_whole(world)


def check_whole(world):
    """A model that loads, and nothing besides."""
    assert [path.name for path in world.folder.parent.iterdir()] == [small.NAME]
    assert sorted(path.name for path in world.folder.iterdir() if path.name != "lm") == FILES
    assert [path.name for path in (world.home / "downloads").iterdir()] == [f"{small.NAME}.lock"]
    assert tinyencodec.load_model(small.NAME).config == small.CONFIG


def refused(world, kind, match, *args, **options):
    """Nothing is left of it but perhaps a part of a download."""
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
    np.testing.assert_array_equal(read_model_folder(world.folder)[1]["encoder.layers.0.conv.bias"],
                                  small.draw(small.CONFIG)["encoder.layers.0.conv.bias"])
    assert store.load_language_model(world.folder / "lm").config == small.LM_CONFIG
    assert [request.path for request in world.server.requests] == ["/official/small.th", "/official/small_lm.th"]
    assert world.told == [f"small: {small.STATEMENT}", f"small: fetching {world.server.url}/official/small.th",
                          f"small: fetching {world.server.url}/official/small_lm.th"]


def test_says_where_it_is_from(world):
    fetch(world)
    for folder, part, digest, name in ((world.folder, "codec", world.hashes[0], small.CODEC),
                                       (world.folder / "lm", "lm", world.hashes[1], small.LM)):
        told, url = provenance(folder), f"{world.server.url}/official/{name}"
        assert (told["model"], told["part"], told["sha256"], told["checked"]) == (small.NAME, part, digest, "SHA-256")
        assert told["source"] == told["official"] == url and told["licence"] == "for tests"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", told["date"])
        assert told["files"] == {name: sha256_of(folder / name) for name in ("config.json", "model.safetensors")}
        assert (folder / "LICENCE.txt").read_text() == f"{small.STATEMENT}\n"


def test_is_kept(world):
    fetch(world)
    stamps = {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")}
    fetch(world, half=True)
    assert world.told == [f"small: is here already, {world.folder}"] and len(world.server.requests) == 2
    assert stamps == {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")}


def test_force(world):
    fetch(world)
    (world.folder / "notes").write_text("")
    fetch(world, force=True, half=True, lm=False)
    assert not (world.folder / "lm").exists() and provenance(world.folder)["stored"] == "float16"
    fetch(world)  # the language model, and no more
    assert [request.path[10:] for request in world.server.requests] == [small.CODEC, small.LM, small.CODEC, small.LM]
    assert provenance(world.folder)["stored"] == "float16" and provenance(world.folder / "lm")["stored"] == "float32"


def test_goes_on_after_a_cut(world):
    world.server.acts = [web.cut(1000), web.cut(0), web.cut(0)]
    refused(world, OSError, "small.th: the connection was cut .*; 1000 bytes are kept for the next attempt; with the "
            "file from elsewhere: tinyencodec fetch small --from FILE$")
    fetch(world)
    assert [request.range for request in world.server.requests] == [None, *["bytes=1000-"] * 3, None]


def test_a_language_model_that_cannot_be_had(world):
    del world.server.files["/official/small_lm.th"]
    refused(world, OSError, "small_lm.th: HTTP Error 404: Not Found; ")
    fetch(world, lm=False, offline=True)
    assert [request.path[10:] for request in world.server.requests] == [small.CODEC, small.LM]  # each once


def test_right_hash_but_another_model(world, monkeypatch):
    """Should the registry be wrong, nothing is installed."""
    world.server.files["/official/small.th"] = world.server.files["/official/small_lm.th"]
    small.register(monkeypatch, world.server.url, [world.hashes[1]] * 2, world.sizes)
    refused(world, ValueError, "small.th: expected the configuration of small, got that of another model")


def test_only_what_is_known_of_a_hash(world, monkeypatch):
    small.register(monkeypatch, world.server.url, [digest[:8] for digest in world.hashes], world.sizes)
    fetch(world)
    assert provenance(world.folder)["checked"] == "first 8 hex digits of the SHA-256"
    assert provenance(world.folder)["sha256"] == world.hashes[0]


@pytest.mark.parametrize("variable", [True, False])
def test_mirror(world, monkeypatch, variable):
    world.server.files = {path.replace("official", "a/b"): data for path, data in world.server.files.items()}
    base = f"{world.server.url}/a/b/"
    if variable:
        monkeypatch.setenv("TINYENCODEC_MIRROR", base)
    fetch(world, mirror=None if variable else base)
    told = provenance(world.folder)
    assert told["source"] == f"{base}{small.CODEC}" and told["official"] == f"{world.server.url}/official/{small.CODEC}"
    world.server.files[f"/a/b/{small.CODEC}"] = b"something else"
    refused(world, ValueError, "expected a file whose SHA-256", force=True, mirror=base)
    check_whole(world)
    refused(world, ValueError, "expected an address", force=True, mirror="file:///tmp")


@pytest.mark.parametrize("variable", ["1", "true", None])
def test_offline(world, monkeypatch, variable):
    if variable:
        monkeypatch.setenv("TINYENCODEC_OFFLINE", variable)
    offline = None if variable else True
    refused(world, OSError, "^small.th: not here, and the network is not to be used .--offline or "
            f"TINYENCODEC_OFFLINE.; to be had at {world.server.url}/official/small.th; with the file from elsewhere: "
            "tinyencodec fetch small --from FILE$", offline=offline)
    fetch(world, world.away, offline=offline)
    assert world.server.requests == []


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_not_offline(world, monkeypatch, value):
    monkeypatch.setenv("TINYENCODEC_OFFLINE", value)
    fetch(world)


def test_unknown(world):
    for name in ("nobody", "", "../small", "tiny_24khz"):
        with pytest.raises(ValueError, match=f"expected names of official models, .*small, got '{name}'; .*convert"):
            tinyencodec.fetch_model(name)


def test_a_folder_of_something_else(world):
    world.folder.mkdir(parents=True)
    fetch(world)  # empty: all right
    shutil.rmtree(world.folder)
    world.folder.mkdir()
    (world.folder / "precious").write_text("")
    refused(world, OSError, "not empty")
    assert [path.name for path in world.folder.iterdir()] == ["precious"]
    fetch(world, force=True)


def test_a_link_is_replaced_and_its_target_kept(world):
    shutil.copytree(store.find_model(store.DEFAULT_MODEL), world.away / "mine")
    world.folder.parent.mkdir(parents=True)
    world.folder.symlink_to(world.away / "mine")
    fetch(world, force=True)
    assert not world.folder.is_symlink() and (world.away / "mine" / "config.json").is_file()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("kilobytes", [4, 16, 32, 48])
def test_a_full_disk(world, kilobytes):
    world.home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", world.home],
                      capture_output=True).returncode:
        pytest.skip("this root may not mount")
    try:
        refused(world, OSError, "No space left on device")
        assert not (world.home / "models").exists() or list((world.home / "models").iterdir()) == []
    finally:
        subprocess.run(["umount", world.home], check=True)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_the_old_one_comes_back(world, monkeypatch, kind):
    """At the moment between two renamings."""
    fetch(world)
    rename = Path.rename

    def fail(self, target):
        if target == world.folder and self.name == small.NAME:
            raise kind(errno.EIO, "no more")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        refused(world, kind, "no more", force=True, source=world.away)
    check_whole(world)
    assert (world.folder / "lm" / "config.json").is_file()


def test_two_at_once(world):
    """The second one waits, and finds it done."""
    waits, told = threading.Event(), [[], []]

    def slow(handler, data):
        waits.wait(60)
        web.plain(handler, data)

    def run(lines):
        def tell(line):
            lines.append(line)
            if "waiting" in line:
                waits.set()
        tinyencodec.fetch_model(small.NAME, tell=tell)

    world.server.acts = [slow]
    threads = [threading.Thread(target=run, args=[lines]) for lines in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len(world.server.requests) == 2  # one for each file
    assert sorted(map(len, told)) == [1, 3] and ["small: another process is fetching it; waiting"] in told
    check_whole(world)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such processes")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("module, function, there", [
    (download, "sha256_of", True), (convert, "write_model_folder", True), (install, "fill", True),
    (Path, "rename", False)])
@pytest.mark.parametrize("again", [False, True])
def test_killed(world, monkeypatch, module, function, there, again):
    """Wherever a process dies, there is the old model or the new one or none, and the next call succeeds."""
    if again:
        fetch(world)
    usual = getattr(module, function)

    def die(*args, **options):
        if module is Path and args[1] != world.folder:
            return usual(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(module, function, die)
    if not (child := os.fork()):
        try:
            tinyencodec.fetch_model(small.NAME, force=True)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    monkeypatch.setattr(module, function, usual)
    assert (small.NAME in store.list_models()) == (again and there)
    if again and there:
        assert tinyencodec.load_model(small.NAME).config == small.CONFIG
    world.server.requests.clear()
    fetch(world, force=True)
    assert sum(request.sent for request in world.server.requests) == (world.sizes[1] if module is download else 0)
