"""The typed graph computes what the contract graph does, in one type from cast to cast."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.halves import in_single
from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.backends.tensorrt.typed import PRECISIONS, typed, write_typed
from edgeresnet.core.contract import (
    DECODE,
    PREFIX,
    expose,
    load_onnx,
    prepend_normalisation,
    read_graph,
    read_metadata,
    write_metadata,
)
from edgeresnet.core.errors import ModelError, ProfileError
from edgeresnet.core.lint import lint
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import BOXES, IMAGE, LOGITS
from edgeresnet.datasets.procedural import draw_picture, write_pictures
from edgeresnet.datasets.procedural.crowds import draw_scene
from edgeresnet.flow.golden import TOLERANCE, batch_feeds, relative_error
from edgeresnet.quantize.stage import quantize

S8 = Scheme.S8_SYMMETRIC
LARGEST_HALF = 65504
HEADROOM = 16  # of the largest value that is seen: real pictures may reach further
FLOAT_ERROR = 0.005  # a weight, a sum and a bias rounded to 11 bits, 53 times
SIZE = 8


@pytest.fixture(scope="module")
def graphs(sample_graph, tmp_path_factory):
    """The sample network's contract graph by scheme."""
    folder = tmp_path_factory.mktemp("typed")
    write_pictures(folder / "pictures", 24, seed=8)
    out = folder / "s8.onnx"
    quantize(sample_graph, out, images=folder / "pictures", scheme="s8-symmetric", force=True)
    return {Scheme.FLOAT: read_graph(sample_graph), S8: read_graph(out)}


@pytest.fixture(scope="module")
def written(graphs, tmp_path_factory):
    """Writes a scheme in a precision, each once."""
    folder = tmp_path_factory.mktemp("written")

    def path(scheme, precision):
        out = folder / f"{scheme.value}.{precision}.onnx"
        if not out.exists():
            write_typed(graphs[scheme], precision, out)
        return out

    return path


@pytest.fixture(scope="module")
def pictures(graphs):
    """Drawn pictures, fitted."""
    scenes = (draw_picture(i, seed=5, size=(200, 170)) for i in range(8))
    return [fit(scene.pixels, graphs[S8].preprocess) for scene in scenes]


def logits(model, pictures):
    run = open_model(model if not hasattr(model, "graph") else model.SerializeToString())
    return np.concatenate([run(batch_feeds(picture, 1))[LOGITS] for picture in pictures])


def types_of(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}


@pytest.mark.parametrize("scheme", [Scheme.FLOAT, S8])
def test_what_is_not_int8_is_float16_from_the_cast_behind_normalisation_to_the_last(
    written, scheme
):
    model = onnx.load(written(scheme, "float16"))
    onnx.checker.check_model(model, full_check=True)
    types = types_of(model)
    for node in model.graph.node:
        for name in node.output:
            if name != LOGITS and not node.name.startswith(PREFIX):
                assert types[name] in (TensorProto.FLOAT16, TensorProto.INT8), name
    kinds = {w.data_type for w in model.graph.initializer if not w.name.startswith(PREFIX)}
    assert TensorProto.FLOAT not in kinds
    (image,), (output,) = model.graph.input, model.graph.output
    assert (image.name, image.type.tensor_type.elem_type) == (IMAGE, TensorProto.UINT8)
    assert (output.name, output.type.tensor_type.elem_type) == (LOGITS, TensorProto.FLOAT)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("scheme", [Scheme.FLOAT, S8])
def test_every_node_keeps_its_name_and_two_casts_are_added_at_most(
    graphs, written, scheme, precision
):
    before = {node.name for node in onnx.load(graphs[scheme].path).graph.node}
    after = [node.name for node in onnx.load(written(scheme, precision)).graph.node]
    added = {f"{PREFIX}Half", f"{LOGITS}.Cast"} if precision == "float16" else set()
    assert len(after) == len(set(after))
    assert set(after) - before == added
    assert before <= set(after)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("scheme", [Scheme.FLOAT, S8])
def test_the_picture_is_cast_before_anything_is_computed_on_it(written, scheme, precision):
    model = onnx.load(written(scheme, precision))
    assert [node.op_type for node in model.graph.node if IMAGE in node.input] == ["Cast"]


def test_the_linter_finds_nothing_in_it(written):
    for precision in PRECISIONS:
        assert lint(onnx.load(written(S8, precision)), S8) == ()


@pytest.mark.parametrize("scheme", [Scheme.FLOAT, S8])
def test_in_float16_it_gives_the_logits_of_the_contract_graph(graphs, written, pictures, scheme):
    expected = logits(graphs[scheme].path, pictures)
    got = logits(in_single(onnx.load(written(scheme, "float16"))), pictures)
    assert got.dtype == np.float32
    bound = FLOAT_ERROR if scheme is Scheme.FLOAT else TOLERANCE[S8] / 2
    assert relative_error(got, expected) < bound


@pytest.mark.parametrize("scheme", [Scheme.FLOAT, S8])
def test_in_float32_it_gives_them_to_the_last_bit(graphs, written, pictures, scheme):
    expected = logits(graphs[scheme].path, pictures)
    path = written(scheme, "float32")
    assert onnx.load(path).opset_import[0].version == 17  # TensorRT 8.6 reads no later
    assert np.array_equal(logits(path, pictures), expected)


@pytest.mark.parametrize("scheme", [Scheme.FLOAT, S8])
def test_no_sum_comes_near_the_end_of_half_precision(written, pictures, scheme):
    typed_model = onnx.load(written(scheme, "float16"))
    names = [name for name, kind in types_of(typed_model).items() if kind == TensorProto.FLOAT16]
    run = open_model(expose(in_single(typed_model), names).SerializeToString())
    for picture in pictures:
        values = run(batch_feeds(picture, 1))
        assert max(float(np.abs(values[name]).max()) for name in names) < LARGEST_HALF / HEADROOM


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_was_found_out_about_a_network_does_not_change_the_file(
    graphs, written, tmp_path, precision
):
    graph = graphs[S8]
    model = onnx.load(graph.path)
    write_metadata(model, {"evidence": json.dumps({"accuracy": {"verdict": "inside"}})})
    onnx.save(model, tmp_path / "other.onnx")
    write_typed(replace(graph, path=tmp_path / "other.onnx"), precision, tmp_path / "typed.onnx")
    path = written(S8, precision)
    assert (tmp_path / "typed.onnx").read_bytes() == path.read_bytes()
    assert read_metadata(onnx.load(path)) == {}


def test_another_precision_is_named_and_the_nearest_proposed(graphs, tmp_path):
    with pytest.raises(ProfileError, match="float61") as caught:
        write_typed(graphs[S8], "float61", tmp_path / "typed.onnx")
    assert "float16" in caught.value.hint


def op(kind, name, *sources, **attributes):
    return helper.make_node(kind, list(sources), [name], name=name, **attributes)


def contract(nodes, constants, *, opset=17):
    """A contract graph of 3 classes: ``nodes`` from ``x`` (N x 3 x 8 x 8) to ``out``."""
    graph = helper.make_graph(
        [*nodes, op("GlobalAveragePool", "mean", "out"), op("Flatten", LOGITS, "mean")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    prepend_normalisation(model, Preprocess(size=(SIZE, SIZE), resize=SIZE), 1)
    return model


def singles(*values):
    return np.array(values, np.float32)


PAIR = {"s": np.float32(0.02), "z": np.int8(0)}
SHAPE = np.array([1, 3, SIZE, SIZE], np.int64)
STEPS = (op("QuantizeLinear", "q", "x", "s", "z"), op("DequantizeLinear", "d", "q", "s", "z"))
GATE = (
    op("GlobalAveragePool", "squeezed", "x"),
    op("HardSigmoid", "gate", "squeezed"),
    op("Mul", "out", "x", "gate"),
)
ORDINARY = {
    "a pair, a mean over axes": (
        [*STEPS, op("ReduceMean", "m", "d", axes=[2, 3]), op("Add", "out", "d", "m")],
        PAIR,
    ),
    "squeeze and excitation": (GATE, {}),
    "a clip without end": (
        [op("Clip", "out", "x", "low", "high")],
        {"low": np.float32(0), "high": np.finfo(np.float32).max},
    ),
    "a padded pool": (
        [
            op("Pad", "p", "x", "pads", "low"),
            op("MaxPool", "out", "p", kernel_shape=[3, 3], strides=[2, 2]),
        ],
        {"pads": np.array([0, 0, 1, 1, 0, 0, 0, 0]), "low": np.float32(-np.inf)},
    ),
    "an average pool, a concatenation": (
        [
            op("AveragePool", "a", "x", kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1]),
            op("Concat", "c", "a", "x", axis=2),
            op("Sigmoid", "out", "c"),
        ],
        {},
    ),
    "a shape, a cast": (
        [
            op("Reshape", "r", "x", "shape"),
            op("Shape", "found", "r"),
            op("Cast", "numbers", "found", to=TensorProto.FLOAT),
            op("ReduceMax", "most", "numbers"),
            op("Div", "out", "r", "most"),
        ],
        {"shape": SHAPE},
    ),
    "a constant node": (
        [
            helper.make_node("Constant", [], ["two"], name="two", value_float=2.0),
            op("Pow", "out", "x", "two"),
        ],
        {},
    ),
    "a filled shape": (
        [
            op(
                "ConstantOfShape",
                "filled",
                "shape",
                value=numpy_helper.from_array(singles(0.5)),
            ),
            op("Add", "out", "x", "filled"),
        ],
        {"shape": SHAPE},
    ),
    "a resize, whose scales are float32 by definition": (
        [op("Resize", "r", "x", "", "f"), op("Mul", "out", "r", "f2")],
        {"f": singles(1, 1, 2, 2), "f2": np.float32(0.5)},
    ),
    "a constant that is read as both": (
        [op("Resize", "r", "x", "", "f"), op("ReduceSum", "t", "f"), op("Mul", "out", "r", "t")],
        {"f": singles(1, 1, 2, 2)},
    ),
    "a batch normalisation": (
        [op("BatchNormalization", "out", "x", "w", "b", "m", "v")],
        {
            "w": singles(1, 2, 3),
            "b": singles(0, 1, 2),
            "m": singles(0, 0.1, 0.2),
            "v": singles(1, 0.3, 1e-9),
        },
    ),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_operators_of_other_networks_go_through(name, rng):
    model = contract(*ORDINARY[name])
    onnx.checker.check_model(model, full_check=True)
    got = typed(model)
    pictures = rng.integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
    expected = logits(model, pictures)
    assert logits(in_single(got), pictures) == pytest.approx(expected, rel=0.01, abs=0.01)
    for node in got.graph.node:
        if node.op_type in ("Pad", "Reshape", "ConstantOfShape"):
            at = 1 if node.op_type != "ConstantOfShape" else 0
            held = next(w for w in got.graph.initializer if w.name == node.input[at])
            assert held.data_type == TensorProto.INT64


def convolution(weight, bias):
    nodes = [op("Conv", "out", "x", "w", "b", kernel_shape=[1, 1])]
    return nodes, {"w": np.full((3, 3, 1, 1), weight, np.float32), "b": singles(*[bias] * 3)}


def branch():
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    inner = helper.make_graph([op("Neg", "o", "x")], "b", [], [out])
    return [op("If", "out", "yes", then_branch=inner, else_branch=inner)], {"yes": np.array(True)}


def weights_of(kind):
    made = op("DequantizeLinear", "wd", "w", "ws", "wz", axis=0)
    constants = {"w": np.ones((3, 3, 1, 1), kind), "ws": singles(1, 1, 1), "wz": np.zeros(3, kind)}
    return [made, op("Conv", "out", "x", "wd", kernel_shape=[1, 1])], constants


def rescaled(scale):
    return [*STEPS, op("Relu", "out", "d")], {**PAIR, "s": np.float32(scale)}


REFUSED = {
    "a bias beyond it": (*convolution(1, 70000), "out has constants to 7e+04"),
    "weights beyond it": (*convolution(1e5, 0), "out has constants to 1e+05"),
    "a constant that vanishes": (
        [op("Add", "out", "x", "e")],
        {"e": np.float32(1e-12)},
        "out has constants of 1e-12, zero in float16",
    ),
    "a scale beyond it": (*rescaled(600), "q has a scale of 600"),
    "a scale below it": (*rescaled(1e-6), "q has a scale of 1e-06"),
    "a scale that is computed": (
        [op("Abs", "s", "t"), *STEPS, op("Relu", "out", "d")],
        {"t": PAIR["s"], "z": PAIR["z"]},
        "q has a scale that is not a float32 constant",
    ),
    "other integers": (*weights_of(np.int32), "wd reads constants that are not int8"),
    "double precision": (
        [
            op("Cast", "wide", "x", to=TensorProto.DOUBLE),
            op("Neg", "negative", "wide"),
            op("Cast", "out", "negative", to=TensorProto.FLOAT),
        ],
        {},
        "negative reads another floating point than float32",
    ),
    "an operator without it": (
        [op("Swish", "out", "x", domain="org.acme")],
        {},
        "out is Swish, which ONNX does not define",
    ),
    "a graph in a node": (*branch(), "out holds a graph of its own"),
    "random numbers": (
        [op("RandomNormalLike", "out", "x", dtype=TensorProto.FLOAT)],
        {},
        r"out \(RandomNormalLike\) cannot give float16",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_half_precision_cannot_hold_is_named(name):
    nodes, constants, what = REFUSED[name]
    with pytest.raises(ModelError, match=f"^{what}".replace("+", r"\+")) as caught:
        typed(contract(nodes, constants))
    assert "float32" in caught.value.hint


def test_an_operator_that_takes_no_halves_is_named():
    model = contract(
        [
            op("Transpose", "boxes", "x", perm=[0, 2, 3, 1]),
            op("Reshape", "four", "boxes", "to"),
            op("NonMaxSuppression", "chosen", "four", "x3"),
            op("Cast", "numbers", "chosen", to=TensorProto.FLOAT),
            op("ReduceSum", "total", "numbers"),
            op("Add", "out", "x", "total"),
        ],
        {"to": np.array([1, -1, 4]), "x3": np.ones((1, 1, 48), np.float32)},
    )
    with pytest.raises(ModelError, match="chosen is NonMaxSuppression, which float16 cannot"):
        typed(model)


@pytest.fixture(scope="module", params=["detector_graph", "detector_s8"])
def detector(request):
    """The embedded detector, float and INT8, in half precision."""
    return typed(load_onnx(request.getfixturevalue(request.param)))


def test_nothing_of_a_detectors_decoding_is_a_half(detector):
    kinds = types_of(detector)
    kinds |= {tensor.name: tensor.data_type for tensor in detector.graph.initializer}
    kinds |= {value.name: value.type.tensor_type.elem_type for value in detector.graph.output}
    decoding = [node for node in detector.graph.node if node.name.startswith(DECODE)]
    assert {"TopK", "Exp", "Sigmoid", "Concat"} <= {node.op_type for node in decoding}
    for node in decoding:
        assert TensorProto.FLOAT16 not in {kinds[name] for name in node.output}, node.name
        from_heads = node.op_type == "Cast" and node.name.endswith(".Single")
        takes = {kinds[name] for name in node.input if name}
        assert (TensorProto.FLOAT16 in takes) == from_heads, node.name
    heads = {n.input[0] for n in decoding if n.name.endswith(".Single")}
    convolutions = {n.output[0] for n in detector.graph.node if n.op_type == "Conv"}
    assert heads <= convolutions  # nothing is computed in half precision on the way
    assert len(heads) == 10  # scores and boxes of five levels


def test_boxes_are_as_finely_placed_as_pixels_of_large_pictures_need(detector):
    scene = draw_scene(3, seed=5)
    found = open_model(in_single(detector).SerializeToString())(batch_feeds(scene.pixels, 1))[BOXES]
    far = found[found > 256]
    assert len(far) > 100
    on_halves = far == far.astype(np.float16)
    assert on_halves.mean() < 0.5  # those of the picture's edge are


def test_a_refused_graph_is_named_and_nothing_is_written(graphs, tmp_path):
    path = tmp_path / "big.onnx"
    onnx.save(contract(*convolution(1, 70000)), path)
    with pytest.raises(ModelError, match=r"big\.onnx: out has constants"):
        write_typed(replace(graphs[S8], path=path), "float16", tmp_path / "typed.onnx")
    assert not (tmp_path / "typed.onnx").exists()


def test_a_graph_without_our_normalisation_is_no_contract_graph(graphs, tmp_path):
    model = contract([op("Relu", "out", "x")], {})
    for node in model.graph.node:
        node.name = node.name.removeprefix(PREFIX)
    path = tmp_path / "other.onnx"
    onnx.save(model, path)
    for precision in PRECISIONS:
        with pytest.raises(ModelError, match="not a contract graph"):
            write_typed(replace(graphs[S8], path=path), precision, tmp_path / "typed.onnx")


def test_weights_that_are_read_with_two_scales_are_kept_as_two():
    constants = {
        "w": np.full((3, 3, 1, 1), 127, np.int8),
        "s1": singles(3e-7, 0.1, 0.1),
        "s2": singles(0.1, 0.1, 0.1),
        "wz": np.zeros(3, np.int8),
    }
    nodes = [
        op("DequantizeLinear", "w1", "w", "s1", "wz", axis=0),
        op("DequantizeLinear", "w2", "w", "s2", "wz", axis=0),
        op("Conv", "first", "x", "w1", kernel_shape=[1, 1]),
        op("Conv", "out", "first", "w2", kernel_shape=[1, 1]),
    ]
    model = contract(nodes, constants)
    weights = expose(in_single(typed(model)), ["w1", "w2"])
    values = open_model(weights.SerializeToString())({IMAGE: np.zeros((1, 8, 8, 3), np.uint8)})
    for name, scale in (("w1", "s1"), ("w2", "s2")):
        wanted = np.broadcast_to(127 * constants[scale].reshape(3, 1, 1, 1), (3, 3, 1, 1))
        assert values[name] == pytest.approx(wanted, rel=0.02)
