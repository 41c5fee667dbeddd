"""Streams that change their form, come damaged, or with strange times: S7 to S11."""

import pytest

FRAMES = 50
SMALL, LARGE = (96, 64), (128, 96)


def sizes(viewer):
    return {frame.size for frame in viewer.seen}


def test_every_frame_has_its_own_size_when_the_stream_changes_it(view, site, web, films, told):
    site.answer = web.stream(films.film(FRAMES) + films.film(FRAMES, LARGE), 1, then=web.hang)
    viewer = view(site.url())
    viewer.until(lambda: len([f for f in viewer.seen if f.size == LARGE]) >= FRAMES - 5)
    assert sizes(viewer) == {SMALL, LARGE}
    assert [f.size for f in viewer.seen] == sorted(f.size for f in viewer.seen)
    assert viewer.health.attempts == 1
    assert [line for line in told() if "96x64, now 128x96" in line]


def test_an_mjpeg_stream_may_change_its_size_too(view, site, web, films):
    pictures = [films.jpeg(films.picture(i, s)) for s in (SMALL, LARGE, SMALL) for i in range(20)]
    site.answer = web.mjpeg(pictures, fps=50)
    viewer = view(site.url())
    viewer.gets(50)
    assert sizes(viewer) == {SMALL, LARGE}
    assert viewer.health.attempts == 1


@pytest.mark.parametrize(
    "change",
    [
        {"layout": "yuv444p"},
        {"fps": 10},
        {"codec": "libx265"},
    ],
    ids=lambda change: "-".join(map(str, change.values())),
)
def test_another_codec_rate_or_layout_costs_one_reconnect_at_most(view, site, web, films, change):
    """The tables of the stream say what changed; its size tells the second part from the first."""
    second = films.film(FRAMES, LARGE, tables=1, **change)
    site.answer = web.in_turn(
        web.stream(films.film(FRAMES) + second * 4, 2, then=web.hang),
        web.stream(second * 40, 30, then=web.hang),
    )
    viewer = view(site.url(), stall_s=1.0)
    viewer.until(lambda: LARGE in sizes(viewer))
    viewer.gets(10)
    assert viewer.health.attempts <= 2
    assert viewer.reasons <= {"stalled", "closed"}


def damaged(films, share):
    film = films.film(100, noise=100)
    return films.lossy(film) if share == "lost" else films.flipped(film, share)


@pytest.mark.parametrize("share", [0.0005, 0.005, 0.05, "lost"])
def test_damage_is_counted_not_given_and_the_stream_goes_on(view, site, web, films, share):
    """Where it hits the tables of the stream FFmpeg may lose it: that costs a reconnect."""
    site.answer = web.in_turn(
        web.stream(
            films.film(50) + damaged(films, share) + films.film(100, LARGE), 1.5, then=web.hang
        ),
        web.stream(films.film(250, LARGE), 10, then=web.hang),
    )
    viewer = view(site.url(), stall_s=1.0)
    viewer.until(lambda: LARGE in sizes(viewer))
    viewer.gets(10)
    assert viewer.source.dropped["corrupt"] > 0
    assert len([f for f in viewer.seen if f.size == SMALL]) < 150
    assert viewer.health.attempts <= 1 + (share == 0.05)
    assert viewer.reasons <= {"stalled"}


def test_a_stream_that_is_always_damaged_can_be_joined(view, site, web, films):
    site.answer = web.stream(damaged(films, "lost") * 5, 5, then=web.hang)
    viewer = view(site.url())
    viewer.gets(10)
    assert viewer.source.dropped["corrupt"] > 0
    assert viewer.health.attempts == 1


def test_a_damaged_picture_of_an_mjpeg_stream_is_counted_and_the_next_is_fine(
    view, site, web, jpegs
):
    half = [data[: len(data) // 2] if i % 5 == 3 else data for i, data in enumerate(jpegs)]
    site.answer = web.endless(half, fps=100)
    viewer = view(site.url())
    viewer.gets(60)
    assert viewer.health.attempts == 1
    assert viewer.source.dropped.get("corrupt", 0) >= 10


def test_a_picture_that_says_it_is_huge_is_one_lost_picture(view, site, web, jpegs, flat):
    bomb = bytearray(jpegs[0])
    size = bomb.index(b"\xff\xc0") + 5
    bomb[size : size + 4] = (30_000).to_bytes(2, "big") * 2
    site.answer = web.mjpeg([*jpegs, bytes(bomb), *jpegs * 20], fps=50)
    viewer = view(site.url())
    viewer.gets(5)
    with flat(100, viewer.source.child_pid):
        viewer.gets(40)
    assert viewer.source.dropped == {"corrupt": 1}
    assert viewer.health.attempts == 1


TICKS = 3600
LONG, SOON, LATE = 200, 20, 100
"""Frames of a film, and where its times go wrong: while it is opened, and later."""


def strange(films, kind, length):
    def times(index):
        past = (index > SOON) + (index > LATE)
        return {
            "back": (index - past * SOON) * TICKS + 900_000,
            "forth": index * TICKS + past * 3600 * films.CLOCK,
            "missing": None,
            "wrap": films.WRAP + (index - SOON) * TICKS,
            "still": 900_000,
        }[kind]

    return films.restamped(films.film(length), times)


@pytest.mark.parametrize("kind", ["back", "forth", "missing", "wrap", "still"])
def test_strange_times_neither_stop_a_stream_nor_make_latency_negative(
    view, site, web, films, kind
):
    """That latency is never negative and capture never runs back is held for every test here."""
    site.answer = web.stream(strange(films, kind, LONG), 1.5, then=web.hang)
    viewer = view(site.url())
    viewer.until(lambda: len(viewer.seen) >= LONG * 0.7)
    assert viewer.health.attempts == 1
    assert viewer.source.dropped == {}
    assert max(frame.age_ns for frame in viewer.seen) < 10e9


@pytest.mark.parametrize("kind", ["back", "forth"])
def test_a_film_with_strange_times_does_not_wait_for_hours(view, site, web, films, kind):
    site.answer = web.file(strange(films, kind, 30))
    viewer = view(site.url("/clip.ts"))
    viewer.until(lambda: viewer.ended)
    assert len(viewer.seen) == 30
    assert viewer.health.attempts == 1, viewer.healths
