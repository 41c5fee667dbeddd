"""Pictures that are all the same, black or white: S14, S15."""

import itertools
import threading

import numpy as np


def test_a_picture_that_never_changes_is_a_warning_until_it_moves_again(
    view, site, web, films, jpegs, told
):
    moves = threading.Event()

    def shown():
        while not moves.is_set():
            yield jpegs[0]
        yield from itertools.cycle(jpegs)

    site.answer = web.mjpeg(shown(), fps=50)
    viewer = view(site.url(), frozen_s=0.6)
    viewer.gets(3)
    assert not viewer.health.frozen
    viewer.until(lambda: viewer.health.frozen)
    viewer.gets(20)
    assert viewer.is_live
    assert len([line for line in told() if "has not changed" in line]) == 1
    moves.set()
    viewer.until(lambda: not viewer.health.frozen)
    viewer.until(lambda: told()[-1].endswith("the picture moves again"))
    assert viewer.health.attempts == 1


def test_all_black_and_all_white_pictures_are_pictures(view, site, web, films):
    uniform = [films.jpeg(np.full((48, 64, 3), grey, np.uint8)) for grey in (0, 255)]
    site.answer = web.endless(uniform)
    viewer = view(site.url())
    viewer.gets(10)
    assert {frame.mean for frame in viewer.seen} == {0, 255}
    assert viewer.source.dropped == {}
