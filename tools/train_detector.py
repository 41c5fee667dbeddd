"""Fine-tunes a RetinaNet on annotated pictures, from the backbone of a trained classifier.

usage: train_detector.py resnet50-v1-imagenet1k.pth --stride-in 1x1 --data BCCD -o cells.safetensors

DATA is a Pascal VOC folder. Trained is on its trainval.txt (ImageSets/Main), measured on its
test.txt, which nothing is chosen by: the last epoch's average is what is written. `edgeresnet
convert` reads the result. The defaults are meant for a GPU; on a CPU `--size 320 --channels 64
--smallest-anchor 16 --epochs 15 --batch 8` takes about half an hour on a quiet machine.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from detector_data import Phase, Recipe
from detector_training import keep, mean_precision, train, widen, write

from edgeresnet.convert.checkpoint import read_checkpoint
from edgeresnet.convert.networks import RetinaNet, RetinaNetSpec, infer_spec
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Crop, Preprocess
from edgeresnet.datasets.annotated import AnnotatedSet
from edgeresnet.datasets.annotations import for_labels, read_annotations


def read_sets(data: Path) -> tuple[AnnotatedSet, AnnotatedSet]:
    """What to train on and what to measure with; class ids of both are the former's."""
    lists = data / "ImageSets" / "Main"
    teaching = read_annotations(data, lists / "trainval.txt")
    held_out = read_annotations(data, lists / "test.txt")
    shared = {one.path for one in teaching.pictures} & {one.path for one in held_out.pictures}
    if shared:
        raise SystemExit(f"{len(shared)} pictures are in trainval.txt and in test.txt")
    held_out, _ = for_labels(held_out, Labels(teaching.classes))
    for found in (teaching, held_out):
        boxes = sum(len(picture.class_ids) for picture in found.pictures)
        faults = ", ".join(f"{n} {fault.words}" for fault, n in found.faults.counts.items())
        print(f"{found.origin.name}: {len(found.pictures)} pictures, {boxes} boxes; {faults}")
    return teaching, held_out


def fresh(options: argparse.Namespace, classes: int) -> RetinaNet:
    """The classifier's backbone, and a pyramid and heads that are drawn."""
    checkpoint = read_checkpoint(options.weights)
    try:
        backbone = replace(infer_spec(checkpoint.shapes), stride_in=options.stride_in)
    except ValueError as error:
        raise SystemExit(f"{options.weights.name} is no ResNet that is known: {error}") from error
    network = RetinaNet(
        RetinaNetSpec(backbone, classes, options.channels, smallest=options.smallest_anchor)
    )
    widen(network)
    state = {k: v for k, v in checkpoint.state.items() if not k.startswith("fc.")}
    network.backbone.body.load_state_dict(state, strict=False)  # counts of batches may lack
    return network


def main() -> None:
    """Reads, trains, measures and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, help="of a ResNet, with torchvision's names")
    parser.add_argument(
        "--stride-in", choices=["1x1", "3x3"], default="3x3", help="as convert has it"
    )
    parser.add_argument("--data", type=Path, required=True, help="Pascal VOC folder")
    parser.add_argument("-o", "--out", type=Path, default=Path("detector.safetensors"))
    parser.add_argument("--size", type=int, default=640, help="side of the letterbox")
    parser.add_argument("--channels", type=int, default=256, help="of the pyramid and the heads")
    parser.add_argument("--smallest-anchor", type=int, default=32, help="its side in pixels")
    parser.add_argument("--upright", action="store_true", help="never turned upside down")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--backbone-lr", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of torch: fewer where others compute as well")
    parser.add_argument("--device", help="cuda where there is one, else cpu")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    started = time.monotonic()
    teaching, held_out = read_sets(options.data)
    names = teaching.classes
    size = (options.size, options.size)
    preprocess = Preprocess(size=size, resize=None, crop=Crop.LETTERBOX)
    network = fresh(options, len(names))
    recipe = Recipe(
        phases=(Phase(options.epochs, options.size, (0.8, 1.5)),),
        batch=options.batch,
        lr=options.lr,
        backbone_lr=options.backbone_lr,
        mirror=(True,) * len(names),
        upright=options.upright,
        fixed_statistics=True,
        seed=options.seed,
    )
    for epoch, average in train(network, teaching.pictures, recipe, device):
        value, value50 = mean_precision(average, held_out.pictures, preprocess, names)
        print(f"epoch {epoch}: held out mAP@[.5:.95] {value:.2f} %, mAP@.5 {value50:.2f} %")
        keep(average, options.out.with_suffix(".pth"))
    write(
        average,
        options.out,
        held_out.pictures,
        preprocess,
        names,
        about={"held_out": held_out.origin.name},
        made_with=f"tools/train_detector.py --size {options.size} --epochs {options.epochs} "
        f"--batch {options.batch} --seed {options.seed} on {device}; torch {torch.__version__}",
    )
    print(f"{(time.monotonic() - started) / 60:.1f} min")


if __name__ == "__main__":
    main()
