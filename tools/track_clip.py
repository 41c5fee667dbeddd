"""How well the tracker knows things again: counted against the truth of drawn clips.

usage: track_clip.py [--seconds 30] [--seeds 1 2 3 4] [--fps 30]

Detections are made from the true boxes with a seed: jittered, at times missed, at times invented;
scores fall as other things come to lie in front, and what is hidden is not detected at all. The
tracker and a naive one, which knows only the frame before, get the same detections. Printed are
the CLEAR MOT figures (Bernardin and Stiefelhagen 2008): a thing counts as found when a box overlaps
it by an IoU of 0.5, and as switched when that box's id is another than the last time. Things of
which less than a quarter can be seen count neither as missed nor as found.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeresnet.core.assignment import best_pairs
from edgeresnet.core.boxes import Boxes, iou_matrix
from edgeresnet.core.predictions import NOT_TRACKED, Detections
from edgeresnet.datasets.procedural.clips import ClipScene, draw_clip
from edgeresnet.datasets.procedural.shapes import CLASSES
from edgeresnet.tasks.tracking import Tracker

THRESHOLD = 0.3
MISSED, INVENTED = 0.08, 0.15  # of the things in a frame; a frame
JITTER = 0.03  # deviation of each side, of the thing's size
COUNTED, HIDDEN = 0.25, 0.3  # shares that can be seen
FOUND_IOU = 0.5
Follow = Callable[[Detections, float], Detections]
Seen = tuple[ClipScene, npt.NDArray[np.float64], Detections]
"""A frame, the share of each thing that can be seen, and what was detected."""


@dataclass
class Tally:
    """The sums of CLEAR MOT."""

    things: int = 0
    missed: int = 0
    false: int = 0
    switches: int = 0

    @property
    def mota(self) -> float:
        """Multiple object tracking accuracy, 1 at best."""
        return 1 - (self.missed + self.false + self.switches) / max(self.things, 1)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.things + other.things,
            self.missed + other.missed,
            self.false + other.false,
            self.switches + other.switches,
        )


def seen_shares(boxes: Boxes) -> npt.NDArray[np.float64]:
    """How much of each box no later one covers (n,), on a grid of 24 by 24 points."""
    steps = (np.arange(24) + 0.5) / 24
    x = boxes[:, 0, None] + (boxes[:, 2] - boxes[:, 0])[:, None] * steps
    y = boxes[:, 1, None] + (boxes[:, 3] - boxes[:, 1])[:, None] * steps
    shares = np.ones(len(boxes))
    for i in range(len(boxes)):
        later = boxes[i + 1 :]
        across = (x[i] >= later[:, :1]) & (x[i] <= later[:, 2:3])
        down = (y[i] >= later[:, 1:2]) & (y[i] <= later[:, 3:])
        shares[i] = 1 - (down[:, :, None] & across[:, None]).any(0).mean()
    return shares


def detections_of(
    scene: ClipScene, shares: npt.NDArray[np.float64], rng: np.random.Generator
) -> Detections:
    """What a fair detector might say of a scene, best first."""
    found = np.flatnonzero((shares > HIDDEN) & (rng.random(len(shares)) > MISSED))
    size = np.sqrt(np.prod(scene.boxes[found, 2:] - scene.boxes[found, :2], 1, keepdims=True))
    xyxy = scene.boxes[found] + JITTER * size * rng.standard_normal((len(found), 4))
    scores = np.clip(shares[found] - rng.uniform(0.05, 0.4, len(found)), 0.05, 0.99)
    kinds = scene.box_classes[found]
    height, width = scene.pixels.shape[:2]
    if rng.random() < INVENTED:
        corner, shape = rng.uniform(0, 0.7, 2), rng.uniform(0.05, 0.3, 2)
        box = np.concatenate([corner, corner + shape]) * (width, height, width, height)
        xyxy = np.concatenate([xyxy, box[None]])
        scores = np.append(scores, rng.uniform(0.1, 0.5))
        kinds = np.append(kinds, rng.integers(len(CLASSES)))
    order = np.argsort(-scores)
    return Detections(
        xyxy[order].astype(np.float32),
        scores[order].astype(np.float32),
        kinds[order],
        tuple(CLASSES[kind] for kind in kinds[order]),
    )


class Naive:
    """Knows the frame before, and nothing else: greedy by IoU."""

    def __init__(self) -> None:
        self._before: Detections | None = None
        self._next = 1

    def follow(self, found: Detections, _moment_s: float) -> Detections:
        """The sure boxes with their ids."""
        found = found.only(np.flatnonzero(found.scores >= THRESHOLD))
        ids = np.full(len(found), NOT_TRACKED)
        if self._before is not None and len(self._before) and len(found):
            overlap = iou_matrix(found.xyxy, self._before.xyxy)
            overlap[found.class_ids[:, None] != self._before.class_ids] = 0
            while overlap.max() > 0.3:
                box, old = np.unravel_index(int(overlap.argmax()), overlap.shape)
                ids[box] = self._before.track_ids[old]
                overlap[box], overlap[:, old] = 0, 0
        new = np.flatnonzero(ids == NOT_TRACKED)
        ids[new] = np.arange(self._next, self._next + len(new))
        self._next += len(new)
        self._before = replace(found, track_ids=ids)
        return self._before


def tally(scenes: list[Seen], follow: Follow, fps: float) -> Tally:
    """Run a tracker over a clip and count."""
    counted, last = Tally(), dict[int, int]()
    for number, (scene, shares, found) in enumerate(scenes):
        said = follow(found, number / fps)
        said = said.only(np.flatnonzero(said.track_ids != NOT_TRACKED))
        overlap = iou_matrix(scene.boxes, said.xyxy)
        ids, identities = said.track_ids, scene.identities
        stays = [last.get(one) for one in identities.tolist()]
        # a pair of before is kept as long as it is one
        kept = np.array([[old == new for new in ids.tolist()] for old in stays], bool)
        gain = np.where(overlap >= FOUND_IOU, overlap + 10 * kept.reshape(overlap.shape), 0)
        things, boxes = best_pairs(gain)
        for thing, box in zip(things.tolist(), boxes.tolist(), strict=True):
            counted.switches += stays[thing] not in (None, ids[box])
            last[int(identities[thing])] = int(ids[box])
        present = shares >= COUNTED
        counted.things += int(present.sum())
        counted.missed += int(present.sum() - present[things].sum())
        alone = np.setdiff1d(np.arange(len(said)), boxes)
        hidden = overlap[~present][:, alone].max(0, initial=0) >= FOUND_IOU
        counted.false += len(alone) - int(hidden.sum())
    return counted


def clip(
    seconds: float, *, seed: int, fps: float, size: tuple[int, int] = (640, 480)
) -> Iterator[Seen]:
    """Every frame with its truth and with what was detected in it."""
    rng = np.random.default_rng(seed)
    for scene in draw_clip(round(seconds * fps), seed=seed, size=size, fps=fps):
        shares = seen_shares(scene.boxes)
        yield scene, shares, detections_of(scene, shares, rng)


def compare(scenes: list[Seen], fps: float) -> tuple[Tally, Tally]:
    """The tallies of ours and of the naive tracker."""
    ours = Tracker(np.full(len(CLASSES), THRESHOLD), 300)
    return tally(scenes, ours.follow, fps), tally(scenes, Naive().follow, fps)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--fps", type=float, default=30)
    args = parser.parse_args()
    total = {"tracker": Tally(), "naive": Tally()}
    print(
        f"{'clip':>5} {'':8} {'things':>7} {'missed':>7} {'false':>6} {'switches':>9} {'MOTA':>7}"
    )
    for seed in [*args.seeds, None]:
        if seed is not None:
            scenes = list(clip(args.seconds, seed=seed, fps=args.fps))
            found = dict(zip(total, compare(scenes, args.fps), strict=True))
            total = {name: total[name] + found[name] for name in total}
        for name, one in (total if seed is None else found).items():
            print(
                f"{'all' if seed is None else seed:>5} {name:8} {one.things:7} {one.missed:7} "
                f"{one.false:6} {one.switches:9} {one.mota:7.1%}"
            )


if __name__ == "__main__":
    main()
