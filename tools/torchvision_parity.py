"""Checks edgeresnet's networks against torchvision's own definitions, same weights, same inputs.

Builds its own environment: torchvision's and Pillow's wheels are unpacked into a temporary folder,
without what they depend on and without torchvision's compiled operators, which need the torch that
they were built with; the one that is called, nms, is written here in torch. Weights are random.
Prints one line a network; exits 1 when names or shapes of the weights differ, logits of a ResNet by
more than 1e-5 of the largest, what the heads of a detector give by more than 1e-4 of the largest,
or its decoded boxes by more than 1e-4 of the picture's side, its scores by more than 1e-4.

torchvision's list of a network's weights is that of its published checkpoints, so this also shows
that those load by name; the older names that COCO's first checkpoints have are tried as well.

With --fixture also writes what torchvision makes of drawn_detectors.py, for `make test`.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from drawn_detectors import write_fixture
from torch import Tensor

from edgeresnet.convert.networks import (
    ARCHITECTURES,
    FasterRCNN,
    build,
    build_detector,
    infer_detector,
    infer_spec,
)
from edgeresnet.convert.networks.decode import Decode
from edgeresnet.convert.networks.faster_rcnn import DecodeRegions
from edgeresnet.convert.networks.fpn import current_names, frozen_eps

TOLERANCE = 1e-5
DETECTOR_TOLERANCE = 1e-4
DETECTORS = (
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
    "fcos_resnet50_fpn",
    "fasterrcnn_resnet50_fpn",
)
NAMED_BEFORE = ("retinanet_resnet50_fpn", "fcos_resnet50_fpn", "fasterrcnn_resnet50_fpn")
"""Whose published checkpoints have the names of before torchvision 0.13."""
NO_EPSILON = ("retinanet_resnet50_fpn", "fasterrcnn_resnet50_fpn")
"""Where torchvision sets the epsilon to 0 behind loading the published checkpoint."""


def import_torchvision(requirement: str, folder: Path) -> ModuleType:
    """The torchvision that pip picks for requirement, installed to folder, in Python alone."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, requirement, "pillow"], check=True)
    for library in (folder / "torchvision").glob("*.so"):
        library.unlink()
    torch._dynamo.config.disable = True  # noqa: SLF001  # nothing here is worth compiling
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor b, Tensor s, float t) -> Tensor")
    sys.path.insert(0, str(folder))
    torchvision = importlib.import_module("torchvision")
    importlib.import_module("torchvision.models.detection")
    boxes: Any = importlib.import_module("torchvision.ops.boxes")
    boxes.nms = nms
    return torchvision


def nms(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """Stands for torchvision's compiled operator."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    free, kept = torch.ones(len(boxes), dtype=torch.bool), []
    for i in scores.argsort(descending=True).tolist():
        if free[i]:
            kept.append(i)
            low = torch.maximum(boxes[:, :2], boxes[i, :2])
            shared = (torch.minimum(boxes[:, 2:], boxes[i, 2:]) - low).clamp(min=0).prod(1)
            free &= shared / (area + area[i] - shared) <= overlap
    return torch.tensor(kept, dtype=torch.int64)


def randomise(network: torch.nn.Module, seed: int) -> None:
    """Gives BatchNorm statistics and gains that are not 0 and 1, so that swapped ones show."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if hasattr(module, "running_var"):
            for tensor, low, high in (
                (module.weight.data, 0.4, 0.8),
                (module.bias.data, -0.2, 0.2),
                (module.running_mean, -0.1, 0.1),
                (module.running_var, 0.8, 1.2),
            ):
                tensor.uniform_(low, high, generator=generator)


def compare(name: str, torchvision: ModuleType, size: int) -> float:
    """Largest difference of the logits, relative to the largest logit."""
    spec = ARCHITECTURES[name]
    theirs = getattr(torchvision.models, name)(weights=None).eval()
    randomise(theirs, seed=1)
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    if infer_spec(shapes) != spec:
        raise ValueError(f"{name}: spec read as {infer_spec(shapes)}")
    ours = build(spec).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        a, b = ours(x), theirs(x)
    return float((a - b).abs().max() / b.abs().max())


def earlier_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of before torchvision 0.13, as its own loading understands them."""
    renamed = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[-4:-2] and parts[-4] in ("inner_blocks", "layer_blocks"):
            parts = [*parts[:-2], parts[-1]]
        elif key.startswith("rpn.head.conv.0.0."):
            parts = ["rpn", "head", "conv", parts[-1]]
        elif parts[-4:-3] == ["conv"] and parts[0] == "head":
            parts = [*parts[:-3], str(2 * int(parts[-3])), parts[-1]]
        renamed[".".join(parts)] = value
    return renamed


def detector(name: str, torchvision: ModuleType) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The network of torchvision as when it has loaded its COCO weights, and ours with the same.

    Only the published file itself is not there: its names are torchvision's own list.
    """
    models = torchvision.models.detection
    before = name in NAMED_BEFORE
    theirs = getattr(models, name)(weights=None, weights_backbone=None).eval()
    frozen = torchvision.ops.FrozenBatchNorm2d
    if not name.endswith("_v2"):
        _freeze(theirs, frozen, 0.0 if name in NO_EPSILON else 1e-5)
    torch.manual_seed(1)
    randomise(theirs, seed=1)
    for key, weight in theirs.named_parameters():
        if "cls_" in key or "bbox_" in key:
            torch.nn.init.normal_(weight, std=0.02)
    state = dict(theirs.state_dict())
    if before:
        state = earlier_names(state)
        theirs.load_state_dict(state)  # torchvision's own reading of such names
    shapes = {key: tuple(value.shape) for key, value in current_names(state).items()}
    ours = build_detector(infer_detector(shapes, frozen_eps(state))).eval()
    missing, extra = ours.load_state_dict(current_names(state), strict=False)
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or extra:
        raise ValueError(f"{name}: missing {missing[:4]}, left over {extra[:4]}")
    return theirs, ours


def _freeze(module: torch.nn.Module, frozen: type[torch.nn.Module], eps: float) -> None:
    for name, child in module.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            setattr(module, name, frozen(child.num_features, eps=eps))
        else:
            _freeze(child, frozen, eps)


def compare_detector(name: str, torchvision: ModuleType, size: int) -> tuple[float, float]:
    """Largest differences of what the heads give, relative; and of boxes, in sides, and scores."""
    theirs, ours = detector(name, torchvision)
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2))
    images = importlib.import_module("torchvision.models.detection.image_list")
    pictures = images.ImageList(x, [(size, size)])
    with torch.no_grad():
        if isinstance(ours, FasterRCNN):
            return _two_stages(theirs, ours, pictures)
        features = list(theirs.backbone(x).values())  # type: ignore[operator]
        given: Any = theirs.head(features)  # type: ignore[operator]
        (anchors,) = theirs.anchor_generator(pictures, features)  # type: ignore[operator]
        expected = [
            given[k] for k in ("cls_logits", "bbox_regression", "bbox_ctrness") if k in given
        ]
        found = ours(x)
        heads = max(_relative(a, b) for a, b in zip(found, expected, strict=True))
        coder: Any = theirs.box_coder
        decode = getattr(coder, "decode_single", coder.decode)
        boxes = decode(expected[1][0], anchors)
        off = (ours.decode(found[1][0], ours.anchors((size, size))) - boxes).abs().max() / size
        got = Decode(ours, ours.spec.classes, (size, size))(*ours.maps(x))
        scores = _scores(expected)
        clipped = boxes.clamp(0, size)
        return heads, max(float(off), _given(got, clipped, scores, size))


def _scores(heads: list[Tensor]) -> Tensor:
    scores = torch.sigmoid(heads[0][0])
    return torch.sqrt(scores * torch.sigmoid(heads[2][0])) if len(heads) > 2 else scores


def _given(got: tuple[Tensor, ...], boxes: Tensor, scores: Tensor, size: int) -> float:
    """How far each box that the graph gives is from torchvision's box of that class and score."""
    worst = 0.0
    found, ranks, class_ids = (values[0] for values in got)
    best = scores.reshape(-1).topk(len(ranks)).values
    worst = max(worst, float((ranks - best).abs().max()))
    for box, score, label in zip(found[:200], ranks[:200], class_ids[:200], strict=True):
        off = torch.maximum(
            (boxes - box).abs().amax(-1) / size, (scores[:, int(label)] - score).abs()
        )
        worst = max(worst, float(off.min()))
    return worst


def _relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _two_stages(theirs: torch.nn.Module, ours: FasterRCNN, pictures: object) -> tuple[float, float]:
    x, size = pictures.tensors, pictures.image_sizes[0]
    features = theirs.backbone(x)
    logits, deltas = theirs.rpn.head(list(features.values()))
    levels, *found = ours(x)
    pairs = zip([*found[0], *found[1]], [*logits, *deltas], strict=True)
    heads = max(_relative(a, b) for a, b in pairs)
    (proposals,), _ = theirs.rpn(pictures, features)
    decode = DecodeRegions(ours, size)
    boxes, real = decode("proposals", *found)
    count = int(real.sum())
    if count != len(proposals):
        raise ValueError(f"{count} proposals instead of {len(proposals)}")
    apart = (boxes[:count, None] - proposals).abs().amax(-1)
    off, order = float(apart.amin(0).max()), apart.argmin(0)  # near equals may change places
    boxes = torch.cat([boxes[order], boxes[count:]])
    pooled = theirs.roi_heads.box_roi_pool(features, [proposals], [size])
    ours_pooled = decode("pool", boxes, *levels[:-1])
    heads = max(heads, _relative(ours_pooled[:count], pooled))
    scores, regression = theirs.roi_heads.box_predictor(theirs.roi_heads.box_head(pooled))
    second = ours.roi_heads(ours_pooled)
    heads = max(
        heads, _relative(second[0][:count], scores), _relative(second[1][:count], regression)
    )
    everywhere = theirs.roi_heads.box_coder.decode(regression, [proposals]).clamp(0, max(size))
    got = decode("boxes", *second, boxes, real)
    shown = torch.softmax(scores, -1)
    worst = off / max(size)
    for box, score, label in zip(*(values[0][:200] for values in got), strict=True):
        apart = (everywhere[:, int(label)] - box).abs().amax(-1) / max(size)
        worst = max(worst, float(torch.maximum(apart, (shown[:, int(label)] - score).abs()).min()))
    return heads, worst


def main() -> int:
    """Compares every network that both define."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torchvision", default="torchvision", help="what pip is asked for")
    parser.add_argument("--size", type=int, default=224, help="side of a ResNet's input in pixels")
    parser.add_argument("--detector-size", type=int, default=320, help="side of a detector's input")
    parser.add_argument("--only", choices=("resnets", "detectors"), help="leave the others out")
    parser.add_argument(
        "--fixture",
        type=Path,
        help="JSON of drawn detectors: tests/golden/torchvision_detectors.json",
    )
    options = parser.parse_args()
    agreed = True
    with tempfile.TemporaryDirectory() as folder:
        torchvision = import_torchvision(options.torchvision, Path(folder))
        print(f"torchvision {torchvision.__version__}, torch {torch.__version__}", flush=True)
        for name in ARCHITECTURES if options.only != "detectors" else ():
            if not hasattr(torchvision.models, name):
                print(f"{name:<26} not in torchvision")
                continue
            difference = compare(name, torchvision, options.size)
            agreed = agreed and difference <= TOLERANCE
            print(f"{name:<26} largest relative difference {difference:.1e}", flush=True)
        for name in DETECTORS if options.only != "resnets" else ():
            heads, boxes = compare_detector(name, torchvision, options.detector_size)
            agreed = agreed and max(heads, boxes) <= DETECTOR_TOLERANCE
            print(f"{name:<26} weights by name, heads {heads:.1e}, boxes {boxes:.1e}", flush=True)
        if options.fixture:
            write_fixture(options.fixture, torchvision)
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
