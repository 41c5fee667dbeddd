"""A float16 graph as float32 rounds and overflows where the float16 graph would."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.halves import in_single
from edgeresnet.backends.onnxruntime.reference import open_model


def model(nodes, constants, size):
    """From float32 ``x`` of ``size`` to float32 ``y``; ``nodes`` make ``h`` of ``x16``."""
    make = helper.make_node
    graph = helper.make_graph(
        [
            make("Cast", ["x"], ["x16"], to=TensorProto.FLOAT16),
            *nodes,
            make("Cast", ["h"], ["y"], to=TensorProto.FLOAT),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [size])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made, x):
    single = in_single(made)
    onnx.checker.check_model(single, full_check=True)
    assert all(w.data_type != TensorProto.FLOAT16 for w in single.graph.initializer)
    return open_model(single.SerializeToString())({"x": np.asarray(x, np.float32)})["y"]


def op(kind, *names):
    *inputs, output = names
    return helper.make_node(kind, inputs, [output], name=output)


def test_each_sum_is_rounded_to_half_precision():
    x = np.linspace(-3, 3, 101, dtype=np.float32)
    made = model(
        [op("Mul", "x16", "k", "m"), op("Add", "m", "k", "h")], {"k": np.float16(0.3)}, 101
    )
    k = np.float16(0.3)
    assert np.array_equal(run(made, x), (x.astype(np.float16) * k + k).astype(np.float32))


def test_what_half_precision_cannot_hold_becomes_infinite():
    made = model([op("Mul", "x16", "k", "m"), op("Div", "m", "k", "h")], {"k": np.float16(300)}, 2)
    assert run(made, [1, 300]).tolist() == [1, np.inf]


def test_quantize_rounds_to_the_nearest_integer_ties_to_even():
    constants = {"s": np.float16(0.5), "z": np.int8(0)}
    pair = [op("QuantizeLinear", "x16", "s", "z", "q"), op("DequantizeLinear", "q", "s", "z", "h")]
    got = run(model(pair, constants, 6), [0.24, 0.26, 0.75, -0.74, 1.25, 100])
    assert got.tolist() == [0, 0.5, 1, -0.5, 1, 63.5]


def test_halves_inside_a_node_are_single_too():
    value = numpy_helper.from_array(np.array([0.1], np.float16))
    filled = helper.make_node("ConstantOfShape", ["shape"], ["f"], name="f", value=value)
    got = run(model([filled, op("Add", "x16", "f", "h")], {"shape": np.array([3])}, 3), [0, 1, 2])
    assert got == pytest.approx([0.1, 1.1, 2.1], abs=0.002)


def test_the_graph_that_is_given_stays_as_it_is():
    made = model([op("Relu", "x16", "h")], {}, 2)
    before = made.SerializeToString()
    in_single(made)
    assert made.SerializeToString() == before
