"""A real RTSP server: Debian's gst-rtsp-server, run by the system's Python, which alone has it.

As a module: ``with RtspServer(...) as server: server.url``. As a program: that server.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PYTHON = "/usr/bin/python3"
ABSENT = "gst-rtsp-server is not installed"
STARTS_S = 30


@dataclass(frozen=True)
class Stream:
    """What it serves at ``/test``."""

    width: int = 160
    height: int = 120
    fps: int = 15
    pattern: str = "ball"
    user: str = ""
    password: str = ""
    digest: bool = False
    port: int = 0
    """0: a free one."""


def is_installed():
    """Whether the server and the encoder are there."""
    try:
        found = subprocess.run(
            [PYTHON, __file__, "--check"], capture_output=True, timeout=STARTS_S, check=False
        )
    except OSError:
        return False
    return found.returncode == 0


class RtspServer:
    """A server process; :meth:`kill` and :meth:`start` keep the port."""

    def __init__(self, stream=Stream()):
        self.port, self._stream = stream.port, stream
        self._process = None

    @property
    def pid(self):
        return self._process.pid

    @property
    def url(self):
        return f"rtsp://127.0.0.1:{self.port}/test"

    def start(self):
        told = json.dumps({**asdict(self._stream), "port": self.port})
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LD_"))}
        self._process = subprocess.Popen(
            [PYTHON, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        # its end of the pipe is the leash: it goes when we do
        self._process.stdin.write(told + "\n")
        self._process.stdin.flush()
        self.port = int(self._process.stdout.readline())

    def kill(self):
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()


def _factory(gst, stream):
    factory = gst.RTSPMediaFactory()
    factory.set_launch(
        f"( videotestsrc is-live=true pattern={stream.pattern} ! "
        f"video/x-raw,width={stream.width},height={stream.height},framerate={stream.fps}/1 ! "
        f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={stream.fps} bitrate=400 ! "
        "rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    factory.set_shared(True)
    return factory


def _guard(gst, server, factory, stream):
    token = gst.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = gst.RTSPAuth()
    if stream.digest:
        from gi.repository import GstRtsp

        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(stream.user, stream.password, token)
    else:
        auth.add_basic(gst.RTSPAuth.make_basic(stream.user, stream.password), token)
    permissions = gst.RTSPPermissions()
    for action in ("access", "construct"):
        permissions.add_permission_for_role("user", f"media.factory.{action}", True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


def main():
    """Serve what the first line on standard input says, until that ends."""
    import gi

    for name, version in (("Gst", "1.0"), ("GstRtsp", "1.0"), ("GstRtspServer", "1.0")):
        gi.require_version(name, version)
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    if not Gst.ElementFactory.find("x264enc") or not Gst.ElementFactory.find("rtph264pay"):
        raise SystemExit("x264enc or rtph264pay is missing")
    if "--check" in sys.argv:
        return
    stream = Stream(**json.loads(sys.stdin.readline()))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(stream.port))
    factory = _factory(GstRtspServer, stream)
    if stream.user:
        _guard(GstRtspServer, server, factory, stream)
    server.get_mount_points().add_factory("/test", factory)
    if not server.attach(None):
        raise SystemExit("no such port")
    loop = GLib.MainLoop()
    GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
    print(server.get_bound_port(), flush=True)  # noqa: T201  this is how we are told
    loop.run()


if __name__ == "__main__":
    sys.path[:] = [place for place in sys.path if Path(place) != Path(__file__).parent]
    main()
