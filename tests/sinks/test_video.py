from pathlib import Path

import av
import numpy as np
import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Detections, Label
from edgeresnet.sinks import open_sink, video

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int), ())
GREEN = (40, 180, 60)


def frame(index, size=(64, 48), captured_ns=0, source="s"):
    return Frame(np.full((size[1], size[0], 3), GREEN, np.uint8), index, captured_ns, source)


def write(path, frames, *, fps=25, prediction=NOTHING, force=False):
    with open_sink(f"video:{path}", model="m", fps=fps, force=force) as sink:
        for each in frames:
            sink.put(each, prediction)


def read(path):
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_film_has_every_frame_at_its_time_in_its_colours(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write(path, [frame(i) for i in range(10)])
    film = read(path)
    assert [time for time, _ in film] == pytest.approx(np.arange(10) / 25, abs=1e-3)
    for _, pixels in film:
        assert np.abs(pixels.mean((0, 1)) - GREEN).max() < 6


def test_the_rate_of_the_film_is_that_of_the_source(tmp_path):
    write(tmp_path / "out.mp4", [frame(i) for i in range(30)], fps=30000 / 1001)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(30000 / 1001)


def test_dropped_frames_leave_a_gap_and_do_not_speed_the_film_up(tmp_path):
    write(tmp_path / "out.mp4", [frame(i) for i in (5, 6, 9)], fps=10)
    assert [time for time, _ in read(tmp_path / "out.mp4")] == pytest.approx([0, 0.1, 0.4])


def test_without_a_known_rate_frames_are_shown_when_they_were_captured(tmp_path):
    frames = [frame(i, captured_ns=10**9 + ms * 10**6) for i, ms in enumerate((0, 40, 200))]
    write(tmp_path / "out.mp4", frames, fps=None)
    assert [time for time, _ in read(tmp_path / "out.mp4")] == pytest.approx([0, 0.04, 0.2])


def test_two_frames_of_one_moment_are_both_kept(tmp_path):
    write(tmp_path / "out.mkv", [frame(0), frame(0), frame(0)], fps=None)
    assert len(read(tmp_path / "out.mkv")) == 3


def test_odd_sizes_are_made_even(tmp_path):
    write(tmp_path / "out.mp4", [frame(0, (63, 47)), frame(1, (63, 47))])
    film = read(tmp_path / "out.mp4")
    assert {pixels.shape for _, pixels in film} == {(48, 64, 3)}
    assert np.abs(film[0][1][-1, -1].astype(int) - GREEN).max() < 20


@pytest.mark.parametrize("size", [(32, 48), (128, 96), (200, 20), (20, 200), (64, 40), (1, 1)])
def test_a_frame_of_another_size_is_letterboxed_into_the_first(tmp_path, size):
    write(tmp_path / "out.mp4", [frame(0), frame(1, size)])
    film = read(tmp_path / "out.mp4")
    assert {pixels.shape for _, pixels in film} == {(48, 64, 3)}
    assert np.abs(film[1][1][24, 32].astype(int) - GREEN).max() < 20


def test_predictions_are_drawn_into_the_film(tmp_path):
    cat = Classification((Label(0, "cat", 0.9),))
    write(tmp_path / "out.mp4", [frame(0, (320, 240))], prediction=cat)
    pixels = read(tmp_path / "out.mp4")[0][1].astype(int)
    assert np.abs(pixels[-40:-20, 20:100] - GREEN).max() > 60
    assert np.abs(pixels[:40] - GREEN).max() < 20


def test_the_film_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "out.mp4"
    with open_sink(f"video:{path}", model="m", fps=25) as sink:
        sink.put(frame(0), NOTHING)
        assert not path.exists()
    assert len(read(path)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_no_frames_make_no_film(tmp_path):
    write(tmp_path / "out.mp4", [])
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_replaced_only_by_force(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="output exists"):
        write(path, [frame(0)])
    assert path.read_bytes() == b"precious"
    write(path, [frame(0)], force=True)
    assert len(read(path)) == 1


def test_a_full_disk_is_a_device_error_and_leaves_nothing(tmp_path):
    path = tmp_path / "out.mp4"
    path.symlink_to("/dev/full")
    noise = np.random.default_rng(0)
    with pytest.raises(DeviceError, match="disk full while writing"):
        write(
            path,
            [Frame(noise.integers(0, 256, (240, 320, 3), np.uint8), i, 0, "s") for i in range(60)],
            force=True,
        )
    assert list(tmp_path.iterdir()) == [path]


def test_frames_of_a_second_source_are_refused_and_the_film_is_kept(tmp_path):
    path = tmp_path / "out.mp4"
    with pytest.raises(UsageError, match="takes one source, got s and t"):
        write(path, [frame(0), frame(1, source="t")])
    assert len(read(path)) == 1


def test_without_an_h264_encoder_the_film_is_mpeg4_and_that_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(video.av, "codecs_available", {"mpeg4"})
    write(tmp_path / "out.mp4", [frame(0)])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert "no H.264 encoder" in caplog.text


@pytest.mark.parametrize("place", ["out.mp3", "out", "-", "out.mp4.txt"])
def test_a_name_that_is_no_film_is_refused(tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no film format") as caught:
        write(place, [])
    assert "mp4" in caught.value.hint


def test_a_folder_that_is_not_there_is_refused_before_the_first_frame(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        write(Path(tmp_path, "no/out.mp4"), [])
