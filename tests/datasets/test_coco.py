"""COCO's JSON: its boxes, and everything that can be wrong with it."""

import json

import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.datasets.annotated import Fault, Faults
from edgeresnet.datasets.coco import read_coco


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.png"):
        cv2.imwrite(str(tmp_path / "images" / name), np.zeros((50, 100, 3), np.uint8))
    return tmp_path


def sound():
    return {
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 100, "height": 50},
            {"id": 2, "file_name": "b.png", "width": 100, "height": 50},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 5, 20, 30], "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [0, 0, 100, 50.0], "iscrowd": 1},
        ],
    }


def read(folder, table, **options):
    path = folder / "instances.json"
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    return read_coco(path, folder / "images", Faults(**options))


def test_boxes_become_corners_and_categories_places_in_their_list(folder):
    found = read(folder, sound(), strict=True)
    assert found.classes == ("cat", "dog")
    first, second = found.pictures
    assert first.path == folder / "images/a.jpg"
    assert first.size == (100, 50)
    assert first.boxes.tolist() == [[10, 5, 30, 35], [0, 0, 100, 50]]
    assert first.class_ids.tolist() == [1, 0]
    assert first.crowd.tolist() == [False, True]
    assert second.boxes.shape == (0, 4)


def broken(change):
    table = sound()
    change(table)
    return table


def one_more(**fields):
    box = {"id": 9, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    return lambda table: table["annotations"].append({**box, **fields})


def without(key):
    def change(table):
        entry = {"id": 9, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}
        del entry[key]
        table["annotations"].append(entry)

    return change


@pytest.mark.parametrize(
    ("change", "fault", "boxes"),
    [
        (one_more(bbox=[90, 10, 20, 10]), Fault.BOX_CUT, 3),
        (one_more(bbox=[200, 10, 20, 10]), Fault.BOX_OUTSIDE, 2),
        (one_more(bbox=[10, 10, 0, 10]), Fault.ZERO_AREA, 2),
        (one_more(bbox=[10, 10, 5, -1]), Fault.NEGATIVE_SIZE, 2),
        (one_more(bbox=[10, 10, float("nan"), 4]), Fault.NOT_FINITE, 2),
        (one_more(bbox=[10, 10, float("inf"), 4]), Fault.NOT_FINITE, 2),
        (one_more(bbox=[10, 10, 10**400, 4]), Fault.NOT_FINITE, 2),
        (one_more(bbox=[10, 10, 4]), Fault.MALFORMED, 2),
        (one_more(bbox=["10", 10, 4, 4]), Fault.MALFORMED, 2),
        (one_more(bbox=None), Fault.MALFORMED, 2),
        (without("bbox"), Fault.MALFORMED, 2),
        (one_more(iscrowd="0"), Fault.MALFORMED, 2),
        (one_more(iscrowd=2), Fault.MALFORMED, 2),
        (one_more(difficult=[]), Fault.MALFORMED, 2),
        (one_more(ignore="yes"), Fault.MALFORMED, 2),
        (without("image_id"), Fault.MALFORMED, 2),
        (lambda table: table["annotations"].append(17), Fault.MALFORMED, 2),
        (lambda table: table["images"].append({"id": 3}), Fault.MALFORMED, 2),
        (lambda table: table["categories"].append({"id": "x", "name": 3}), Fault.MALFORMED, 2),
        (one_more(id=1), Fault.DUPLICATE_ID, 3),
        (one_more(bbox=[10, 5, 20, 30]), Fault.DUPLICATE_BOX, 2),
        (lambda t: t["images"].append({**t["images"][0]}), Fault.DUPLICATE_ID, 2),
        (lambda t: t["categories"].append({"id": 3, "name": "x"}), Fault.DUPLICATE_ID, 2),
        (one_more(category_id=99), Fault.UNKNOWN_CLASS, 2),
        (one_more(category_id=[]), Fault.UNKNOWN_CLASS, 2),
        (one_more(image_id=99), Fault.UNKNOWN_PICTURE, 2),
        (one_more(image_id={}), Fault.UNKNOWN_PICTURE, 2),
        (lambda t: t["images"][0].update(width=50, height=100), Fault.WRONG_SIZE, 2),
        (lambda t: t["images"][0].pop("width"), Fault.WRONG_SIZE, 2),
        (lambda t: t["images"][1].update(file_name="c.jpg"), Fault.MISSING_PICTURE, 2),
        (lambda t: t["images"][1].update(file_name="../a.jpg"), Fault.MISSING_PICTURE, 2),
        (lambda t: t["images"][1].update(file_name="é" * 200), Fault.MISSING_PICTURE, 2),
    ],
)
def test_each_fault_is_counted_and_strict_refuses_it(folder, change, fault, boxes):
    found = read(folder, broken(change))
    assert found.faults.counts == {fault: 1}
    assert sum(len(picture.boxes) for picture in found.pictures) == boxes
    with pytest.raises(UsageError, match=fault.words):
        read(folder, broken(change), strict=True)


@pytest.mark.parametrize(
    ("value", "aside"), [(0, False), (1, True), (False, False), (True, True), (None, False)]
)
@pytest.mark.parametrize("key", ["iscrowd", "difficult", "ignore"])
def test_crowd_and_difficult_are_said_by_numbers_or_words(folder, key, value, aside):
    table = broken(one_more(**{key: value}))
    box = read(folder, table, strict=True).pictures[0]
    assert len(box.boxes) == 3
    assert box.counted.tolist() == [True, False, not aside]
    assert bool(box.crowd[2]) == (aside and key == "iscrowd")


def again(name):
    """The first picture under another id, with a box that it has already and one of its own."""
    table = sound()
    table["images"].append({"id": 3, "file_name": name, "width": 100, "height": 50})
    one_more(image_id=3, bbox=[10, 5, 20, 30])(table)
    one_more(image_id=3, id=10)(table)
    return table


@pytest.mark.parametrize("name", ["a.jpg", "train/a.jpg", "link.jpg"])
def test_a_picture_under_two_ids_counts_once_with_the_boxes_of_both(folder, name):
    (folder / "images/link.jpg").symlink_to(folder / "images/a.jpg")
    found = read(folder, again(name))
    assert [picture.path.name for picture in found.pictures] == ["a.jpg", "b.png"]
    assert len(found.pictures[0].boxes) == 3
    assert found.faults.counts == {Fault.DUPLICATE_PICTURE: 1, Fault.DUPLICATE_BOX: 1}
    with pytest.raises(UsageError, match="duplicate picture"):
        read(folder, again(name), strict=True)


def test_a_damaged_picture_is_left_out(folder):
    (folder / "images/a.jpg").write_bytes(b"x")
    found = read(folder, sound())
    assert found.faults.counts == {Fault.UNREADABLE_PICTURE: 1}
    assert [picture.path.name for picture in found.pictures] == ["b.png"]


def test_pictures_may_lie_directly_in_the_folder_whatever_path_the_file_says(folder):
    table = sound()
    table["images"][0]["file_name"] = "train2017/a.jpg"
    assert len(read(folder, table, strict=True).pictures) == 2


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"images": [], "annotations": {}, "categories": []}', "[" * 9999]
)
def test_a_file_of_another_form_is_an_error_with_or_without_strict(folder, text):
    with pytest.raises(UsageError, match="--annotations"):
        read(folder, text)


def test_coco128_is_read_whole(shared):
    root = shared / "data/coco128"
    found = read_coco(root / "instances_val2017.json", root / "images", Faults(strict=True))
    assert len(found.pictures) == 128
    assert len(found.classes) == 80
    assert sum(len(picture.boxes) for picture in found.pictures) == 939
    assert sum(int(picture.crowd.sum()) for picture in found.pictures) == 10
