import random
import struct
from itertools import islice, pairwise

import av
import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.sources import open_source

FRAMES = 24


def film(path, size=(64, 48), count=FRAMES, codec="mpeg4", rate=25):
    """A film whose frame ``i`` is ``20 + 9 * i`` bright, with a key frame every six."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size, stream.bit_rate = 6, 8_000_000
        for i in range(count):
            pixels = np.full((size[1], size[0], 3), 9 * i + 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def read(text):
    with open_source(str(text)) as source:
        return list(source), source


def brightness(frames):
    return [round((float(frame.pixels.mean()) - 20) / 9) for frame in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".ts"])
def test_a_video_gives_every_frame_in_order(tmp_path, suffix):
    frames, source = read(film(tmp_path / f"clip{suffix}"))
    assert brightness(frames) == list(range(FRAMES))
    assert (source.name, source.live, source.fps) == (f"clip{suffix}", False, 25)
    assert {frame.name for frame in frames} == {""}


@pytest.mark.parametrize("size", [(64, 48), (66, 50), (98, 34)])
def test_colours_and_size_are_those_of_opencv(tmp_path, size):
    path = film(tmp_path / "clip.mp4", size)
    capture = cv2.VideoCapture(str(path))
    for frame in read(path)[0]:
        good, pixels = capture.read()
        assert good
        np.testing.assert_array_equal(frame.pixels, pixels)
    capture.release()


def test_frames_share_no_memory_and_may_be_kept(tmp_path):
    frames, _ = read(film(tmp_path / "clip.mp4"))
    for before, after in pairwise(frames):
        assert not np.shares_memory(before.pixels, after.pixels)


def test_a_film_already_in_bgr_gives_frames_of_its_own(tmp_path):
    with av.open(str(tmp_path / "raw.avi"), "w") as container:
        stream = container.add_stream("rawvideo", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16, 8, "bgr24"
        for i in range(3):
            pixels = np.full((8, 16, 3), (i, 2 * i, 3 * i), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
    frames, _ = read(tmp_path / "raw.avi")
    assert [frame.pixels[0, 0].tolist() for frame in frames] == [[0, 0, 0], [1, 2, 3], [2, 4, 6]]
    frames[0].pixels[:] = 9


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_any_number_of_threads_gives_the_same_frames(tmp_path, threads):
    path = film(tmp_path / "clip.mp4")
    assert brightness(read(f"{path}?threads={threads}")[0]) == list(range(FRAMES))


def test_every_frame_has_its_own_size_when_the_film_changes_it(tmp_path):
    parts = [film(tmp_path / "a.ts", (64, 48)), film(tmp_path / "b.ts", (96, 80))]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, _ = read(tmp_path / "both.ts")
    assert {frame.pixels.shape for frame in frames} == {(48, 64, 3), (80, 96, 3)}


def test_a_film_of_a_turned_phone_stands_upright(tmp_path):
    path = film(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    data[matrix : matrix + 36] = turned
    path.write_bytes(data)
    assert read(path)[0][0].pixels.shape == (64, 48, 3)


def test_start_leaves_out_the_first_frames(tmp_path):
    frames, _ = read(f"{film(tmp_path / 'clip.mp4')}?start=20")
    assert brightness(frames) == [20, 21, 22, 23]
    assert frames[0].index == 0


def test_a_start_beyond_the_end_is_refused(tmp_path):
    with pytest.raises(UsageError, match="start=99, but it has only 24 frames"):
        read(f"{film(tmp_path / 'clip.mp4')}?start=99")


def test_a_loop_begins_again(tmp_path):
    with open_source(f"{film(tmp_path / 'clip.mp4')}?loop=1&start=22") as source:
        frames = list(islice(source, 5))
    assert brightness(frames) == [22, 23, 22, 23, 22]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]


def test_a_rate_makes_the_film_live_at_that_rate(tmp_path):
    frames, source = read(f"{film(tmp_path / 'clip.mp4')}?fps=5000")
    assert (len(frames), source.live, source.fps) == (FRAMES, True, 5000)


@pytest.mark.parametrize("share", [0.001, 0.01])
def test_damage_in_the_middle_is_counted_and_the_rest_goes_on(tmp_path, share, caplog):
    path = film(tmp_path / "clip.ts", (320, 240), codec="mpeg2video")
    data, chance = bytearray(path.read_bytes()), random.Random(0)
    for _ in range(int(len(data) * share)):
        data[chance.randrange(len(data) // 3, len(data))] = chance.randrange(256)
    path.write_bytes(data)
    frames, source = read(path)
    lost = sum(source.dropped.values())
    assert frames
    assert set(source.dropped) <= {"corrupt"}
    assert max(frame.index for frame in frames) < len(frames) + lost
    assert len(caplog.records) == (lost > 0)


def test_a_film_cut_short_gives_what_is_left(tmp_path):
    path = film(tmp_path / "clip.ts", (320, 240), codec="mpeg2video")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, _ = read(path)
    assert 0 < len(frames) < FRAMES


def test_a_film_without_its_index_cannot_be_opened(tmp_path):
    path = film(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        read(path)
    assert "damaged" in caught.value.hint


def test_a_film_of_which_nothing_decodes_is_a_device_error(tmp_path):
    path = film(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    with pytest.raises(DeviceError, match="not one frame"):
        read(path)


def test_a_film_without_pictures_is_refused(tmp_path):
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(UsageError, match="holds no video"):
        read(tmp_path / "sound.wav")


def test_a_playlist_cannot_reach_the_network(tmp_path):
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises((UsageError, DeviceError)):
        read(tmp_path / "list.m3u8")


def test_any_name_a_file_may_have_is_opened_as_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "clip.mp4").rename(tmp_path / "http:a b%20#c.mp4")
    assert len(read("http:a b%20#c.mp4")[0]) == FRAMES
