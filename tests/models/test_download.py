"""Downloads from a real server on this machine, which cuts, hangs, lies and runs over."""

import hashlib
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest

from tests.helpers import file_server as web
from tinyencodec.models import download as module
from tinyencodec.models.download import download

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
def path(tmp_path):
    return tmp_path / "x"


@pytest.fixture
def fetched(server, path):
    """Download /x; returns the ranges that were asked for."""
    def fetch(sha256=SHA, report=None):
        server.requests.clear()
        download(f"{server.url}/x", path, sha256, SIZE, report)
        assert path.read_bytes() == DATA
        return [request.range for request in server.requests]
    return fetch


def refused(server, path, match, kind=ConnectionError, kept=None, sha256=SHA):
    """What is kept is what has come; a file with a wrong hash is not."""
    with pytest.raises(kind, match=match) as caught:
        download(f"{server.url}/x", path, sha256, SIZE)
    assert "\n" not in str(caught.value)
    assert (path.stat().st_size if path.exists() else None) == kept


def test_goes_on_where_it_was_cut(server, fetched):
    server.acts, seen = [web.cut(10_000), web.cut(20_000)], []
    assert fetched(SHA[:8], lambda *counts: seen.append(counts)) == [None, "bytes=10000-", "bytes=30000-"]
    assert sum(request.sent for request in server.requests) == SIZE  # no byte twice
    assert seen[-1] == (SIZE, SIZE) and seen == sorted(seen)


def test_goes_on_where_another_call_was_cut(server, path, fetched):
    server.acts = [web.cut(HALF), web.cut(0), web.cut(0)]
    refused(server, path, "/x: the connection was cut after 51200 of 102400 bytes; 51200 bytes are kept for the next "
            "attempt; `tinyencodec fetch NAME --from FILE` takes the file from elsewhere$", kept=HALF)
    assert fetched() == [f"bytes={HALF}-"] and server.requests[-1].sent == HALF


@pytest.mark.parametrize("begun", [bytes(HALF), DATA + b"more"])
def test_another_file_was_begun(server, path, fetched, begun):
    """And nobody tells: the hash does."""
    path.write_bytes(begun)
    refused(server, path, f"/x: expected a file whose SHA-256 is {SHA}, got [0-9a-f]+; it was removed$", ValueError)
    fetched()
    refused(server, path, rf"SHA-256 is 01234567\.\.\., got {SHA}; it was removed$", ValueError, sha256="01234567")


def test_a_whole_file_is_not_fetched_again(server, path, fetched):
    path.write_bytes(DATA)
    assert fetched() == [f"bytes={SIZE}-"] and server.requests[0].sent == 0


def test_a_server_that_knows_no_ranges(server, fetched):
    server.acts = [web.cut(HALF), lambda *args: web.plain(*args, ranges=False)]
    assert fetched() == [None, f"bytes={HALF}-"] and server.requests[1].sent == SIZE


def test_states_that_pass_and_others(server, path, fetched):
    server.acts = [web.status(503), web.status(429)]
    assert fetched() == [None] * 3
    path.unlink()
    for acts in [web.status(500)] * 3, [web.status(404)]:
        server.acts = acts.copy()
        refused(server, path, "/x: HTTP Error [45]0[04]: [A-Z].*; `tinyencodec fetch")
        assert not server.acts
    server.server_close()
    refused(server, path, "/x: .*Connection refused")


def test_chunks(server, fetched):
    server.acts = [web.chunked(HALF), web.chunked(SIZE)]
    assert fetched() == [None, f"bytes={HALF}-"]


def test_never_more_than_allowed(server, path, monkeypatch):
    server.acts, hashed = [web.endless], []
    monkeypatch.setattr(module, "sha256_of", lambda path: hashed.append(path.stat().st_size) or "")
    refused(server, path, "it was removed", ValueError)
    assert SIZE - (1 << 18) < hashed[0] <= SIZE


def test_silence(server, path, fetched, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT", 0.1)
    server.acts = [web.cut(HALF, silence=0.4)]
    assert fetched() == [None, f"bytes={HALF}-"]
    path.unlink()
    server.acts = [web.cut(0, silence=0.4)] * 3
    refused(server, path, "/x: .*timed out", kept=0)


def test_is_sent_on(server, fetched):
    server.files["/y"] = DATA
    server.acts = [web.status(301, Location=f"{server.url}/y"), web.cut(HALF), web.status(307, Location="/y")]
    assert fetched() == [None, None, *[f"bytes={HALF}-"] * 2]
    assert [request.path for request in server.requests] == ["/x", "/y"] * 2


def test_is_not_sent_anywhere(server, path):
    server.acts = [web.status(302, Location="ftp://127.0.0.1/x")]
    refused(server, path, "/x: HTTP Error 302: expected to be sent on to https, got 'ftp://127.0.0.1/x'; ")
    with pytest.raises(HTTPError, match="expected to be sent on to https, got 'http://b/x'"):
        module._Redirects().redirect_request(SimpleNamespace(type="https"), None, 302, "", {}, "http://b/x")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/x", "/x", "https:///x"])
def test_other_addresses(path, url):
    with pytest.raises(ValueError, match="expected an address that begins with https://"):
        download(url, path, "", 1)


def test_an_interruption_keeps_what_came(server, path, fetched):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetched(report=interrupt)
    assert 0 < path.stat().st_size <= SIZE
    fetched()
