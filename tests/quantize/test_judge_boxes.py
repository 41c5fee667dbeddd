"""INT8 beside float on pictures of boxes: what is lost, by the truth or by float."""

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import OPSET
from edgeresnet.core.errors import UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.tensors import BOXES, CLASS_IDS, IMAGE, SCORES
from edgeresnet.datasets.annotated import Box, from_boxes
from edgeresnet.datasets.pictures import Unreadable, list_pictures
from edgeresnet.metrics.average_precision import FEW
from edgeresnet.quantize import judge_boxes
from edgeresnet.quantize.judge_boxes import BoxJudge

SIDE = 16
QUARTERS = [(0, 0, 8, 8), (8, 0, 16, 8), (0, 8, 8, 16), (8, 8, 16, 16)]
NAMES = ("a", "b", "c", "d")
PICTURES = ["abcd", "ab", "cd", "a", "bcd", "bd", "acd", "c"]
"""Names of the quarters that are bright; each is a thing of its own class."""
A_S, OTHERS = 4, 14


def network(gains=(1, 1, 1, 1), narrower=0):
    """Finds each quarter with a score of its brightness, 0 to 1, times its gain."""
    value = helper.make_tensor_value_info
    constants = {
        "places": np.array([QUARTERS], np.float32) - np.float32([0, 0, narrower, 0]),
        "kinds": np.arange(4, dtype=np.int32)[None],
        "gains": np.array([gains], np.float32) / 255,
        "four": np.array([1, 4]),
    }
    nodes = [
        helper.make_node("Cast", [IMAGE], ["float"], name="cast", to=1),
        helper.make_node("Transpose", ["float"], ["planes"], name="turn", perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool",
            ["planes"],
            ["quarters"],
            name="pool",
            kernel_shape=[8, 8],
            strides=[8, 8],
        ),
        helper.make_node("ReduceMean", ["quarters"], ["grey"], name="mean", axes=[1]),
        helper.make_node("Reshape", ["grey", "four"], ["row"], name="row"),
        helper.make_node("Mul", ["row", "gains"], [SCORES], name="gain"),
        helper.make_node("Identity", ["places"], [BOXES], name="boxes"),
        helper.make_node("Identity", ["kinds"], [CLASS_IDS], name="classes"),
    ]
    graph = helper.make_graph(
        nodes,
        "quarters",
        [value(IMAGE, TensorProto.UINT8, [1, SIDE, SIDE, 3])],
        [
            value(BOXES, TensorProto.FLOAT, [1, 4, 4]),
            value(SCORES, TensorProto.FLOAT, [1, 4]),
            value(CLASS_IDS, TensorProto.INT32, [1, 4]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


WORSE = network((0, 1, 1, 1))
"""Does not see a."""
UNSURE = network((0.4, 0.4, 0.4, 0.4))


@pytest.fixture
def pictures(tmp_path):
    for bright in PICTURES:
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        for name in bright:
            left, top, right, low = QUARTERS[NAMES.index(name)]
            pixels[top:low, left:right] = 250
        cv2.imwrite(str(tmp_path / f"{bright}.png"), pixels)
    return tmp_path


def truth_of(folder, chosen=PICTURES, **aside):
    def boxes(bright):
        kinds = [NAMES.index(name) for name in bright]
        return tuple(Box(QUARTERS[kind], kind, bright, **aside) for kind in kinds)

    paths = {bright: folder / f"{bright}.png" for bright in chosen}
    return {path: from_boxes(path, (SIDE, SIDE), boxes(bright)) for bright, path in paths.items()}


def judging(folder, model=None, *, truth=None, max_drop=20.0):
    return BoxJudge(
        model or network(),
        list_pictures(folder, "--eval"),
        Preprocess(size=(SIDE, SIDE), resize=SIDE),
        Labels(NAMES),
        truth or {},
        max_drop,
        Unreadable({}),
        open_model,
    )


def test_a_class_that_int8_no_longer_sees_is_a_quarter_of_the_points_lost(pictures):
    verdict = judging(pictures, truth=truth_of(pictures)).judge(WORSE)
    gate = verdict.gate
    assert [figure.value for figure in gate.map50] == pytest.approx([100, 75])
    assert [figure.value for figure in gate.map] == pytest.approx([100, 75])
    assert gate.drop.value == pytest.approx(25)
    assert gate.drop.low < 25 < gate.drop.high
    assert (gate.metric, gate.pictures) == ("mAP@.5", 8)
    assert gate.passed is False
    assert gate.as_evidence()["verdict"] == "outside"
    assert {flip.path.stem for flip in verdict.flips} == {"abcd", "ab", "a", "acd"}
    assert verdict.logit_error > 0.1


def test_an_int8_graph_that_sees_more_passes_a_budget_of_nothing(pictures):
    gate = judging(pictures, WORSE, truth=truth_of(pictures), max_drop=0).judge(network()).gate
    assert gate.drop.value == pytest.approx(-25)
    assert [figure.value for figure in gate.map50] == pytest.approx([75, 100])
    assert gate.passed is True


def test_boxes_less_exact_but_over_half_are_no_loss(pictures):
    """An eighth narrower: found at an IoU of 0.5 to 0.85."""
    judge = judging(pictures, truth=truth_of(pictures), max_drop=0)
    gate = judge.judge(network(narrower=1)).gate
    assert [figure.value for figure in gate.map] == pytest.approx([100, 80])
    assert gate.drop.value == 0
    assert gate.passed


def test_a_graph_beside_itself_loses_nothing(pictures):
    verdict = judging(pictures, truth=truth_of(pictures), max_drop=0).judge(network())
    assert verdict.gate.drop.value == 0
    assert verdict.gate.passed
    assert verdict.gate.agreement.value == 100
    assert (verdict.flips, verdict.logit_error) == ((), 0)


def test_without_annotations_boxes_that_float_alone_has_are_lost(pictures):
    gate = judging(pictures).judge(WORSE).gate
    assert gate.metric == "agreement with float"
    assert gate.boxes == A_S + 2 * OTHERS
    lost = 100 * A_S / gate.boxes
    assert gate.agreement.value == pytest.approx(100 - lost)
    assert gate.drop.value == pytest.approx(lost)
    assert (gate.map, gate.map50, gate.pictures) == (None, None, 8)
    assert gate.passed
    assert judging(pictures, max_drop=lost - 1).judge(WORSE).gate.passed is False


@pytest.mark.parametrize(
    ("chosen", "lost"), [(["cd", "bcd", "bd", "c"], 0), (["abcd", "a"], 25), (["a"], 100)]
)
def test_of_pictures_partly_annotated_those_decide_and_all_agree_or_not(pictures, chosen, lost):
    gate = judging(pictures, truth=truth_of(pictures, chosen)).judge(WORSE).gate
    assert gate.drop.value == pytest.approx(lost)
    assert gate.passed == (lost == 0)
    assert (gate.metric, gate.pictures) == ("mAP@.5", len(chosen))
    assert gate.boxes == A_S + 2 * OTHERS


def test_nothing_that_either_is_sure_of_is_no_evidence(pictures):
    gate = judging(pictures, UNSURE).judge(UNSURE).gate
    assert gate.boxes == 0
    found = gate.as_evidence()
    assert found["verdict"] == gate.verdict == "unchecked"
    assert "sure of a box on any of 8 pictures" in found["note"]
    assert not {"drop", "agreement"} & set(found)
    assert judging(pictures).judge(UNSURE).gate.verdict == "outside"


def test_with_annotations_boxes_that_nobody_is_sure_of_are_judged(pictures):
    gate = judging(pictures, UNSURE, truth=truth_of(pictures)).judge(UNSURE).gate
    assert gate.boxes == 0
    assert gate.map50[1].value == pytest.approx(100)
    assert gate.as_evidence()["verdict"] == "inside"


def test_floats_precision_is_found_once_however_many_are_judged(pictures, monkeypatch):
    scored = []

    def counting(truth, found):
        scored.append(len(truth))
        return exact(truth, found)

    exact = judge_boxes.average_precision
    monkeypatch.setattr(judge_boxes, "average_precision", counting)
    judge = judging(pictures, truth=truth_of(pictures))
    drops = [judge.judge(model).gate.drop.value for model in (WORSE, network(), WORSE)]
    assert drops == pytest.approx([25, 0, 25])
    assert len(scored) == 4


def test_boxes_on_unreadable_pictures_alone_judge_nothing_and_it_is_said(pictures):
    truth = truth_of(pictures, ["a"])
    (pictures / "a.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(UsageError, match="no box on the pictures that are readable"):
        judging(pictures, truth=truth).judge(WORSE)


def test_boxes_of_which_none_counts_judge_nothing_and_it_is_said(pictures):
    with pytest.raises(UsageError, match="all 18 boxes are crowd or difficult"):
        judging(pictures, truth=truth_of(pictures, difficult=True)).judge(WORSE)


def test_the_pictures_asked_for_are_counted_by_the_boxes_on_them(pictures):
    """Of 784 boxes the interval around nothing lost is half a point wide; a picture has 2.25."""
    truth = truth_of(pictures)
    gate = judging(pictures, truth=truth, max_drop=0.5).judge(network()).gate
    boxes = sum(len(name) for name in PICTURES)
    assert gate.drop.value == 0
    assert gate.needed == pytest.approx(784 / (boxes / len(PICTURES)), rel=0.05)
    alike = judging(pictures, max_drop=0.5).judge(network()).gate
    both_sides = 2 * boxes
    assert alike.needed == pytest.approx(784 / (both_sides / len(PICTURES)), rel=0.05)
    wide = judging(pictures, truth=truth, max_drop=50).judge(network()).gate
    assert wide.needed == FEW  # of fewer the boxes do not count one by one
