"""Biases make up for what rounding the weights takes on average; pools read what they gain from."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import NORMALISED, OPSET
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.qdq import insert
from edgeresnet.quantize.ranges import Range
from edgeresnet.quantize.statistics import TensorStatistics

U8, S8 = Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC
SCHEMES = [U8, S8]
RANGES = {U8: Range(0.02, 100, signed=False), S8: Range(0.03, 0, signed=True)}
SIDE, PICTURES = 6, 16


def op(kind, name, *sources, **attributes):
    return helper.make_node(kind, list(sources), [name], name=name, **attributes)


def model_of(*nodes, channels=4, **weights):
    """The nodes behind one that stands for the normalisation, for all pictures at once."""
    shape = [PICTURES, channels, SIDE, SIDE]
    graph = helper.make_graph(
        [op("Identity", NORMALISED, "x"), *nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def run(model, x):
    out = model.graph.output[0].name
    return open_model(model.SerializeToString(), optimize=False)({"x": x})[out].astype(np.float64)


def exact_pictures(rng, channels, found):
    """Maps of one value each, which the integers of ``found`` hold exactly; channels differ."""
    low, high = (round(bound / found.scale) for bound in found.bounds)
    middle = rng.integers(low // 2, high // 2, (1, channels))
    steps = np.clip(middle + rng.integers(-40, 40, (PICTURES, channels)), low, high)
    values = (steps * found.scale)[..., None, None] * np.ones((SIDE, SIDE))
    return values.astype(np.float32)


def shifts(model, scheme, x, **options):
    """How far each output channel's mean moves, with and without correction, and one bias step."""
    found = RANGES[scheme]
    means = {NORMALISED: TensorStatistics.of(x).means}
    exact = run(model, x)
    over = tuple(axis for axis in range(exact.ndim) if axis != 1)
    moved = []
    for given in (means, None):
        made = insert(
            model, place(model, scheme), {NORMALISED: found}, scheme, means=given, **options
        )
        moved.append(np.abs(run(made, x).mean(over) - exact.mean(over)))
    scales = next(w for w in made.graph.initializer if w.name.endswith(".weight.scale"))
    step = found.scale * numpy_helper.to_array(scales).astype(np.float64)
    return (*moved, step)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("groups", "kernel"), [(1, 1), (4, 1), (1, 3), (2, 3), (8, 3)])
def test_the_mean_output_of_a_convolution_is_that_of_float(rng, scheme, kernel, groups):
    """To half a step of an integer bias, or to float rounding; no padding, whose zeros differ."""
    x = exact_pictures(rng, 8, RANGES[scheme])
    model = model_of(
        op("Conv", "c", NORMALISED, "w", "b", group=groups, kernel_shape=[kernel, kernel]),
        channels=8,
        w=rng.normal(size=(16, 8 // groups, kernel, kernel)),
        b=rng.normal(size=16),
    )
    corrected, plain, step = shifts(model, scheme, x, weight_bits=7)
    rounding = step / 2 if scheme is U8 else 0
    assert (corrected <= rounding + 2e-5).all()
    assert np.median(plain) > 10 * np.median(corrected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_mean_output_of_a_linear_layer_is_that_of_float(rng, scheme):
    x = exact_pictures(rng, 4, RANGES[scheme])
    model = model_of(
        op("Flatten", "flat", NORMALISED),
        op("Gemm", "fc", "flat", "w", "b", transB=1),
        w=rng.normal(size=(5, 4 * SIDE * SIDE)),
        b=rng.normal(size=5),
    )
    found = {"flat": RANGES[scheme]}
    means = {"flat": TensorStatistics.of(x.reshape(PICTURES, -1)).means}
    exact = run(model, x).mean(0)
    placement = place(model, scheme)
    corrected, plain = (
        run(insert(model, placement, found, scheme, means=given), x).mean(0) - exact
        for given in (means, None)
    )
    assert np.abs(corrected).max() < 0.01 * np.abs(plain).max()


def test_padding_is_taken_as_part_of_the_map(rng):
    """So that at the border the correction is too large, and inside it is right."""
    x = exact_pictures(rng, 4, RANGES[S8])
    model = model_of(
        op("Conv", "c", NORMALISED, "w", "b", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        w=rng.normal(size=(8, 4, 3, 3)),
        b=rng.normal(size=8),
    )
    means = {NORMALISED: TensorStatistics.of(x).means}
    made = insert(model, place(model, S8), {NORMALISED: RANGES[S8]}, S8, means=means)
    off = (run(made, x) - run(model, x)).mean(0)
    assert np.abs(off[:, 1:-1, 1:-1].mean((1, 2))).max() < 2e-5
    assert np.abs(off).max() > 1e-3


@pytest.mark.parametrize("scheme", SCHEMES)
def test_layers_without_a_bias_and_tensors_without_a_mean_are_not_corrected(rng, scheme):
    bare = model_of(
        op("Conv", "c", NORMALISED, "w", kernel_shape=[1, 1]), w=rng.normal(size=(4, 4, 1, 1))
    )
    biased = model_of(
        op("Conv", "c", NORMALISED, "w", "b", kernel_shape=[1, 1]),
        w=rng.normal(size=(4, 4, 1, 1)),
        b=rng.normal(size=4),
    )
    for model, means in ((bare, {NORMALISED: np.ones(4)}), (biased, {})):
        placement, ranges = place(model, scheme), {NORMALISED: RANGES[scheme]}
        made = insert(model, placement, ranges, scheme, means=means)
        assert made == insert(model, placement, ranges, scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("bits", "most"), [(8, 127), (7, 63)])
def test_weights_are_written_in_as_many_bits_as_the_target_multiplies(rng, scheme, bits, most):
    model = model_of(
        op("Conv", "c", NORMALISED, "w", kernel_shape=[1, 1]), w=rng.normal(size=(4, 4, 1, 1))
    )
    made = insert(
        model, place(model, scheme), {NORMALISED: RANGES[scheme]}, scheme, weight_bits=bits
    )
    (weight,) = (w for w in made.graph.initializer if w.name == "c.weight.quantized")
    integers = numpy_helper.to_array(weight)
    assert np.abs(integers.astype(int)).max(axis=(1, 2, 3)).tolist() == [most] * 4


POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}
WEIGHTS = {name: np.ones((4, 4, 1, 1)) for name in ("u", "v", "w")}


def conv(name, source, weights):
    return op("Conv", name, source, weights, kernel_shape=[1, 1])


def pooled():
    """A pool that two convolutions read."""
    return model_of(
        conv("stem", NORMALISED, "u"),
        op("MaxPool", "pool", "stem", **POOL),
        conv("one", "pool", "v"),
        conv("two", "pool", "w"),
        op("Add", "sum", "one", "two"),
        **WEIGHTS,
    )


def inserted(model, float_nodes=()):
    placement = place(model, U8, float_nodes)
    made = insert(
        model, placement, dict.fromkeys({*placement.tensors, *placement.same_as}, RANGES[U8]), U8
    )
    open_model(made.SerializeToString(), optimize=False)
    return placement, {node.name: node for node in made.graph.node}


def test_a_pool_whose_readers_are_all_in_float_is_in_float():
    placement, nodes = inserted(pooled(), ["one", "two"])
    assert placement.same_as == {}
    assert not [edge for edge in placement.edges if edge[1] == "pool" or edge[0] == "pool"]
    assert nodes["pool"].input[0] == "stem"
    assert "pool.Quantize" not in nodes


def test_a_float_reader_of_a_quantized_pool_reads_floats():
    placement, nodes = inserted(pooled(), ["one"])
    assert placement.same_as == {"pool": "stem"}
    assert nodes["pool"].input[0] == "stem.dequantized"
    assert nodes["one"].input[0] == "pool"
    assert nodes["two"].input[0] == "pool.dequantized"


def test_a_pool_that_nothing_but_floats_read_closes_the_pool_before_it_too():
    model = model_of(
        conv("stem", NORMALISED, "u"),
        op("MaxPool", "first", "stem", **POOL),
        op("MaxPool", "second", "first", **POOL),
        op("Neg", "out", "second"),
        u=WEIGHTS["u"],
    )
    placement, nodes = inserted(model)
    assert placement.same_as == {}
    assert placement.edges == {(NORMALISED, "stem")}
    assert nodes["first"].input[0] == "stem"


def test_pools_in_a_row_share_one_scale():
    model = model_of(
        conv("stem", NORMALISED, "u"),
        op("MaxPool", "first", "stem", **POOL),
        op("MaxPool", "second", "first", **POOL),
        conv("out", "second", "v"),
        u=WEIGHTS["u"],
        v=WEIGHTS["v"],
    )
    placement, nodes = inserted(model)
    assert placement.same_as == {"first": "stem", "second": "first"}
    assert nodes["second"].input[0] == "first.dequantized"
    assert nodes["out"].input[0] == "second.dequantized"
