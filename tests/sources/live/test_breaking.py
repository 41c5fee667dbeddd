"""Connections and children that end: S5, S23, and streams that are over."""

import os
import re
import signal
import time

import psutil
import pytest

RESETS = 1000


def test_a_thousand_resets_are_a_thousand_reconnects_and_leave_nothing(
    view, site, web, films, flat
):
    """The child is kept, and what it took for one connection is free for the next."""
    small = [films.jpeg(films.picture(index, (32, 24))) for index in range(5)]
    site.answer = web.mjpeg(small, fps=10_000, then=web.cut)
    viewer = view(site.url(), scale=1e-6)
    viewer.until(lambda: viewer.health.reconnects > 50)
    child = viewer.source.child_pid
    with flat(10, child):
        viewer.until(lambda: viewer.health.reconnects > 50 + RESETS, 60)
    assert viewer.source.child_pid == child
    assert viewer.reasons == {"closed"}


def test_frames_flow_after_many_short_connections(view, site, web, jpegs):
    """Frames that are let go while nothing is connected are room for later ones."""
    site.answer = web.mjpeg(jpegs[:6], fps=200, then=web.close)
    viewer = view(site.url(), scale=0.001)
    viewer.until(lambda: viewer.health.reconnects > 20)
    site.answer = web.endless(jpegs, fps=200)
    viewer.gets(100)
    assert viewer.source.dropped.get("overrun", 0) < len(viewer.seen)


@pytest.mark.parametrize("end", ["close", "cut"])
def test_a_live_stream_that_ends_is_connected_again(view, site, web, films, jpegs, end):
    site.answer = web.mjpeg(jpegs, fps=200, then=getattr(web, end))
    viewer = view(site.url())
    viewer.loses_it("closed")
    viewer.until(lambda: viewer.health.reconnects > 1)
    assert not viewer.ended
    assert viewer.reasons == {"closed"}


def test_a_film_with_a_length_plays_once_at_its_pace_and_ends(view, site, web, films):
    site.answer = web.file(films.film(50, fps=50))
    viewer = view(site.url("/clip.ts"))
    viewer.gets(1)
    assert viewer.until(lambda: viewer.ended) > 0.5
    assert viewer.health.state == "ended"
    assert len(viewer.seen) == 50
    assert viewer.health.attempts == 1


def test_a_connection_that_is_reset_is_told_from_a_server_that_is_gone(
    view, site, web, jpegs, before
):
    site.answer = web.endless(jpegs)
    proxy = before(site.port)
    viewer = view(f"http://127.0.0.1:{proxy.port}/cam", scale=0.2)
    viewer.gets(3)
    proxy.reset()
    viewer.loses_it("closed")
    viewer.gets(3)
    proxy.mode = "refuse"
    proxy.reset()
    viewer.loses_it("refused")
    proxy.mode = "pass"
    viewer.gets(3)
    assert viewer.health.reconnects == 2


def test_an_rtsp_server_that_is_started_anew_is_found_again(view, rtsp):
    server = rtsp()
    viewer = view(server.url)
    viewer.gets(3)
    child = viewer.source.child_pid
    server.kill()
    viewer.loses_it("refused")
    server.start()
    viewer.gets(3)
    assert viewer.health.reconnects == 1
    assert viewer.source.child_pid == child


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_child_that_dies_is_replaced_and_how_it_died_is_told(view, told, number):
    viewer = view("synthetic://32x24?count=0&fps=100")
    viewer.gets(3)
    child = viewer.source.child_pid
    os.kill(child, number)
    viewer.until(lambda: viewer.health.reconnects == 1)
    viewer.gets(3)
    assert viewer.source.child_pid != child
    assert not psutil.pid_exists(child)
    assert number.name in "\n".join(told())
    assert viewer.reasons == {"crashed"}


def test_five_crashes_in_a_minute_take_the_slow_rung(view, told):
    scale = 0.03
    viewer = view("synthetic://32x24?count=0&fps=100", scale=scale)
    for crash in range(1, 6):
        viewer.gets(1)
        child = viewer.source.child_pid
        os.kill(child, signal.SIGKILL)
        viewer.until(lambda seen=crash: viewer.health.reconnects == seen)
    waits_s = [float(s) for s in re.findall(r"trying again in (\S+) s", "\n".join(told()))]
    assert len(waits_s) == 5
    assert max(waits_s[:4]) < 30 * scale * 0.5 < 30 * scale * 0.8 <= waits_s[4]


def test_a_child_that_dies_while_it_waits_to_try_again_is_replaced(view, before):
    proxy = before(1)
    proxy.mode = "refuse"
    viewer = view(f"http://127.0.0.1:{proxy.port}/cam", scale=0.3)
    viewer.loses_it("refused")
    os.kill(viewer.source.child_pid, signal.SIGKILL)
    viewer.until(lambda: viewer.health.attempts > 3)
    assert viewer.reasons == {"refused", "crashed"}


def test_gstreamer_and_its_own_child_go_together(view, web):
    viewer = view("gst://test?width=64&height=48&fps=15")
    viewer.until(lambda: viewer.seen or viewer.health.reason == "invalid")
    if viewer.health.reason == "invalid":
        pytest.skip("gst-launch-1.0 is not installed")
    family = psutil.Process(viewer.source.child_pid).children()
    assert [one.name() for one in family] == ["gst-launch-1.0"]
    family[0].kill()
    viewer.until(lambda: viewer.health.reconnects == 1)
    assert viewer.reasons == {"closed"}
    viewer.gets(3)
    begin = time.monotonic()
    viewer.stop()
    assert time.monotonic() - begin < 3
