"""The servers that break do break in the way they say; other tests rest on it."""

import io
import socket
import threading
import time

import av
import pytest


@pytest.fixture(scope="module")
def web(server_module):
    return server_module("http")


@pytest.fixture
def echo(web):
    """A site that sends a byte whenever it pleases: 20 a second."""
    with web.Site(web.stream(b"x" * 100_000, 4000, then=web.hang)) as site:
        yield site


@pytest.fixture
def proxy(echo, server_module):
    with server_module("chaos").Proxy(echo.port) as before:
        yield before


def connected(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    return client


def flows(client, seconds):
    """Whether anything comes within ``seconds``."""
    client.settimeout(seconds)
    try:
        return bool(client.recv(1))
    except TimeoutError:
        return False


def drain(client):
    """All that comes, until the other end has closed."""
    while client.recv(4096):
        pass


def test_a_reset_is_no_orderly_end(proxy):
    with connected(proxy.port) as client:
        assert flows(client, 5)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            drain(client)
    assert proxy.resets == 1


def test_connections_are_reset_after_so_many_bytes(proxy):
    proxy.reset_after = 60
    for _ in range(3):
        with connected(proxy.port) as client, pytest.raises(ConnectionResetError):
            drain(client)
    assert proxy.resets == 3


def test_a_hole_swallows_everything_and_gives_it_back(proxy):
    with connected(proxy.port) as client:
        assert flows(client, 5)
        proxy.mode = "hole"
        time.sleep(0.1)
        while flows(client, 0.2):
            pass
        with connected(proxy.port) as other:  # still accepted
            assert not flows(other, 0.3)
        proxy.mode = "pass"
        assert flows(client, 5)


def test_a_drip_is_a_byte_at_a_time(proxy):
    proxy.mode, proxy.every_s = "drip", 0.1
    with connected(proxy.port) as client:
        assert {len(client.recv(4096)) for _ in range(5)} == {1}


def test_a_delay_is_one(proxy):
    proxy.mode, proxy.delay_s = "delay", 0.3
    with connected(proxy.port) as client:
        begin = time.monotonic()
        assert flows(client, 10)
        assert time.monotonic() - begin > 0.5  # the request, and the answer


def test_refused_connections_leave_the_port_ours_and_can_be_undone(proxy):
    with connected(proxy.port) as client:
        assert flows(client, 5)
        proxy.mode = "refuse"
        with pytest.raises(ConnectionRefusedError):
            connected(proxy.port)
        assert flows(client, 5)
        proxy.mode = "pass"
        with connected(proxy.port) as other:
            assert flows(other, 5)


def after_the_picture(client):
    """What comes once the picture is there: bytes, or the exception."""
    data = b""
    while not data.endswith(b"picture\r\n"):
        data += client.recv(1)
    return client


@pytest.mark.parametrize(("then", "more"), [("hang", False), ("drip", True)])
def test_what_comes_after_the_last_picture(web, then, more):
    answer = web.mjpeg([b"picture"], 1000, getattr(web, then))
    with web.Site(answer) as site, connected(site.port) as client:
        after_the_picture(client)
        if more:  # the head of a picture at once, then byte by byte
            assert b"100000" in client.recv(4096)
            assert client.recv(4096) == b"U"
        assert flows(client, 1) is more


def test_a_cut_is_a_reset_after_the_picture_has_arrived(web):
    answer = web.mjpeg([b"picture"], 1000, web.cut)
    with web.Site(answer) as site, connected(site.port) as client:
        after_the_picture(client)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_redirect_goes_in_a_circle_and_a_guard_wants_the_password(web):
    with web.Site(web.circle) as site, connected(site.port) as client:
        assert b"Location: /\r\n" in client.recv(4096)
    with web.Site(web.guarded("a", "b", web.says(b"in"))) as site:
        with connected(site.port) as client:
            assert client.recv(4096).startswith(b"HTTP/1.1 401")
        with socket.create_connection(("127.0.0.1", site.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nAuthorization: Basic YTpi\r\n\r\n")
            assert client.recv(4096) == b"in"


def test_nothing_of_a_site_or_a_proxy_is_left(web, server_module):
    before = threading.active_count()
    with web.Site(web.endless([b"x"])) as site, server_module("chaos").Proxy(site.port) as proxy:
        clients = [connected(port) for port in (site.port, proxy.port)]
        for client in clients:
            assert flows(client, 5)
    for client in clients:
        client.close()
    assert threading.active_count() == before


def test_damage_is_of_the_size_that_was_asked_for(server_module):
    films = server_module("films")
    whole = films.film(50, noise=100)
    for share in (0.0005, 0.005, 0.05):
        wrong = sum(a != b for a, b in zip(whole, films.flipped(whole, share), strict=True))
        assert share / 2 < wrong / len(whole) <= share * 1.1
    lost = 1 - len(films.lossy(whole)) / len(whole)
    assert 0.05 < lost < 0.11
    assert len(films.lossy(whole)) % films.PACKET == 0


def test_times_are_those_that_were_asked_for(server_module):
    films = server_module("films")
    asked = [900_000 + i % 10 * 3600 for i in range(20)]
    for times in (asked, [None] * 20):
        data = films.restamped(films.film(20), times.__getitem__)
        with av.open(io.BytesIO(data)) as container:
            found = [packet.pts for packet in container.demux(video=0) if packet.size]
        assert len(found) == 20
        assert found[:10] == times[:10]  # what goes back FFmpeg may take for a wrap
