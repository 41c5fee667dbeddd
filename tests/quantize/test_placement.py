"""The rules of placement and the arithmetic of Q/DQ, on graphs small enough to do by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import NORMALISED, OPSET
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.qdq import insert
from edgeresnet.quantize.ranges import Range, quantize_weight

U8, S8 = Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC
SHAPE = [1, 4, 6, 6]


def conv(name, source, weights="w", **attributes):
    node = helper.make_node("Conv", [source, weights], [name], name=name, **attributes)
    node.attribute.append(helper.make_attribute("kernel_shape", [1, 1]))
    return node


def op(kind, name, *sources, **attributes):
    return helper.make_node(kind, list(sources), [name], name=name, **attributes)


def model_of(*nodes, weights=None):
    """The nodes behind one that stands for the normalisation."""
    rng = np.random.default_rng(7)
    table = {"w": rng.normal(size=(4, 4, 1, 1)), **(weights or {})}
    last = nodes[-1].output[0]
    graph = helper.make_graph(
        [op("Identity", NORMALISED, "x"), *nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in table.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def edges(model, scheme, float_nodes=()):
    return set(place(model, scheme, float_nodes).edges)


def bottleneck(*, downsample):
    """``short`` is the identity or its convolution; ``main`` the two convolutions beside it."""
    short = [conv("short", "stem")] if downsample else []
    side = "short" if downsample else "stem"
    return model_of(
        conv("c0", NORMALISED),
        op("Relu", "stem", "c0"),
        conv("c1", "stem"),
        op("Relu", "r1", "c1"),
        conv("main", "r1"),
        *short,
        op("Add", "sum", "main", side),
        op("Relu", "out", "sum"),
    )


@pytest.mark.parametrize("scheme", [U8, S8])
def test_every_convolution_reads_its_input_through_a_pair(scheme):
    found = edges(bottleneck(downsample=False), scheme)
    assert {(NORMALISED, "c0"), ("stem", "c1"), ("r1", "main")} <= found


@pytest.mark.parametrize(("downsample", "side"), [(False, "stem"), (True, "short")])
def test_an_add_is_quantized_on_the_identity_branch_alone_or_on_both(downsample, side):
    model = bottleneck(downsample=downsample)
    of_add = {
        scheme: {t for t, node in edges(model, scheme) if node == "sum"} for scheme in (U8, S8)
    }
    assert of_add[S8] == {side}
    assert of_add[U8] == {side, "main"}


def test_the_order_of_an_adds_inputs_does_not_matter():
    model = bottleneck(downsample=True)
    add = next(node for node in model.graph.node if node.op_type == "Add")
    add.input[:] = list(reversed(add.input))
    assert {t for t, node in edges(model, S8) if node == "sum"} == {"short"}


def test_an_add_of_a_constant_or_of_no_convolution_is_no_residual():
    constant = model_of(
        conv("c", NORMALISED), op("Add", "sum", "c", "b"), weights={"b": np.ones((1, 4, 1, 1))}
    )
    assert not [e for e in edges(constant, U8) | edges(constant, S8) if e[1] == "sum"]
    plain = model_of(
        conv("c", NORMALISED), op("Relu", "a", "c"), op("Neg", "b", "c"), op("Add", "sum", "a", "b")
    )
    assert not [e for e in edges(plain, S8) if e[1] == "sum"]


def test_pooling_keeps_integers_for_u8_and_is_left_alone_for_s8():
    model = model_of(
        conv("c0", NORMALISED),
        op("MaxPool", "pool", "c0", kernel_shape=[2, 2], strides=[2, 2]),
        conv("c1", "pool"),
        op("GlobalAveragePool", "mean", "c1"),
    )
    affine, symmetric = place(model, U8), place(model, S8)
    assert affine.same_as == {"pool": "c0"}
    assert ("c0", "pool") in affine.edges
    assert symmetric.same_as == {}
    assert ("c0", "pool") not in symmetric.edges
    for placement in (affine, symmetric):
        assert ("pool", "c1") in placement.edges
        assert ("c1", "mean") in placement.edges


@pytest.mark.parametrize(
    ("attributes", "weighted"),
    [
        ({"transB": 1}, True),
        ({"transB": 1, "alpha": 1.0, "beta": 1.0, "transA": 0}, True),
        ({}, False),
        ({"transB": 0}, False),
        ({"transB": 1, "alpha": 0.5}, False),
        ({"transB": 1, "beta": 2.0}, False),
        ({"transB": 1, "transA": 1}, False),
    ],
)
def test_only_a_plain_linear_layer_is_quantized(attributes, weighted):
    model = model_of(
        op("Flatten", "flat", NORMALISED),
        op("Gemm", "fc", "flat", "fc.w", "fc.b", **attributes),
        weights={"fc.w": np.ones((3, 144)), "fc.b": np.ones(3)},
    )
    assert ("fc" in place(model, U8).weighted) == weighted


def test_weights_that_are_computed_stay_in_float():
    model = model_of(op("Neg", "nw", "w"), conv("c", NORMALISED, "nw"))
    assert place(model, U8).weighted == frozenset()
    bias = model_of(
        helper.make_node("Conv", [NORMALISED, "w", ""], ["c"], name="c", kernel_shape=[1, 1])
    )
    onnx.checker.check_model(bias)
    place(bias, U8)  # an optional input left out by name is no reason to fail


def test_nodes_without_inputs_and_nodes_named_in_the_recipe_are_passed_by():
    model = model_of(
        helper.make_node("Constant", [], ["k"], name="k", value_float=2.0),
        conv("c0", NORMALISED),
        op("Mul", "m", "c0", "k"),
        conv("c1", "m"),
    )
    assert place(model, U8).weighted == {"c0", "c1"}
    assert place(model, U8, ["c1"]).weighted == {"c0"}
    assert ("m", "c1") not in edges(model, U8, ["c1"])


def test_the_tensors_to_observe_are_those_that_get_a_pair():
    placement = place(bottleneck(downsample=True), S8)
    assert placement.tensors == sorted({NORMALISED, "stem", "r1", "short"})


RANGES = {U8: Range(0.02, 100, signed=False), S8: Range(0.03, 0, signed=True)}


@pytest.mark.parametrize("scheme", [U8, S8])
@pytest.mark.parametrize("bias", [True, False])
def test_the_graph_computes_what_its_integers_say(rng, scheme, bias):
    """One convolution by hand: quantize, multiply integers, scale; no reader sees float weights."""
    node = conv("c", NORMALISED)
    values = {"w": rng.normal(size=(4, 4, 1, 1))}
    if bias:
        node.input.append("b")
        values["b"] = rng.normal(size=4)
    model = model_of(node, weights=values)
    before = model.SerializeToString()
    made = insert(model, place(model, scheme), {NORMALISED: RANGES[scheme]}, scheme)
    assert model.SerializeToString() == before
    onnx.checker.check_model(made, full_check=True)

    x = rng.normal(size=SHAPE).astype(np.float32)
    found = open_model(made.SerializeToString(), optimize=False)({"x": x})["c"]

    scale, zero = RANGES[scheme].scale, RANGES[scheme].zero_point
    low, high = (-128, 127) if RANGES[scheme].signed else (0, 255)
    qx = np.clip(np.rint(x / np.float32(scale)) + zero, low, high) - zero
    weight = np.asarray(values["w"], np.float32)
    b = np.asarray(values["b"], np.float32) if bias else None
    qw, steps = quantize_weight(weight, b if scheme is U8 else None, scale)
    sums = np.einsum("oi,nihw->nohw", qw[:, :, 0, 0].astype(float), qx)
    expected = sums * (scale * steps.astype(float)).reshape(1, -1, 1, 1)
    if bias:
        expected = expected + b.reshape(1, -1, 1, 1)
    rounded_bias = scale * float(steps.max()) if bias and scheme is U8 else 0
    assert np.abs(found - expected).max() <= rounded_bias + 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("scheme", [U8, S8])
def test_a_tensor_with_many_readers_gets_one_pair_and_others_read_it_plain(scheme):
    model = model_of(
        conv("c0", NORMALISED),
        conv("a", "c0"),
        conv("b", "c0"),
        op("Neg", "plain", "c0"),
        op("Concat", "out", "a", "b", "plain", axis=1),
    )
    placement = place(model, scheme)
    ranges = dict.fromkeys(placement.tensors, RANGES[scheme])
    made = insert(model, placement, ranges, scheme)
    onnx.checker.check_model(made)
    nodes = {node.name: node for node in made.graph.node}
    quantizers = [n.input[0] for n in made.graph.node if n.op_type == "QuantizeLinear"]
    assert sorted(quantizers) == ["c0", NORMALISED]
    assert nodes["a"].input[0] == nodes["b"].input[0] == "c0.dequantized"
    assert nodes["plain"].input[0] == "c0"


def test_weights_shared_by_two_layers_are_quantized_for_each_and_dropped_once_unused():
    model = model_of(conv("a", NORMALISED), conv("b", "a"), op("Neg", "out", "b"))
    placement = place(model, U8)
    made = insert(model, placement, dict.fromkeys(placement.tensors, RANGES[U8]), U8)
    names = {w.name for w in made.graph.initializer}
    assert {"a.weight.quantized", "b.weight.quantized"} <= names
    assert "w" not in names
    alone = insert(model, place(model, U8, ["b"]), {NORMALISED: RANGES[U8]}, U8)
    assert {"a.weight.quantized", "w"} <= {w.name for w in alone.graph.initializer}
