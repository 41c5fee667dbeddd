import json

import av
import cv2
import numpy as np
import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.errors import UsageError
from edgeresnet.core.predictions import Detections
from edgeresnet.demo import showing, stage
from edgeresnet.demo.stage import demo
from edgeresnet.sinks.draw import annotate

FRAMES = stage.CLIP_FPS  # of one second
PICTURES = {"classifier": 144, "detector": 24}
LEFT = stage.CLIP_SIZE[0] + showing.GAP  # where the detector's picture begins


def frames_of(film):
    with av.open(str(film)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def lines_of(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def film(small_demo):
    return frames_of(small_demo[0].folder / "annotated.mp4")


def test_both_networks_go_the_whole_way_and_it_says_where_it_is(small_demo):
    report, said = small_demo
    assert [line[:3] for line in said if line[0] != " "] == [f"{n}/4" for n in range(1, 5)]
    assert [way.network.name for way in report.ways] == ["classifier", "detector"]
    assert report.seconds > 0
    for way in report.ways:
        assert way.converted.training_match == "matches"
        assert way.quantized.gate.passed
    assert [way.quantized.gate.metric for way in report.ways] == ["top-1", "mAP@.5"]


def test_every_file_it_names_is_there_and_has_something_in_it(small_demo):
    report, _ = small_demo
    for path in report.written:
        assert path.is_relative_to(report.folder)
        assert read_bundle(path) if path.is_dir() else path.stat().st_size > 0
    assert [path.name for path in report.written[:3]] == [
        "annotated.mp4",
        "annotated.jpg",
        "clip.mp4",
    ]
    assert len(set(report.written)) == len(report.written)


def test_each_installed_backend_has_float_beside_int8_within_the_budget(small_demo):
    report, _ = small_demo
    for way in report.ways:
        assert {pair.target for pair in way.pairs} == set(stage._targets())
        assert way.quantized.gate.pictures == PICTURES[way.network.name]
        for pair in way.pairs:
            assert pair.accuracy.pictures == PICTURES[way.network.name]
            fp32, int8 = pair.legs
            assert fp32.right.value >= 70
            assert int8.right.value == pytest.approx(fp32.right.value - pair.drop.value)
            assert pair.drop.value <= way.quantized.gate.max_drop
            graphs = [read_bundle(leg.bundle).manifest for leg in pair.legs]
            assert [graph.scheme == "float" for graph in graphs] == [True, False]
            assert {graph.artifact.backend for graph in graphs} <= set(BACKENDS)
            for leg in pair.legs:
                assert leg.speed.end_to_end_fps > 0
                assert leg.speed.frames.balanced


def test_both_run_on_the_same_clip_and_lose_no_frame(small_demo):
    report, _ = small_demo
    assert len(frames_of(report.folder / "clip.mp4")) == FRAMES
    whole = {"captured": FRAMES, "inferred": FRAMES, "dropped": {}}
    for way, kind in zip(report.ways, ("labels", "boxes"), strict=True):
        assert way.ran.counters.as_json() == whole
        lines = lines_of(way.film.parent)
        assert len(lines) == FRAMES
        assert all(kind in line for line in lines)


def test_the_film_shows_the_labels_on_the_left_and_the_boxes_on_the_right(small_demo, film):
    report, _ = small_demo
    assert len(film) == FRAMES
    width, height = stage.CLIP_SIZE
    assert film[0].shape == (height, LEFT + width, 3)
    plain = frames_of(report.folder / "clip.mp4")
    changed = [(cv2.absdiff(plain[9], film[9][:, x : x + width]) > 60).any(2) for x in (0, LEFT)]
    for place, shown in enumerate(changed):
        assert shown.mean() > 0.003  # more than a few compressed edges
        panel = shown[int(0.7 * height) :, : width // 3]
        assert (panel.mean() > 0.1) == (place == 0)


def test_the_boxes_of_the_film_are_those_that_were_predicted(small_demo, film):
    """Each in the colour of its class, on the very frame that it was predicted for."""
    report, _ = small_demo
    seen = 0
    for picture, line in zip(film, lines_of(report.ways[1].film.parent), strict=True):
        for box in line["boxes"][:2]:
            left, top, right, bottom = (round(side) for side in box["xyxy"])
            middle = (left + right) // 2, (top + bottom) // 2
            sides = [
                (y, LEFT + x)
                for x, y in ((left, middle[1]), (right, middle[1]), (middle[0], bottom))
                if 2 <= x < stage.CLIP_SIZE[0] - 2 and 2 <= y < stage.CLIP_SIZE[1] - 2
            ]
            apart = [np.abs(picture[y, x].astype(int) - colour(box)).max() for y, x in sides]
            assert np.median(apart) < 50, (line["frame"], box)
            seen += 1
    assert seen > FRAMES  # there are several things in each frame


def colour(box):
    """In which the class of a box is drawn."""
    alone = Detections(
        np.array([[20, 20, 60, 60]], np.float32),
        np.ones(1, np.float32),
        np.array([box["class_id"]]),
        (box["name"],),
    )
    return annotate(np.zeros((100, 100, 3), np.uint8), alone, text=0)[40, 20]


def test_things_keep_their_numbers(small_demo):
    report, _ = small_demo
    lines = lines_of(report.ways[1].film.parent)
    first, last = ({box.get("track_id") for box in line["boxes"]} for line in (lines[0], lines[-1]))
    assert len(first & last - {None}) >= 2


def test_the_sheet_shows_pictures_of_both(small_demo):
    report, _ = small_demo
    sheet = cv2.imread(str(report.folder / "annotated.jpg"))
    assert sheet.shape == (4 * 320, 4 * 320, 3)
    plain = cv2.imread(str(min((report.folder / "detector/pictures/evaluation").rglob("*.jpg"))))
    difference = cv2.absdiff(sheet[640:960, :320], plain)
    assert (difference > 60).mean() > 0.003
    assert np.median(difference) < 8  # and else it is the picture


def test_an_earlier_demo_is_replaced_with_force_and_nothing_else_is(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "draw_clip", stop_here)
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


def test_the_sample_networks_ship_with_the_package(sample_weights):
    assert sample_weights == stage.CLASSIFIER.weights
    for network in stage.NETWORKS:
        assert network.weights.is_file()


class Begun(Exception):  # noqa: N818  no fault
    """The work began."""


def stop_here(*_args, **_options):
    raise Begun
