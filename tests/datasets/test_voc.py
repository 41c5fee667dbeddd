"""Pascal VOC's XML: its boxes, and everything that can be wrong with it."""

import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.datasets.annotated import Fault, Faults
from edgeresnet.datasets.annotations import is_annotated
from edgeresnet.datasets.pictures import list_pictures
from edgeresnet.datasets.voc import read_voc, voc_root

BOX = "<xmin>1</xmin><ymin>11</ymin><xmax>30</xmax><ymax>50</ymax>"
SIZE = "<size><width>100</width><height>50</height><depth>3</depth></size>"


def thing(name="dog", box=BOX, more=""):
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def corners(*values):
    names = ("xmin", "ymin", "xmax", "ymax")
    return "".join(f"<{n}>{v}</{n}>" for n, v in zip(names, values, strict=True))


@pytest.fixture
def root(tmp_path):
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def write(root, stem, *things, size=SIZE, picture=True, text=None, said="x.jpg"):
    if picture:
        cv2.imwrite(str(root / f"JPEGImages/{stem}.jpg"), np.zeros((50, 100, 3), np.uint8))
    text = text or f"<annotation><filename>{said}</filename>{size}{''.join(things)}</annotation>"
    (root / f"Annotations/{stem}.xml").write_text(text)


def read(root, chosen=None, **options):
    return read_voc(root / "Annotations", root / "JPEGImages", Faults(**options), chosen)


def test_pixels_counted_from_one_become_edges_and_names_classes_in_order(root):
    write(root, "b", thing(), thing("cat", corners(1, 1, 100, 50), "<difficult>1</difficult>"))
    write(root, "a")
    found = read(root, strict=True)
    assert found.classes == ("cat", "dog")
    first, second = found.pictures
    assert first.path.name == "a.jpg"
    assert not len(first.boxes)
    assert second.boxes.tolist() == [[0, 10, 30, 50], [0, 0, 100, 50]]
    assert second.class_ids.tolist() == [1, 0]
    assert second.difficult.tolist() == [False, True]
    assert not second.crowd.any()


@pytest.mark.parametrize(
    ("entry", "fault", "boxes"),
    [
        (thing(box=corners(90, 40, 101, 50)), Fault.BOX_CUT, 2),
        (thing(box=corners(0, 1, 10, 10)), Fault.BOX_CUT, 2),
        (thing(box=corners(102, 1, 110, 10)), Fault.BOX_OUTSIDE, 1),
        (thing(box=corners(7, 7, 7, 7)), Fault.ZERO_AREA, 1),
        (thing(box=corners(9, 7, 8, 20)), Fault.NEGATIVE_SIZE, 1),
        (thing(box=corners("nan", 7, 8, 20)), Fault.NOT_FINITE, 1),
        (thing(box=corners("left", 7, 8, 20)), Fault.MALFORMED, 1),
        (thing(box="<xmin>1</xmin>"), Fault.MALFORMED, 1),
        (thing(name=" "), Fault.MALFORMED, 1),
        ("<object><name>dog</name></object>", Fault.MALFORMED, 1),
        (thing(), Fault.DUPLICATE_BOX, 1),
    ],
)
def test_each_fault_of_a_box_is_counted_and_strict_refuses_it(root, entry, fault, boxes):
    write(root, "a", thing(), entry)
    found = read(root)
    assert found.faults.counts == {fault: 1}
    assert len(found.pictures[0].boxes) == boxes
    assert "a.xml" in found.faults.first[fault]
    with pytest.raises(UsageError, match=fault.words):
        read(root, strict=True)


@pytest.mark.parametrize(
    ("change", "fault", "pictures"),
    [
        ({"text": "<annotation><object>"}, Fault.BROKEN_FILE, 1),
        ({"text": "<html/>"}, Fault.BROKEN_FILE, 1),
        (
            {"text": '<!DOCTYPE a [<!ENTITY e "eeee">]><annotation>&e;</annotation>'},
            Fault.BROKEN_FILE,
            1,
        ),
        ({"text": '<?xml version="1.0" encoding="klingon"?><annotation/>'}, Fault.BROKEN_FILE, 1),
        ({"picture": False}, Fault.MISSING_PICTURE, 1),
        ({"picture": False, "said": f"{'x' * 300}.jpg"}, Fault.MISSING_PICTURE, 1),
        ({"size": "<size><width>50</width><height>100</height></size>"}, Fault.WRONG_SIZE, 2),
        ({"size": ""}, Fault.WRONG_SIZE, 2),
    ],
)
def test_each_fault_of_a_file_is_counted_and_strict_refuses_it(root, change, fault, pictures):
    write(root, "a", thing())
    write(root, "b", thing(), **change)
    found = read(root)
    assert found.faults.counts == {fault: 1}
    assert len(found.pictures) == pictures
    with pytest.raises(UsageError, match=fault.words):
        read(root, strict=True)


def test_a_damaged_picture_is_left_out(root):
    write(root, "a", thing())
    (root / "JPEGImages/a.jpg").write_bytes(b"x")
    found = read(root)
    assert not found.pictures
    assert found.faults.counts == {Fault.UNREADABLE_PICTURE: 1}


def test_the_picture_is_that_of_the_files_name_or_else_the_one_it_says(root):
    write(root, "a", thing(), said="b.jpg")
    write(root, "b", thing())
    write(root, "c", thing(), said="other.jpg", picture=False)
    (root / "JPEGImages/a.jpg").rename(root / "JPEGImages/a.jpeg")
    (root / "JPEGImages/other.jpg").write_bytes((root / "JPEGImages/b.jpg").read_bytes())
    names = [picture.path.name for picture in read(root, strict=True).pictures]
    assert names == ["a.jpeg", "b.jpg", "other.jpg"]


def test_a_list_chooses_the_pictures_and_one_without_file_is_counted(root):
    for stem in "abc":
        write(root, stem, thing())
    chosen = root / "ImageSets/Main/test.txt"
    chosen.write_text("c  1\na -1\n\nd\na\n")
    found = read(root, chosen)
    assert [picture.path.name for picture in found.pictures] == ["c.jpg", "a.jpg"]
    assert found.faults.counts == {Fault.MISSING_FILE: 1}


def test_a_picture_that_two_files_name_counts_once_with_the_boxes_of_both(root):
    write(root, "a", thing())
    write(root, "b", thing(), thing("cat"), said="a.jpg", picture=False)
    found = read(root)
    assert [picture.path.name for picture in found.pictures] == ["a.jpg"]
    assert sorted(found.pictures[0].class_ids) == [0, 1]
    assert found.faults.counts == {Fault.DUPLICATE_PICTURE: 1, Fault.DUPLICATE_BOX: 1}
    with pytest.raises(UsageError, match="duplicate picture: a"):
        read(root, strict=True)


def test_a_name_that_no_file_can_have_is_missing(root):
    write(root, "a" * 251, thing(), picture=False)  # with .xml as long as names may be
    write(root, "b", thing())
    chosen = root / "list.txt"
    chosen.write_text(f"{'a' * 251}\n{'c' * 300}\nb\n")
    found = read(root, chosen)
    assert [picture.path.name for picture in found.pictures] == ["b.jpg"]
    assert found.faults.counts == {Fault.MISSING_PICTURE: 1, Fault.MISSING_FILE: 1}


@pytest.mark.parametrize("text", ["", "../a\n"])
def test_a_list_that_names_no_pictures_is_an_error(root, text):
    write(root, "a", thing())
    (root / "list.txt").write_text(text)
    with pytest.raises(UsageError, match=r"list\.txt"):
        read(root, root / "list.txt")


def test_the_root_may_be_the_only_such_folder_inside(root, tmp_path):
    assert voc_root(root) == root
    (tmp_path / "above/VOC2007/JPEGImages").mkdir(parents=True)
    assert voc_root(tmp_path / "above") is None
    (tmp_path / "above/VOC2007/Annotations").mkdir()
    assert voc_root(tmp_path / "above") == tmp_path / "above/VOC2007"
    for name in ("JPEGImages", "Annotations"):
        (tmp_path / "above/VOC2012" / name).mkdir(parents=True)
    for look in (voc_root, is_annotated, lambda path: list_pictures(path, "--images")):
        with pytest.raises(UsageError, match="holds 2 Pascal VOC folders: VOC2007, VOC2012"):
            look(tmp_path / "above")
    assert voc_root(tmp_path / "absent") is None


def test_the_blood_cells_are_read_with_their_two_clicks_counted(shared):
    root = voc_root(shared / "data/bccd")
    found = read(root)
    assert found.classes == ("Platelets", "RBC", "WBC")
    assert len(found.pictures) == 364
    assert sum(len(picture.boxes) for picture in found.pictures) == 4886
    assert found.faults.counts == {Fault.ZERO_AREA: 2}
    held_out = read(root, root / "ImageSets/Main/test.txt", strict=True)
    assert (len(held_out.pictures), sum(len(p.boxes) for p in held_out.pictures)) == (72, 945)
