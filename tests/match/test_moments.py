"""Means, variances and their divergence are those of the definition."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import OPSET
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import LOGITS, SCORES
from edgeresnet.match.moments import (
    SURENESS,
    Moments,
    NormStatistics,
    divergences,
    moments_of,
    pack,
    unpack,
    with_moments,
)


def layers(means, variances):
    return NormStatistics(np.array(means, np.float64), np.array(variances, np.float64))


def seen(means, powers):
    """What one layer did: pictures x channels each."""
    return Moments(((np.array(means, float), np.array(powers, float)),), np.ones(len(means)))


def test_a_network_gives_the_moments_beside_its_logits(rng):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["p"]),
        helper.make_node("Flatten", ["p"], [LOGITS]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 5, 6])],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, 3])],
    )
    body = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    before = body.SerializeToString()
    run = open_model(with_moments(body, ["a"]))
    assert body.SerializeToString() == before
    pictures = rng.normal(size=(4, 1, 3, 5, 6)).astype(np.float32)
    found = moments_of([run({"x": x}) for x in pictures], {"a": layers([0] * 3, [1] * 3)})
    relu = np.maximum(pictures[:, 0], 0)
    ((means, powers),) = found.layers
    np.testing.assert_allclose(means, relu.mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(powers, (relu**2).mean((2, 3)), rtol=1e-5)
    logits = relu.mean((2, 3))
    np.testing.assert_allclose(found.top, logits.max(1) - logits.mean(1), rtol=1e-4, atol=1e-7)
    assert len(found.first(2).top) == found.first(2).pictures == 2
    assert found.first(2).bar == found.bar == SURENESS[LOGITS]


def detector_like(rng):
    """A body of two outputs, of which the second needs the picture to be 5 high and 6 wide."""
    make, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        make("Relu", ["x"], ["a"]),
        make("Reshape", ["a", "shape"], ["flat"]),
        make("Sigmoid", ["flat"], [SCORES]),
        make("Neg", ["flat"], ["boxes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [2, 3, 5, 6])],
        [value("boxes", TensorProto.FLOAT, [2, 90]), value(SCORES, TensorProto.FLOAT, [2, 90])],
        [helper.make_tensor("shape", TensorProto.INT64, [2], [1, 90])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def test_a_detector_tells_how_sure_it_is_by_the_odds_of_its_best_score(rng):
    run = open_model(with_moments(detector_like(rng), ["a"]))
    x = rng.normal(size=(1, 3, 5, 6)).astype(np.float32)
    outputs = run({"x": x})
    assert set(outputs) == {"a#mean", "a#power", SCORES}
    found = moments_of([outputs], {"a": layers([0] * 3, [1] * 3)})
    np.testing.assert_allclose(found.top, np.exp(x.max()), rtol=1e-4)
    assert found.bar == SURENESS[SCORES]


def test_pictures_of_any_size_give_moments_and_no_sureness(rng):
    content = with_moments(detector_like(rng), ["a"], any_size=True)
    kinds = {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert kinds == {"Relu", "ReduceMean", "Mul"}
    x = rng.normal(size=(1, 3, 9, 4)).astype(np.float32)
    found = moments_of([open_model(content)({"x": x})], {"a": layers([0] * 3, [1] * 3)})
    np.testing.assert_allclose(found.layers[0][0][0], np.maximum(x, 0).mean((2, 3))[0], rtol=1e-5)
    assert found.top is None
    assert found.first(1).top is None


def test_what_the_branches_of_an_if_read_is_kept():
    make, value = helper.make_node, helper.make_tensor_value_info
    inner = [
        helper.make_graph([make(op, ["a"], [op])], op, [], [value(op, 1, None)])
        for op in ("Abs", "Neg")
    ]
    nodes = [
        make("Relu", ["x"], ["a"]),
        make("If", ["yes"], ["b"], then_branch=inner[0], else_branch=inner[1]),
        make("Exp", ["x"], ["unused"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", 1, [1, 2, 3, 3])],
        [value("b", 1, None), value("unused", 1, None)],
        [helper.make_tensor("yes", TensorProto.BOOL, [], [True])],
    )
    body = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    content = with_moments(body, ["b"])
    assert "Exp" not in {node.op_type for node in onnx.load_from_string(content).graph.node}
    outputs = open_model(content)({"x": np.full((1, 2, 3, 3), 2, np.float32)})
    assert outputs["b#mean"].tolist() == [[2, 2]]


channel = st.tuples(st.floats(-3, 3), st.floats(0.05, 5), st.floats(-3, 3), st.floats(0.05, 5))


@given(channels=st.lists(channel, min_size=1, max_size=5))
def test_the_divergence_is_that_of_two_normal_distributions(channels):
    mean, variance, wanted_mean, wanted = np.array(channels).T
    found = divergences(
        seen([mean], [variance + mean**2]), [layers(wanted_mean, wanted)], np.ones(1)
    )
    ratio = variance / wanted
    kl = (ratio + (mean - wanted_mean) ** 2 / wanted - 1 - np.log(ratio)) / 2
    assert found[0] == pytest.approx(np.minimum(kl, 5).mean(), rel=1e-6, abs=2e-9)


@given(channels=st.lists(channel, min_size=1, max_size=5))
def test_the_divergence_from_itself_is_nothing_and_never_negative(channels):
    mean, variance, wanted_mean, wanted = np.array(channels).T
    same = seen([mean], [variance + mean**2])
    assert divergences(same, [layers(mean, variance)], np.ones(1))[0] <= 1e-6
    assert divergences(same, [layers(wanted_mean, wanted)], np.ones(1))[0] > 0


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(0, 4), min_size=2, max_size=5).filter(any), seed=st.integers(0, 9)
)
def test_weights_are_how_often_a_picture_counts(counts, seed):
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(len(counts), 3))
    powers = means**2 + rng.uniform(0.1, 1, (len(counts), 3))
    expected = [layers(rng.normal(size=3), rng.uniform(0.5, 2, 3))]
    repeated = np.repeat(np.arange(len(counts)), counts)
    weighted = divergences(seen(means, powers), expected, np.array(counts, float))
    plain = divergences(seen(means[repeated], powers[repeated]), expected, np.ones(len(repeated)))
    np.testing.assert_allclose(weighted, plain)


def test_several_sets_of_weights_are_as_one_after_the_other(rng):
    means = rng.normal(size=(6, 3))
    moments = Moments(((means, means**2 + 0.5), (means + 1, (means + 1) ** 2 + 0.2)), None)
    expected = [layers([0, 1, 2], [1, 2, 3]), layers([1, 1, 0], [1, 0.5, 1])]
    weights = rng.integers(1, 5, (4, 6)).astype(float)
    found = divergences(moments, expected, weights)
    assert found.shape == (4, 2)
    for row, own in zip(found, weights, strict=True):
        np.testing.assert_allclose(row, divergences(moments, expected, own))


def test_channels_that_were_dead_in_training_say_nothing():
    with_dead = divergences(
        seen([[0.5, 9.0]], [[1.5, 100.0]]), [layers([0.0, 0.0], [1.0, 0.0])], np.ones(1)
    )
    alone = divergences(seen([[0.5]], [[1.5]]), [layers([0.0], [1.0])], np.ones(1))
    assert with_dead == pytest.approx(alone)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_out_of_all_bounds_count_as_very_far(value):
    with np.errstate(all="ignore"):
        found = divergences(seen([[value]], [[value]]), [layers([0.0], [1.0])], np.ones(1))
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(5.0)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 3}', '{"a": ["x"]}', '{"a": ["!", "?"]}'])
def test_damaged_statistics_are_a_model_error(text):
    with pytest.raises(ModelError, match="damaged BatchNorm statistics"):
        unpack(text)


def test_no_statistics_are_no_statistics():
    assert unpack(pack({})) == {}
