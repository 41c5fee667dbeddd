"""Each graph that a vendor refuses or misreads is refused by its rule's name; good ones pass."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import NORMALISED, OPSET, load_onnx
from edgeresnet.core.errors import ModelError
from edgeresnet.core.lint import likely_scheme, lint, lint_file, lint_for, raise_on_errors
from edgeresnet.core.recipe import load_recipe
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.qdq import insert
from edgeresnet.quantize.ranges import Range, choose_ranges
from edgeresnet.quantize.statistics import observe

U8, S8 = Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC
BOTH = [U8, S8]
RANGES = {U8: Range(0.02, 100, signed=False), S8: Range(0.03, 0, signed=True)}
WEIGHTED = ["c0", "c1", "main", "short", "fc"]
NODES = ["pool", "sum", "mean", *WEIGHTED]


def conv(name, source):
    inputs = [source, f"{name}.w", f"{name}.b"]
    return helper.make_node("Conv", inputs, [name], name=name, kernel_shape=[1, 1])


def op(kind, name, *sources, **attributes):
    return helper.make_node(kind, list(sources), [name], name=name, **attributes)


def float_model():
    """A residual block with a convolution on either branch, and a linear layer."""
    rng = np.random.default_rng(7)
    nodes = [
        op("Identity", NORMALISED, "x"),
        conv("c0", NORMALISED),
        op("Relu", "stem", "c0"),
        op("MaxPool", "pool", "stem", kernel_shape=[2, 2], strides=[2, 2]),
        conv("c1", "pool"),
        op("Relu", "r1", "c1"),
        conv("main", "r1"),
        conv("short", "pool"),
        op("Add", "sum", "main", "short"),
        op("Relu", "out", "sum"),
        op("GlobalAveragePool", "mean", "out"),
        op("Flatten", "flat", "mean"),
        op("Gemm", "fc", "flat", "fc.w", "fc.b", transB=1),
    ]
    table = {f"{name}.w": rng.normal(size=(4, 4, 1, 1)) for name in WEIGHTED[:-1]}
    table |= {"fc.w": rng.normal(size=(4, 4))}
    table |= {f"{name}.b": rng.normal(size=4) for name in WEIGHTED}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 6, 6])],
        [helper.make_tensor_value_info("fc", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in table.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def good(scheme, float_nodes=()):
    """What our own quantize writes."""
    model = float_model()
    placement = place(model, scheme, float_nodes)
    ranges = dict.fromkeys({*placement.tensors, *placement.same_as}, RANGES[scheme])
    return insert(model, placement, ranges, scheme)


def node(model, name):
    return next(n for n in model.graph.node if n.name == name)


def put(model, name, value, kind=None):
    """Set or add an initializer."""
    tensor = numpy_helper.from_array(np.asarray(value, kind), name)
    for found in model.graph.initializer:
        if found.name == name:
            found.CopyFrom(tensor)
            return
    model.graph.initializer.append(tensor)


def get(model, name):
    return numpy_helper.to_array(next(w for w in model.graph.initializer if w.name == name))


def remove(model, *names):
    for field in (model.graph.node, model.graph.initializer):
        kept = [item for item in field if item.name not in names]
        del field[:]
        field.extend(kept)


def axis(model, name, value):
    found = node(model, name)
    kept = [a for a in found.attribute if a.name != "axis"]
    del found.attribute[:]
    found.attribute.extend(kept)
    if value is not None:
        found.attribute.append(helper.make_attribute("axis", value))


def add_pair(model, tensor, reader, kind=np.int8):
    """A pair on ``tensor`` that ``reader`` alone reads."""
    put(model, f"{tensor}.new.scale", 0.05, np.float32)
    put(model, f"{tensor}.new.zero_point", 0, kind)
    constants = [f"{tensor}.new.scale", f"{tensor}.new.zero_point"]
    reading = node(model, reader)
    quantized, back = f"{tensor}.new.quantized", f"{tensor}.new.dequantized"
    pair = [
        op("QuantizeLinear", quantized, tensor, *constants),
        op("DequantizeLinear", back, quantized, *constants),
    ]
    reading.input[:] = [back if name == tensor else name for name in reading.input]
    at = [n.name for n in model.graph.node].index(reader)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], *pair, *nodes[at:]])


def no_zero_point(model):
    del node(model, "r1.Quantize").input[2]


def computed_scale(model):
    put(model, "half", get(model, "r1.scale") * 2)
    remove(model, "r1.scale")
    model.graph.node.insert(0, op("Neg", "r1.scale", "half"))


def computed_zero_point(model):
    put(model, "zero", get(model, "r1.zero_point"))
    remove(model, "r1.zero_point")
    model.graph.node.insert(0, op("Neg", "r1.zero_point", "zero"))


def other_scale(model):
    put(model, "other", 0.1, np.float32)
    node(model, "r1.Dequantize").input[1] = "other"


def other_zero_point(model):
    put(model, "other", 7, get(model, "r1.zero_point").dtype)
    node(model, "r1.Quantize").input[2] = "other"


def weights_of_another_type(model):
    put(model, "c1.weight.quantized", get(model, "c1.weight.quantized").astype(np.uint8))
    put(model, "c1.weight.zero_point", [0] * 4, np.uint8)


def a_scale_a_channel(model):
    kind = get(model, "r1.zero_point").dtype
    put(model, "r1.scale", [0.1] * 4, np.float32)
    put(model, "r1.zero_point", get(model, "r1.zero_point").repeat(4), kind)
    axis(model, "r1.Quantize", 1)
    axis(model, "r1.Dequantize", 1)


def float_weights(model):
    put(model, "w", np.ones((4, 4, 1, 1)), np.float32)
    put(model, "b", np.ones(4), np.float32)
    node(model, "main").input[1:] = ["w", "b"]
    for part in ("weight", "bias"):
        names = ("Dequantize", "quantized", "scale", "zero_point")
        remove(model, *(f"main.{part}.{name}" for name in names))


def float_activation(model):
    node(model, "main").input[0] = "r1"
    remove(model, *(f"r1.{n}" for n in ("Quantize", "Dequantize", "scale", "zero_point")))


def a_pair_nobody_reads(model):
    model.graph.node.append(op("QuantizeLinear", "dead", "r1", "r1.scale", "r1.zero_point"))


def integers_read_by_another(model):
    model.graph.node.append(op("Cast", "cast", "r1.quantized", to=1))


def integer_operator(model):
    model.graph.node.append(op("ConvInteger", "ci", "r1.quantized", "main.weight.quantized"))


def foreign(kind, domain="com.microsoft"):
    def change(model):
        model.graph.node.append(op(kind, "strange", "r1", domain=domain))

    return change


def resize(model):
    put(model, "sizes", [1, 4, 3, 3], np.int64)
    model.graph.node.append(op("Resize", "resized", "r1", "", "", "sizes", antialias=1))


def opset(version):
    def change(model):
        model.opset_import[0].version = version

    return change


def scale(value):
    return lambda model: put(model, "r1.scale", value, np.float32)


BAD = [
    (no_zero_point, "implicit-zero-point", "r1.Quantize"),
    (lambda m: axis(m, "c1.weight.Dequantize", None), "implicit-axis", "c1.weight.Dequantize"),
    (computed_scale, "not-constant", "r1.Quantize"),
    (computed_zero_point, "not-constant", "r1.Quantize"),
    (lambda m: put(m, "r1.scale", 0.02, np.float16), "scale-type", "r1.Quantize"),
    (lambda m: put(m, "r1.scale", 0.02, np.float64), "scale-type", "r1.Dequantize"),
    *((scale(v), "scale-value", "r1.Quantize") for v in (0, -1, np.nan, np.inf, 1e-42)),
    (other_scale, "pair-mismatch", "r1.Dequantize"),
    (other_zero_point, "pair-mismatch", "r1.Dequantize"),
    (lambda m: axis(m, "c1.weight.Dequantize", 1), "weight-axis", "c1.weight.Dequantize"),
    (lambda m: axis(m, "fc.weight.Dequantize", 1), "weight-axis", "fc.weight.Dequantize"),
    (lambda m: axis(m, "fc.weight.Dequantize", -1), "weight-axis", "fc.weight.Dequantize"),
    (lambda m: put(m, "c1.w", 0), "leftover", "c1.w"),
    (weights_of_another_type, "weight-type", "c1.weight.Dequantize"),
    (
        lambda m: put(m, "c1.weight.zero_point", [0, 0, 1, 0], np.int8),
        "weight-zero-point",
        "c1.weight.Dequantize",
    ),
    (a_scale_a_channel, "activation-axis", "r1.Quantize"),
    (float_weights, "half-quantized", "main"),
    (float_activation, "half-quantized", "main"),
    (a_pair_nobody_reads, "unread-pair", "dead"),
    (integers_read_by_another, "operator-form", "r1.Quantize"),
    (integer_operator, "operator-form", "ci"),
    (foreign("DynamicQuantizeLinear", ""), "operator-form", "strange"),
    (foreign("QLinearAdd"), "operator-form", "strange"),
    (foreign("QuantizeLinear"), "operator-form", "strange"),
    (foreign("FusedConv"), "foreign-domain", "strange"),
    (foreign("Anything", "org.acme"), "foreign-domain", "strange"),
    (resize, "antialias", "resized"),
    (opset(12), "opset", ""),
    (opset(24), "opset", ""),
    (lambda m: add_pair(m, "c1", "r1"), "pair-before-relu", "c1.new.quantized"),
]


def found_in(model, scheme):
    return {(f.rule, f.node): f for f in lint(model, scheme)}


@pytest.mark.parametrize("scheme", BOTH)
@pytest.mark.parametrize(("change", "rule", "where"), BAD, ids=[f"{b[1]}-{b[2]}" for b in BAD])
def test_what_no_vendor_reads_right_is_named(scheme, change, rule, where):
    model = good(scheme)
    change(model)
    found = found_in(model, scheme)
    assert (rule, where) in found
    softer = scheme is U8 and rule in ("leftover", "pair-before-relu")
    assert found[rule, where].severity == ("warning" if softer else "error")
    assert found[rule, where].what
    assert found[rule, where].fix


@pytest.mark.parametrize("scheme", BOTH)
def test_what_quantize_writes_has_no_findings(scheme):
    model = good(scheme)
    onnx.checker.check_model(model, full_check=True)
    assert lint(model, scheme) == ()
    assert likely_scheme(model) is scheme


@settings(max_examples=100, deadline=None)
@given(scheme=st.sampled_from(BOTH), left=st.sets(st.sampled_from(NODES)))
def test_no_choice_of_float_nodes_makes_quantize_write_a_refused_graph(scheme, left):
    errors = [f for f in lint(good(scheme, left), scheme) if f.severity == "error"]
    assert not errors


@pytest.fixture(scope="module")
def sample(sample_graph):
    """The sample network, quantized in a scheme on two pictures of noise."""
    model = load_onnx(sample_graph)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8)

    def quantized(scheme):
        placement = place(model, scheme)
        *_, statistics = observe(model, placement.tensors, pictures, open_model)
        ranges = choose_ranges(statistics, placement, load_recipe("default"), scheme)
        return insert(model, placement, ranges, scheme)

    return quantized


@pytest.mark.parametrize("scheme", BOTH)
def test_the_sample_network_has_no_findings(sample, scheme):
    model = sample(scheme)
    assert lint(model, scheme) == ()
    other = U8 if scheme is S8 else S8
    severities = {f.severity for f in lint(model, other)}
    assert severities == ({"warning"} if scheme is S8 else {"error"})


def zero_point_of(value, kind):
    return lambda model: put(model, "r1.zero_point", value, kind)


def integer_bias(model):
    put(model, "b.integers", [1] * 4, np.int32)
    put(model, "b.scale", [0.1] * 4, np.float32)
    put(model, "b.zero", [0] * 4, np.int32)
    made = op("DequantizeLinear", "b.float", "b.integers", "b.scale", "b.zero", axis=0)
    model.graph.node.insert(0, made)
    node(model, "c1").input[2] = "b.float"
    remove(model, "c1.b")


def rounded_bias(model):
    add_pair(model, "c1.b", "c1")


def both_branches(model):
    add_pair(model, "main", "sum")


def no_branch(model):
    parts = ("Quantize", "Dequantize", "scale", "zero_point")
    remove(model, *(f"short.{part}" for part in parts))
    add = node(model, "sum")
    add.input[:] = [name.removesuffix(".dequantized") for name in add.input]


def main_branch(model):
    no_branch(model)
    add_pair(model, "main", "sum")


def main_branch_said_first(model):
    main_branch(model)
    add = node(model, "sum")
    add.input[:] = list(reversed(add.input))


def rounded_constant(model):
    put(model, "k", 3, np.uint8)
    put(model, "k.scale", 0.1, np.float32)
    put(model, "k.zero", 3, np.uint8)
    model.graph.node.insert(0, op("DequantizeLinear", "k.float", "k", "k.scale", "k.zero"))
    model.graph.node.append(op("Mul", "scaled", "fc", "k.float"))


@pytest.mark.parametrize(
    ("change", "rule", "where", "severity"),
    [
        (zero_point_of(3, np.int8), "zero-point", "r1.Quantize", "error"),
        (zero_point_of(128, np.uint8), "zero-point", "r1.Quantize", "error"),
        (zero_point_of(0, np.uint8), "unsigned", "r1.Quantize", "error"),
        (zero_point_of(0, np.int16), "unsigned", "r1.Quantize", "error"),
        (rounded_constant, "zero-point", "k.float", "error"),
        (integer_bias, "quantized-bias", "b.float", "error"),
        (rounded_bias, "quantized-bias", "c1.b.new.dequantized", "error"),
        (both_branches, "residual-add", "sum", "error"),
        (main_branch, "residual-add", "sum", "error"),
        (main_branch_said_first, "residual-add", "sum", "error"),
        (no_branch, "residual-add", "sum", "warning"),
    ],
)
def test_what_tensorrt_refuses_or_misreads_is_named(change, rule, where, severity):
    model = good(S8)
    change(model)
    found = found_in(model, S8)
    assert set(found) == {(rule, where)}
    assert found[rule, where].severity == severity


def test_an_add_of_no_convolution_or_of_a_constant_is_no_residual():
    model = good(S8)
    put(model, "k", 1, np.float32)
    model.graph.node.extend([op("Add", "twice", "out", "out"), op("Add", "more", "short", "k")])
    assert lint(model, S8) == ()


def bias(part, change):
    name = f"c1.bias.{part}"
    return lambda model: put(model, name, change(get(model, name)))


@pytest.mark.parametrize(
    ("change", "rule", "where", "severity"),
    [
        (zero_point_of(0, np.int8), "signed-activation", "r1.Quantize", "warning"),
        (zero_point_of(0, np.uint16), "activation-type", "r1.Quantize", "error"),
        (
            bias("scale", lambda s: s * np.float32(1.001)),
            "bias-scale",
            "c1.bias.Dequantize",
            "error",
        ),
        (bias("scale", lambda s: s[:1]), "bias-scale", "c1.bias.Dequantize", "error"),
        (bias("zero_point", lambda z: z + 1), "bias-scale", "c1.bias.Dequantize", "error"),
        (
            bias("quantized", lambda q: q.astype(np.int8)),
            "bias-scale",
            "c1.bias.Dequantize",
            "error",
        ),
    ],
)
def test_what_onnx_runtime_would_compute_otherwise_is_named(change, rule, where, severity):
    model = good(U8)
    change(model)
    found = found_in(model, U8)
    assert set(found) == {(rule, where)}
    assert found[rule, where].severity == severity


def test_a_bias_scale_that_was_rounded_once_more_is_the_same():
    model = good(U8)
    bias("scale", lambda s: np.nextafter(s, np.float32(1)))(model)
    assert lint(model, U8) == ()


def test_one_scale_for_all_weights_is_accepted_with_a_warning():
    model = good(S8)
    put(model, "c1.weight.scale", 0.01, np.float32)
    put(model, "c1.weight.zero_point", 0, np.int8)
    axis(model, "c1.weight.Dequantize", None)
    (only,) = lint(model, S8)
    assert (only.rule, only.severity) == ("per-tensor-weight", "warning")


def test_as_many_scales_as_output_channels_are_wanted():
    model = good(S8)
    put(model, "c1.weight.scale", [0.01] * 3, np.float32)
    put(model, "c1.weight.zero_point", [0] * 3, np.int8)
    (only,) = lint(model, S8)
    assert only.rule == "weight-axis"
    assert only.what == "3 scales, 4 output channels"


def test_a_linear_layer_that_is_not_transposed_has_its_channels_on_axis_1():
    model = good(S8)
    del node(model, "fc").attribute[:]
    assert [f.rule for f in lint(model, S8)] == ["weight-axis"]
    axis(model, "fc.weight.Dequantize", 1)
    assert lint(model, S8) == ()


def test_float_weights_behind_a_pair_are_read_as_weights():
    model = good(S8)
    put(model, "w", np.ones((4, 4, 1, 1)), np.float32)
    constants = ["c1.weight.scale", "c1.weight.zero_point"]
    made = op("QuantizeLinear", "w.quantized", "w", *constants, axis=0)
    model.graph.node.insert(0, made)
    node(model, "c1.weight.Dequantize").input[0] = "w.quantized"
    remove(model, "c1.weight.quantized")
    onnx.checker.check_model(model, full_check=True)
    assert lint(model, S8) == ()
    axis(model, "c1.weight.Dequantize", 1)
    assert [f.rule for f in lint(model, S8)] == ["weight-axis"]


def test_constants_may_be_nodes_and_nodes_may_be_nameless():
    model = good(S8)
    value = float(get(model, "r1.scale"))
    remove(model, "r1.scale")
    constant = helper.make_node("Constant", [], ["r1.scale"], value_float=value)
    zero = numpy_helper.from_array(get(model, "r1.zero_point"))
    remove(model, "r1.zero_point")
    model.graph.node.insert(0, constant)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["r1.zero_point.0"], value=zero))
    model.graph.node.insert(1, op("Identity", "r1.zero_point", "r1.zero_point.0"))
    assert lint(model, S8) == ()
    quantize = node(model, "r1.Quantize")
    quantize.name = ""
    del quantize.input[2]
    (only,) = lint(model, S8)
    assert only.node == "the QuantizeLinear that gives r1.quantized"


def test_what_a_branch_inside_the_graph_reads_is_read():
    model = good(S8)
    put(model, "inside", [1.0, 2.0], np.float32)
    put(model, "yes", [True])
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    branch = helper.make_graph([op("Neg", "o", "inside")], "b", [], [out])
    model.graph.node.append(op("If", "if", "yes", then_branch=branch, else_branch=branch))
    assert lint(model, S8) == ()


def test_a_float_graph_is_accepted_as_such_and_told_where_int8_is_wanted():
    assert lint(float_model(), Scheme.FLOAT) == ()
    for scheme in BOTH:
        (only,) = lint(float_model(), scheme)
        assert (only.rule, only.severity) == ("not-quantized", "warning")


@pytest.mark.parametrize("scheme", BOTH)
def test_a_graph_that_says_it_is_float_and_is_not_is_refused(scheme):
    found = lint(good(scheme), Scheme.FLOAT)
    assert {(f.rule, f.severity) for f in found} == {("float", "error")}


class Noise:
    """What quantize_static calibrates with."""

    def __init__(self):
        rng = np.random.default_rng(3)
        self.left = [rng.normal(size=(1, 4, 6, 6)).astype(np.float32) for _ in range(4)]

    def get_next(self):
        return {"x": self.left.pop()} if self.left else None


SYMMETRIC = {"ActivationSymmetric": True, "WeightSymmetric": True}


@pytest.mark.parametrize(
    ("options", "scheme", "named"),
    [
        ({**SYMMETRIC, "QuantizeBias": False}, S8, {"residual-add", "pair-before-relu"}),
        (SYMMETRIC, S8, {"residual-add", "pair-before-relu", "quantized-bias"}),
        ({}, S8, {"residual-add", "zero-point", "quantized-bias"}),
        ({}, U8, {"signed-activation"}),
    ],
)
def test_onnx_runtimes_own_quantizer_is_named_for_what_it_does(tmp_path, options, scheme, named):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        float_model(),
        tmp_path / "q.onnx",
        Noise(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options=options,
    )
    found = lint_file(tmp_path / "q.onnx", scheme)
    assert {f.rule for f in found} == named
    assert likely_scheme(load_onnx(tmp_path / "q.onnx")) is (S8 if options else U8)


def test_onnx_runtimes_operator_form_is_named(tmp_path):
    from onnxruntime.quantization import QuantFormat, quantize_dynamic, quantize_static

    quantize_static(float_model(), tmp_path / "q.onnx", Noise(), quant_format=QuantFormat.QOperator)
    quantize_dynamic(float_model(), tmp_path / "d.onnx")
    for name in ("q.onnx", "d.onnx"):
        path = tmp_path / name
        found = lint_file(path, likely_scheme(load_onnx(path)))
        assert found[0].severity == "error"
        assert "operator-form" in {f.rule for f in found}


def test_weights_in_another_file_are_refused_whether_it_is_read_or_not(tmp_path):
    path = tmp_path / "graph.onnx"
    onnx.save(
        good(S8), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    (only,) = lint_file(path, S8)
    assert (only.rule, only.severity) == ("external-data", "error")
    bare = onnx.load(str(path), load_external_data=False)
    assert "external-data" in {f.rule for f in lint(bare, S8)}


def test_the_first_error_is_raised_with_its_fix_and_the_others_are_counted(tmp_path):
    model = good(S8)
    raise_on_errors(lint(model, S8), tmp_path)
    no_branch(model)
    raise_on_errors(lint(model, S8), tmp_path)  # a warning
    zero_point_of(3, np.int8)(model)
    rounded_bias(model)
    path = tmp_path / "graph.onnx"
    with pytest.raises(ModelError, match=r"r1\.Quantize: zero point 3.*\(and 1 more\)") as caught:
        raise_on_errors(lint(model, S8), path)
    assert str(path) in caught.value.what
    assert "--scheme s8-symmetric" in caught.value.hint
    assert f"edgeresnet inspect --lint {path}" in caught.value.hint


@pytest.mark.parametrize("kind", ["NonMaxSuppression", "RoiAlign"])
def test_what_is_not_built_for_tensorrt_is_named_and_fine_elsewhere(kind, tmp_path):
    model = float_model()
    model.graph.node.append(op(kind, "strange", "r1"))
    assert lint_for(model, "onnxruntime") == lint_for(model, "openvino") == ()
    path = tmp_path / "graph.onnx"
    with pytest.raises(ModelError, match=f"strange: {kind}, of which no engine") as caught:
        raise_on_errors(lint_for(model, "tensorrt"), path, "orin")
    assert "--target intel-cpu, generic-cpu" in caught.value.hint
    assert f"edgeresnet inspect --lint {path} --target orin shows" in caught.value.hint


def test_nothing_else_is_held_against_a_graph_for_tensorrt():
    assert lint_for(good(S8), "tensorrt") == ()


def test_errors_come_before_warnings():
    model = good(S8)
    no_branch(model)
    rounded_bias(model)
    assert [f.severity for f in lint(model, S8)] == ["error", "warning"]
