"""A real HTTP server of a few bytes, which can be told to misbehave."""

import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        request = SimpleNamespace(path=self.path, range=self.headers.get("Range"), sent=0,
                                  if_range=self.headers.get("If-Range"))
        server.requests.append(request)
        self.request_log, self.close_connection = request, True
        act = server.acts.pop(0) if server.acts else plain
        try:
            act(self, server.files.get(self.path))
        except OSError:  # the other side has left
            pass

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def body(self, data):
        self.request_log.sent += len(data)  # before the other side can be done with it
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def plain(handler, data, cut=None, ranges=True):
    """A good server; `cut`: the connection breaks after so many bytes."""
    if data is None:
        handler.head(404, Content_Length="0")
        return
    etag, wanted = handler.server.etag, re.fullmatch(r"bytes=(\d+)-", handler.request_log.range or "")
    if wanted and ranges and handler.request_log.if_range in (None, etag):
        start = int(wanted[1])
        if start >= len(data):
            handler.head(416, Content_Range=f"bytes */{len(data)}", Content_Length="0")
            return
        handler.head(206, Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}", ETag=etag,
                     Content_Length=str(len(data) - start))
    else:
        start = 0
        handler.head(200, Content_Length=str(len(data)), ETag=etag)
    handler.body(data[start:][:cut])


def cut(after):
    return lambda handler, data: plain(handler, data, cut=after)


def status(code, **headers):
    return lambda handler, data: handler.head(code, Content_Length="0", **headers)


def endless(handler, data):
    """Never says how much, and never stops."""
    handler.head(200)
    while True:
        handler.body(bytes(1 << 16))


def chunked(after):
    """In chunks, of which only the first ones come."""
    def act(handler, data):
        handler.head(200, Transfer_Encoding="chunked")
        handler.wfile.write(b"%x\r\n" % after + data[:after] + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n" if after == len(data) else b"ffff\r\n")
    return act


def hang(after, seconds):
    """Falls silent."""
    def act(handler, data):
        handler.head(200, Content_Length=str(len(data)))
        handler.body(data[:after])
        time.sleep(seconds)
    return act


@contextmanager
def serving(files):
    """A server of `files` (path -> bytes) on this machine; `.acts` are taken for the next requests, one each."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.acts, server.requests, server.etag = files, [], [], None
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
