from pathlib import Path

import av
import cv2
import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.errors import UsageError
from edgeresnet.demo import stage
from edgeresnet.demo.stage import demo

FRAMES = stage.CLIP_FPS  # of one second
PICTURES = 144


def frames_of(video):
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_it_goes_the_whole_way_and_says_where_it_is(small_demo):
    report, said = small_demo
    assert [line[:3] for line in said if line[0] != " "] == [f"{n}/7" for n in range(1, 8)]
    assert report.converted.training_match == "matches"
    assert report.quantized.gate.passed
    assert report.seconds > 0


def test_every_file_it_names_is_there_and_has_something_in_it(small_demo):
    report, _ = small_demo
    for path in report.written:
        assert path.is_relative_to(report.folder)
        assert read_bundle(path) if path.is_dir() else path.stat().st_size > 0
    names = {path.name for path in report.written}
    assert {"annotated.mp4", "annotated.jpg", "predictions.jsonl", "clip.mp4"} <= names


def test_there_is_a_leg_for_float_and_int8_on_each_installed_backend(small_demo):
    report, _ = small_demo
    backends = {read_bundle(leg.bundle).manifest.artifact.backend for leg in report.legs}
    assert backends <= set(BACKENDS)
    assert len(report.legs) == 2 * len(backends)
    for leg in report.legs:
        assert leg.accuracy.pictures == PICTURES
        assert leg.accuracy.agreement.value >= 97
        assert leg.speed.end_to_end_fps > 0
        assert leg.speed.frames.balanced


def test_the_clip_and_the_annotated_film_play_to_their_end(small_demo):
    report, _ = small_demo
    assert frames_of(report.folder / "clip.mp4") == FRAMES
    assert frames_of(report.folder / "annotated.mp4") == FRAMES
    assert report.ran.counters.as_json() == {"captured": FRAMES, "inferred": FRAMES, "dropped": {}}
    lines = (report.folder / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == FRAMES


def test_something_is_drawn_on_the_film_and_on_the_sheet(small_demo):
    report, _ = small_demo
    plain, drawn = (
        cv2.VideoCapture(str(report.folder / name)) for name in ("clip.mp4", "annotated.mp4")
    )
    difference = cv2.absdiff(plain.read()[1], drawn.read()[1])
    assert (difference > 60).mean() > 0.003  # a label covers more than a few compressed edges
    sheet = cv2.imread(str(report.folder / "annotated.jpg"))
    assert sheet.shape == (600, 1200, 3)


def test_an_earlier_demo_is_replaced_with_force_and_nothing_else_is(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "write_pictures", stop_here)
    (tmp_path / "thesis.tex").touch()
    for force in (False, True):
        with pytest.raises(UsageError, match="output exists"):
            demo(tmp_path, force=force)
    assert (tmp_path / "thesis.tex").exists()
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / ".edgeresnet-demo").touch()
    (earlier / "old.jpg").touch()
    with pytest.raises(UsageError, match="output exists"):
        demo(earlier)
    with pytest.raises(Begun):
        demo(earlier, force=True)
    assert not (earlier / "old.jpg").exists()


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    for force in (False, True):
        with pytest.raises(UsageError, match="output exists"):
            demo(tmp_path / "out", force=force)
    assert (tmp_path / "out").read_text() == "mine"


def test_the_sample_network_ships_with_the_package(sample_weights):
    assert sample_weights == stage.SAMPLE
    assert Path(stage.SAMPLE).is_file()


class Begun(Exception):  # noqa: N818  no fault
    """The work began."""


def stop_here(*_args, **_options):
    raise Begun
