"""Which form annotations have is found, and their names are matched to the network's classes."""

import json

import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.datasets.annotated import Fault
from edgeresnet.datasets.annotations import for_labels, is_annotated, read_annotations

XML = (
    "<annotation><size><width>8</width><height>6</height></size><object><name>{}</name><bndbox>"
    "<xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></object></annotation>"
)


@pytest.fixture
def voc(tmp_path):
    """Three pictures, each of a thing that COCO calls otherwise."""
    for name in ("JPEGImages", "Annotations"):
        (tmp_path / "voc" / name).mkdir(parents=True)
    for stem, name in (("a", "tvmonitor"), ("b", "Dining Table"), ("c", "hovercraft")):
        cv2.imwrite(str(tmp_path / f"voc/JPEGImages/{stem}.jpg"), np.zeros((6, 8, 3), np.uint8))
        (tmp_path / f"voc/Annotations/{stem}.xml").write_text(XML.format(name))
    return tmp_path / "voc"


def names(found):
    return [picture.path.name for picture in found.pictures]


def test_a_voc_folder_needs_no_annotations_option(voc):
    assert is_annotated(voc)
    assert names(read_annotations(voc)) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_folder_of_xml_and_one_of_pictures_will_do(voc):
    assert not is_annotated(voc / "JPEGImages")
    both = read_annotations(voc / "JPEGImages", voc / "Annotations")
    assert names(both) == names(read_annotations(voc, voc / "Annotations"))
    assert len(both.pictures) == 3


def test_a_list_chooses_from_a_voc_folder(voc):
    (voc / "test.txt").write_text("b\n")
    assert names(read_annotations(voc, voc / "test.txt")) == ["b.jpg"]


def test_a_file_is_coco(voc):
    table = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 8, "height": 6}],
        "annotations": [],
        "categories": [],
    }
    (voc / "instances.json").write_text(json.dumps(table))
    assert names(read_annotations(voc / "JPEGImages", voc / "instances.json")) == ["a.jpg"]


@pytest.mark.parametrize(
    ("images", "annotations", "match"),
    [
        ("JPEGImages", None, "is no Pascal VOC folder"),
        ("absent", None, "--eval: no such folder"),
        ("list.csv", None, "--eval: .*list.csv is a file, annotated pictures are looked for in a"),
        (".", "absent", "no such file"),
        (".", "Annotations/a.xml", "one file of many"),
        (".", "JPEGImages", "no .xml files"),
        ("JPEGImages", "test.txt", "is no Pascal VOC folder"),
    ],
)
def test_what_cannot_be_read_is_said(voc, images, annotations, match):
    (voc / "test.txt").write_text("b\n")
    (voc / "list.csv").write_text("file\nJPEGImages/b.jpg\n")
    given = None if annotations is None else voc / annotations
    with pytest.raises(UsageError, match=match):
        read_annotations(voc / images, given, option="--eval")


def test_a_set_without_one_usable_picture_is_an_error_that_names_the_first_fault(voc):
    for path in (voc / "JPEGImages").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r"no usable picture: missing picture: a of a\.xml"):
        read_annotations(voc)


def test_names_of_voc_and_coco_mean_the_same_without_case_and_spaces(voc):
    labels = Labels(("__background__", "N/A", "dining table", "N/A", "tv"))
    found, how = for_labels(read_annotations(voc), labels)
    assert how == "names, 2 of 3"
    assert [picture.class_ids.tolist() for picture in found.pictures] == [[4], [2], []]
    assert found.faults.counts == {Fault.UNKNOWN_CLASS: 1}
    assert found.faults.first[Fault.UNKNOWN_CLASS] == "c.jpg: 'hovercraft'"
    assert found.classes == labels.names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("aeroplane", "airplane"),
        ("motorbike", "motorcycle"),
        ("sofa", "couch"),
        ("pottedplant", "potted plant"),
        ("tvmonitor", "TV"),
        ("RBC", "rbc"),
    ],
)
def test_aliases_work_both_ways(voc, one, other):
    for name, label in ((one, other), (other, one)):
        (voc / "Annotations/a.xml").write_text(XML.format(name))
        found, _ = for_labels(read_annotations(voc), Labels((label, "zebra")))
        assert found.pictures[0].class_ids.tolist() == [0]


def test_a_class_map_decides_for_the_names_that_it_holds(voc):
    (voc / "map.csv").write_text("hovercraft,1\nDining Table,zebra\n")
    labels = Labels(("tv", "boat", "zebra", "dining table"))
    found, how = for_labels(read_annotations(voc), labels, voc / "map.csv")
    assert how == "class map map.csv and names, 3 of 3"
    assert [picture.class_ids.tolist() for picture in found.pictures] == [[0], [2], [1]]
    assert not found.faults.counts


def test_no_class_in_common_is_an_error(voc):
    with pytest.raises(UsageError, match=r"no class of .* is one of the network") as caught:
        for_labels(read_annotations(voc), Labels(("cat", "dog")))
    assert "--class-map" in caught.value.hint


def test_strict_refuses_a_class_that_the_network_has_not(voc):
    with pytest.raises(UsageError, match=r"unknown class: c\.jpg: 'hovercraft'"):
        for_labels(read_annotations(voc, strict=True), Labels(("tv", "dining table")))
