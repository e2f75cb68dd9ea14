"""Files that appear complete or not at all."""

import io
import os
import stat
import threading

import pytest

from tinyencodec.system.files import (
    atomic_write,
    check_output,
    is_in_use,
    is_rewritable,
    is_special,
    new_folder,
    sha256_of,
)


def write(path, data=b"new", **options):
    with atomic_write(path, **options) as fo:
        fo.write(data)


def test_nothing_is_seen_before_the_end(tmp_path):
    path = tmp_path / "a"
    with atomic_write(path) as fo:
        fo.write(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_interrupted_write_leaves_the_old(tmp_path, error):
    (tmp_path / "old").write_bytes(b"old")
    for name in ("old", "new"):
        with pytest.raises(error), atomic_write(tmp_path / name, force=True) as fo:
            fo.write(b"half")
            raise error
    assert [path.name for path in tmp_path.iterdir()] == ["old"] and (tmp_path / "old").read_bytes() == b"old"


def test_existing_file_needs_force(tmp_path):
    write(tmp_path / "a", b"old")
    with pytest.raises(FileExistsError):
        write(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    write(tmp_path / "a", force=True)
    assert (tmp_path / "a").read_bytes() == b"new"


def test_file_that_appears_meanwhile(tmp_path):
    with pytest.raises(FileExistsError), atomic_write(tmp_path / "a") as fo:
        fo.write(b"mine")
        (tmp_path / "a").write_bytes(b"theirs")
    assert (tmp_path / "a").read_bytes() == b"theirs" and len(list(tmp_path.iterdir())) == 1


def test_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    os.chmod(tmp_path / "a", 0o604)
    write(tmp_path / "a", force=True)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o604


def test_symbolic_link_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "target")
    write(tmp_path / "link")
    write(tmp_path / "link", b"newer", force=True)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "target").read_bytes() == b"newer"


def test_devices_and_pipes_are_written_directly(tmp_path):
    write("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(tmp_path / "pipe", b"through")
    reader.join()
    assert received == [b"through"] and is_special(tmp_path / "pipe") and is_special("/dev/null")


def test_long_names(tmp_path):
    write(tmp_path / ("n" * 255))
    assert len(list(tmp_path.iterdir())) == 1


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    write(tmp_path / "file")
    for path, error in ((tmp_path, IsADirectoryError), (tmp_path / "none" / "a", FileNotFoundError),
                        (tmp_path / "file" / "a", FileNotFoundError)):
        for attempt in (check_output, write):
            with pytest.raises(error):
                attempt(path, force=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError):
        check_output(tmp_path / "a")


def test_what_can_be_rewritten(tmp_path):
    with open(tmp_path / "a", "wb") as fo:
        assert is_rewritable(fo)
    with open(tmp_path / "a", "ab") as fo:
        assert not is_rewritable(fo)
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb") as fo:
        assert not is_rewritable(fo)
    assert is_rewritable(io.BytesIO())


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("replace", [False, True])
def test_a_new_folder(tmp_path, replace):
    dest = tmp_path / "parent" / "dest"
    for there in ([], ["x"]) if replace else ([],):
        with new_folder(dest, replace) as folder:
            (folder / "x").write_text("x")
            assert folder.name == "dest" and dest.exists() == bool(there)
        assert tree(tmp_path) == ["parent", "parent/dest", "parent/dest/x"]
    with pytest.raises(OSError), new_folder(dest):  # in use
        pass
    assert tree(tmp_path) == ["parent", "parent/dest", "parent/dest/x"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_folder_that_does_not_get_done(tmp_path, error):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "old").write_text("")
    for name in ("dest", "new"):
        with pytest.raises(error), new_folder(tmp_path / name, replace=True) as folder:
            (folder / "x").write_text("x")
            raise error
    assert tree(tmp_path) == ["dest", "dest/old"]


def test_what_is_in_use(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    assert [is_in_use(tmp_path / name) for name in ("file", "link", "empty", "nothing", ".")] == \
        [True, True, False, False, True]


def test_sha256_of(tmp_path):
    (tmp_path / "x").write_bytes(b"ab")
    (tmp_path / "y").write_bytes(b"c")
    assert sha256_of(tmp_path / "x", tmp_path / "y") == \
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
