"""A detector through every stage: untrained, so that what is shown is that nothing is lost."""

import json

import numpy as np
import pytest
import torch

from edgeresnet.backends import BACKENDS
from edgeresnet.compile.on_device import prove_on_device
from edgeresnet.compile.stage import compile_graph
from edgeresnet.convert.networks.detectors import build_detector
from edgeresnet.convert.networks.resnet import ResNetSpec
from edgeresnet.convert.networks.retinanet import RetinaNetSpec
from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import DECODE, load_onnx
from edgeresnet.core.layers import int8_share
from edgeresnet.core.tensors import SCORES
from edgeresnet.datasets.procedural import CLASSES
from edgeresnet.datasets.procedural.crowds import write_detection_set
from edgeresnet.evaluate.stage import evaluate
from edgeresnet.flow.predictor import open_predictor
from edgeresnet.quantize.stage import quantize
from edgeresnet.run.stage import run
from edgeresnet.testing import plugged

SIDE = 128
PICTURES = 10
SCHEMES = ("u8-affine", "s8-symmetric")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two sets of annotated pictures: to calibrate with, and to judge with."""
    folder = tmp_path_factory.mktemp("things")
    for seed, name in enumerate(("cal", "val")):
        write_detection_set(folder / name, PICTURES, seed=seed, size=(SIDE, SIDE))
    return folder


@pytest.fixture(scope="module")
def float_graph(sample_weights, tmp_path_factory):
    """An eighth-width RetinaNet whose head says something of every place."""
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    backbone = ResNetSpec("bottleneck", (1, 1, 1, 1), width=0.125)
    network = build_detector(RetinaNetSpec(backbone, classes=len(CLASSES), channels=32)).eval()
    state = network.state_dict()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in state.items():
        if name.startswith(("head.", "backbone.fpn.")) and tensor.ndim == 4:
            drawn = torch.randn(tensor.shape, generator=generator)
            state[name] = drawn * (2 / tensor[0].numel()) ** 0.5
        elif name.endswith("cls_logits.bias"):
            state[name] = torch.full_like(tensor, -1.0)
    torch.save(state, folder / "detector.pth")
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    convert(
        folder / "detector.pth",
        folder / "detector.onnx",
        classes=folder / "classes.txt",
        preprocess={"size": (SIDE, SIDE)},
    )
    return folder / "detector.onnx"


@pytest.fixture(scope="module")
def int8(float_graph, pictures):
    """The detector in INT8, in both schemes, and the reports."""
    made = {}
    for scheme in SCHEMES:
        out = float_graph.with_name(f"{scheme}.onnx")
        report = quantize(
            float_graph,
            out,
            images=pictures / "cal/images",
            eval_images=pictures / "val/images",
            annotations=pictures / "val/instances.json",
            scheme=scheme,
            max_drop=100,
        )
        made[scheme] = (out, report)
    return made


def test_the_budget_is_in_points_of_map(int8):
    _, report = int8["u8-affine"]
    assert report.gate.metric == "mAP@.5"
    assert report.gate.pictures == PICTURES
    assert report.graph.evidence["accuracy"]["map50"].keys() == {"float", "int8"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_decoding_stays_in_float_and_every_convolution_is_quantized(int8, scheme):
    graph = load_onnx(int8[scheme][0]).graph
    producer = {name: node for node in graph.node for name in node.output}
    tail = [node for node in graph.node if node.name.startswith(DECODE)]
    assert len(tail) > 10
    assert not [node.name for node in tail if "Quantize" in node.op_type]
    for node in graph.node:
        if node.op_type == "Conv":
            sources = [producer[name].op_type for name in node.input[:2]]
            assert sources == ["DequantizeLinear"] * 2, node.name


@pytest.mark.openvino
def test_openvino_runs_all_of_it_in_int8(int8, tmp_path):
    """It runs convolutions that share their weights in float: a head, at each level."""
    compile_graph(int8["u8-affine"][0], tmp_path / "b", target="intel-cpu")
    assert int8_share(prove_on_device(tmp_path / "b").layers) == 1.0


def test_tensorrt_gets_it_in_half_precision_but_for_the_decoding(int8, nvidia, tmp_path):
    machine = nvidia()
    with plugged(BACKENDS, "tensorrt", backend=machine.backend):
        report = compile_graph(int8["s8-symmetric"][0], tmp_path / "b", target="nvidia-dgpu")
    assert report.golden_error < report.tolerance
    graph = load_onnx(tmp_path / "b/model.onnx").graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    half = 10
    read = {kinds.get(n) for node in graph.node if node.name.startswith(DECODE) for n in node.input}
    assert half not in read
    assert half in kinds.values()


def test_a_run_gives_boxes_inside_the_frame(int8, pictures, tmp_path):
    compile_graph(int8["u8-affine"][0], tmp_path / "b", target="generic-cpu")
    source = str(pictures / "val/images")
    run(tmp_path / "b", source, [f"jsonl:{tmp_path}/out.jsonl"])
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == PICTURES
    boxes = np.array([box["xyxy"] for line in lines for box in line["boxes"]])
    assert len(boxes) > 0
    assert boxes.min() >= 0
    assert boxes.max() <= SIDE
    names = {box["name"] for line in lines for box in line["boxes"]}
    assert names <= set(CLASSES)


def test_float_and_int8_say_nearly_the_same(float_graph, int8, pictures):
    report = evaluate(
        int8["u8-affine"][0],
        images=pictures / "val/images",
        annotations=pictures / "val/instances.json",
        reference=float_graph,
    )
    assert report.pictures == PICTURES
    assert report.compared is not None
    with open_predictor(float_graph) as exact, open_predictor(int8["u8-affine"][0]) as rounded:
        picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
        one, other = (
            next(iter(predictor.outputs([("", picture)])))[1][SCORES]
            for predictor in (exact, rounded)
        )
    assert np.abs(one - other).max() < 0.15
