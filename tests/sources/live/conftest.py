"""Someone who watches a live source, servers that break, and proof that nothing is left of both."""

import base64
import logging
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil
import pytest

from edgeresnet.sources import open_source
from edgeresnet.sources.patience import Patience

USER, PASSWORD = "us er", "p@ss w%rd&#"
ACCOUNT = f"{USER}:{PASSWORD}"
FORMS = (
    PASSWORD,
    quote(PASSWORD, safe=""),
    quote(PASSWORD),
    quote_plus(PASSWORD),
    base64.b64encode(ACCOUNT.encode()).decode().rstrip("="),
    "w%25rd",
    "w%rd",
)
"""What would betray the password."""
WITHIN_S = 20
"""Long enough on a machine that others use; what is waited for takes a fraction of it."""


@pytest.fixture(scope="session")
def films(server_module):
    """The module that makes films."""
    return server_module("films")


@pytest.fixture(scope="session")
def web(server_module):
    """The module of the HTTP server and its answers."""
    return server_module("http")


@pytest.fixture(scope="session")
def jpegs(films):
    """A second of pictures."""
    return [films.jpeg(films.picture(index)) for index in range(25)]


@pytest.fixture
def site(web):
    """An HTTP server that knows nothing yet."""
    with web.Site() as server:
        yield server


@pytest.fixture
def before(server_module):
    """Puts a chaos proxy before a port."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(server_module("chaos").Proxy(port))


@pytest.fixture(scope="session")
def rtsp_module(server_module):
    module = server_module("rtsp")
    if not module.is_installed():
        pytest.skip(module.ABSENT)
    return module


@pytest.fixture
def rtsp(rtsp_module):
    """Starts RTSP servers; ``rtsp(fps=…, user=…)``."""
    with ExitStack() as stack:
        yield lambda **stream: stack.enter_context(
            rtsp_module.RtspServer(rtsp_module.Stream(**stream))
        )


@dataclass(frozen=True)
class Seen:
    """What is kept of a frame."""

    index: int
    captured_ns: int
    age_ns: int
    size: tuple[int, int]
    mean: float


class Viewer:
    """Reads a source on a thread, notes what it gives and says, and keeps its books."""

    def __init__(self, source, stop):
        self.source, self.stop_event = source, stop
        self.seen, self.healths, self.command_lines = [], [], set()
        self.ended, self.error = False, None
        self._thread = threading.Thread(target=self._read, name="viewer", daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for frame in self.source:
                now = time.monotonic_ns()
                lost = sum(self.source.dropped.values())
                assert frame.index == len(self.seen) + lost, "a frame is unaccounted for"
                self.seen.append(
                    Seen(
                        frame.index,
                        frame.captured_ns,
                        now - frame.captured_ns,
                        (frame.width, frame.height),
                        float(frame.pixels.mean()),
                    )
                )
                del frame
        except BaseException as error:  # noqa: BLE001  raised on the test's thread
            self.error = error
        self.ended = True

    @property
    def health(self):
        health = self.source.health()
        if not self.healths or health != self.healths[-1]:
            self.healths.append(health)
        return health

    @property
    def reasons(self):
        """Every reason it was seen with."""
        return {health.reason for health in self.healths} - {""}

    @property
    def is_live(self):
        return self.health.state == "live"

    def until(self, holds, within_s=WITHIN_S):
        """Wait until ``holds()``; how long that took."""
        begin = time.monotonic()
        while not holds():
            _ = self.health
            if self.error is not None:
                raise self.error
            waited_s = time.monotonic() - begin
            assert waited_s < within_s, f"after {waited_s:.1f} s: {self}"
            time.sleep(0.005)
        return time.monotonic() - begin

    def gets(self, count, within_s=WITHIN_S):
        """Wait for so many more frames."""
        enough = len(self.seen) + count
        waited_s = self.until(lambda: len(self.seen) >= enough, within_s)
        if pid := self.source.child_pid:
            self.command_lines.add(Path(f"/proc/{pid}/cmdline").read_bytes().decode())
        return waited_s

    def loses_it(self, reason, within_s=WITHIN_S):
        """Wait until the source is not live, and for that reason."""
        return self.until(
            lambda: self.health.reason == reason and self.health.state != "live", within_s
        )

    def stop(self):
        """Set ``stop``; the source has to end by itself."""
        self.stop_event.set()
        self.until(lambda: self.ended, 5)
        self._thread.join()

    def __str__(self):
        sizes = dict(Counter(frame.size for frame in self.seen))
        return f"{self.health}, {len(self.seen)} frames {sizes}, {self.source.dropped}"


@pytest.fixture(scope="session")
def account():
    """User and password that every URL gets."""
    return USER, PASSWORD


@pytest.fixture
def view(monkeypatch, caplog):
    """Opens a source and watches it; a URL gets a user and a password, which nobody may see."""
    monkeypatch.setenv("EDGERESNET_TEST_ACCOUNT", ACCOUNT)
    caplog.set_level(logging.INFO, "edgeresnet")
    viewers = []
    with ExitStack() as stack:

        def opened(uri, *, scale=0.02, **patience):
            if uri.startswith(("rtsp:", "http:")):
                uri += ("&" if "?" in uri else "?") + "auth=env:EDGERESNET_TEST_ACCOUNT"
            stop = threading.Event()
            given = Patience(backoff_scale=scale, **patience)
            source = stack.enter_context(
                open_source(uri, index=len(viewers), stop=stop, patience=given)
            )
            viewers.append(Viewer(source, stop))
            return viewers[-1]

        yield opened
        for viewer in viewers:
            viewer.stop()
    for viewer in viewers:
        assert viewer.error is None
        said = [caplog.text, str(viewer.healths), viewer.source.name, *viewer.command_lines]
        assert not [form for form in FORMS if form in "\n".join(said)]
        times = [frame.captured_ns for frame in viewer.seen]
        assert times == sorted(times)
        assert all(frame.age_ns >= 0 for frame in viewer.seen)
    assert "Traceback" not in caplog.text


@pytest.fixture
def told(caplog):
    """The lines that the capture logged so far."""
    return lambda: [r.getMessage() for r in caplog.records if r.name == "edgeresnet"]


def held():
    """Threads, descriptors and children of this process."""
    process = psutil.Process()
    children = {child.pid for child in process.children(recursive=True)}
    return threading.active_count(), process.num_fds(), children


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """No more threads, descriptors and processes than before."""
    threads, files, children = held()
    yield
    end = time.monotonic() + 10
    while True:
        now = held()
        if now[0] <= threads and now[1] <= files and now[2] <= children:
            return
        assert time.monotonic() < end, f"{now}, before {threads, files, children}"
        time.sleep(0.02)


@pytest.fixture
def flat():
    """Asserts that what processes take grows by less than so many MB while the block runs."""

    @contextmanager
    def measured(megabytes, *pids):
        processes = [psutil.Process(), *map(psutil.Process, pids)]
        before = [(p.memory_info().rss, p.num_fds()) for p in processes]
        yield
        for process, (rss, fds) in zip(processes, before, strict=True):
            assert process.memory_info().rss - rss < megabytes * 1e6, process
            assert abs(process.num_fds() - fds) <= 2, process

    return measured
