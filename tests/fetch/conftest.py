"""A web server on this machine that misbehaves as it is told."""

import hashlib
import re
import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

SIZE = 3_000_000


@dataclass
class Site:
    """What the server serves, how it behaves, and what it was asked."""

    content: bytes
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)
    """The Range header of every request so far."""
    closes_after: list[int] = field(default_factory=list)
    """Bytes after which to close the connection, one for each of the next requests."""
    ignores_range: bool = False
    status: int = 0
    redirect: str = ""

    @property
    def sha256(self):
        return hashlib.sha256(self.content).hexdigest()


class Server(ThreadingHTTPServer):
    """Says nothing when a client leaves early: that is what is tested."""

    def handle_error(self, *_):
        pass


@contextmanager
def served(state, certificate=None):
    """Serve ``state``, over TLS when there is a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            if state.redirect or state.status:
                self.send_response(302 if state.redirect else state.status)
                self.send_header("Location", state.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = 0
            if asked and not state.ignores_range:
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(state.content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                last = len(state.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(state.content)}")
            self.send_header("Content-Length", str(len(state.content) - start))
            self.end_headers()
            stop = state.closes_after.pop(0) if state.closes_after else len(state.content)
            self.wfile.write(state.content[start : start + stop])

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        scheme = "https" if certificate else "http"
        state.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/weights.pth"
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def site(rng):
    """A running server with one file of random bytes at ``site.url``."""
    with served(Site(rng.bytes(SIZE))) as state:
        yield state


@pytest.fixture
def certificate(tmp_path_factory):
    """Certificate and key of a server on this machine that nobody vouches for."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    paths = ["-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run([*command.split(), *names, *paths], check=True, capture_output=True)
    return made


@pytest.fixture
def secure_site(rng, certificate):
    """The same, over TLS."""
    with served(Site(rng.bytes(SIZE)), certificate) as state:
        yield state
