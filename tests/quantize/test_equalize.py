"""Rescaling channels changes no function, and brings a hard network back to what INT8 can hold."""

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import NORMALISED, OPSET
from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE, LOGITS
from edgeresnet.quantize.calibration import calibrate, observed_tensors
from edgeresnet.quantize.emit import Emitter
from edgeresnet.quantize.equalize import channels, equalize, reapply, streams
from edgeresnet.quantize.statistics import TensorStatistics, observe

U8, S8 = Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC
DEFAULT = Recipe(name="r", description="")
PLAIN = Recipe(name="r", description="", equalize=False)
MINMAX = Recipe(name="r", description="", equalize=False, method=Method.MINMAX)
KINDS = {
    "bottleneck": {},
    "basic": {"block": "basic"},
    "grouped": {"groups": 4, "width_per_group": 16},
    "depthwise": {"groups": 16, "width_per_group": 4},
    "squeezed": {"se": True},
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def centred_logits(model, pictures):
    run = open_model(model.SerializeToString(), threads=1)
    logits = np.stack([run({IMAGE: p[None]})[LOGITS][0] for p in pictures]).astype(np.float64)
    return logits - logits.mean(1, keepdims=True)


def apart(model, other, pictures):
    """Size of the difference of the logits, as a share of theirs."""
    exact, found = (centred_logits(m, pictures) for m in (model, other))
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def int8_error(model, pictures, recipe, scheme, judged=None):
    found = calibrate(model, iter(pictures), [], recipe, open_model)
    int8 = Emitter(found.rescaled(model), scheme, recipe, found.statistics).build()
    return apart(model, int8, pictures[:12] if judged is None else judged)


def rescaled(model, seed, decades=3.0):
    """The same function, each stream's channels drawn apart at random."""
    rng = np.random.default_rng(seed)
    factors = {
        stream.name: 10 ** rng.uniform(-decades / 2, decades / 2, channels(model, stream))
        for stream in streams(model)
    }
    return reapply(model, factors)


def observed(model, pictures):
    *_, statistics = observe(model, observed_tensors(model), pictures, open_model)
    return statistics


@kinds
def test_equalizing_changes_no_function(small_network, smooth_pictures, kind):
    model = rescaled(small_network(**kind), seed=1)
    before = model.SerializeToString()
    result, done = equalize(model, observed(model, smooth_pictures))
    assert len(done) >= 8
    assert apart(model, result, smooth_pictures) < 1e-5
    assert model.SerializeToString() == before


@kinds
def test_any_positive_factors_change_no_function(small_network, smooth_pictures, kind):
    model = small_network(**kind)
    assert apart(model, rescaled(model, seed=2), smooth_pictures) < 1e-5


def test_the_factors_alone_make_the_same_graph_again(small_network, smooth_pictures):
    model = rescaled(small_network(), seed=3)
    result, done = equalize(model, observed(model, smooth_pictures))
    again = reapply(model, {d.stream.name: d.factors for d in done})
    assert again.SerializeToString() == result.SerializeToString()


@pytest.mark.parametrize(("kind", "scheme"), [("bottleneck", S8), ("grouped", U8), ("basic", U8)])
def test_a_rescaled_network_is_brought_back(small_network, smooth_pictures, kind, scheme):
    """Three decades apart INT8 is lost by minmax; equalized it is as good as ever."""
    model = small_network(**KINDS[kind])
    hard = rescaled(model, seed=4)
    easy = int8_error(model, smooth_pictures, PLAIN, scheme)
    assert easy < 0.05
    assert int8_error(hard, smooth_pictures, DEFAULT, scheme) < 1.5 * easy
    assert int8_error(hard, smooth_pictures, MINMAX, scheme) > 10 * easy


@pytest.mark.parametrize(("kind", "scheme"), [("bottleneck", U8), ("basic", S8)])
def test_a_network_that_was_never_rescaled_is_no_worse_for_it(
    small_network, smooth_pictures, kind, scheme
):
    """What a sum adds up is quantized before its ReLU: channels it hides must not be blown up."""
    model = small_network(**KINDS[kind])
    plain, equalized = (int8_error(model, smooth_pictures, r, scheme) for r in (PLAIN, DEFAULT))
    assert equalized < 1.2 * plain


def test_channels_that_sleep_in_the_first_pictures_may_wake_later(small_network, smooth_pictures):
    """A channel that 32 dull pictures leave at zero is not amplified without bound."""
    model = small_network(block="basic")
    coarse = np.random.default_rng(7).integers(110, 140, (32, 2, 2, 3)).astype(np.uint8)
    dull = [cv2.resize(p, smooth_pictures[0].shape[:2]) for p in coarse]
    plain, equalized = (
        int8_error(model, dull + smooth_pictures, r, U8, smooth_pictures[:12])
        for r in (PLAIN, DEFAULT)
    )
    assert equalized < 1.2 * plain


def test_the_report_tells_how_far_apart_channels_were(small_network, smooth_pictures):
    model = rescaled(small_network(), seed=5)
    _, done = equalize(model, observed(model, smooth_pictures))
    told = [d.as_json() for d in done]
    assert all(line["spread_before"] > 100 for line in told)
    assert all(line["spread_after"] < line["spread_before"] / 10 for line in told)
    assert {"conv1", "layer1.0.conv1"} < set(told[0]["layers"])


def test_a_residual_stream_is_rescaled_as_one(small_network):
    found = {stream.name: stream for stream in streams(small_network())}
    stream = found["layer1.0.relu_2"]
    assert stream.makers == ("layer1.0.conv3", "layer1.0.downsample.0", "layer1.1.conv3")
    assert set(stream.readers) == {"layer1.1.conv1", "layer2.0.conv1", "layer2.0.downsample.0"}
    assert set(stream.summed) >= {"layer1.0.relu_2", "layer1.0.bn3", "layer1.1.bn3"}


def test_gates_close_the_streams_that_they_multiply(small_network):
    """What a gate averages and multiplies stays as it is; what is inside is rescaled."""
    found = streams(small_network(se=True))
    makers = {name for stream in found for name in stream.makers}
    assert not {"layer1.0.conv3", "layer1.0.downsample.0", "layer1.0.se.fc2"} & makers
    assert {"conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.0.se.fc1"} <= makers


def op(kind, name, *sources, **attributes):
    return helper.make_node(kind, list(sources), [name], name=name, **attributes)


def model_of(*nodes, **weights):
    """A float graph of 4 channels on 3x3 maps; what is not given in ``weights`` is drawn."""
    rng = np.random.default_rng(7)
    table = {
        name: rng.normal(size=shape)
        for name, shape in {"a": (4, 4, 1, 1), "b": (4, 4, 1, 1), "bias": (4,)}.items()
    }
    table |= weights
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        [op("Identity", NORMALISED, "x"), *nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 3, 3])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.float32(v), k) for k, v in table.items() if k in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def names(model):
    return [stream.name for stream in streams(model)]


def test_what_is_read_by_a_relu_passes():
    model = model_of(
        op("Conv", "one", NORMALISED, "a", "bias"),
        op("Relu", "r", "one"),
        op("Conv", "two", "r", "b"),
    )
    assert names(model) == ["r"]


@pytest.mark.parametrize(
    "between",
    [
        op("Sigmoid", "r", "one"),
        op("Clip", "r", "one", "", "top"),
        op("LeakyRelu", "r", "one"),
        op("Mul", "r", "one", "one"),
        op("Add", "r", "one", "offset"),
        op("Concat", "r", "one", "one", axis=1),
        op("Softmax", "r", "one", axis=1),
    ],
    ids=lambda node: node.op_type,
)
def test_what_a_factor_does_not_pass_through_closes_the_stream(between):
    wide = np.ones((4, 8, 1, 1)) if between.op_type == "Concat" else np.ones((4, 4, 1, 1))
    model = model_of(
        op("Conv", "one", NORMALISED, "a"),
        between,
        op("Conv", "two", "r", "b"),
        b=wide,
        top=6.0,
        offset=np.ones((1, 4, 1, 1)),
    )
    assert names(model) == []


def test_a_constant_that_two_sums_share_closes_them_as_well():
    model = model_of(
        op("Conv", "one", NORMALISED, "a"),
        op("Add", "more", "one", "offset"),
        op("Add", "still", "more", "offset"),
        op("Conv", "two", "still", "b"),
        offset=np.ones((1, 4, 1, 1)),
    )
    assert names(model) == []


def test_weights_that_two_layers_share_are_left_alone():
    shared = model_of(
        op("Conv", "one", NORMALISED, "a"), op("Relu", "r", "one"), op("Conv", "two", "r", "a")
    )
    assert names(shared) == []
    bias = model_of(
        op("Conv", "one", NORMALISED, "a", "bias"),
        op("Relu", "r", "one"),
        op("Conv", "two", "r", "b", "bias"),
    )
    assert names(bias) == []


def test_what_the_network_puts_out_or_takes_in_is_left_alone():
    model = model_of(op("Conv", "one", NORMALISED, "a"), op("Conv", "two", "one", "b"))
    assert names(model) == ["one"]
    model.graph.output.append(helper.make_tensor_value_info("one", TensorProto.FLOAT, None))
    assert names(model) == []


def test_maps_that_are_flattened_to_more_features_than_channels_are_left_alone(rng):
    model = model_of(
        op("Conv", "one", NORMALISED, "a"),
        op("Flatten", "flat", "one"),
        op("Gemm", "fc", "flat", "w", transB=1),
        w=10.0 ** rng.uniform(-3, 3, (5, 36)),
    )
    tensors = {NORMALISED: (1, 4, 3, 3), "one": (1, 4, 3, 3), "flat": (1, 36)}
    seen = {
        name: TensorStatistics.of(np.float32(10.0 ** rng.uniform(-3, 3, shape)))
        for name, shape in tensors.items()
    }
    result, done = equalize(model, seen)
    assert done == ()
    assert result.SerializeToString() == model.SerializeToString()


def test_channels_that_are_always_zero_harm_nobody(rng):
    model = model_of(
        op("Conv", "one", NORMALISED, "a"),
        op("Relu", "r", "one"),
        op("Conv", "two", "r", "b"),
        a=np.concatenate(
            [rng.normal(size=(3, 4, 1, 1)) * [[[[1e3]]], [[[1]]], [[[1]]]], np.zeros((1, 4, 1, 1))]
        ),
    )
    x = rng.normal(size=(8, 4, 3, 3)).astype(np.float32)
    run = open_model(model.SerializeToString())
    y = np.concatenate([run({"x": row[None]})["two"] for row in x])
    one = np.einsum(
        "oi,nihw->nohw", numpy_helper.to_array(model.graph.initializer[0])[:, :, 0, 0], x
    )
    seen = {NORMALISED: TensorStatistics.of(x), "r": TensorStatistics.of(np.maximum(one, 0))}
    result, (done,) = equalize(model, seen)
    assert np.isfinite(done.factors).all()
    run = open_model(result.SerializeToString())
    again = np.concatenate([run({"x": row[None]})["two"] for row in x])
    assert np.abs(again - y).max() <= 1e-5 * np.abs(y).max()
