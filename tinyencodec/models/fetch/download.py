"""Download one large file over HTTP: resumed where it was cut, tried again a few times, and checked by its hash.

The bytes gather in `NAME.part` beside the destination, which appears only when it is whole and has the right hash. What
an interrupted call leaves is kept: the next call asks for the rest (`Range`), and, if the server gave the file a strong
entity tag (kept in `NAME.part.tag`), only for the rest of the same file (`If-Range`). If the server answers with the
whole file, the download starts again. Whatever else goes wrong, the hash finds it, and the bytes are removed.
"""

import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tinyencodec.system.files import named, sha256_of
from tinyencodec.version import __version__

_TIMEOUT = 30.0  # seconds without a byte
_PAUSES = (1, 4, 10)  # seconds before each further attempt
_CHUNK = 1 << 18
_BUSY = {408, 425, 429, 500, 502, 503, 504}  # HTTP states that may pass
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
_Report = Callable[[int, int | None], None]


class DownloadError(OSError):
    """A file cannot be had from the network: its address and why, in one line."""


def download(url: str, dest: Path, sha256: str, most: int, report: _Report | None = None) -> str:
    """Fetch `url` (http or https) to the file `dest`; return its SHA-256, 64 hex digits.

    Parameters
    ----------
    sha256 : the hash expected, in hex: all 64 digits, or as many of the first ones as are known
    most : bytes that the file can have; what comes after them is not written
    report : called with (bytes so far, bytes in all or None)

    Raises
    ------
    DownloadError : no network, no such file, or a connection that was cut several times.
    ValueError : the file has another hash, and was removed; or `url` is no such address.
    OSError : the disk is full, or the folder cannot be written to.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"{url!r:.200}: expected an address that begins with https:// or http://")
    part, tag = dest.with_name(f"{dest.name}.part"), dest.with_name(f"{dest.name}.part.tag")
    for pause in (*_PAUSES, None):
        try:
            _receive(url, part, tag, most, report)
            break
        except _NETWORK as error:
            code = error.code if isinstance(error, urllib.error.HTTPError) else 0
            if code == 416 and part.exists():  # there is no more than what is here
                break
            if pause is None or code and code not in _BUSY:
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                kept = f"; {part.stat().st_size} bytes are kept for the next attempt" if part.exists() else ""
                raise DownloadError(f"{url}: {reason}{kept}") from None
            time.sleep(pause)
    digest = sha256_of(part)
    tag.unlink(missing_ok=True)
    if not digest.startswith(sha256):
        part.unlink()
        raise ValueError(f"{url}: expected a file whose SHA-256 is {sha256}{'...' * (len(sha256) < 64)}, got {digest}; "
                         "it was removed")
    os.replace(part, dest)
    return digest


def _receive(url: str, part: Path, tag: Path, most: int, report: _Report | None) -> None:
    """Make `part` whole, in one attempt. Raises those of `_NETWORK`."""
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"tinyencodec/{__version__}", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text("ascii", "replace")
    with _OPENER.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as response:
        if response.status != 206:
            done = 0
        length, etag = response.headers.get("Content-Length", ""), response.headers.get("ETag", "")
        total = done + int(length) if re.fullmatch("[0-9]{1,15}", length) else None
        with named(str(part)), open(part, "ab" if done else "wb") as fo:
            tag.unlink(missing_ok=True)
            if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', etag):  # a weak one does not promise the same bytes
                tag.write_text(etag, "ascii")
            while chunk := response.read1(_CHUNK):
                done += len(chunk)
                if done > most:  # the hash tells that it is not the file
                    return
                fo.write(chunk)
                if report is not None:
                    report(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection was cut after {done} of {total} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow the server elsewhere, but never from https to something less."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
                         headers: http.client.HTTPMessage, newurl: str) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("https", req.type):
            raise DownloadError(f"{req.full_url}: expected to be sent on to https, got {newurl!r:.200}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)
