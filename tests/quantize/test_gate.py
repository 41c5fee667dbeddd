"""The budget is judged on the point estimate, of top-1 or else of agreement."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.quantize.gate import judge


def one_hot(labels, classes=10):
    return np.eye(classes, dtype=np.float32)[np.asarray(labels)]


labels = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=50
).map(np.array)


@given(rows=labels, budget=st.floats(0, 100))
def test_with_classes_the_points_of_top1_decide(rows, budget):
    before, after, truth = rows.T
    gate = judge(one_hot(before), one_hot(after), truth.tolist(), budget)
    lost = 100 * ((before == truth).mean() - (after == truth).mean())
    assert gate.metric == "top-1"
    assert gate.drop.value == pytest.approx(lost)
    assert gate.passed == (gate.drop.value <= budget)
    assert gate.agreement.value == pytest.approx(100 * (before == after).mean())
    assert gate.top1[0].value == pytest.approx(100 * (before == truth).mean())
    assert gate.top5[1].value >= gate.top1[1].value


@given(rows=labels, budget=st.floats(0, 100))
def test_without_classes_every_changed_label_counts_as_lost(rows, budget):
    before, after, _ = rows.T
    gate = judge(one_hot(before), one_hot(after), None, budget)
    assert gate.metric == "agreement with float"
    assert gate.drop.value == pytest.approx(100 * (before != after).mean())
    assert gate.drop.low <= gate.drop.value <= gate.drop.high
    assert gate.top1 is gate.top5 is None
    assert gate.passed == (gate.drop.value <= budget)


def test_a_network_that_gets_better_passes_a_budget_of_nothing():
    truth = list(range(10)) * 5
    worse, better = one_hot([0] * 50), one_hot(truth)
    assert judge(worse, better, truth, 0.0).passed
    assert not judge(better, worse, truth, 0.0).passed


@pytest.mark.parametrize("truth", [None, [3] * 40])
def test_the_evidence_is_json_and_says_which_side_of_the_budget(truth):
    before, after = one_hot([3] * 40), one_hot([3] * 36 + [4] * 4)
    for budget, verdict in ((12.0, "inside"), (2.0, "outside")):
        found = judge(before, after, truth, budget).as_evidence()
        assert json.loads(json.dumps(found)) == found
        assert found["verdict"] == verdict
        assert found["pictures"] == 40
        assert found["drop"]["value"] == 10.0
        assert ("top1" in found) == (truth is not None)


def test_a_few_pictures_are_said_to_be_too_few_and_many_are_not():
    def gate(pictures):
        wrong = pictures // 100
        after = one_hot([3] * (pictures - wrong) + [4] * wrong)
        return judge(one_hot([3] * pictures), after, [3] * pictures, 2.0)

    few, many = gate(100), gate(20_000)
    assert few.needed > 100
    assert f"need about {few.needed}" in few.as_evidence()["note"]
    assert many.needed <= 20_000
    assert "note" not in many.as_evidence()
