"""NVIDIA's own parser and builder take what we write, and refuse what our linter refuses."""

import numpy as np
import onnx
import pytest

from edgeresnet.backends.tensorrt.typed import write_typed
from edgeresnet.core.contract import load_onnx, read_graph
from edgeresnet.core.lint import lint, lint_for
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE

pytestmark = pytest.mark.tensorrt
PRECISIONS = ["float32", "float16"]
S8 = Scheme.S8_SYMMETRIC
SMALLER = 0.4  # a quarter, and some for what is not weights


@pytest.fixture
def typed(tmp_path):
    """Writes a contract graph as the backend does."""

    def write(graph, precision):
        out = tmp_path / f"{graph.stem}.{precision}.onnx"
        write_typed(read_graph(graph), precision, out)
        return out

    return write


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("network", ["sample_graph", "sample_s8"])
def test_the_sample_network_is_built(network, precision, rtx, typed, request):
    (built,) = rtx(typed(request.getfixturevalue(network), precision), precision=precision)
    assert built.get("plan"), built
    assert built["steps"][-1][0] == built["steps"][-1][1]


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_real_network_is_built_and_its_weights_stay_int8(
    precision, real_graph, real_s8, rtx, typed
):
    graphs = [typed(real_graph, "float32"), typed(real_s8, precision)]
    whole, int8 = rtx(*graphs, precision=precision)
    assert whole.get("plan"), whole
    assert int8.get("plan"), int8
    assert int8["plan"] < SMALLER * whole["plan"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_embedded_detector_is_built(precision, detector_graph, detector_s8, rtx, typed):
    graphs = [typed(graph, precision) for graph in (detector_graph, detector_s8)]
    for built in rtx(*graphs, precision=precision):
        assert built.get("plan"), built


@pytest.mark.parametrize("kind", ["retinanet-v2", "fcos"])
def test_the_other_detectors_of_one_stage_are_built(kind, small_detectors, rtx, typed, quantized):
    graph = small_detectors[kind]
    graphs = [typed(each, "float16") for each in (graph, quantized(graph))]
    for built in rtx(*graphs, precision="float16"):
        assert built.get("plan"), built


def test_faster_rcnn_is_refused_by_nvidia_for_what_we_refuse_it_for(
    small_detectors, rtx, typed, tmp_path
):
    """Both operators: should NVIDIA take them one day, so should we."""
    graph = small_detectors["faster-rcnn"]
    found = lint_for(load_onnx(graph), "tensorrt")
    assert {finding.what.split(",")[0] for finding in found} == {"NonMaxSuppression", "RoiAlign"}
    whole = typed(graph, "float32")
    first_stage = tmp_path / "first_stage.onnx"
    kept = next(f.node for f in found if f.what.startswith("NonMax"))
    onnx.utils.extract_model(str(whole), str(first_stage), [IMAGE], [kept])
    pooled, suppressed = rtx(whole, first_stage)
    assert "RoiAlign" in pooled.get("error", ""), pooled
    assert kept in suppressed.get("error", ""), suppressed


def test_a_graph_for_x86_is_refused_and_its_node_named(sample_graph, rtx, typed, quantized):
    (refused,) = rtx(typed(quantized(sample_graph, "u8-affine"), "float32"))
    assert refused["kind"] == "ModelError"
    assert "Quantize" in refused["error"]


# how a good graph is spoiled, and the node that NVIDIA's parser then names
REFUSED = {
    "zero point 3": (lambda t: t.zero_point_of(3, np.int8), "r1.Quantize"),
    "uint8, zero point 128": (lambda t: t.zero_point_of(128, np.uint8), "r1.Quantize"),
    "another zero point": (lambda t: t.other_zero_point, "r1.Quantize"),
    "int32 bias": (lambda t: t.integer_bias, "b.float"),
    "antialiased resize": (lambda t: t.resize, "resized"),
    "unknown operator": (lambda t: t.foreign("Anything", "org.acme"), "strange"),
    "operator form": (lambda t: t.foreign("QLinearAdd"), "strange"),
    "weights with a zero point": (
        lambda t: lambda m: t.put(m, "c1.weight.zero_point", [0, 0, 1, 0], np.int8),
        "c1.weight.Dequantize",
    ),
    "scale 0": (lambda t: t.scale(0), "r1.Quantize"),
    "scale below 0": (lambda t: t.scale(-1), "r1.Quantize"),
}
# what it takes all the same, to be wrong or slow
MISREAD = {
    "uint8, zero point 0": lambda t: t.zero_point_of(0, np.uint8),
    "int8 bias": lambda t: t.rounded_bias,
    "weights on axis 1": lambda t: lambda m: t.axis(m, "c1.weight.Dequantize", 1),
    "axis not said": lambda t: lambda m: t.axis(m, "c1.weight.Dequantize", None),
    "zero point not said": lambda t: t.no_zero_point,
    "two scales of a pair": lambda t: t.other_scale,
    "a scale a channel of an activation": lambda t: t.a_scale_a_channel,
    "float activation": lambda t: t.float_activation,
    "float weights": lambda t: t.float_weights,
    "pair before a ReLU": lambda t: lambda m: t.add_pair(m, "c1", "r1"),
    "pairs on both branches": lambda t: t.both_branches,
    "pair on the main branch": lambda t: t.main_branch,
    "scale that is too small": lambda t: t.scale(1e-42),
    "scale without end": lambda t: t.scale(np.inf),
}


@pytest.fixture
def spoiled(lint_cases, tmp_path):
    """Writes the good graph with each of the given changes; with it the linter's errors."""

    def write(changes):
        for number, change in enumerate(changes):
            model = lint_cases.good(S8)
            change(lint_cases)(model)
            onnx.save(model, tmp_path / f"{number}.onnx")
            errors = [found for found in lint(model, S8) if found.severity == "error"]
            yield tmp_path / f"{number}.onnx", errors

    return write


def test_what_nvidia_refuses_our_linter_refuses_and_the_node_is_named(spoiled, rtx):
    files, errors = zip(*spoiled(change for change, _ in REFUSED.values()), strict=True)
    for (what, (_, node)), found, told in zip(REFUSED.items(), errors, rtx(*files), strict=True):
        assert found, what
        assert told.get("kind") == "ModelError", (what, told)
        assert node in told["error"], (what, told)


def test_what_nvidia_takes_though_it_is_wrong_our_linter_refuses(spoiled, rtx):
    files, errors = zip(*spoiled(MISREAD.values()), strict=True)
    for what, found, told in zip(MISREAD, errors, rtx(*files), strict=True):
        assert found, what
        assert "plan" in told, (what, told)


def test_the_good_graph_that_they_were_made_from_is_taken(spoiled, rtx):
    ((file, errors),) = spoiled([lambda _: lambda _: None])
    assert not errors
    assert rtx(file)[0].get("plan")
