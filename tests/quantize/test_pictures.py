"""Pictures that calibrate never judge, in whatever copies they lie about."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeresnet.core.artifacts import Graph
from edgeresnet.core.errors import UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.recipe import Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.datasets.pictures import digest
from edgeresnet.quantize.pictures import choose_pictures, gate_only, true_boxes


def recipe(samples=256, seed=0):
    return Recipe(name="r", description="", samples=samples, seed=seed)


@pytest.fixture
def folder(tmp_path):
    """12 files in two class folders; what is in them is not read here."""
    origin = tmp_path / "val"
    for name in ("cat", "dog"):
        (origin / name).mkdir(parents=True)
        for i in range(6):
            (origin / name / f"{i}.jpg").write_text(f"{name} {i}")
    return origin


def contents(entries):
    return [digest(entry.path) for entry in entries]


@pytest.mark.parametrize("samples", [1, 4, 5, 6, 7, 100])
def test_a_split_is_disjoint_whole_balanced_and_said(folder, samples):
    found = choose_pictures(folder, None, recipe(samples))
    calibration, gate = contents(found.calibration), contents(found.gate.entries)
    assert len(calibration) == min(samples, 6)
    assert len(set(calibration + gate)) == len(calibration) + len(gate) == 12
    cats = sum(entry.folder == "cat" for entry in found.calibration)
    assert abs(2 * cats - len(calibration)) <= 1
    assert any(f"no --eval: {len(calibration)} of 12 pictures" in note for note in found.notes)


def test_a_split_depends_on_the_seed_alone(folder):
    one, same, other = (
        choose_pictures(folder, None, recipe(5, seed)).calibration for seed in (1, 1, 2)
    )
    assert one == same != other


def test_copies_in_the_calibration_pictures_are_left_out_and_counted(folder):
    shutil.copy(folder / "cat/0.jpg", folder / "dog/copy.jpg")
    shutil.copy(folder / "cat/1.jpg", folder / "cat/1 (2).jpg")
    found = choose_pictures(folder, None, recipe())
    every = contents(found.calibration) + contents(found.gate.entries)
    assert len(every) == len(set(every)) == 12
    assert any("2 pictures" in note and "copies" in note for note in found.notes)


def test_a_copy_under_another_name_in_eval_is_refused_with_its_name(folder, tmp_path):
    judge = tmp_path / "judge/x"
    judge.mkdir(parents=True)
    (judge / "own.jpg").write_text("own")
    found = choose_pictures(folder, judge.parent, recipe())
    assert contents(found.gate.entries) == [digest(judge / "own.jpg")]
    assert len(found.calibration) == 12
    assert found.notes == ()
    shutil.copy(folder / "cat/3.jpg", judge / "renamed.jpg")
    with pytest.raises(UsageError, match=r"1 pictures are in --images too, first renamed\.jpg"):
        choose_pictures(folder, judge.parent, recipe())


def test_pictures_of_images_that_are_not_chosen_may_not_judge_either(folder):
    """Which are chosen depends on the seed; the answer should not."""
    with pytest.raises(UsageError, match="12 pictures are in --images too"):
        choose_pictures(folder, folder, recipe(samples=1))


def test_one_picture_cannot_calibrate_and_judge(tmp_path):
    for name in ("a.jpg", "copy.jpg"):
        (tmp_path / name).write_text("the same")
    with pytest.raises(UsageError, match="one picture cannot both calibrate and judge"):
        choose_pictures(tmp_path, None, recipe())


def test_a_file_that_may_not_be_read_is_kept_to_be_named_later(folder, monkeypatch):
    locked = folder / "cat/0.jpg", folder / "dog/0.jpg"
    read = Path.read_bytes

    def refuse(path):
        if path in locked:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = choose_pictures(folder, None, recipe())
    paths = {entry.path for entry in (*found.calibration, *found.gate.entries)}
    assert set(locked) <= paths
    assert len(paths) == 12


@pytest.fixture
def voc(tmp_path):
    """Six pictures, their masks and two lists of three."""
    root = tmp_path / "VOC2007"
    for name in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for i in range(6):
        (root / f"JPEGImages/{i}.jpg").write_text(f"picture {i}")
        (root / f"SegmentationClass/{i}.png").write_text(f"mask {i}")
    for name, chosen in (("trainval", "0\n2\n4\n"), ("test", "1\n3\n5\n")):
        (root / f"ImageSets/Main/{name}.txt").write_text(chosen)
    return root


def names(entries):
    return {entry.path.name for entry in entries}


@pytest.mark.parametrize("up", [False, True])
def test_of_a_voc_folder_the_listed_pictures_alone_calibrate_and_judge(voc, up):
    images, lists = voc.parent if up else voc, voc / "ImageSets/Main"
    found = choose_pictures(images, None, recipe(), lists / "trainval.txt")
    both = names(found.calibration) | names(found.gate.entries)
    assert both == {"0.jpg", "2.jpg", "4.jpg"}
    assert not found.gate.has_classes
    whole = choose_pictures(images, None, recipe())  # masks are no pictures
    assert len(whole.calibration) + len(whole.gate.entries) == 6
    assert names(gate_only(images, lists / "test.txt").gate.entries) == {"1.jpg", "3.jpg", "5.jpg"}


def test_the_list_is_of_the_pictures_that_judge(voc, folder):
    lists = voc / "ImageSets/Main"
    found = choose_pictures(folder, voc, recipe(), lists / "test.txt")
    assert len(found.calibration) == 12
    assert names(found.gate.entries) == {"1.jpg", "3.jpg", "5.jpg"}


def test_a_list_of_other_pictures_is_an_error(voc):
    other = voc / "other.txt"
    other.write_text("7\n")
    with pytest.raises(UsageError, match=r"no picture of .*other\.txt is in .*VOC2007"):
        choose_pictures(voc, None, recipe(), other)


DETECTOR = Graph(
    Path("d.onnx"), "", "detect", Scheme.FLOAT, Preprocess(), Labels(("cat", "dog")), (), ()
)


@pytest.fixture
def coco(tmp_path):
    """Four pictures of one cat each, and the function that writes their annotations."""
    images = tmp_path / "pictures"
    images.mkdir()
    for i in range(4):
        cv2.imwrite(str(images / f"{i}.png"), np.full((20, 20, 3), i, np.uint8))

    def write(**fields):
        box = {"category_id": 1, "bbox": [2, 2, 9, 9], **fields}
        table = {
            "categories": [{"id": 1, "name": "cat"}],
            "images": [
                {"id": i, "file_name": f"{i}.png", "width": 20, "height": 20} for i in range(4)
            ],
            "annotations": [{"id": i, "image_id": i, **box} for i in range(4)],
        }
        (tmp_path / "coco.json").write_text(json.dumps(table))
        return images, tmp_path / "coco.json"

    return write


@pytest.mark.parametrize("split", [True, False])
def test_the_boxes_of_the_pictures_that_judge_are_found(coco, folder, split):
    images, annotations = coco()
    given = (images, None) if split else (folder, images)
    found = choose_pictures(*given, recipe(), annotations)
    boxes = true_boxes(found.gate, images, annotations, DETECTOR, None, option=found.option)
    assert list(boxes.pictures) == [entry.path for entry in found.gate.entries]
    assert len(boxes.pictures) == (2 if split else 4)
    assert found.option == ("--images" if split else "--eval")


@pytest.mark.parametrize("aside", ["iscrowd", "difficult"])
def test_boxes_of_which_none_counts_are_refused_before_the_work(coco, aside):
    images, annotations = coco(**{aside: 1})
    found = gate_only(images, annotations)
    with pytest.raises(UsageError, match="all 4 boxes are crowd or difficult") as caught:
        true_boxes(found.gate, images, annotations, DETECTOR, None, option=found.option)
    assert "of --eval that judge" in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("option", ["--images", "--eval"])
def test_a_list_of_annotated_pictures_is_refused_by_the_name_of_its_option(coco, folder, option):
    images, annotations = coco()
    names = images.parent / "some.csv"
    names.write_text("file\n" + "".join(f"pictures/{i}.png\n" for i in range(4)))
    given = (names, None) if option == "--images" else (folder, names)
    found = choose_pictures(*given, recipe(), annotations)
    with pytest.raises(UsageError, match=rf"^{option}: .*some\.csv is a file, .* in a folder"):
        true_boxes(found.gate, names, annotations, DETECTOR, None, option=found.option)
