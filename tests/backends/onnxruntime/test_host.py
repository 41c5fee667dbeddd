import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.host import HostTable, float_table, quantized_table
from edgeresnet.core.contract import NORMALISED, prepend_normalisation
from edgeresnet.core.preprocess import Color, Preprocess
from edgeresnet.core.tensors import IMAGE

SIDE = 16
LEVELS = np.arange(256, dtype=np.uint8).reshape(1, SIDE, SIDE, 1)

UNCHANGED = Preprocess(
    size=(SIDE, SIDE), resize=SIDE, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
)
triples = st.tuples(*[st.floats(-200, 200)] * 3)
deviations = st.tuples(*[st.floats(0.01, 200)] * 3)
ways_to_see = st.builds(
    Preprocess,
    size=st.just((SIDE, SIDE)),
    resize=st.just(SIDE),
    color=st.sampled_from(Color),
    scale=st.sampled_from([1.0, 1 / 255, 1 / 127.5]) | st.floats(1e-4, 10),
    mean=triples,
    std=deviations,
)


def pictures(rng):
    """All 256 levels in every channel, each channel in an order of its own."""
    shuffled = [rng.permutation(LEVELS.ravel()).reshape(1, SIDE, SIDE) for _ in range(3)]
    return np.stack(shuffled, axis=-1)


def by_graph(preprocess, picture, nodes, kind, constants=()):
    """What ONNX Runtime makes of a contract graph that is hardly more than its normalisation."""
    shape = [1, 3, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(NORMALISED, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", kind, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    prepend_normalisation(model, preprocess, 1)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (out,) = session.run(["out"], {IMAGE: picture})
    return out


def by_table(table, picture):
    planes = np.empty((1, 3, SIDE, SIDE), table.values.dtype)
    table.apply(picture, planes)
    return planes


@settings(max_examples=60, deadline=None)
@given(preprocess=ways_to_see)
def test_the_float_table_is_the_graphs_normalisation_to_the_last_bit(preprocess):
    picture = pictures(np.random.default_rng(0))
    nodes = [helper.make_node("Identity", [NORMALISED], ["out"])]
    expected = by_graph(preprocess, picture, nodes, TensorProto.FLOAT)
    assert np.array_equal(by_table(float_table(preprocess), picture), expected)


@settings(max_examples=80, deadline=None)
@given(
    preprocess=ways_to_see,
    scale=st.floats(1e-4, 10).map(np.float32),
    kind=st.sampled_from([np.uint8, np.int8]),
    above=st.integers(0, 255),
)
@example(UNCHANGED, np.float32(2), np.uint8, 3)  # every second level lies on the half
@example(UNCHANGED, np.float32(14), np.int8, 128)  # 91 / 14 lies there, 91 * (1 / 14) does not
def test_with_the_first_quantize_it_is_the_graphs_integers(preprocess, scale, kind, above):
    zero = kind(int(np.iinfo(kind).min) + above)
    picture = pictures(np.random.default_rng(0))
    nodes = [helper.make_node("QuantizeLinear", [NORMALISED, "scale", "zero"], ["out"])]
    constants = [("scale", np.array(scale)), ("zero", np.array(zero))]
    expected = by_graph(
        preprocess, picture, nodes, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), constants
    )
    table = quantized_table(float_table(preprocess), float(scale), int(zero), np.dtype(kind).name)
    got = by_table(table, picture)
    assert got.dtype == expected.dtype
    assert np.array_equal(got, expected)


@given(preprocess=ways_to_see, kind=st.sampled_from(["float32", "uint8", "int8"]))
def test_a_table_survives_being_written(preprocess, kind):
    table = float_table(preprocess)
    if kind != "float32":
        table = quantized_table(table, 0.5, 3, kind)
    again = HostTable.from_text(table.to_text())
    assert again.bgr_channel == table.bgr_channel
    assert again.values.dtype == table.values.dtype
    assert np.array_equal(again.values, table.values)


def test_the_planes_of_each_picture_of_a_batch_are_its_own():
    table = float_table(Preprocess())
    rng = np.random.default_rng(0)
    two = np.concatenate([pictures(rng), pictures(rng)])
    planes = np.empty((2, 3, SIDE, SIDE), np.float32)
    table.apply(two, planes)
    for picture, plane in zip(two, planes, strict=True):
        assert np.array_equal(by_table(table, picture[None])[0], plane)


def test_the_planes_are_in_the_networks_order_of_colours():
    blue = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    blue[..., 0] = 255
    plain = {"scale": 1.0, "mean": (0, 0, 0), "std": (1, 1, 1)}
    for color, plane in ((Color.RGB, 2), (Color.BGR, 0)):
        planes = by_table(float_table(Preprocess(color=color, **plain)), blue)
        assert planes.max(axis=(0, 2, 3)).tolist() == [255 * (i == plane) for i in range(3)]


@pytest.mark.parametrize("text", ["", "float32;2,1,0", "float32;2,1,0;AAAA", "int99;2,1,0;AAAA"])
def test_a_damaged_table_is_refused(text):
    with pytest.raises((ValueError, KeyError)):
        HostTable.from_text(text)
