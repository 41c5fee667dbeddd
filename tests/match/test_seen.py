"""The probe sees pictures as large as the network does, but not a letterbox's empty part."""

from edgeresnet.core.preprocess import Color, Crop, Preprocess
from edgeresnet.match.seen import as_fitted, seen_by_probe


def test_a_letterbox_is_filled_and_not_large():
    boxed = Preprocess(size=(640, 512), resize=None, crop=Crop.LETTERBOX)
    seen = seen_by_probe(boxed, any_size=True)
    assert (seen.size, seen.resize, seen.crop) == ((320, 320), 320, Crop.CENTER)
    small = Preprocess(size=(96, 128), resize=None, crop=Crop.LETTERBOX)
    assert seen_by_probe(small, any_size=True).size == (96, 128)


def test_a_network_of_one_size_sees_pictures_of_that():
    boxed = Preprocess(size=(640, 512), resize=None, crop=Crop.LETTERBOX)
    seen = seen_by_probe(boxed, any_size=False)
    assert (seen.size, seen.resize, seen.crop) == ((640, 512), 640, Crop.CENTER)


def test_other_pictures_are_seen_as_the_network_sees_them():
    for any_size in (True, False):
        assert seen_by_probe(Preprocess(), any_size=any_size) == Preprocess()


def test_what_was_found_keeps_the_fit_that_was_given():
    boxed = Preprocess(size=(640, 640), resize=None, crop=Crop.LETTERBOX)
    found = seen_by_probe(boxed, any_size=True).model_copy(update={"color": Color.BGR})
    assert as_fitted(found, boxed) == boxed.model_copy(update={"color": Color.BGR})
