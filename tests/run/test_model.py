import threading
import time

import cv2
import numpy as np
import pytest

import edgeresnet
from edgeresnet.backends import BACKENDS
from edgeresnet.core.errors import UsageError
from edgeresnet.core.pictures import read_picture
from edgeresnet.run.model import open_model
from edgeresnet.testing import FakeBackend, grey, plugged, write_bundle


@pytest.fixture
def greys(tmp_path):
    """A fake bundle whose class is the picture's grey."""
    with plugged(BACKENDS, "fake", backend=FakeBackend()):
        yield write_bundle(tmp_path / "grey.bundle", classes=256)


def test_a_file_and_its_pixels_give_the_same(sample_bundle, drawn_pictures):
    file = min(drawn_pictures.rglob("*.jpg"))
    with edgeresnet.open(sample_bundle) as model:
        from_path = model.predict(file)
        assert model.predict(str(file)) == from_path
        assert model.predict(read_picture(file)) == from_path
        assert model.predict(cv2.imread(str(file))) == from_path
    assert from_path.best.name == file.parent.name


def test_pixels_need_not_lie_close(greys):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 111
    rgb = np.ascontiguousarray(wide[:, 20:40, ::-1])
    with open_model(greys) as model:
        assert model.predict(wide[:, 20:40]).best.class_id == 111
        assert model.predict(rgb[..., ::-1]).best.class_id == 111
        assert model.predict(wide[::-1, 20:40][:, ::-1]).best.class_id == 111
        assert model.predict(np.asfortranarray(wide[:, 20:40])).best.class_id == 111


def test_pixels_that_may_not_be_written_are_fine(greys):
    pixels = grey(9, (50, 50))
    pixels.flags.writeable = False
    with open_model(greys) as model:
        assert model.predict(pixels).best.class_id == 9


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 0, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_what_is_no_picture_is_refused_with_what_one_is(greys, wrong):
    with open_model(greys) as model:
        with pytest.raises(UsageError, match="uint8 height x width x 3") as caught:
            model.predict(wrong)
        assert f"{wrong.dtype}{list(wrong.shape)}" in caught.value.what


def test_a_file_that_is_no_picture_is_refused_by_name(greys, tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    with open_model(greys) as model:
        with pytest.raises(UsageError, match=r"text\.jpg"):
            model.predict(tmp_path / "text.jpg")
        with pytest.raises(UsageError, match=r"absent\.jpg"):
            model.predict(tmp_path / "absent.jpg")
        assert model.predict(grey(5)).best.class_id == 5  # and goes on


def test_calls_from_several_threads_take_turns(tmp_path):
    """The fake's session does not bear a second thread."""
    wrong, bundle = [], write_bundle(tmp_path / "b", classes=256)
    backend = FakeBackend(during=lambda _pictures: time.sleep(0.0005))
    with plugged(BACKENDS, "fake", backend=backend), open_model(bundle) as model:

        def work(value):
            for _ in range(40):
                if model.predict(grey(value)).best.class_id != value:
                    wrong.append(value)  # noqa: PERF401  one prediction at a time

        threads = [threading.Thread(target=work, args=(20 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_top_says_how_many_labels(greys):
    with open_model(greys, top=3) as model:
        assert len(model.predict(grey(100)).labels) == 3


def test_a_bundle_of_two_pictures_a_run_takes_one(greys, tmp_path):
    with open_model(write_bundle(tmp_path / "two", classes=256, batch=2)) as model:
        assert model.predict(grey(42)).best.class_id == 42


def test_one_proved_session_is_all_it_takes(tmp_path):
    backend = FakeBackend(parallel=8, wrong_sessions=1)
    with (
        plugged(BACKENDS, "fake", backend=backend),
        open_model(write_bundle(tmp_path / "b")) as model,
    ):
        assert backend.sessions == 2  # the first was wrong
        assert model.bundle.manifest.model.startswith("sha256:")
    assert backend.open_engines == 0
