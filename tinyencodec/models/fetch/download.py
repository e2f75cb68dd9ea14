"""One large file over HTTP: it goes on where it was cut, is tried again where that may help, and is checked.

The bytes gather in `NAME.part` beside the destination, which appears only whole and with the right hash. What is there
of an interrupted attempt stays for the next one, which asks for the rest (`Range`), and, if the server gave the file a
strong entity tag (kept in `NAME.part.tag`), only for that of the same file (`If-Range`). A server that sends the whole
file all the same is right too. Nothing beyond the expected size is ever written. What turns out to be another file is
removed.
"""

import errno
import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tinyencodec.models.official import sha256_of
from tinyencodec.version import __version__

_TIMEOUT = 30.0  # seconds without a byte
_ATTEMPTS = 5  # in a row that bring nothing new
_PAUSE = 1.0  # seconds before the second attempt, doubled for each further one
_LONGEST_PAUSE = 30.0
_CHUNK = 1 << 18
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED}
_BUSY = {408, 425, 429, 500, 502, 503, 504}  # states that may pass


class DownloadError(OSError):
    """A file cannot be had from the network: its address and why, in one line."""


class _CutError(Exception):
    """Another attempt may help, after some seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


def download(url: str, dest: Path, sha256: str = "", size: int | None = None, most: int = 1 << 30,
             progress: Callable[[int, int | None], None] | None = None) -> str:
    """Fetch `url` (http or https) to the file `dest`; return its SHA-256 in hex.

    Parameters
    ----------
    sha256 : the hash expected, in hex: all 64 digits or the first of them, as far as known
    size : bytes expected, if known; `most` : the limit if it is not
    progress : called with (bytes so far, bytes in all or None)

    Raises
    ------
    DownloadError : no network, no such file, another size, or a connection that was cut again and again.
    ValueError : the file that came has another hash, and was removed; or the address is none.
    OSError : the disk is full, or the folder cannot be written to.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"{url!r:.200}: expected an address that begins with https:// or http://")
    part = dest.with_name(dest.name + ".part")
    resumed = _have(part) > 0
    while True:
        _receive(url, part, size, most, progress)
        digest = sha256_of(part)
        if digest.startswith(sha256):
            os.replace(part, dest)
            _tag(part).unlink(missing_ok=True)
            return digest
        forget(dest)
        if not resumed:  # else it may be of two files: once more from the start
            raise ValueError(f"{url}: expected a file whose SHA-256 is {sha256}{'...' * (len(sha256) < 64)}, got "
                             f"{digest}; it was removed")
        resumed = False


def forget(dest: Path) -> None:
    """Remove what is there of an unfinished download to `dest`."""
    part = dest.with_name(dest.name + ".part")
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)


def _have(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _receive(url: str, part: Path, size: int | None, most: int,
             progress: Callable[[int, int | None], None] | None) -> None:
    """Make `part` whole, in as many attempts as it takes while they bring something."""
    best, failures = _have(part), 0
    while size is None or _have(part) != size:
        try:
            _attempt(url, part, size, most, progress)
            return
        except _CutError as cut:
            failures = 1 if _have(part) > best else failures + 1
            best = max(best, _have(part))
            if failures >= _ATTEMPTS:
                raise DownloadError(f"{url}: {cut}, at {_ATTEMPTS} attempts; {_have(part)} bytes are kept for the next "
                                    "one") from None
            time.sleep(min(max(cut.pause, _PAUSE * 2 ** (failures - 1)), _LONGEST_PAUSE))


def _attempt(url: str, part: Path, size: int | None, most: int,
             progress: Callable[[int, int | None], None] | None) -> None:
    have = _have(part)
    headers = {"User-Agent": f"tinyencodec/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if _tag(part).exists():
            headers["If-Range"] = _tag(part).read_text("ascii", "replace")
    with _blame_network(url):
        try:
            response = _OPENER.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            _refused(url, part, have, error)
            return
    with response:
        start, total = _position(url, part, have, response)
        limit = most if size is None else size
        if total is not None and (total > limit or size is not None and total < size):
            raise DownloadError(f"{url}: expected {'at most ' * (size is None)}{limit} bytes, got {total}")
        total = total if size is None else size
        with _name(part), open(part, "ab" if start else "wb") as fo:
            if not start:
                _keep_tag(part, response.headers)
            done = start
            for chunk in _chunks(url, response):
                done += len(chunk)
                if done > (limit if total is None else total):
                    break
                fo.write(chunk)
                if progress is not None:
                    progress(done, total)
    if done > (limit if total is None else total):
        part.unlink()
        _tag(part).unlink(missing_ok=True)
        raise DownloadError(f"{url}: expected {'at most ' * (total is None)}{total or limit} bytes, got more")
    if total is not None and done < total:
        raise _CutError(f"the connection was cut after {done} of {total} bytes")


def _refused(url: str, part: Path, have: int, error: urllib.error.HTTPError) -> None:
    """Tell an answer other than the file; return if the server says that all of it is here."""
    with error:
        if error.code == 416 and have:
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
            raise _CutError("what was here of the file is not of that file")
        reason = " ".join(f"HTTP {error.code} {error.reason}".split())[:300]
        if error.code in _BUSY:
            pause = error.headers.get("Retry-After", "")
            raise _CutError(reason, float(pause) if re.fullmatch("[0-9]{1,4}", pause) else 0.0)
        raise DownloadError(f"{url}: {reason}")


def _position(url: str, part: Path, have: int, response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where in the file the answer starts, and how long the file is, if the server tells."""
    length = response.headers.get("Content-Length", "")
    rest = int(length) if re.fullmatch("[0-9]{1,15}", length) else None
    if response.status == 200:
        return 0, rest
    place = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", response.headers.get("Content-Range", ""))
    if response.status != 206 or not have:
        raise DownloadError(f"{url}: expected HTTP 200, got {response.status}")
    if place is None or int(place[1]) != have:
        part.unlink()
        raise _CutError(f"expected the bytes from {have}, got {response.headers.get('Content-Range')!r:.80}")
    return have, int(place[3]) if place[3] != "*" else None if rest is None else have + rest


def _keep_tag(part: Path, headers: http.client.HTTPMessage) -> None:
    tag = headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', tag):
        _tag(part).write_text(tag, "ascii")
    else:  # a weak one does not promise the same bytes
        _tag(part).unlink(missing_ok=True)


def _chunks(url: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _blame_network(url):
            chunk = response.read1(_CHUNK)
        if not chunk:
            return
        yield chunk


@contextmanager
def _blame_network(url: str) -> Iterator[None]:
    """Sort errors of the network: some pass."""
    try:
        yield
    except (DownloadError, urllib.error.HTTPError):
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in _NO_WAY:
            raise DownloadError(f"{url}: no network, or no such host ({getattr(reason, 'strerror', reason)})") from None
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{url}: the server's certificate is not trusted: {reason.verify_message}") from None
        if isinstance(reason, TimeoutError):
            raise _CutError(f"nothing came for {_TIMEOUT:g} s") from None
        raise _CutError(str(reason) or type(reason).__name__) from None


@contextmanager
def _name(path: Path) -> Iterator[None]:
    """Name the file in errors of the disk that do not."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow the server elsewhere, but never from https to something less."""

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302  # Python 3.10 does not know it

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
                         headers: http.client.HTTPMessage, newurl: str) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("https", req.type):
            raise DownloadError(f"{req.full_url}: expected to be sent on to https, got {newurl!r:.200}")
        return super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)
