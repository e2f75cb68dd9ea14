"""One process at a time."""

import errno
import os
import subprocess
import sys

import pytest

from tinyencodec.system.lock import exclusive

HOLD = ("import sys, time; from tinyencodec.system.lock import exclusive\n"
        "with exclusive(sys.argv[1]): print('mine', flush=True); sys.stdin.read()")


def test_waits_until_the_other_one_has_ended(tmp_path):
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"mine"
    seen = []

    def waiting():
        seen.append("waiting")
        process.kill()  # however it ends

    with exclusive(path, waiting):
        seen.append("mine")
    assert seen == ["waiting", "mine"]
    process.communicate()


def test_nobody_else(tmp_path):
    for _ in range(2):  # a file from before is no lock
        with exclusive(tmp_path / "lock", lambda: pytest.fail("there is nobody to wait for")):
            pass
    assert (tmp_path / "lock").read_bytes() == b""


def test_is_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), exclusive(tmp_path / "lock"):
        raise KeyboardInterrupt
    with exclusive(tmp_path / "lock", lambda: pytest.fail("it is free")):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def fail(fd, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", fail)
    with exclusive(tmp_path / "lock", lambda: pytest.fail("nobody can be waited for")):
        pass


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError), exclusive(tmp_path / "no" / "lock"):
        pass
