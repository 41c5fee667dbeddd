"""Trains a RetinaNet on annotated pictures: one loop for the sample and for real data."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from detector_data import Recipe, batches, read, to_tensor
from detector_losses import Truth, losses
from safetensors.torch import save_file
from torch import Tensor, nn

from edgeresnet.convert.networks import RetinaNet, detector_name
from edgeresnet.convert.networks.decode import Decode
from edgeresnet.core.boxes import MOST
from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import Labels
from edgeresnet.core.predictions import Detections
from edgeresnet.core.preprocess import Preprocess, as_json, fit
from edgeresnet.core.tensors import BOXES, CLASS_IDS, IMAGE, SCORES
from edgeresnet.datasets.annotated import Annotated
from edgeresnet.metrics.average_precision import figures
from edgeresnet.metrics.matching import match
from edgeresnet.tasks.detect import Detect
from edgeresnet.tasks.thresholds import least_scores

LEAST_SCORE = 0.02
WARM_UP = 0.08  # share of all steps
BOX_WEIGHT = 1.5
EMA_DECAY = 0.995


def widen(network: RetinaNet) -> None:
    """Draws the heads' inner convolutions so that a narrow head, too, passes its input on."""
    for branch in (network.head.classification_head, network.head.regression_head):
        for module in branch.conv.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def rate(step: int, steps: int) -> float:
    """Share of the highest rate: up in a line, down along a cosine."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2


def train(
    network: RetinaNet,
    data: Sequence[Annotated],
    recipe: Recipe,
    device: torch.device,
    look: Path | None = None,
) -> Iterator[tuple[int, RetinaNet]]:
    """After each epoch its number and the exponential moving average of the network so far.

    Fewer pictures than a batch are refused: no epoch would end.
    """
    if len(data) < recipe.batch:
        raise SystemExit(
            f"{len(data)} pictures to learn from are fewer than a batch of {recipe.batch}: "
            "train with a smaller one"
        )
    torch.manual_seed(recipe.seed)
    network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average: RetinaNet = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(_groups(network, recipe))
    each = len(data) // recipe.batch
    steps = each * sum(phase.epochs for phase in recipe.phases)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    anchors = {
        phase.side: network.anchors((phase.side, phase.side)).to(device) for phase in recipe.phases
    }
    total, started = np.zeros(2), time.monotonic()
    for step, (epoch, x, found) in enumerate(batches(data, recipe), 1):
        network.train()
        if recipe.fixed_statistics:
            fix_statistics(network)
        truths = [Truth(t.boxes.to(device), t.class_ids.to(device)) for t in found]
        with torch.autocast(device.type, torch.bfloat16):
            logits, deltas = network(x.to(device, memory_format=torch.channels_last))
        class_loss, box_loss = losses(logits, deltas, anchors[x.shape[-1]], truths)
        optimizer.zero_grad()
        (class_loss + BOX_WEIGHT * box_loss).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        total += class_loss.item(), box_loss.item()
        follow(average, network, min(EMA_DECAY, step / (step + 10)))
        if step % each == 0 or step % 50 == 0:
            done = (step - 1) % each + 1
            print(
                f"epoch {epoch + 1}  step {step}/{steps}  side {x.shape[-1]}  "
                f"class {total[0] / done:.4f}  box {total[1] / done:.4f}  "
                f"{(time.monotonic() - started) / 60:.1f} min",
                flush=True,
            )
            if look is not None:
                keep(average, look)
        if step % each == 0:
            total[:] = 0
            yield epoch + 1, average


def fix_statistics(network: nn.Module) -> None:
    """Lets every BatchNorm normalise by what it has, and learn nothing from the batch."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves the average towards the network."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for mine, new in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(new)


def _groups(network: RetinaNet, recipe: Recipe) -> list[dict[str, object]]:
    groups: list[dict[str, object]] = []
    for of_backbone, lr in ((True, recipe.backbone_lr), (False, recipe.lr)):
        for decayed in (True, False):
            chosen = [
                p
                for name, p in network.named_parameters()
                if name.startswith("backbone.body.") is of_backbone and (p.ndim > 1) is decayed
            ]
            groups.append({"params": chosen, "lr": lr, "weight_decay": 0.05 if decayed else 0.0})
    return groups


@torch.no_grad()
def restate(network: RetinaNet, data: Sequence[Annotated], preprocess: Preprocess) -> None:
    """Estimates every BatchNorm's statistics anew, on pictures as inference sees them.

    Of the pictures beyond the last full batch of 16 nothing is taken, unless there are fewer.
    """
    if not data:
        raise SystemExit("no pictures to estimate the statistics of")
    device = next(network.parameters()).device
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    network.train()
    batch = min(16, len(data))
    for start in range(0, len(data) - batch + 1, batch):
        shown = data[start : start + batch]
        network(to_tensor([fit(read(t), preprocess) for t in shown]).to(device))
    network.eval()


@torch.no_grad()
def detections(
    network: RetinaNet, data: Sequence[Annotated], preprocess: Preprocess, names: Sequence[str]
) -> tuple[Detections, ...]:
    """What the network finds on each picture, in pixels of that picture, as a run has it."""
    network.eval()
    device = next(network.parameters()).device
    decode = Decode(network, network.spec.classes, preprocess.size).to(device)
    labels = Labels(tuple(names))
    task = Detect(preprocess, labels, MOST, least_scores(labels, LEAST_SCORE))

    def of(frame: Frame) -> Detections:
        outputs = network.detect(to_tensor(task.feeds(frame)[IMAGE]).to(device), decode)
        arrays = (values.cpu().numpy() for values in outputs)
        return task.prediction(dict(zip((BOXES, SCORES, CLASS_IDS), arrays, strict=True)), frame)

    frames = (Frame(read(truth), n, 0, truth.path.name) for n, truth in enumerate(data))
    return tuple(map(of, frames))


def mean_precision(
    network: RetinaNet, data: Sequence[Annotated], preprocess: Preprocess, names: Sequence[str]
) -> tuple[float, float]:
    """mAP@[.5:.95] and mAP@.5 in percent."""
    return figures(match(data, detections(network, data, preprocess, names)))


def write(
    network: RetinaNet,
    path: Path,
    validation: Sequence[Annotated],
    preprocess: Preprocess,
    names: Sequence[str],
    *,
    about: Mapping[str, object],
    made_with: str,
) -> tuple[float, float]:
    """Writes the weights with what ``convert`` must know of them, and measures what was written.

    mAP@[.5:.95] and mAP@.5 in percent, which the file says too, with what ``about`` has.
    """
    metadata = {
        "edgeresnet.arch": detector_name(network.spec),
        "edgeresnet.stride_in": network.spec.backbone.stride_in,
        "edgeresnet.smallest_anchor": str(network.spec.smallest),
        "edgeresnet.labels": json.dumps(list(names)),
        "edgeresnet.preprocess": as_json(preprocess),
        "edgeresnet.made_with": made_with,
    }
    part = path.with_suffix(".part")
    state = rounded(network)
    network.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    value, value50 = mean_precision(network, validation, preprocess, names)
    accuracy = {"map": round(value, 2), "map50": round(value50, 2), "pictures": len(validation)}
    path.parent.mkdir(parents=True, exist_ok=True)
    accuracy_json = json.dumps({**accuracy, **about})
    save_file(state, part, metadata | {"edgeresnet.accuracy": accuracy_json})
    part.chmod(0o644)
    part.rename(path)
    size_mb = path.stat().st_size / 1e6
    print(
        f"{path.name}: mAP@[.5:.95] {value:.2f} %, mAP@.5 {value50:.2f} % "
        f"of {len(validation)} unseen pictures, {size_mb:.2f} MB",
        flush=True,
    )
    return value, value50


def rounded(network: nn.Module) -> dict[str, Tensor]:
    """State dict as it is kept: convolutions in float16, BatchNorm and biases in float32."""
    return {
        key: (value.half() if value.ndim > 1 else value).contiguous().cpu()
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def keep(network: nn.Module, path: Path) -> None:
    """Writes the weights as they are, for a look at them while training goes on."""
    part = path.with_suffix(".part")
    torch.save(network.state_dict(), part)
    part.rename(path)
