import http.client
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.sinks import open_sink
from edgeresnet.sinks.web import server

STREAM = b"GET /stream/door.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
POLL = b"GET /frame/door.jpg?after=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _ends(client):
    """Whether the server cuts it without an answer."""
    try:
        return client.recv(10) == b""
    except ConnectionResetError:
        return True


def test_it_ends_in_time_whatever_the_clients_do(served):
    served.put(1, size=(720, 1280))
    clients = [served.connect() for _ in range(6)]
    for client, request in zip(clients, (STREAM, STREAM, POLL, b"GET /", b"", STREAM), strict=True):
        client.sendall(request)
    for _ in range(20):
        served.put(1, size=(720, 1280))
        time.sleep(0.01)
    begin = time.monotonic()
    served.sink.close()
    assert time.monotonic() - begin < 2
    for client in clients:
        client.close()
    with pytest.raises(OSError, match="refused"):
        served.connect()


def test_nothing_is_left_behind(run, until):
    def held():
        return len(list(Path("/proc/self/fd").iterdir()))

    threads, before = set(threading.enumerate()), held()
    for _ in range(3):
        with open_sink("web:0", model="m", status=run) as sink:
            assert sink.port
    assert held() == before
    until(lambda: not set(threading.enumerate()) - threads)


def test_a_status_that_never_comes_blocks_nobody(serve, run, until):
    asked, answer = threading.Event(), threading.Event()

    def hangs():
        asked.set()
        answer.wait()
        return run()

    served = serve(status=hangs)
    served.put(1)

    def ask():
        with suppress(ConnectionError):  # it is cut when the server ends
            served.get("/api/status")

    waiting = threading.Thread(target=ask)
    waiting.start()
    assert asked.wait(10)
    assert served.get("/livez").status == 200
    assert served.get("/frame/door.jpg").status == 200
    served.sink.close()
    answer.set()
    waiting.join()


def test_a_connection_without_a_request_is_cut(serve, monkeypatch):
    monkeypatch.setattr(server, "_SILENT_S", 0.2)
    served = serve()
    with served.connect() as silent, served.connect() as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: lo")
        assert _ends(silent)
        assert _ends(slow)


def test_far_too_many_connections_are_not_even_answered(serve, monkeypatch):
    monkeypatch.setattr(server, "_MOST_SOCKETS", 2)
    served = serve()
    with served.connect(), served.connect(), served.connect() as third:
        assert _ends(third)


def test_a_sink_whose_server_has_ended_says_so(served):
    served.sink.close()
    with pytest.raises(DeviceError, match="has ended"):
        served.put()


def test_putting_costs_next_to_nothing_while_nobody_looks(served):
    frame = served.put(0, size=(1080, 1920))
    begin = time.process_time()
    for _ in range(1000):
        served.sink.put(frame, None)
    assert time.process_time() - begin < 0.5  # a copy of each alone would take a second
    served.put(0)


def test_another_address_family_is_served(serve):
    try:
        served = serve("[::1]:0")
    except UsageError as error:
        pytest.skip(f"no IPv6 here: {error}")
    connection = http.client.HTTPConnection("::1", served.port, timeout=5)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    connection.close()
