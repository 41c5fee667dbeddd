"""Scales have the type of their tensors, one in the whole graph, and values that it can hold."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.core.lint import lint
from edgeresnet.core.target import Scheme

U8, S8 = Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC
SUBNORMAL = 2.0**-20


def graph(kind=np.float16, *, scale=0.02, weight_scale=0.01, opset=19, tensors=None):
    """A convolution of INT8 weights, its scales in ``kind``, tensors in the same or ``tensors``."""
    tensors = tensors or kind
    element = helper.np_dtype_to_tensor_dtype(np.dtype(tensors))
    constants = {
        "s": np.asarray(scale, kind),
        "z": np.int8(0),
        "w": np.ones((2, 2, 1, 1), np.int8),
        "ws": np.full(2, weight_scale, kind),
        "wz": np.zeros(2, np.int8),
    }
    make = helper.make_node
    nodes = [
        make("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
        make("DequantizeLinear", ["q", "s", "z"], ["d"], name="d"),
        make("DequantizeLinear", ["w", "ws", "wz"], ["wd"], name="wd", axis=0),
        make("Conv", ["d", "wd"], ["y"], name="conv", kernel_shape=[1, 1]),
    ]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("y", element, [1, 2, 4, 4])],
        held,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def set_type(model, name, kind):
    """Give one constant another type."""
    held = next(w for w in model.graph.initializer if w.name == name)
    held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held).astype(kind), name))


def found(model, scheme=S8):
    return {(f.rule, f.node) for f in lint(model, scheme) if f.severity == "error"}


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_scales_of_either_type_are_accepted_where_all_is_of_it(kind):
    model = graph(kind)
    onnx.checker.check_model(model, full_check=True)
    assert found(model) == set()


def test_half_precision_is_for_tensorrt_alone():
    assert {rule for rule, _ in found(graph(np.float16), U8)} == {"scale-type"}


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_the_one_scale_that_is_of_another_type_is_named(kind):
    model = graph(kind)
    set_type(model, "ws", np.float32 if kind == np.float16 else np.float16)
    assert found(model) == {("scale-type", "wd")}


@pytest.mark.parametrize(("kind", "tensors"), [("float16", "float32"), ("float32", "float16")])
def test_scales_of_another_type_than_their_tensor_are_named(kind, tensors):
    model = graph(np.dtype(kind), tensors=np.dtype(tensors), opset=23)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, tensors), "other"))
    model.graph.node.append(helper.make_node("Neg", ["other"], ["o"], name="neg"))
    assert ("scale-type", "q") in found(model)


def test_half_scales_before_the_opset_that_has_them_are_named():
    assert ("scale-type", "wd") in found(graph(np.float16, opset=18))


def test_subnormal_halves_are_for_weights_alone():
    assert found(graph(np.float16, weight_scale=SUBNORMAL)) == set()
    assert found(graph(np.float16, scale=SUBNORMAL)) == {("scale-value", n) for n in ("q", "d")}


@pytest.mark.parametrize("value", [0, -0.1, np.nan, np.inf, 600])
def test_halves_that_bring_no_integers_back_are_named(value):
    assert found(graph(np.float16, weight_scale=value)) == {("scale-value", "wd")}


def test_a_graph_whose_types_do_not_fit_together_is_still_read():
    model = graph(np.float16)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    assert found(model) == set()
