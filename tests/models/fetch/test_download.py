"""Downloads from a real server on this machine, which cuts, hangs, lies and runs over."""

import errno
import hashlib
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.helpers import file_server as web
from tinyencodec.models.fetch import download as module
from tinyencodec.models.fetch.download import DownloadError, download
from tinyencodec.system.files import sha256_of

DATA = bytes(range(256)) * 400  # 102 400 bytes
SHA = hashlib.sha256(DATA).hexdigest()
SIZE, HALF = len(DATA), len(DATA) // 2


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "_PAUSES", (0, 0))
    monkeypatch.setenv("no_proxy", "*")
    with web.serving({"/x": DATA}) as running:
        yield running


@pytest.fixture
def fetched(server, tmp_path):
    """Download /x; afterwards nothing but the file is there."""
    def fetch(sha256=SHA, report=None):
        assert download(f"{server.url}/x", tmp_path / "x", sha256, len(DATA), report) == SHA
        assert (tmp_path / "x").read_bytes() == DATA
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
    return fetch


def refused(server, tmp_path, match, kind=DownloadError, left=(), sha256=SHA, most=SIZE):
    with pytest.raises(kind, match=match) as caught:
        download(f"{server.url}/x", tmp_path / "x", sha256, most)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)


def test_at_once(server, fetched):
    seen = []
    fetched(report=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(DATA), len(DATA)) and seen == sorted(seen)
    assert [request.range for request in server.requests] == [None]
    fetched(SHA[:8])


@pytest.mark.parametrize("etag", [None, '"strong"', 'W/"weak"'])
def test_goes_on_where_it_was_cut(server, fetched, etag):
    server.etag = etag
    server.acts = [web.cut(10_000), web.cut(20_000)]
    fetched()
    assert [request.range for request in server.requests] == [None, "bytes=10000-", "bytes=30000-"]
    assert sum(request.sent for request in server.requests) == len(DATA)  # no byte twice
    strong = etag if etag == '"strong"' else None
    assert [request.if_range for request in server.requests] == [None, strong, strong]


def test_goes_on_where_another_call_was_cut(server, tmp_path, fetched):
    server.acts = [web.cut(HALF), web.cut(0), web.cut(0)]
    refused(server, tmp_path, "/x: the connection was cut after 51200 of 102400 bytes; 51200 bytes are kept",
            left=["x.part"])
    fetched()
    assert server.requests[-1].range == f"bytes={HALF}-" and server.requests[-1].sent == HALF


def test_the_file_has_changed_meanwhile(server, tmp_path, fetched):
    server.etag, server.files["/x"] = '"old"', bytes(len(DATA))
    server.acts = [web.cut(HALF), web.cut(0), web.cut(0)]
    refused(server, tmp_path, "kept for the next", left=["x.part", "x.part.tag"])
    server.etag, server.files["/x"] = '"new"', DATA
    fetched()
    assert (server.requests[-1].if_range, server.requests[-1].sent) == ('"old"', len(DATA))


@pytest.mark.parametrize("part", [bytes(HALF), DATA + b"more"])
def test_another_file_was_begun(server, tmp_path, fetched, part):
    """And nobody tells: the hash does."""
    (tmp_path / "x.part").write_bytes(part)
    refused(server, tmp_path, "it was removed", ValueError)
    fetched()


def test_a_whole_part_is_not_fetched_again(server, tmp_path, fetched):
    (tmp_path / "x.part").write_bytes(DATA)
    fetched()
    assert sum(request.sent for request in server.requests) == 0


def test_a_server_that_knows_no_ranges(server, fetched):
    server.acts = [web.cut(HALF), lambda *args: web.plain(*args, ranges=False)]
    fetched()
    assert server.requests[1].range == f"bytes={HALF}-" and server.requests[1].sent == len(DATA)


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_state_that_passes(server, tmp_path, fetched, code):
    server.acts = [web.status(code)] * 2
    fetched()
    (tmp_path / "x").unlink()
    server.acts = [web.status(code)] * 3
    refused(server, tmp_path, f"/x: HTTP Error {code}: [A-Z].*")


@pytest.mark.parametrize("code", [401, 403, 404])
def test_refusals_are_told_at_once(server, tmp_path, code):
    server.acts = [web.status(code)]
    refused(server, tmp_path, f"/x: HTTP Error {code}: [A-Z].*")
    assert len(server.requests) == 1


def test_chunks(server, fetched):
    server.acts = [web.chunked(HALF), web.chunked(SIZE)]
    fetched()
    assert [request.range for request in server.requests] == [None, f"bytes={HALF}-"]


def test_never_more_than_allowed(server, tmp_path, monkeypatch):
    server.acts = [web.endless]
    hashed = []
    monkeypatch.setattr(module, "sha256_of", lambda path: hashed.append(path.stat().st_size) or sha256_of(path))
    refused(server, tmp_path, "it was removed", ValueError)
    assert len(DATA) - (1 << 18) < hashed[0] <= len(DATA)


def test_wrong_hash(server, tmp_path):
    wrong = "0" * 64
    refused(server, tmp_path, f"/x: expected a file whose SHA-256 is {wrong}, got {SHA}; it was removed", ValueError,
            sha256=wrong)
    refused(server, tmp_path, r"SHA-256 is 01234567\.\.\., got", ValueError, sha256="01234567")


def test_silence(server, tmp_path, fetched, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT", 0.1)
    server.acts = [web.hang(HALF, 0.4)]
    fetched()
    assert server.requests[1].range == f"bytes={HALF}-"
    (tmp_path / "x").unlink()
    server.acts = [web.hang(0, 0.4)] * 3
    refused(server, tmp_path, "/x: .*timed out", left=["x.part"])


@pytest.mark.parametrize("code", [301, 302, 307])
def test_is_sent_on(server, fetched, code):
    server.files["/y"] = DATA
    server.acts = [web.status(code, Location=f"{server.url}/y"), web.cut(HALF), web.status(code, Location="/y")]
    fetched()
    assert [(request.path, request.range) for request in server.requests] == [
        ("/x", None), ("/y", None), ("/x", f"bytes={HALF}-"), ("/y", f"bytes={HALF}-")]


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_is_not_sent_anywhere(server, tmp_path, place):
    server.acts = [web.status(302, Location=place)]
    refused(server, tmp_path, f"(expected to be sent on to https, got|Redirection to url) '{place}'")


def test_is_not_sent_from_https_to_http():
    request = SimpleNamespace(type="https", full_url="https://a/x")
    with pytest.raises(DownloadError, match="https://a/x: expected to be sent on to https, got 'http://b/x'"):
        module._Redirects().redirect_request(request, None, 302, "", {}, "http://b/x")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/x", "/x", "", "https:", "https:///x"])
def test_other_addresses(tmp_path, url):
    with pytest.raises(ValueError, match="expected an address that begins with https://"):
        download(url, tmp_path / "x", "", 1)


def test_no_network(server, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    server.server_close()
    refused(server, tmp_path, "/x: .*Connection refused")
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    refused(server, tmp_path, "/x: .*Temporary failure in name resolution")


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_the_disk_is_full(server, tmp_path, fetched):
    """The system itself stops the writing."""
    code = ("import resource, sys; from pathlib import Path; from tinyencodec.models.fetch.download import download\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
            "try: download(sys.argv[1], Path(sys.argv[2]), '', 1 << 20)\n"
            "except OSError as error: print(error.filename, error.strerror)")
    result = subprocess.run([sys.executable, "-c", code, f"{server.url}/x", tmp_path / "x"], capture_output=True,
                            text=True, check=True)
    assert result.stdout == f"{tmp_path / 'x.part'} {os.strerror(errno.EFBIG)}\n", result
    assert (tmp_path / "x.part").stat().st_size == 30_000
    fetched()  # once there is room again
    assert server.requests[-1].range == "bytes=30000-"


def test_an_interruption_keeps_what_came(server, tmp_path, fetched):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/x", tmp_path / "x", SHA, len(DATA), interrupt)
    assert 0 < (tmp_path / "x.part").stat().st_size < len(DATA) + 1
    fetched()
