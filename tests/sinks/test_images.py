import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.sinks import open_sink

CAT = Classification((Label(0, "cat", 0.9),))


def frame(index, name="", source="clip.mp4"):
    return Frame(np.full((240, 320, 3), 120, np.uint8), index, 0, source, name)


def write(folder, *frames, force=False):
    with open_sink(f"images:{folder}", model="m", force=force) as sink:
        for each in frames:
            sink.put(each, CAT)
    return sorted(path.name for path in folder.iterdir())


def test_frames_are_named_by_their_source_and_number(tmp_path):
    names = write(tmp_path / "out", frame(0), frame(17), frame(0, source="camera-0"))
    assert names == ["camera-0-000000.jpg", "clip.mp4-000000.jpg", "clip.mp4-000017.jpg"]


def test_pictures_keep_their_names_and_namesakes_get_a_number(tmp_path):
    names = write(
        tmp_path / "out", frame(0, "a/cat.png"), frame(1, "b/cat.png"), frame(2, "a/cat.png")
    )
    assert names == ["cat-000001.jpg", "cat.jpg"]


def test_predictions_are_drawn_into_the_picture(tmp_path):
    write(tmp_path / "out", frame(0))
    pixels = cv2.imread(str(tmp_path / "out/clip.mp4-000000.jpg"))
    assert pixels.shape == (240, 320, 3)
    assert abs(pixels[-40:-20, 20:100].astype(int) - 120).max() > 60
    assert abs(pixels[:40].astype(int) - 120).max() < 10


@pytest.mark.parametrize("source", ["../../evil", "a/b", "..", "x\0y", ".hidden"])
def test_no_name_leads_out_of_the_folder(tmp_path, source):
    (name,) = write(tmp_path / "out", frame(0, source=source))
    assert name.endswith("-000000.jpg")
    assert not name.startswith(".")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_something_in_it_is_taken_only_by_force(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        write(tmp_path, frame(0))
    assert write(tmp_path, frame(0), force=True) == ["clip.mp4-000000.jpg", "notes.txt"]


def test_an_empty_folder_may_be_there(tmp_path):
    assert write(tmp_path, frame(0)) == ["clip.mp4-000000.jpg"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_no_folder(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        write(tmp_path / place)


def test_a_disk_that_fails_is_a_device_error_and_leaves_no_part(tmp_path):
    (tmp_path / "out/clip.mp4-000000.jpg").mkdir(parents=True)
    with pytest.raises(DeviceError, match="cannot write"):
        write(tmp_path / "out", frame(0), force=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip.mp4-000000.jpg"]
