"""INT8 beside float, picture by picture: what flips, and that float is run once."""

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import OPSET
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.tensors import IMAGE, LOGITS
from edgeresnet.datasets.pictures import Unreadable, list_pictures
from edgeresnet.quantize.judge import Judge

SIDE = 8
COLOURS = {  # blue, green, red: the logits of the network below are their tenths
    "blue": (60, 10, 0),
    "bluish": (50, 40, 0),
    "green": (0, 60, 10),
    "red": (0, 10, 60),
}
NAMES = sorted(COLOURS)


def network(bias=(0, 0, 0), batch=1):
    """Logits are the mean blue, green and red, in tenths, and ``bias``."""
    value = helper.make_tensor_value_info
    image = value(IMAGE, TensorProto.UINT8, [batch, SIDE, SIDE, 3])
    constants = {"tenth": np.float32(0.1), "bias": np.array(bias, np.float32)}
    nodes = [
        helper.make_node("Cast", [IMAGE], ["float"], name="cast", to=1),
        helper.make_node("ReduceMean", ["float"], ["mean"], name="mean", axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "tenth"], ["scaled"], name="scale"),
        helper.make_node("Add", ["scaled", "bias"], [LOGITS], name="add"),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [image],
        [value(LOGITS, TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


GREENER = network((0, 2, 0))
"""Takes ``bluish`` for green."""


def share(logits, class_id):
    weights = np.exp(np.array(logits, np.float64))
    return weights[class_id] / weights.sum()


@pytest.fixture
def pictures(tmp_path):
    for name, colour in COLOURS.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((SIDE, SIDE, 3), colour, np.uint8))
    return tmp_path


def judging(folder, model=None, *, max_drop=30.0, classes=None, **options):
    listing = list_pictures(folder, "--eval")
    size = Preprocess(size=(SIDE, SIDE), resize=SIDE)
    known = {folder / f"{name}.png": class_id for name, class_id in (classes or {}).items()}
    given = {"unreadable": Unreadable({}), "open_model": open_model, **options}
    given["signature"] = lambda outputs: outputs[LOGITS][0]
    return Judge(model or network(), listing, size, known, max_drop, **given)


def test_a_graph_beside_itself_flips_nothing(pictures):
    verdict = judging(pictures).judge(network())
    assert verdict.gate.passed
    assert verdict.gate.agreement.value == 100
    assert (verdict.flips, verdict.logit_error) == ((), 0)


def test_a_flip_tells_the_picture_both_labels_and_how_sure_each_was(pictures):
    (flip,) = judging(pictures).judge(GREENER).flips
    assert flip.path == pictures / "bluish.png"
    assert (flip.float_class, flip.int8_class, flip.truth) == (0, 1, None)
    assert flip.float_score == pytest.approx(share([5, 4, 0], 0), rel=1e-5)
    assert flip.int8_score == pytest.approx(share([5, 6, 0], 1), rel=1e-5)


def test_a_flip_names_its_classes_where_they_have_names(pictures):
    (flip,) = judging(pictures, classes=dict.fromkeys(NAMES, 2)).judge(GREENER).flips
    told = flip.as_json(Labels(("blue", "green")))
    assert told["file"] == "bluish.png"
    assert (told["float"]["label"], told["int8"]["label"], told["truth"]) == ("blue", "green", "2")
    assert 0 < told["float"]["score"] < told["int8"]["score"] < 1


def test_without_classes_the_budget_counts_agreement(pictures):
    judge = judging(pictures, max_drop=24)
    gate = judge.judge(GREENER).gate
    assert gate.metric == "agreement with float"
    assert gate.drop.value == pytest.approx(25)
    assert not gate.passed


def test_with_classes_the_budget_counts_top_1_and_a_flip_may_be_for_the_better(pictures):
    classes = {"blue": 0, "bluish": 1, "green": 1, "red": 2}
    verdict = judging(pictures, classes=classes, max_drop=0).judge(GREENER)
    assert [interval.value for interval in verdict.gate.top1] == [75, 100]
    assert verdict.gate.drop.value == pytest.approx(-25)
    assert verdict.gate.passed
    (flip,) = verdict.flips
    assert flip.truth == 1


def test_the_same_amount_on_every_logit_is_no_error(pictures):
    verdict = judging(pictures).judge(network((3, 3, 3)))
    assert verdict.logit_error == pytest.approx(0, abs=1e-6)
    assert judging(pictures).judge(GREENER).logit_error > 0.1


def test_the_float_graph_is_run_once_however_many_are_judged(pictures):
    opened, model = [], network()

    def counting(content, **options):
        opened.append(content)
        return open_model(content, **options)

    judge = judging(pictures, model, open_model=counting)
    for bias in (1, 2, 3):
        judge.judge(network((0, bias, 0)))
    assert len(opened) == 4
    assert opened.count(model.SerializeToString()) == 1


def test_pictures_that_cannot_be_read_are_not_counted_and_are_named(pictures):
    torn = pictures / "a-torn.png"
    torn.write_bytes(b"\x89PNG torn")
    unreadable = Unreadable({})
    judge = judging(pictures, unreadable=unreadable)
    verdict = judge.judge(GREENER)
    assert verdict.gate.pictures == len(COLOURS)
    assert [flip.path.stem for flip in verdict.flips] == ["bluish"]
    assert list(unreadable.reasons) == [torn]
    assert len(judge.first_pictures) == len(COLOURS)


def test_no_readable_picture_at_all_is_said(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(UsageError, match="--eval: none of 1 pictures is readable"):
        judging(tmp_path).judge(network())


def test_the_number_of_jobs_changes_nothing(pictures):
    one, two = (judging(pictures, jobs=jobs).judge(GREENER) for jobs in (1, 2))
    assert one.gate == two.gate
    assert one.flips == two.flips
    assert one.logit_error == two.logit_error


def test_a_graph_of_a_larger_batch_is_judged_the_same(pictures):
    one = judging(pictures).judge(GREENER)
    three = judging(pictures, network(batch=3)).judge(network((0, 2, 0), batch=3))
    assert one.gate == three.gate
    assert one.flips == three.flips


def test_values_that_are_not_finite_are_an_error(pictures):
    with pytest.raises(ModelError, match="not finite"):
        judging(pictures).judge(network((np.inf, 0, 0)))


def test_the_first_pictures_are_each_there_once_after_any_number_of_verdicts(pictures):
    judge = judging(pictures)
    for _ in range(3):
        judge.judge(GREENER)
    assert [tuple(picture[0, 0]) for picture in judge.first_pictures] == [
        COLOURS[name] for name in NAMES
    ]


def test_vectors_are_judged_by_the_angle_and_every_picture_is_told_the_most_turned_first(pictures):
    """The network's three means as features; a bias turns the dimmest colour most."""
    judge = judging(pictures, max_drop=30.0, vectors=True)
    assert judge.judge(network()).gate.drop.value == pytest.approx(0, abs=1e-6)
    verdict = judge.judge(GREENER)
    gate = verdict.gate
    assert gate.metric == gate.alike == "cosine with float"
    assert gate.agreement.value == pytest.approx(100 - gate.drop.value)
    found = [turn.cosine for turn in verdict.flips]
    assert found == sorted(found)
    assert len(found) == len(COLOURS)
    assert np.mean(found) == pytest.approx(gate.agreement.value / 100)
    assert gate.passed
    assert not judging(pictures, max_drop=0.1, vectors=True).judge(GREENER).gate.passed
    assert gate.as_evidence()["metric"] == "cosine with float"
