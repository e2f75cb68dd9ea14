"""Download one large file over HTTP: resumed where it was cut, tried again a few times, and checked by its hash.

The file grows in its place. What an interrupted call leaves is kept, and the next call asks for the rest (`Range`). If
the server answers with the whole file, the download starts again. If anything else goes wrong, for example
if the file has changed meanwhile, the hash shows it, and the file is removed.
"""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tinyencodec.system.files import named, sha256_of
from tinyencodec.system.progress import Progress
from tinyencodec.system.version import __version__

_TIMEOUT = 30.0  # seconds without a byte
_PAUSES = (1, 4, 10)  # seconds before each further attempt
_BUSY = {408, 425, 429, 500, 502, 503, 504}  # HTTP states that may pass
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
ELSEWHERE = "`tinyencodec fetch NAME --from FILE` takes the file from elsewhere"


def download(url: str, path: Path, sha256: str, most: int, report: Progress | None = None) -> None:
    """Fetch `url` (http or https) to the file `path`, or the rest of what is there already.

    Parameters
    ----------
    sha256 : the hash expected, in hex: all 64 digits, or as many of the first ones as are known
    most : bytes that the file can have; what comes after them is not written
    report : called with (bytes so far, bytes in all or None)

    Raises
    ------
    ConnectionError : no network, no such file, or a connection that was cut several times.
    ValueError : the file has another hash, and was removed; or `url` is no such address.
    OSError : the disk is full, or the folder cannot be written to.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"{url!r:.200}: expected an address that begins with https:// or http://")
    for pause in (*_PAUSES, None):
        try:
            _receive(url, path, most, report)
            break
        except _NETWORK as error:
            code = error.code if isinstance(error, urllib.error.HTTPError) else 0
            if code == 416 and path.exists():  # there is no more than what is here
                break
            if pause is None or code and code not in _BUSY:
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                kept = f"; {path.stat().st_size} bytes are kept for the next attempt" if path.exists() else ""
                raise ConnectionError(f"{url}: {reason}{kept}; {ELSEWHERE}") from None
            time.sleep(pause)
    digest = sha256_of(path)
    if not digest.startswith(sha256):
        path.unlink()
        raise ValueError(f"{url}: expected a file whose SHA-256 is {sha256}{'...' * (len(sha256) < 64)}, got {digest}; "
                         "it was removed")


def _receive(url: str, path: Path, most: int, report: Progress | None) -> None:
    """Make `path` whole, in one attempt. Raises those of `_NETWORK`."""
    done = path.stat().st_size if path.exists() else 0
    headers = {"User-Agent": f"tinyencodec/{__version__}", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    with _OPENER.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as response:
        if response.status != 206:
            done = 0
        total = None if response.length is None else done + response.length
        with named(str(path)), open(path, "ab" if done else "wb") as fo:
            while chunk := response.read1(1 << 18):
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
            expected = f"expected to be sent on to https, got {newurl!r:.200}"
            raise urllib.error.HTTPError(newurl, code, expected, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)
