"""Pictures that are all the same, black or white: S14, S15."""

import numpy as np
import pytest


def test_a_picture_that_never_changes_is_a_warning_and_no_fault(view, site, web, films, told):
    site.answer = web.endless([films.jpeg(films.picture(0))])
    viewer = view(site.url(), frozen_s=0.6)
    viewer.gets(3)
    assert not viewer.health.frozen
    viewer.until(lambda: viewer.health.frozen)
    viewer.gets(10)
    assert viewer.is_live
    assert viewer.health.attempts == 1
    assert len([line for line in told() if "has not changed" in line]) == 1


def test_a_picture_that_moves_again_is_not_frozen_any_more(view, site, web, films, jpegs, told):
    still = [films.jpeg(films.picture(0))] * 50
    site.answer = web.mjpeg(still + jpegs * 40, fps=50)
    viewer = view(site.url(), frozen_s=0.5)
    viewer.until(lambda: viewer.health.frozen)
    viewer.until(lambda: not viewer.health.frozen)
    assert told()[-1].endswith("the picture moves again")
    assert viewer.health.attempts == 1


@pytest.mark.parametrize("grey", [0, 255])
def test_all_black_and_all_white_pictures_are_pictures(view, site, web, films, grey):
    site.answer = web.endless([films.jpeg(np.full((48, 64, 3), grey, np.uint8))])
    viewer = view(site.url())
    viewer.gets(10)
    assert {frame.mean for frame in viewer.seen} == {grey}
    assert viewer.source.dropped == {}
