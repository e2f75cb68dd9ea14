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

DATA = bytes(range(256)) * 400  # 102 400 bytes
SHA = hashlib.sha256(DATA).hexdigest()
SIZE, HALF = len(DATA), len(DATA) // 2


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0)
    monkeypatch.setenv("no_proxy", "*")
    with web.serving({"/x": DATA}) as running:
        yield running


@pytest.fixture
def fetched(server, tmp_path):
    """Download /x; afterwards nothing but the file is there."""
    def fetch(sha256=SHA, size=SIZE, **options):
        assert download(f"{server.url}/x", tmp_path / "x", sha256, size, **options) == SHA
        assert (tmp_path / "x").read_bytes() == DATA
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
    return fetch


def refused(server, tmp_path, match, kind=DownloadError, left=(), sha256=SHA, size=SIZE, **options):
    with pytest.raises(kind, match=match) as caught:
        download(f"{server.url}/x", tmp_path / "x", sha256, size, **options)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)


def test_at_once(server, fetched):
    seen = []
    fetched(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(DATA), len(DATA)) and seen == sorted(seen)
    assert [request.range for request in server.requests] == [None]


@pytest.mark.parametrize("known", [{}, {"size": None}, {"sha256": SHA[:8], "size": None}, {"sha256": ""}])
def test_whatever_is_known(fetched, known):
    fetched(**known)


@pytest.mark.parametrize("etag", [None, '"strong"', 'W/"weak"'])
@pytest.mark.parametrize("size", [len(DATA), None])
def test_goes_on_where_it_was_cut(server, fetched, etag, size):
    server.etag = etag
    server.acts = [web.cut(10_000), web.cut(20_000)]
    fetched(size=size)
    assert [request.range for request in server.requests] == [None, "bytes=10000-", "bytes=30000-"]
    assert sum(request.sent for request in server.requests) == len(DATA)  # no byte twice
    strong = etag if etag == '"strong"' else None
    assert [request.if_range for request in server.requests] == [None, strong, strong]


def test_goes_on_where_another_call_was_cut(server, tmp_path, fetched):
    server.acts = [web.cut(HALF)] + [web.cut(0)] * 4
    refused(server, tmp_path, "connection was cut after 51200 of 102400 bytes, at 5 attempts; 51200 bytes are kept",
            left=["x.part"])
    fetched()
    assert server.requests[-1].range == f"bytes={HALF}-" and server.requests[-1].sent == HALF


def test_the_file_has_changed_meanwhile(server, tmp_path, fetched):
    server.etag, server.files["/x"] = '"old"', bytes(len(DATA))
    server.acts = [web.cut(HALF)] + [web.cut(0)] * 4
    refused(server, tmp_path, "kept for the next", left=["x.part", "x.part.tag"])
    server.etag, server.files["/x"] = '"new"', DATA
    fetched()
    assert (server.requests[-1].if_range, server.requests[-1].sent) == ('"old"', len(DATA))


def test_the_file_has_changed_and_nobody_tells(server, tmp_path, fetched):
    (tmp_path / "x.part").write_bytes(bytes(HALF))
    fetched()
    assert [request.range for request in server.requests] == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_whole_part_is_not_fetched_again(server, tmp_path, fetched, size):
    (tmp_path / "x.part").write_bytes(DATA)
    fetched(size=size)
    assert sum(request.sent for request in server.requests) == 0


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_part_that_is_too_long(server, tmp_path, fetched, size):
    (tmp_path / "x.part").write_bytes(DATA + b"more")
    fetched(size=size)


@pytest.mark.parametrize("act", [web.wrong_place, lambda *args: web.plain(*args, ranges=False)])
def test_a_server_that_knows_no_ranges(server, fetched, act):
    server.acts = [web.cut(HALF), act]
    fetched()
    assert server.requests[1].range == f"bytes={HALF}-" and server.requests[-1].sent == len(DATA)


def test_a_server_without_ranges_that_always_cuts_at_the_same_place(server, tmp_path):
    server.acts = [web.cut(HALF, ranges=False)] * 20
    refused(server, tmp_path, "cut after 51200", left=["x.part"])
    assert len(server.requests) < 10


@pytest.mark.parametrize("code", [500, 502, 503, 429, 408])
def test_a_state_that_passes(server, fetched, code):
    server.acts = [web.status(code, Retry_After="0"), web.status(code, Retry_After="never")]
    fetched()
    assert len(server.requests) == 3


def test_a_state_that_does_not(server, tmp_path):
    server.acts = [web.status(503)] * 10
    refused(server, tmp_path, "HTTP 503 Service Unavailable, at 5 attempts; 0 bytes")
    assert len(server.requests) == 5


@pytest.mark.parametrize("code, text", [(404, "Not Found"), (403, "Forbidden"), (401, "Unauthorized"),
                                        (204, "expected HTTP 200")])
def test_refusals_are_told_at_once(server, tmp_path, code, text):
    server.acts = [web.status(code)]
    refused(server, tmp_path, f"/x: .*{text}")
    assert len(server.requests) == 1


def test_not_there(server, tmp_path):
    server.files.clear()
    refused(server, tmp_path, "/x: HTTP 404 Not Found")


def test_waits_as_long_as_asked(server, fetched, monkeypatch):
    pauses = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=pauses.append))
    monkeypatch.setattr(module, "_PAUSE", 1.0)
    server.acts = [web.status(503, Retry_After="7"), web.status(503), web.status(503, Retry_After="9999"), web.cut(5)]
    fetched()
    assert pauses == [7, 2, 30, 1]


@pytest.mark.parametrize("size", [len(DATA), None])
def test_without_a_length(server, fetched, size):
    server.acts = [web.without_length]
    fetched(size=size)


def test_chunks(server, fetched):
    server.acts = [web.chunked(HALF), web.chunked(len(DATA))]
    fetched()
    assert [request.range for request in server.requests] == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize("known, most", [({"size": len(DATA)}, len(DATA)), ({"size": None, "most": 70_000}, 70_000)])
def test_never_more_than_expected(server, tmp_path, monkeypatch, known, most):
    written = []

    class Watched:
        def __init__(self, fo):
            self.fo = fo

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.fo.close()

        def write(self, data):
            written.append(len(data))
            self.fo.write(data)

    monkeypatch.setattr(module, "open", lambda *args: Watched(open(*args)), raising=False)
    server.acts = [web.endless]
    refused(server, tmp_path, f"expected (at most )?{most} bytes, got more", **known)
    assert sum(written) <= most


@pytest.mark.parametrize("size, most, text", [(len(DATA) - 1, 1 << 30, "expected 102399 bytes, got 102400"),
                                              (len(DATA) + 1, 1 << 30, "expected 102401 bytes, got 102400"),
                                              (None, 100_000, "expected at most 100000 bytes, got 102400")])
def test_another_size(server, tmp_path, size, most, text):
    refused(server, tmp_path, text, size=size, most=most)
    assert len(server.requests) == 1


def test_truncated_for_good(server, tmp_path):
    """Ends before the size that the server itself promises, every time, at the same place."""
    server.files["/x"] = DATA[:HALF]
    server.usual = lambda handler, data: web.plain(handler, data, ranges=False, told=len(DATA))
    refused(server, tmp_path, "cut after 51200 of 102400 bytes", left=["x.part"])


@pytest.mark.parametrize("resumed", [False, True])
def test_wrong_hash(server, tmp_path, resumed):
    if resumed:
        (tmp_path / "x.part").write_bytes(DATA[:HALF])
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
    server.acts = [web.hang(0, 0.4)] * 5
    refused(server, tmp_path, r"nothing came for 0.1 s, at 5 attempts", left=["x.part"])


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_is_sent_on(server, fetched, code):
    server.files["/y"] = DATA
    server.acts = [web.status(code, Location=f"{server.url}/y"), web.cut(HALF), web.status(code, Location="/y")]
    fetched()
    assert [(request.path, request.range) for request in server.requests] == [
        ("/x", None), ("/y", None), ("/x", f"bytes={HALF}-"), ("/y", f"bytes={HALF}-")]


def test_is_sent_in_circles(server, tmp_path):
    server.acts = [web.status(302, Location="/x")] * 30
    refused(server, tmp_path, "HTTP 302")


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
        download(url, tmp_path / "x")


def test_no_network(tmp_path, monkeypatch):
    def fail(*args, **options):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match="https://example.org/x: no network, or no such host .Temporary failure"):
        download("https://example.org/x", tmp_path / "x")


def test_nobody_listens(server, tmp_path):
    server.server_close()
    refused(server, tmp_path, "no network, or no such host .Connection refused")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_the_disk_is_full(server, tmp_path, monkeypatch, number, fetched):
    class Full:
        def __init__(self, *args):
            self.fo = open(*args)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.fo.close()

        def write(self, data):
            self.fo.write(data[:1000])
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "open", Full, raising=False)
    with pytest.raises(OSError) as caught:
        download(f"{server.url}/x", tmp_path / "x", SHA, len(DATA))
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "x.part"))
    monkeypatch.delattr(module, "open")
    fetched()  # once there is room again
    assert server.requests[-1].range == "bytes=1000-"


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_file_may_not_grow(server, tmp_path, fetched):
    """The system itself stops the writing."""
    code = ("import resource, sys; from pathlib import Path; from tinyencodec.models.fetch.download import download\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
            "try: download(sys.argv[1], Path(sys.argv[2]))\n"
            "except OSError as error: print(error.filename, error.strerror)")
    result = subprocess.run([sys.executable, "-c", code, f"{server.url}/x", tmp_path / "x"], capture_output=True,
                            text=True, check=True)
    assert result.stdout.startswith(f"{tmp_path / 'x.part'} File too large"), result
    assert (tmp_path / "x.part").stat().st_size == 30_000
    fetched()
    assert server.requests[-1].range == "bytes=30000-"


def test_the_folder_is_missing(server, tmp_path):
    with pytest.raises(FileNotFoundError):
        download(f"{server.url}/x", tmp_path / "no" / "x")


def test_an_interruption_keeps_what_came(server, tmp_path, fetched):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/x", tmp_path / "x", SHA, len(DATA), progress=interrupt)
    assert 0 < (tmp_path / "x.part").stat().st_size < len(DATA) + 1
    fetched()
