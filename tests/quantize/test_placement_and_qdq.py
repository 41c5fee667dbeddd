"""Where Q/DQ pairs go, scheme by scheme, and that the graph they leave is sound."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeresnet.core.contract import load_onnx
from edgeresnet.core.recipe import load_recipe
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.qdq import insert
from edgeresnet.quantize.ranges import choose_ranges, quantize_weight
from edgeresnet.quantize.statistics import observe

SCHEMES = [Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC]


@pytest.fixture(scope="module")
def model(sample_graph):
    return load_onnx(sample_graph)


@pytest.fixture(scope="module")
def quantized(model):
    from edgeresnet.backends.onnxruntime.reference import open_model

    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (128, 128, 3), np.uint8) for _ in range(2)]
    made = {}
    for scheme in SCHEMES:
        placement = place(model, scheme)
        *_, statistics = observe(model, placement.tensors, pictures, open_model)
        ranges = choose_ranges(statistics, placement, load_recipe("default"), scheme)
        made[scheme] = insert(model, placement, ranges, scheme)
    return made


def _producers(model):
    return {name: node for node in model.graph.node for name in node.output}


def _is_dequantized(name):
    return name.endswith(".dequantized")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_checker_passes_and_nothing_is_left_over(quantized, scheme):
    graph = quantized[scheme].graph
    onnx.checker.check_model(quantized[scheme], full_check=True)
    used = {name for node in graph.node for name in node.input}
    assert {w.name for w in graph.initializer} <= used


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_quantize_a_tensor(quantized, scheme):
    inputs = [n.input[0] for n in quantized[scheme].graph.node if n.op_type == "QuantizeLinear"]
    assert len(inputs) == len(set(inputs))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_convolution_and_linear_layer_reads_integers(quantized, scheme):
    for node in quantized[scheme].graph.node:
        if node.op_type in ("Conv", "Gemm"):
            assert _is_dequantized(node.input[0]), node.name
            assert _is_dequantized(node.input[1]), node.name


def test_biases_are_integers_for_onnx_runtime_and_float_for_tensorrt(quantized):
    for scheme, wanted in ((Scheme.U8_AFFINE, True), (Scheme.S8_SYMMETRIC, False)):
        convs = [n for n in quantized[scheme].graph.node if n.op_type == "Conv"]
        assert {_is_dequantized(n.input[2]) for n in convs} == {wanted}


def test_tensorrt_gets_pairs_on_the_identity_branch_of_an_add_only(quantized):
    graph = quantized[Scheme.S8_SYMMETRIC].graph
    producers = _producers(quantized[Scheme.S8_SYMMETRIC])
    adds = [n for n in graph.node if n.op_type == "Add" and not n.name.startswith("normalise")]
    assert len(adds) == 16
    for add in adds:
        through = [name for name in add.input if _is_dequantized(name)]
        plain = [name for name in add.input if not _is_dequantized(name)]
        assert len(through) == len(plain) == 1, add.name
        assert producers[plain[0]].name.endswith("conv3"), add.name


def test_the_downsample_branch_is_the_one_that_is_quantized(quantized):
    graph = quantized[Scheme.S8_SYMMETRIC].graph
    sources = {n.input[0] for n in graph.node if n.op_type == "QuantizeLinear"}
    producers = _producers(quantized[Scheme.S8_SYMMETRIC])
    quantized_convs = {producers[s].name for s in sources if producers[s].op_type == "Conv"}
    assert quantized_convs == {f"layer{i}.0.downsample.0" for i in (1, 2, 3, 4)}


def test_openvino_gets_pairs_on_both_inputs_of_an_add(quantized):
    graph = quantized[Scheme.U8_AFFINE].graph
    adds = [n for n in graph.node if n.op_type == "Add" and not n.name.startswith("normalise")]
    assert all(_is_dequantized(name) for add in adds for name in add.input)


def test_symmetric_means_zero_points_of_zero_and_signed_bytes(quantized):
    graph = quantized[Scheme.S8_SYMMETRIC].graph
    weights = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    zeros = [weights[n.input[2]] for n in graph.node if n.op_type.endswith("quantizeLinear")]
    zeros += [weights[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"]
    assert zeros
    assert all(z.dtype == np.int8 and not z.any() for z in zeros)


def test_pooling_shares_the_scale_of_what_it_pools(quantized):
    graph = quantized[Scheme.U8_AFFINE].graph
    weights = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    assert weights["maxpool.scale"] == weights["relu.scale"]


def test_a_node_left_in_float_reads_floats(model):
    placement = place(model, Scheme.U8_AFFINE, ["fc", "layer1.0.conv2"])
    assert not {"fc", "layer1.0.conv2"} & {node for _, node in placement.edges}
    assert "fc" not in placement.weighted


@pytest.mark.parametrize("scheme", SCHEMES)
def test_integers_give_nearly_what_floats_give(model, quantized, scheme):
    """Two random pictures; a right INT8 ResNet is within 5 to 15 % of the logits' length."""
    from edgeresnet.backends.onnxruntime.reference import open_model
    from edgeresnet.flow.golden import relative_error

    picture = np.random.default_rng(1).integers(0, 256, (1, 128, 128, 3), np.uint8)
    exact, rounded = (
        open_model(m.SerializeToString())({IMAGE: picture})["logits"][0]
        for m in (model, quantized[scheme])
    )
    assert 0 < relative_error(rounded, exact) < 0.3


def test_weights_come_back_within_half_a_step(rng):
    weight = rng.normal(size=(6, 3, 3, 3)) * 10.0 ** np.arange(-3, 3).reshape(-1, 1, 1, 1)
    quantized, scale = quantize_weight(weight.astype(np.float32), None, 1.0)
    back = quantized * scale.reshape(-1, 1, 1, 1)
    assert (np.abs(back - weight) <= scale.reshape(-1, 1, 1, 1) * 0.501).all()
    assert np.abs(quantized).max(axis=(1, 2, 3)).tolist() == [127] * 6


def test_a_channel_of_zeros_with_a_large_bias_does_not_overflow():
    weight, bias = np.zeros((2, 1, 1, 1), np.float32), np.array([1e6, 0.0], np.float32)
    _, scale = quantize_weight(weight, bias, 1e-3)
    assert np.abs(bias / (1e-3 * scale)).max() < 2**31
