"""As few layers as the budget needs go back to float, the ones that cost most first."""

import numpy as np
import pytest
from onnx import numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import copy_of, load_onnx, read_graph
from edgeresnet.core.errors import GateError
from edgeresnet.metrics.accuracy import Interval
from edgeresnet.quantize import qdq
from edgeresnet.quantize.budget import keep_budget, multiplications
from edgeresnet.quantize.gate import Gate
from edgeresnet.quantize.judge import Verdict
from edgeresnet.quantize.sensitivity import LayerSensitivity
from edgeresnet.quantize.stage import quantize

LAYERS = [LayerSensitivity(f"layer{n}", 1 / (n + 1), 100) for n in range(20)]
HALF = len(LAYERS) // 2  # each multiplies as much: no more may return
BUDGET = 1.0
OUTLIER = 1000
"""How many times as strong one channel is made: at eight bits the others drown in its step."""
BAD = "layer2.0.conv2"
"""The layer that reads that channel."""


def verdict(drop, max_drop=BUDGET):
    agreement = Interval(100 - drop, 100 - drop, 100 - drop)
    return Verdict(Gate(50, max_drop, agreement, Interval(drop, drop, drop), None, None), drop, ())


class Pretended:
    """Graphs that are the number of their layers in float, and drops that follow from it."""

    def __init__(self, drop_of):
        self.drop_of, self.judged = drop_of, []

    def judge(self, count):
        assert count not in self.judged, "the same graph judged twice"
        self.judged.append(count)
        return verdict(self.drop_of(count))

    def kept(self, layers=LAYERS):
        start = verdict(self.drop_of(0))
        return keep_budget(start, 0, layers, len, self.judge)


@pytest.mark.parametrize("needed", range(HALF + 1))
def test_the_shortest_prefix_that_is_inside_is_found(needed):
    pretended = Pretended(lambda count: 0.5 if count >= needed else 5.0)
    found = pretended.kept()
    assert found.returned == tuple(layer.layer for layer in LAYERS[:needed])
    assert found.int8 == needed
    assert found.verdict.gate.passed
    assert len(pretended.judged) <= 10  # growing, then halving


def test_a_graph_that_is_inside_as_it_is_is_left_alone():
    found = Pretended(lambda _: 0.0).kept()
    assert (found.returned, found.int8, len(found.steps)) == ((), 0, 1)


def test_where_nothing_is_inside_the_last_graph_is_given_and_says_so():
    pretended = Pretended(lambda count: 50.0 - count)
    found = pretended.kept()
    assert not found.verdict.gate.passed
    assert found.int8 == pretended.judged[-1] == max(pretended.judged)
    assert found.verdict.gate.drop.value == 50 - found.int8


@pytest.mark.parametrize("free", [0, 3])
def test_no_more_than_half_of_the_multiplications_return(free):
    """Layers that multiply nothing, sums say, are free to."""
    sums = [LayerSensitivity(f"add{n}", 2.0, 0) for n in range(free)]
    pretended = Pretended(lambda count: 0.0 if count > HALF + free else 9.0)
    found = pretended.kept([*sums, *LAYERS])
    assert not found.verdict.gate.passed
    assert max(pretended.judged) == HALF + free
    assert found.float_share == max(step.float_share for step in found.steps) == 0.5


def test_a_layer_that_is_most_of_the_network_stays():
    large = LayerSensitivity("large", 9.0, 10_000)
    assert Pretended(lambda _: 5.0).kept([large, *LAYERS]).returned == ()


def test_drops_that_jump_about_still_give_a_graph_that_is_inside():
    jumping = {0: 5, 1: 4, 2: 6, 3: 0.9, 5: 0.2}
    found = Pretended(lambda count: jumping.get(count, 3)).kept()
    assert found.verdict.gate.drop.value == 0.9
    assert len(found.returned) == 3


@pytest.mark.parametrize("count", [0, 1])
def test_with_no_layers_to_spare_the_start_is_what_there_is(count):
    found = Pretended(lambda _: 5.0).kept(LAYERS[:count])
    assert (found.returned, found.verdict.gate.passed) == ((), False)


def test_the_steps_go_up_and_each_names_only_what_is_new():
    found = Pretended(lambda count: 0.5 if count >= 4 else 5.0).kept()
    told = found.as_json()
    counts = [step["layers"] for step in told["steps"]]
    assert counts == sorted(set(counts))
    assert counts[0] == 0
    assert told["steps"][0]["returned"] is None
    named = ", ".join(step["returned"] for step in told["steps"][1:])
    assert named.split(", ") == [layer.layer for layer in LAYERS[: counts[-1]]]
    assert told["returned"] == ["layer0", "layer1", "layer2", "layer3"]
    assert [step["float_share"] for step in told["steps"]] == [n / len(LAYERS) for n in counts]
    assert (told["metric"], told["max_drop"]) == ("agreement with float", BUDGET)


def test_a_layers_multiplications_are_its_weights_times_its_pixels(
    decided_network, smooth_pictures
):
    found = multiplications(decided_network, smooth_pictures[0], open_model)
    weights = {w.name: list(w.dims) for w in decided_network.graph.initializer}
    assert found["conv1"] == np.prod(weights["conv1.weight"]) * 32 * 32  # of 64 x 64, stride 2
    assert found["fc"] == np.prod(weights["fc.weight"])
    assert set(found) >= {BAD, "layer1.0.downsample.0"}


@pytest.fixture
def outlier_graph(decided_network, write_small, tmp_path):
    """The same function, but one channel of what ``BAD`` reads is a thousand times as strong."""
    model = copy_of(decided_network)
    nodes = {node.name: node for node in model.graph.node}
    stored = {w.name: w for w in model.graph.initializer}
    maker, reader = nodes["layer2.0.conv1"], nodes[BAD]
    factors = np.ones(stored[maker.input[1]].dims[0], np.float32)
    factors[0] = OUTLIER
    for name, factor in (
        (maker.input[1], factors.reshape(-1, 1, 1, 1)),
        (maker.input[2], factors),
        (reader.input[1], 1 / factors.reshape(1, -1, 1, 1)),
    ):
        exact = numpy_helper.to_array(stored[name])
        stored[name].CopyFrom(numpy_helper.from_array(exact * factor, name))
    return write_small(model, tmp_path / "outlier.onnx")


def test_the_layer_that_int8_ruins_comes_back_to_float_and_the_evidence_names_it(
    outlier_graph, spots, tmp_path
):
    """``minmax`` rescales no channels: nothing but float helps that layer."""
    calibration, gate = spots
    report = quantize(
        outlier_graph,
        tmp_path / "out.onnx",
        images=calibration,
        eval_images=gate,
        recipe="minmax",
        max_drop=15,  # seven labels of 48; the other layers cost some as well
    )
    assert report.budgeted.steps[0].drop > 20
    assert report.budgeted.returned == (BAD,)
    assert report.gate.passed
    accuracy = read_graph(tmp_path / "out.onnx").evidence["accuracy"]
    assert (accuracy["verdict"], accuracy["float_layers"]) == ("inside", [BAD])
    precision = {layer["name"]: layer["precision"] for layer in report.as_json()["layers"]}
    assert [name for name, kind in precision.items() if kind == "float"] == [BAD]
    names = {node.name for node in load_onnx(tmp_path / "out.onnx").graph.node}
    assert "layer2.0.conv1.weight.Dequantize" in names
    assert f"{BAD}.weight.Dequantize" not in names


def test_channels_that_are_rescaled_need_no_float(outlier_graph, spots, tmp_path):
    """The cure that keeps INT8 fast is tried first: the same network, the default recipe."""
    calibration, gate = spots
    out = tmp_path / "out.onnx"
    report = quantize(outlier_graph, out, images=calibration, eval_images=gate, max_drop=15)
    assert report.budgeted is None
    assert report.gate.passed


@pytest.fixture
def hopeless(monkeypatch):
    """Weights of nothing, so that no layer may be INT8."""
    exact = qdq.quantize_weight

    def nothing(weight, bias, input_scale, bits=8):
        quantized, scale = exact(weight, bias, input_scale, bits)
        return quantized * np.int8(0), scale

    monkeypatch.setattr(qdq, "quantize_weight", nothing)


def test_a_hopeless_network_is_refused_and_nothing_is_written(
    small_graph, spots, tmp_path, hopeless
):
    out = tmp_path / "out.onnx"
    with pytest.raises(GateError, match=r"even with \d+ layers .* add most noise: \w") as caught:
        quantize(small_graph, out, images=spots[0], eval_images=spots[1], max_drop=0)
    assert caught.value.exit_code == 5
    assert "--force" in caught.value.hint
    assert not out.exists()


def test_a_hopeless_network_is_written_by_force_and_its_evidence_says_so(
    small_graph, spots, tmp_path, hopeless
):
    out = tmp_path / "out.onnx"
    report = quantize(
        small_graph, out, images=spots[0], eval_images=spots[1], max_drop=0, force=True
    )
    accuracy = read_graph(out).evidence["accuracy"]
    assert accuracy["verdict"] == "outside"
    assert accuracy["float_layers"] == list(report.budgeted.returned)
    assert accuracy["float_share"] == round(report.budgeted.float_share, 4) <= 0.5
