"""Means, variances and their divergence are those of the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import OPSET
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import LOGITS
from edgeresnet.match.moments import (
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
    assert len(found.first(2).top) == len(found.first(2).layers[0][0]) == 2


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
