import http.client
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress

import cv2
import numpy as np
import psutil
import pytest

from edgeresnet.sinks.web import streams

ASK = "GET /stream/door.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def next_part(answer):
    """Headers and picture of the next part of a multipart answer."""
    boundary = answer.readline().strip() or answer.readline().strip()
    assert boundary == b"--edgeresnet-frame"
    headers = http.client.parse_headers(answer)
    return headers, answer.read(int(headers["Content-Length"]))


@contextmanager
def watching(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    with closing(connection):
        connection.request("GET", "/stream/door.mjpg")
        with connection.getresponse() as answer:
            assert answer.status == 200
            assert answer.headers.get_content_type() == "multipart/x-mixed-replace"
            yield answer


def test_a_picture_is_answered_with_its_number_and_age(served, boats):
    served.put(17, size=(48, 64), value=200, prediction=boats)
    answer = served.get("/frame/door.jpg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["X-Frame"] == "17"
    assert 0 <= float(answer.headers["X-Age-Ms"]) < 10_000
    assert answer.headers["X-Prediction"] == '{"boxes": 2, "labels": [["boat", 2]]}'
    assert decoded(answer.body).shape == (48, 64, 3)


def test_the_same_picture_is_not_answered_again(served):
    served.put(17)
    begin = time.monotonic()
    answer = served.get("/frame/door.jpg?after=17")
    assert (answer.status, answer.body) == (204, b"")
    assert 0.8 < time.monotonic() - begin < 5
    assert served.get("/frame/door.jpg?after=16").status == 200
    assert served.get("/frame/door.jpg?after=99").headers["X-Frame"] == "17"  # a run begun anew


def test_a_new_picture_is_answered_at_once(served):
    served.put(17)
    later = threading.Timer(0.2, lambda: served.put(18))
    later.start()
    answer = served.get("/frame/door.jpg?after=17")
    later.join()
    assert answer.headers["X-Frame"] == "18"


def test_a_source_without_a_picture_is_waited_for_and_an_unknown_one_is_not(served):
    assert served.get("/frame/door.jpg").status == 204
    for path in ("/frame/cellar.jpg", "/stream/cellar.mjpg"):
        assert served.get(path).status == 404


@pytest.mark.parametrize("after", ["x", "-1", "1.5"])
def test_a_number_that_is_none_is_refused(served, after):
    assert served.get(f"/frame/door.jpg?after={after}").status == 400


def test_what_is_written_on_boxes_is_as_large_as_is_asked_for(served, boats):
    served.put(3, size=(480, 640), value=120, prediction=boats)
    pictures = [served.get(f"/frame/door.jpg?text={text}").body for text in ("", "large", "none")]
    written = [(np.abs(decoded(one).astype(int) - 120).max(2) > 40).sum() for one in pictures]
    assert written[1] > 1.5 * written[0] > 1.5 * written[2] > 0
    assert served.get("/frame/door.jpg?text=9").status == 400


def test_names_with_strange_letters_are_found(served):
    served.put(3, "a/ü?#")
    assert served.get("/frame/a%2F%C3%BC%3F%23.jpg").headers["X-Frame"] == "3"


def test_a_stream_gives_the_newest_frame_each_time(served):
    served.put(1)
    with watching(served) as answer:
        assert next_part(answer)[0]["X-Frame"] == "1"
        for index in (2, 3, 5):
            served.put(index, value=40 * index)
            headers, picture = next_part(answer)
            assert headers["X-Frame"] == str(index)
            assert decoded(picture)[2, 2].tolist() == pytest.approx([40 * index] * 3, abs=4)


def test_more_watchers_than_places_are_refused_until_one_leaves(served, monkeypatch, until):
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)
    served.put(1)
    with served.connect() as one, served.connect() as two:
        for client in (one, two):
            client.sendall(ASK.encode())
            assert b"200" in client.recv(64)
        answer = served.get("/frame/door.jpg")
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert served.get("/api/status").status == 200
    until(lambda: served.get("/frame/door.jpg").status == 200)


def test_clients_that_never_read_are_cut_and_cost_no_memory(served, monkeypatch, until, rng):
    """K10: at most 2 MB. Noise makes pictures as large as they get."""
    monkeypatch.setattr(streams, "UNREAD_S", 1.5)
    noise = rng.integers(0, 255, (8, 360, 640, 3), np.uint8)
    process = psutil.Process()

    def feed(first, seconds):
        end, index = time.monotonic() + seconds, first
        while time.monotonic() < end:
            served.put(index, value=noise[index % 8])
            index += 1
            time.sleep(0.01)
        return index

    for index in range(20):  # the encoder and the sockets take theirs first
        served.put(index, value=noise[index % 8])
        assert served.get("/frame/door.jpg").status == 200
    with ExitStack() as stack:
        clients = [stack.enter_context(served.connect()) for _ in range(4)]
        for client in clients:
            client.sendall(ASK.encode())
        index = feed(100, 0.8)
        before = process.memory_info().rss
        feed(index, 0.6)
        grown = process.memory_info().rss - before
        until(lambda: b"web_clients 1.0" in served.get("/metrics").body, 5)
        for client in clients:
            with suppress(ConnectionResetError):
                while client.recv(1 << 20):
                    pass
    assert grown <= 2e6


def test_a_slow_client_gets_fewer_frames_not_older_ones(served, until):
    served.put(0, size=(360, 640))
    with watching(served) as answer:
        next_part(answer)
        for index in range(1, 200):
            served.put(index)
        time.sleep(0.3)
        seen = [int(next_part(answer)[0]["X-Frame"])]
        while seen[-1] != 199:
            seen.append(int(next_part(answer)[0]["X-Frame"]))
    assert len(seen) < 150
    assert seen == sorted(seen)
