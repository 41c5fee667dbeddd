"""A detector's checkpoint becomes a contract graph of boxes, proved to be the network."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import save_file

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.checkpoint import Checkpoint, read_checkpoint
from edgeresnet.convert.describe import describe_checkpoint
from edgeresnet.convert.detector import AS_TRAINED, detector_of, spec_of
from edgeresnet.convert.networks.decode import PREFIX
from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import copy_of, load_onnx, read_metadata
from edgeresnet.core.errors import ModelError, ParityError, UsageError
from edgeresnet.core.preprocess import Crop
from edgeresnet.core.tensors import BOXES, CLASS_IDS, IMAGE, SCORES

SMALL = {"size": (64, 128)}


def checkpoint(state, **told):
    return Checkpoint(Path("w.pth"), "0" * 64, state, **told)


@pytest.fixture(scope="module")
def converted(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    torch.save(detector.state_dict(), folder / "w.pth")
    return convert(folder / "w.pth", folder / "g.onnx", preprocess=SMALL)


@pytest.fixture
def retinanet(make_detector, tmp_path):
    torch.save(make_detector("retinanet").state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


def test_every_detector_is_recognised_and_proved(converted, detector):
    report, graph = converted, converted.graph
    assert graph.task == "detect"
    assert [output.name for output in graph.outputs] == [BOXES, SCORES, CLASS_IDS]
    assert [output.dtype for output in graph.outputs] == ["float32", "float32", "int32"]
    kept = graph.outputs[1].shape[1]
    assert [output.shape for output in graph.outputs] == [(1, kept, 4), (1, kept), (1, kept)]
    assert len(graph.labels) == detector.spec.classes
    assert graph.preprocess.crop is Crop.LETTERBOX
    assert report.parity.holds
    assert report.parity.relative_error < 1e-4
    assert report.training_match == "unchecked"
    assert report.parameters == sum(p.numel() for p in detector.parameters())


def test_the_graph_gives_the_networks_boxes(retinanet, make_detector, tmp_path, rng):
    graph = convert(retinanet, tmp_path / "g.onnx", preprocess=SMALL).graph
    picture = rng.integers(0, 256, (1, 64, 128, 3), np.uint8)
    got = open_model(graph.path)({IMAGE: picture})
    network = make_detector("retinanet")
    with torch.no_grad():
        logits, _ = network(torch.from_numpy(graph.preprocess.normalise(picture)))
    best = logits.sigmoid().flatten().topk(len(got[SCORES][0])).values
    np.testing.assert_allclose(got[SCORES][0], best, atol=1e-5)
    assert got[BOXES].min() >= 0
    assert (got[BOXES].reshape(-1, 4).max(0) <= [128, 64, 128, 64]).all()
    assert set(np.unique(got[CLASS_IDS])) <= {0, 1, 2}


def test_every_shape_is_static_and_nothing_is_computed_of_constants(converted):
    model = load_onnx(converted.graph.path)
    onnx.checker.check_model(model, full_check=True)
    made = {name for node in model.graph.node for name in node.output} | {IMAGE}
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Shape", "NonZero", "Where", "Loop", "If", "ScatterND"}
    assert all(made & set(node.input) for node in model.graph.node)


def test_what_is_behind_the_heads_bears_the_tails_name(retinanet, tmp_path):
    model = load_onnx(convert(retinanet, tmp_path / "g.onnx", preprocess=SMALL).graph.path)
    tail = {node.op_type for node in model.graph.node if node.name.startswith(PREFIX)}
    body = {n.op_type for n in model.graph.node if not n.name.startswith((PREFIX, "normalise."))}
    assert {"TopK", "Sigmoid", "Gather"} <= tail
    assert body == {"Conv", "Relu", "MaxPool", "Resize", "Add"}
    names = {node.name for node in model.graph.node}
    assert {"backbone.body.conv1", "head.classification_head.cls_logits_4"} <= names


def test_a_batch_is_its_pictures_one_by_one(retinanet, tmp_path, rng):
    batch = 2
    one = convert(retinanet, tmp_path / "1.onnx", preprocess=SMALL).graph.path
    more = convert(retinanet, tmp_path / "n.onnx", preprocess=SMALL, batch=batch).graph.path
    pictures = rng.integers(0, 256, (batch, 64, 128, 3), np.uint8)
    together = open_model(more)({IMAGE: pictures})
    run = open_model(one)
    for place in range(batch):
        alone = run({IMAGE: pictures[place : place + 1]})
        np.testing.assert_allclose(together[SCORES][place], alone[SCORES][0], atol=1e-5)


def test_faster_rcnn_takes_one_picture_a_run(make_detector, tmp_path):
    torch.save(make_detector("faster rcnn").state_dict(), tmp_path / "w.pth")
    with pytest.raises(UsageError, match="--batch 2: Faster R-CNN"):
        convert(tmp_path / "w.pth", tmp_path / "g.onnx", preprocess=SMALL, batch=2)


def test_detectors_are_letterboxed_to_640_unless_told_otherwise(retinanet, tmp_path):
    graph = convert(retinanet, tmp_path / "g.onnx").graph
    assert graph.preprocess == AS_TRAINED
    assert (AS_TRAINED.size, AS_TRAINED.crop) == ((640, 640), Crop.LETTERBOX)
    assert graph.inputs[0].shape == (1, 640, 640, 3)


def test_a_size_that_is_no_multiple_of_32_is_refused(retinanet, tmp_path):
    with pytest.raises(UsageError, match="--size: size 100x128: each side must be") as caught:
        convert(retinanet, tmp_path / "g.onnx", preprocess={"size": (100, 128)})
    assert "640" in caught.value.hint
    assert not (tmp_path / "g.onnx").exists()


def spoil(monkeypatch, change):
    """Has every export changed before it is proved."""
    from edgeresnet.convert import body

    export = body.export_module

    def spoiled(*given):
        model = copy_of(export(*given))
        change(model)
        return model

    monkeypatch.setattr(body, "export_module", spoiled)


@pytest.mark.parametrize(
    ("weight", "first"),
    [
        ("backbone.fpn.inner_blocks.1.0.weight", "backbone.fpn.inner_blocks.1.0"),
        ("head.regression_head.bbox_reg.weight", "head.regression_head.bbox_reg"),
    ],
)
def test_a_changed_weight_fails_the_proof_and_names_the_layer(
    retinanet, tmp_path, monkeypatch, weight, first
):
    def change(model):
        (found,) = [w for w in model.graph.initializer if w.name == weight]
        values = numpy_helper.to_array(found).copy()
        values[0, 0] += 3
        found.CopyFrom(numpy_helper.from_array(values, weight))

    spoil(monkeypatch, change)
    with pytest.raises(ParityError, match=f"first apart at {first}"):
        convert(retinanet, tmp_path / "g.onnx", preprocess=SMALL)


def test_a_mistake_in_the_decoding_fails_the_proof(retinanet, tmp_path, monkeypatch):
    """The heads are right, so that only the boxes can tell."""

    def change(model):
        (found,) = [n for n in model.graph.node if n.op_type == "Exp" and n.name.startswith(PREFIX)]
        found.op_type = "Neg"

    spoil(monkeypatch, change)
    with pytest.raises(ParityError, match="0 of 4 pictures agree"):
        convert(retinanet, tmp_path / "g.onnx", preprocess=SMALL)


def test_names_of_before_load_without_an_epsilon(make_detector):
    network = make_detector("retinanet")
    earlier = {}
    for key, value in network.state_dict().items():
        name = key.replace("_blocks.0.0.", "_blocks.0.").replace("_blocks.1.0.", "_blocks.1.")
        name = name.replace("_blocks.2.0.", "_blocks.2.")
        for step in range(4):
            name = name.replace(f"_head.conv.{step}.0.", f"_head.conv.{2 * step}.?")
        if not key.endswith("num_batches_tracked"):
            earlier[name.replace("?", "")] = value
    module, spec = detector_of(checkpoint(earlier), None, None, (64, 64), 1)
    assert spec.eps == 0
    assert module.backbone.body.bn1.eps == 0
    later = detector_of(checkpoint(network.state_dict()), None, None, (64, 64), 1)[1]
    assert later.eps == 1e-5


def test_the_smallest_anchor_is_read_from_the_file(make_detector, tmp_path):
    state = make_detector("retinanet").state_dict()
    save_file(state, tmp_path / "w.safetensors", {"edgeresnet.smallest_anchor": "16"})
    assert spec_of(read_checkpoint(tmp_path / "w.safetensors")).smallest == 16


@pytest.mark.parametrize("text", ["0", "-4", "8.5", "wide", "99999"])
def test_a_smallest_anchor_that_is_no_side_is_refused(make_detector, tmp_path, text):
    state = make_detector("retinanet").state_dict()
    save_file(state, tmp_path / "w.safetensors", {"edgeresnet.smallest_anchor": text})
    with pytest.raises(ModelError, match="smallest_anchor"):
        read_checkpoint(tmp_path / "w.safetensors")


def test_the_stride_of_the_backbone_is_as_said(make_detector):
    state = make_detector("retinanet").state_dict()
    module, spec = detector_of(checkpoint(state), None, "1x1", (64, 64), 1)
    assert spec.backbone.stride_in == "1x1"
    assert module.backbone.body.layer2[0].conv1.stride == (2, 2)
    assert spec_of(checkpoint(state, stride_in="1x1")).backbone.stride_in == "1x1"


def test_another_architecture_than_the_weights_is_refused(retinanet, tmp_path):
    with pytest.raises(UsageError, match=r"is a retinanet_.*, not 'fcos_resnet50_fpn'"):
        convert(retinanet, tmp_path / "g.onnx", arch="fcos_resnet50_fpn")


def test_a_detector_of_no_known_kind_says_which_key(make_detector):
    state = make_detector("retinanet").state_dict()
    del state["head.classification_head.cls_logits.weight"]
    with pytest.raises(ModelError, match=r"cls_logits\.weight") as caught:
        spec_of(checkpoint(state))
    assert "FCOS" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("roi_heads.mask_head.0.0.weight", "unexpected: roi_heads.mask_head.0.0.weight"),
        ("rpn.head.bbox_pred.bias", "missing: rpn.head.bbox_pred.bias"),
    ],
)
def test_weights_of_another_detector_are_told_without_an_option_that_was_not_given(
    make_detector, key, says
):
    state = dict(make_detector("faster rcnn").state_dict())
    if state.pop(key, None) is None:
        state[key] = torch.zeros(1)
    with pytest.raises(ModelError, match=says) as caught:
        detector_of(checkpoint(state), None, None, (64, 64), 1)
    assert "--arch" not in caught.value.hint
    assert "Faster R-CNN" in caught.value.hint


@pytest.mark.parametrize("prefix", ["detector.", "model.", "student.net."])
def test_a_detector_under_any_prefix_is_one(make_detector, tmp_path, prefix):
    network = make_detector("retinanet")
    state = {f"{prefix}{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "w.ckpt")
    found = read_checkpoint(tmp_path / "w.ckpt")
    assert detector_of(found, None, None, (64, 64), 1)[1] == network.spec


def test_what_a_trainer_keeps_beside_a_detector_is_named(make_detector, tmp_path):
    state = {f"model.{k}": v for k, v in make_detector("retinanet").state_dict().items()}
    torch.save({"state_dict": {**state, "criterion.weight": torch.ones(3)}}, tmp_path / "w.ckpt")
    with pytest.raises(ModelError, match=r"retinanet_.*: unexpected: criterion\.weight\n"):
        convert(tmp_path / "w.ckpt", tmp_path / "g.onnx", preprocess=SMALL)


def test_a_list_of_classes_without_the_background_is_told_of_it(retinanet, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    with pytest.raises(UsageError, match="names 2 classes, the network has 3") as caught:
        convert(retinanet, tmp_path / "g.onnx", preprocess=SMALL, classes=tmp_path / "names.txt")
    assert "background as class 0" in caught.value.hint


def test_inspect_tells_a_detector(retinanet):
    report = describe_checkpoint(retinanet).as_json()
    assert report["arch"].startswith("retinanet_")
    assert (report["task"], report["classes"], report["width"]) == ("detect", 3, 0.125)


def test_the_probe_finds_the_channel_order_of_a_detector(
    make_detector, tmp_path, sample_weights, few_pictures
):
    """With the norms of a trained backbone; the rest of the detector is drawn."""
    state = make_detector("retinanet").state_dict()
    report = convert(
        with_trained_body(state, sample_weights, tmp_path),
        tmp_path / "g.onnx",
        images=few_pictures,
        preprocess={"size": (128, 128)},
    )
    assert report.training_match == "matches"
    assert {v.candidate.name for v in report.match.verdicts} > {"as given", "BGR"}


def with_trained_body(state, sample_weights, tmp_path):
    from edgeresnet.convert.networks import RetinaNet, RetinaNetSpec, infer_spec

    trained = read_checkpoint(sample_weights).state
    spec = infer_spec({k: tuple(v.shape) for k, v in trained.items()})
    network = RetinaNet(RetinaNetSpec(spec, 3, 32))
    body = {f"backbone.body.{k}": v for k, v in trained.items() if not k.startswith("fc.")}
    network.load_state_dict(body, strict=False)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


def test_what_quantize_compares_its_pictures_with_is_kept(retinanet, tmp_path):
    model = load_onnx(convert(retinanet, tmp_path / "g.onnx", preprocess=SMALL).graph.path)
    kept = json.loads(read_metadata(model)["batchnorm"])
    assert any(name.startswith("backbone.body.") for name in kept)
