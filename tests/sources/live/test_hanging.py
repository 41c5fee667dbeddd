"""Servers and children that hang with everything open: S2, S3, S4."""

import os
import signal
import time

import pytest

STALL_S = 0.7
SLACK_S = 4
"""On a machine that others use; the limits themselves are of one second."""


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_never_answers_is_given_up_and_tried_again(view, site, web, scheme):
    site.answer = web.silent
    viewer = view(f"{scheme}://127.0.0.1:{site.port}/cam", open_s=0.7)
    assert viewer.loses_it("timeout") < 1 + SLACK_S
    viewer.until(lambda: site.requests > 1 and viewer.health.attempts > 1)
    assert viewer.reasons == {"timeout"}


def test_stop_does_not_wait_for_a_server_that_never_answers(view, site, web):
    site.answer = web.silent
    viewer = view(site.url())
    viewer.until(lambda: site.requests)
    begin = time.monotonic()
    viewer.stop()
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize("then", ["hang", "drip"])
def test_a_stream_that_stops_half_way_is_stalled_and_its_child_replaced(
    view, site, web, jpegs, then
):
    site.answer = web.mjpeg(jpegs, then=getattr(web, then))
    viewer = view(site.url(), stall_s=STALL_S)
    viewer.gets(len(jpegs) - 5)
    child = viewer.source.child_pid
    site.answer = web.endless(jpegs)
    assert viewer.loses_it("stalled") < STALL_S + SLACK_S
    viewer.gets(5)
    assert viewer.is_live
    assert viewer.source.child_pid != child
    assert viewer.health.reconnects == 1
    assert viewer.reasons == {"stalled"}


def test_a_network_that_swallows_a_stream_is_noticed_and_survived(view, site, web, jpegs, before):
    site.answer = web.endless(jpegs)
    proxy = before(site.port)
    viewer = view(f"http://127.0.0.1:{proxy.port}/cam", stall_s=STALL_S, open_s=1.0)
    viewer.gets(5)
    proxy.mode = "hole"
    assert viewer.loses_it("stalled") < STALL_S + SLACK_S
    viewer.until(lambda: viewer.health.attempts > 1)
    proxy.mode = "pass"
    assert viewer.gets(5) < 3 + SLACK_S


def test_a_slow_network_is_no_fault(view, site, web, jpegs, before):
    site.answer = web.endless(jpegs)
    proxy = before(site.port)
    proxy.mode, proxy.delay_s = "delay", 0.3
    viewer = view(f"http://127.0.0.1:{proxy.port}/cam")
    viewer.gets(10)
    assert viewer.health.attempts == 1


def test_an_rtsp_server_that_hangs_is_stalled_and_found_again(view, rtsp):
    server = rtsp()
    viewer = view(server.url, stall_s=1.5)
    viewer.gets(3)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        assert viewer.loses_it("stalled") < 2 + SLACK_S
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert viewer.gets(3) < 3 + SLACK_S
    assert viewer.health.reconnects == 1


def test_a_camera_that_hangs_without_a_word_is_connected_anew(view):
    viewer = view("synthetic://32x24?count=0&fps=100&hang=20", stall_s=0.5)
    viewer.until(lambda: viewer.health.reconnects > 1)
    assert len(viewer.seen) >= 40
    assert viewer.reasons == {"stalled"}


def test_a_child_that_is_stopped_is_replaced(view):
    viewer = view("synthetic://32x24?count=0&fps=100", stall_s=0.5)
    viewer.gets(3)
    child = viewer.source.child_pid
    os.kill(child, signal.SIGSTOP)
    viewer.loses_it("stalled")
    viewer.gets(3)
    assert viewer.source.child_pid != child


def test_a_camera_that_gives_a_picture_now_and_then_is_not_stalled(view, site, web, films):
    """FFmpeg says 25 a second to every MJPEG stream; a limit built on that cuts slow ones off."""
    large = [films.jpeg(films.picture(index, (320, 240), noise=100)) for index in range(2)]
    site.answer = web.endless(large, fps=1 / 2.4)
    viewer = view(site.url())
    viewer.gets(2)
    assert viewer.health.attempts == 1, viewer.healths


def test_a_moving_stream_is_not_said_to_have_a_rate_that_nobody_knows(view, site, web, jpegs):
    site.answer = web.endless(jpegs, fps=10)
    viewer = view(site.url())
    viewer.gets(3)
    assert viewer.source.fps is None or 5 < viewer.source.fps < 20
