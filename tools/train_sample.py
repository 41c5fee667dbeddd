"""Trains the sample networks that ship with edgeresnet: quarter-width ResNet-50, drawn pictures.

The classifier, or with ``--task detect`` the detector on top of its backbone: see
sample_detector.py. About half an hour on two cores each. Nothing is downloaded; the same seed
draws the same pictures. The classifier's training pictures have seed 1, the 2000 validation
pictures seed 2.
"""

import argparse
import copy
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import sample_detector
import torch
from detector_data import to_tensor
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgeresnet.convert.networks import ResNet, ResNetSpec, arch_name, build, infer_spec
from edgeresnet.convert.networks.resnet import Bottleneck
from edgeresnet.core.preprocess import Preprocess, as_json, fit
from edgeresnet.datasets.procedural import CLASSES, draw_picture
from edgeresnet.datasets.procedural.effects import recompress
from edgeresnet.datasets.procedural.scenes import FILE_QUALITY
from edgeresnet.datasets.procedural.shapes import SHAPES

SPEC = ResNetSpec("bottleneck", (3, 4, 6, 3), width=0.25, classes=len(CLASSES))
PREPROCESS = Preprocess(size=(128, 128), resize=146)
PICTURE_SIZE = (160, 160)
TRAIN_SEED, VALIDATION_SEED = 1, 2
VALIDATION_PICTURES = 2000
BATCH = 128
SMOOTHING = 0.05
EMA_DECAY = 0.995
MIRROR = np.asarray([shape.mirror for shape in SHAPES])
DEFAULT_OUT = Path(__file__).parents[1] / "edgeresnet" / "demo" / "sample.safetensors"

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Labelled:
    """Pictures (n, 160, 160, 3) uint8 BGR with their classes (n,)."""

    pictures: Pictures
    labels: NDArray[np.int64]


def draw_into(path: Path, seed: int, shape: tuple[int, ...], span: tuple[int, int]) -> None:
    """Draws pictures span[0] to span[1] into the mapped array, as they are read back from JPEG."""
    cv2.setNumThreads(1)
    array = np.lib.format.open_memmap(path, mode="r+", shape=shape)
    for index in range(*span):
        pixels = draw_picture(index, seed=seed, size=PICTURE_SIZE).pixels
        array[index] = recompress(pixels, FILE_QUALITY)
    array.flush()


def draw(folder: Path, count: int, seed: int, pool: ProcessPoolExecutor) -> Labelled:
    """The set's first count pictures, kept in a file in folder."""
    path = folder / f"seed{seed}_{count}.npy"
    shape = (count, PICTURE_SIZE[1], PICTURE_SIZE[0], 3)
    if not path.exists():
        part = path.with_suffix(".part")
        np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape).flush()
        spans = [(start, min(start + 500, count)) for start in range(0, count, 500)]
        list(pool.map(partial(draw_into, part, seed, shape), spans))
        part.rename(path)
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    return Labelled(np.load(path, mmap_mode="r"), labels)


def augment(picture: Pictures, mirror: bool, side: int, rng: np.random.Generator) -> Pictures:
    """A random part of the picture, near to what inference sees of it, at side x side pixels."""
    height, width = picture.shape[:2]
    wide, tall = rng.uniform(0.72, 1.0) * width, rng.uniform(0.72, 1.0) * height
    wide = float(np.clip(wide, 0.88 * tall, 1.14 * tall))
    x, y = int(rng.uniform(0, width - wide)), int(rng.uniform(0, height - tall))
    part = picture[y : y + int(tall), x : x + int(wide)]
    area = part.shape[0] > side and part.shape[1] > side
    flag = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    part = np.asarray(cv2.resize(part, (side, side), interpolation=flag), np.uint8)
    if mirror and rng.random() < 0.5:
        part = part[:, ::-1]
    gain, lift = rng.uniform(0.8, 1.2), rng.uniform(-18, 18)
    return np.asarray(cv2.convertScaleAbs(np.maximum(part * gain + lift, 0)), np.uint8)


def batches(data: Labelled, sides: list[int], seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches, one pass a side, prepared on a thread of their own."""
    rng = np.random.default_rng((seed, TRAIN_SEED))

    def prepare(chosen: NDArray[np.int64], side: int, key: int) -> tuple[Tensor, Tensor]:
        own = np.random.default_rng((seed, key))
        labels = data.labels[chosen]
        pictures = [
            augment(data.pictures[i], bool(MIRROR[label]), side, own)
            for i, label in zip(chosen, labels, strict=True)
        ]
        return to_tensor(np.stack(pictures)), torch.from_numpy(labels)

    with ThreadPoolExecutor(1) as thread:
        waiting = []
        for epoch, side in enumerate(sides):
            order = rng.permutation(len(data.labels))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                key = epoch * len(order) + start
                waiting.append(thread.submit(prepare, order[start : start + BATCH], side, key))
                if len(waiting) > 4:
                    yield waiting.pop(0).result()
        for last in waiting:
            yield last.result()


def train(data: Labelled, epochs: int, seed: int) -> ResNet:
    """The exponential moving average of a network trained by AdamW under a one-cycle rate."""
    torch.manual_seed(seed)
    network = build(SPEC)
    for module in network.modules():
        if isinstance(module, Bottleneck):  # each block starts as its shortcut
            nn.init.zeros_(module.bn3.weight)
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    average: ResNet = copy.deepcopy(network)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    other = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": other, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    # Small pictures first: they cost half and teach the early epochs as much.
    sides = [
        96 if epoch < 0.4 * epochs else 112 if epoch < 0.7 * epochs else 128
        for epoch in range(epochs)
    ]
    steps = len(data.labels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=4e-3, total_steps=steps * epochs, pct_start=0.2
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    total, started = 0.0, time.monotonic()
    for step, (x, labels) in enumerate(batches(data, sides, seed), 1):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(network(x.contiguous(memory_format=torch.channels_last)), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
        with torch.no_grad():
            decay = min(EMA_DECAY, step / (step + 10))
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
        if step % steps == 0:
            minutes = (time.monotonic() - started) / 60
            print(
                f"epoch {step // steps}/{epochs}  side {x.shape[-1]}  "
                f"loss {total / steps:.4f}  {minutes:.1f} min",
                flush=True,
            )
            total = 0.0
    return average


def fitted(data: Labelled, indices: NDArray[np.int64]) -> Tensor:
    """Input of these pictures exactly as inference prepares it."""
    return to_tensor(np.stack([fit(data.pictures[i], PREPROCESS) for i in indices]))


@torch.no_grad()
def restate(network: ResNet, data: Labelled, pictures: int = 8192) -> None:
    """Estimates every BatchNorm's statistics anew, on training pictures as inference sees them."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    network.train()
    order = np.random.default_rng(TRAIN_SEED).permutation(len(data.labels))[:pictures]
    for start in range(0, len(order) - BATCH + 1, BATCH):
        network(fitted(data, order[start : start + BATCH]))
    network.eval()


@torch.no_grad()
def top1(network: ResNet, data: Labelled) -> tuple[float, NDArray[np.int64]]:
    """Percent right, and the confusion matrix [true, predicted]."""
    network.eval()
    matrix = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for start in range(0, len(data.labels), BATCH):
        chosen = np.arange(start, min(start + BATCH, len(data.labels)))
        predicted = network(fitted(data, chosen)).argmax(1).numpy()
        np.add.at(matrix, (data.labels[chosen], predicted), 1)
    return 100.0 * float(np.trace(matrix)) / len(data.labels), matrix


def rounded(network: ResNet) -> dict[str, Tensor]:
    """State dict as it is shipped: convolutions and fc in float16, BatchNorm in float32."""
    return {
        key: (value.half() if value.ndim > 1 or key.startswith("fc.") else value).contiguous()
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def read_back(path: Path) -> ResNet:
    """The network of a shipped file."""
    state = {key: value.float() for key, value in load_file(path).items()}
    network = build(infer_spec({key: tuple(value.shape) for key, value in state.items()}))
    network.load_state_dict(state, strict=False)
    return network.eval()


def save(network: ResNet, path: Path, validation: Labelled, made_with: str) -> float:
    """Writes the weights, then measures what was written and records it; top-1 in percent."""
    metadata = {
        "edgeresnet.arch": arch_name(SPEC),
        "edgeresnet.stride_in": SPEC.stride_in,
        "edgeresnet.labels": json.dumps(CLASSES),
        "edgeresnet.preprocess": as_json(PREPROCESS),
        "edgeresnet.made_with": made_with,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    state = rounded(network)
    save_file(state, part, metadata)
    value, matrix = top1(read_back(part), validation)
    accuracy = {
        "top1": round(value, 2),
        "pictures": len(validation.labels),
        "seed": VALIDATION_SEED,
    }
    save_file(state, part, metadata | {"edgeresnet.accuracy": json.dumps(accuracy)})
    part.chmod(0o644)
    part.rename(path)
    for true, row in enumerate(matrix):
        wrong = [(n, CLASSES[i]) for i, n in enumerate(row) if n and i != true]
        most = ", ".join(f"{n} {name}" for n, name in sorted(wrong, reverse=True)[:3])
        print(f"{CLASSES[true]:<17} {100 * row[true] / row.sum():5.1f} %  {most}")
    return value


def classify(options: argparse.Namespace, folder: Path) -> None:
    """Draws, trains, rounds, measures and writes the classifier."""
    started = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        validation = draw(folder, VALIDATION_PICTURES, VALIDATION_SEED, pool)
        data = draw(folder, options.pictures, TRAIN_SEED, pool)
    print(f"drawn in {(time.monotonic() - started) / 60:.1f} min", flush=True)
    network = train(data, options.epochs, options.seed)
    restate(network, data)
    made_with = (
        f"tools/train_sample.py --seed {options.seed} --epochs {options.epochs} "
        f"--pictures {options.pictures}; torch {torch.__version__}"
    )
    value = save(network, options.out, validation, made_with)
    size_mb = options.out.stat().st_size / 1e6
    minutes = math.ceil((time.monotonic() - started) / 6) / 10
    print(f"{options.out.name}: top-1 {value:.2f} %, {size_mb:.2f} MB, {minutes} min")


def main() -> None:
    """Trains what ``--task`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="safetensors file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the augmentation")
    parser.add_argument("--epochs", type=int, help="13, of the detector 3")
    parser.add_argument(
        "--pictures", type=int, help="training pictures: 24000, of the detector 6000"
    )
    parser.add_argument("--task", choices=["classify", "detect"], default="classify")
    parser.add_argument("--threads", type=int, help="of torch: fewer where others compute as well")
    parser.add_argument("--keep", type=Path, help="folder for drawn pictures, used again if there")
    options = parser.parse_args()
    detect = options.task == "detect"
    options.out = options.out or (sample_detector.DEFAULT_OUT if detect else DEFAULT_OUT)
    options.epochs = options.epochs or (3 if detect else 13)
    options.pictures = options.pictures or (6000 if detect else 24000)
    torch.set_flush_denormal(True)
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        (sample_detector.make if detect else classify)(options, folder)


if __name__ == "__main__":
    main()
