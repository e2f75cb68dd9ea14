"""Fetching a small model from a real server on this machine: arrives whole or not at all, whatever happens."""

import dataclasses
import errno
import json
import os
import resource
import shutil
import signal
import threading
from datetime import date
from pathlib import Path

import pytest

import tinyencodec
from tests.helpers import file_server as web
from tests.helpers import small_official as small
from tinyencodec.models import convert, download, fetch, store
from tinyencodec.models.official import OFFICIAL
from tinyencodec.system.files import sha256_of

FILES = ["LICENCE.txt", "README.md", "config.json", "model.safetensors"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    with small.served(tmp_path, monkeypatch) as world:
        yield world


def fetched(world, *args, **options):
    """Fetch a model that loads, and nothing besides; returns what was told."""
    told = []
    assert tinyencodec.fetch_model(small.NAME, *args, tell=told.append, **options) == world.folder
    check_whole(world)
    return told


def check_whole(world):
    assert [path.name for path in world.folder.parent.iterdir()] == [small.NAME]
    assert sorted(path.name for path in world.folder.iterdir() if path.name != "lm") == FILES
    assert [path.name for path in (world.home / "downloads").iterdir()] == [f"{small.NAME}.lock"]
    config = tinyencodec.load_model(small.NAME).config
    assert dataclasses.replace(config, codebook_dim=None) == small.CONFIG


def refused(world, kind, match, *args, **options):
    """Nothing is left of it but perhaps a part of a download."""
    before = sorted(world.home.rglob("*"))
    with pytest.raises(kind, match=match) as caught:
        tinyencodec.fetch_model(small.NAME, *args, **options)
    assert "\n" not in str(caught.value)
    models = [path for path in world.home.rglob("*") if "downloads" not in path.parts and path.name != "models"]
    assert [path for path in models if path not in before] == []


def hub_folder(world):
    """As the Hub has it: a config with more fields, and no word of where it is from."""
    convert.convert(world.away / small.CODEC, world.away / "hub")
    config = {**small.CONFIG.to_dict(), "codebook_dim": 4, "architectures": ["EncodecModel"]}
    (world.away / "hub" / "config.json").write_text(json.dumps(config))
    return world.away / "hub", world.away / "hub" / "model.safetensors"


def test_arrives(world):
    urls = [f"{world.server.url}/official/{name}" for name in (small.CODEC, small.LM)]
    assert fetched(world) == [f"small: {small.STATEMENT}", *[f"small: fetching {url}" for url in urls]]
    for url, folder in zip(urls, (world.folder, world.folder / "lm")):
        assert (folder / "LICENCE.txt").read_text() == \
            f"{small.STATEMENT}\n\nFrom {url}, {date.today()}; checked by 64 hex digits of its SHA-256.\n"
    assert store.load_language_model(world.folder / "lm").config == small.LM_CONFIG
    stamps = {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")}
    assert fetched(world, half=True) == [f"small: is here already, {world.folder}"] and len(world.server.requests) == 2
    assert stamps == {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")}


def test_force(world):
    shutil.copytree(store.find_model(store.DEFAULT_MODEL), world.away / "mine")
    world.folder.parent.mkdir(parents=True)
    world.folder.symlink_to(world.away / "mine")
    fetched(world, force=True)
    assert not world.folder.is_symlink() and (world.away / "mine" / "config.json").is_file()
    size = (world.folder / "model.safetensors").stat().st_size
    (world.folder / "notes").write_text("")
    fetched(world, force=True, half=True, lm=False)
    assert not (world.folder / "lm").exists() and (world.folder / "model.safetensors").stat().st_size < size
    fetched(world)  # the language model, and no more
    assert [request.path[10:] for request in world.server.requests] == [small.CODEC, small.LM] * 2


def test_goes_on_where_another_call_ended(world):
    world.server.acts = [web.cut(1000), web.cut(0), web.cut(0)]
    refused(world, OSError, "small.th: the connection was cut .*; 1000 bytes are kept for the next attempt")
    data = world.server.files.pop("/official/small_lm.th")
    refused(world, OSError, "small_lm.th: HTTP Error 404: Not Found; ")
    fetched(world, lm=False, offline=True)  # the codec has come already
    world.server.files["/official/small_lm.th"] = data
    fetched(world)
    assert [request.range for request in world.server.requests] == [None, *["bytes=1000-"] * 3, None, None]


def test_right_hash_but_another_model(world, monkeypatch):
    """Should the registry be wrong, nothing is installed; and of a hash its beginning may be all that is known."""
    world.server.files["/official/small.th"] = world.server.files["/official/small_lm.th"]
    small.register(monkeypatch, world.server.url, [world.hashes[1][:8]] * 2, world.sizes)
    refused(world, ValueError, "small.th: expected the configuration of small, got that of another model")


def test_mirror(world, monkeypatch):
    world.server.files = {path.replace("official", "a/b"): data for path, data in world.server.files.items()}
    monkeypatch.setenv("TINYENCODEC_MIRROR", f"{world.server.url}/a/b/")
    fetched(world)
    assert f"From {world.server.url}/a/b/{small.CODEC}, " in (world.folder / "LICENCE.txt").read_text()
    world.server.files[f"/a/b/{small.CODEC}"] = b"something else"
    refused(world, ValueError, "expected a file whose SHA-256", force=True)
    check_whole(world)


@pytest.mark.parametrize("value, offline", [("1", True), ("true", True), ("", False), ("0", False), ("no", False)])
def test_offline(world, monkeypatch, value, offline):
    monkeypatch.setenv("TINYENCODEC_OFFLINE", value)
    if offline:
        refused(world, OSError, "^small.th: not here, and the network is not to be used")
    fetched(world, world.away if offline else None)
    assert bool(world.server.requests) != offline


def test_a_folder_of_downloads(world):
    (world.away / small.LM).rename(world.away / "kept")
    (world.away / small.LM).write_bytes(b"other")
    refused(world, ValueError, f"{small.LM}: expected the official {small.LM}, SHA-256", world.away)
    fetched(world, world.away, lm=False)  # what is not wanted is not looked at
    assert fetched(world, world.away / "kept") == [f"small: {small.STATEMENT}"]  # a file under any name
    assert (world.folder / "lm" / "config.json").is_file() and (world.away / small.CODEC).is_file()
    assert f"From {world.away / small.CODEC}, " in (world.folder / "LICENCE.txt").read_text()
    assert world.server.requests == []


def test_a_hub_folder_is_not_checked(world):
    folder, weights = hub_folder(world)
    for source in (folder, weights):
        assert fetched(world, source, force=True)[1:] == [
            f"small: {weights} was not checked, since no hash is known for it"]
        assert "; not checked, " in (world.folder / "LICENCE.txt").read_text()


def test_a_hub_folder_with_the_official_file(world, monkeypatch):
    folder, weights = hub_folder(world)
    official = OFFICIAL[small.NAME].files["codec"]._replace(name="small.safetensors", sha256=sha256_of(weights))
    monkeypatch.setitem(OFFICIAL[small.NAME].files, "codec", official)
    assert len(fetched(world, folder)) == 1
    shutil.rmtree(world.folder)
    weights.write_bytes(b"other")
    for source in (folder, weights):
        refused(world, ValueError, f"{weights}: expected the official small.safetensors, SHA-256", source)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("most", [100, 1000, 3000])
def test_a_full_disk(world, local, most):
    """The system itself stops the writing."""
    source, (soft, hard) = world.away if local else None, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        refused(world, OSError, f"{os.strerror(errno.EFBIG)}.*{world.home}", source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    fetched(world, source)  # once there is room again
    assert world.server.requests == [] if local else world.server.requests[1].range == f"bytes={most}-"


def test_the_old_one_comes_back(world, monkeypatch):
    """At the moment between two renamings."""
    fetched(world)
    rename = Path.rename

    def fail(self, target):
        if target == world.folder and self.name == small.NAME:
            raise KeyboardInterrupt("no more")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        refused(world, KeyboardInterrupt, "no more", world.away, force=True)
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


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("module, function, there", [
    (download, "sha256_of", True), (convert, "write_model_folder", True), (fetch, "fill", True),
    (Path, "rename", False)])
@pytest.mark.parametrize("again", [False, True])
def test_killed(world, monkeypatch, module, function, there, again):
    """Wherever a process dies, there is the old model or the new one or none, and the next call succeeds."""
    if again:
        fetched(world)
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
    fetched(world, force=True)
    assert sum(request.sent for request in world.server.requests) == (world.sizes[1] if module is download else 0)
