"""A server that is not there, does not let us in, or has no such stream: S1, S6, S12, S13."""

import os
from pathlib import Path

import pytest

HOSTS = Path("/etc/hosts")
SCHEMES = ("http", "rtsp")
RUNGS = 4
"""1 s, 5 s, 10 s, 30 s."""
SLOW_S, SCALE = 30, 0.02
JITTER = 0.8


@pytest.fixture
def nowhere(before):
    """A port that is ours, and where nobody listens until ``mode`` is ``pass``."""

    def port(target=1):
        proxy = before(target)
        proxy.mode = "refuse"
        return proxy

    return port


def announced(lines):
    return [line for line in lines if "trying again" in line]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_absent_server_is_tried_again_and_told_once_a_rung(view, nowhere, told, scheme):
    viewer = view(f"{scheme}://127.0.0.1:{nowhere().port}/cam", scale=0.001)
    viewer.until(lambda: viewer.health.attempts > 30)
    assert viewer.reasons == {"refused"}
    assert {health.state for health in viewer.healths} <= {"connecting", "backoff"}
    assert "refuses connections" in viewer.health.detail
    assert len(announced(told())) == RUNGS
    assert viewer.seen == []


def test_a_server_that_comes_up_is_found(view, nowhere, site, web, jpegs, told):
    site.answer = web.endless(jpegs)
    proxy = nowhere(site.port)
    viewer = view(f"http://127.0.0.1:{proxy.port}/cam", scale=0.01)
    viewer.until(lambda: viewer.health.attempts > 3)
    child = viewer.source.child_pid
    proxy.mode = "pass"
    viewer.gets(3)
    assert viewer.is_live
    assert viewer.health.reason == ""
    assert viewer.health.reconnects == 0  # it was never lost
    assert viewer.source.child_pid == child  # it can refuse a thousand times in one process
    assert told()[-1].endswith("live again")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_thousand_vain_attempts_leave_nothing(view, nowhere, flat, scheme):
    viewer = view(f"{scheme}://127.0.0.1:{nowhere().port}/cam", scale=1e-6)
    viewer.until(lambda: viewer.health.attempts > 100)
    child = viewer.source.child_pid
    with flat(10, child):
        viewer.until(lambda: viewer.health.attempts > 1100, 60)
    assert viewer.source.child_pid == child
    assert viewer.reasons == {"refused"}


def answers(web):
    return {
        "unauthorized": web.status(401, 'WWW-Authenticate: Basic realm="cam"'),
        "forbidden": web.status(403),
        "not-found": web.status(404),
        "redirects": web.circle,
    }


@pytest.mark.parametrize("reason", ["unauthorized", "forbidden", "not-found", "redirects"])
def test_a_server_that_says_no_has_a_reason_of_its_own_and_is_asked_seldom(
    view, site, web, jpegs, told, reason
):
    site.answer = answers(web)[reason]
    viewer = view(site.url(), scale=SCALE)
    viewer.loses_it(reason)
    attempts = viewer.health.attempts
    waited_s = viewer.until(lambda: viewer.health.attempts == attempts + 1)
    assert waited_s > SLOW_S * SCALE * JITTER - 0.1
    assert viewer.reasons == {reason}
    assert len(announced(told())) == 1
    site.answer = web.endless(jpegs)
    viewer.gets(3)
    assert viewer.is_live


def test_the_password_is_given_to_the_server_that_asks(view, site, web, jpegs, account):
    site.answer = web.guarded(*account, web.endless(jpegs))
    viewer = view(site.url("/cam?a=1"))
    viewer.gets(3)
    assert ":".join(account) in site.credentials


@pytest.mark.parametrize("digest", [False, True], ids=["basic", "digest"])
def test_an_rtsp_server_is_given_the_password_however_it_asks(view, rtsp, account, digest):
    user, password = account
    server = rtsp(user=user, password=password, digest=digest)
    viewer = view(server.url)
    viewer.gets(3)
    assert viewer.reasons == set()


def test_an_rtsp_server_that_wants_another_password_is_unauthorized(view, rtsp, account):
    viewer = view(rtsp(user=account[0], password="another").url)
    viewer.loses_it("unauthorized")


def test_an_rtsp_server_without_that_stream_is_told_from_an_absent_one(view, rtsp):
    viewer = view(rtsp().url.replace("/test", "/elsewhere"))
    viewer.loses_it("not-found")


def test_an_rtsp_server_may_forbid(view, site, web):
    site.answer = web.says(b"RTSP/1.0 403 Forbidden\r\nCSeq: 1\r\n\r\n")
    viewer = view(f"rtsp://127.0.0.1:{site.port}/cam")
    viewer.loses_it("forbidden")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_no_stream_is_invalid(view, site, web, scheme):
    site.answer = web.file(b"<html><body>welcome</body></html>" * 50, "text/html")
    viewer = view(f"{scheme}://127.0.0.1:{site.port}/cam")
    viewer.loses_it("invalid")


@pytest.fixture
def hosts():
    """Gives names addresses on this machine."""
    if os.geteuid() or not os.access(HOSTS, os.W_OK):
        pytest.skip("needs to edit /etc/hosts")
    added = []

    def add(name):
        added.append(f"127.0.0.1 {name}\n")
        with HOSTS.open("a", encoding="utf-8") as file:
            file.write("\n" + added[-1])

    yield add
    text = HOSTS.read_text(encoding="utf-8")
    for line in added:
        text = text.replace("\n" + line, "")
    HOSTS.write_text(text, encoding="utf-8")


def test_a_name_is_looked_up_anew_each_time(view, site, web, jpegs, hosts):
    site.answer = web.endless(jpegs)
    name = f"edgeresnet-{os.getpid()}.test"
    viewer = view(f"http://{name}:{site.port}/cam", scale=0.01)
    viewer.until(lambda: viewer.health.attempts > 3)
    assert viewer.reasons == {"dns"}
    child = viewer.source.child_pid
    hosts(name)
    viewer.gets(3)
    assert viewer.source.child_pid == child
