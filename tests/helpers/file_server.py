"""A real HTTP server of a few bytes, which can be told to misbehave."""

import re
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.request_log = SimpleNamespace(path=self.path, range=self.headers.get("Range"), sent=0)
        self.server.requests.append(self.request_log)
        self.close_connection = True
        act = self.server.acts.pop(0) if self.server.acts else plain
        with suppress(OSError):  # the other side has left
            act(self, self.server.files.get(self.path))

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def body(self, data):
        self.request_log.sent += len(data)  # before the other side can be done with it
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def plain(handler, data, cut=None, ranges=True, silence=0):
    """A good server; `cut`: the connection breaks after so many bytes and seconds of `silence`."""
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.request_log.range or "")
    start = int(wanted[1]) if wanted and ranges else 0
    if data is None:
        handler.head(404, Content_Length="0")
    elif start and start >= len(data):
        handler.head(416, Content_Length="0")
    else:
        handler.head(206 if start else 200, Content_Length=str(len(data) - start))
        handler.body(data[start:][:cut])
        time.sleep(silence)


def cut(after, silence=0):
    return lambda handler, data: plain(handler, data, after, silence=silence)


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
        handler.body(b"%x\r\n" % after + data[:after] + b"\r\n")
        handler.body(b"0\r\n\r\n" if after == len(data) else b"ffff\r\n")
    return act


@contextmanager
def serving(files):
    """A server of `files` (path -> bytes) on this machine; `.acts` are taken for the next requests, one each."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.acts, server.requests = files, [], []
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
