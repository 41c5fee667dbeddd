"""Moving pictures: things that come, stay a while and go, with their true boxes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeresnet.datasets.procedural.brush import Pixels
from edgeresnet.datasets.procedural.placing import Placement, place, shadow_of
from edgeresnet.datasets.procedural.scenes import Scene
from edgeresnet.datasets.procedural.shapes import CLASSES, SHAPES, draw_sprite
from edgeresnet.datasets.procedural.stages import Stage, build_stage
from edgeresnet.datasets.procedural.textures import Rng, grain

TURN_S = 2.0  # how long each main thing is nearest to the middle
TRAVEL_S = 0.75  # of coming in and of going out
PASS_GAP_S, PASS_S = 2.6, 6.0
STANDING_GAP = 0.62  # picture heights between things that stay where they are
LEAST_VISIBLE = 0.25
VEHICLES = tuple(CLASSES.index(name) for name in ("car", "bicycle"))
NOISE_DEVIATION = 3.0

# What a random stream is for, so that each thing depends on the seed and its own number alone.
STAGE, MAIN, ORDER, STANDING, PASSING, FRAME = range(6)


@dataclass(frozen=True, eq=False)
class Actor:
    """One thing in a clip: its looks, and where it is at a time in seconds (None: not there)."""

    identity: int
    """Another one for each thing of a clip, the same as long as the clip lasts."""
    class_index: int
    sprite: Pixels
    shadow: Pixels
    path: Callable[[float, float], Placement | None]  # of (time_s, pan in pixels)


@dataclass(frozen=True, eq=False)
class ClipScene(Scene):
    """A frame of a clip; ``identities`` (n,) tell which box is of which thing in all frames."""

    identities: NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.identities.shape != self.box_classes.shape:
            raise ValueError(f"{self.identities.shape} identities for {len(self.boxes)} boxes")


def draw_clip(
    frames: int, *, seed: int, size: tuple[int, int] = (640, 480), fps: float = 30
) -> Iterator[ClipScene]:
    """A clip's frames, in order; size is (width, height) in pixels.

    A longer clip of the same seed begins with the shorter one. Scene.class_index is the thing
    nearest to the middle, which changes every 2 s; boxes hold everything of which at least a
    quarter is in the picture, in drawing order (nearer things last).
    """
    cast = Cast(seed, size)
    noise = _noise_bank(np.random.default_rng((seed, FRAME)), size)
    for number in range(frames):
        time_s = number / fps
        pixels, pan = cast.stage.view(time_s)
        found = []
        for actor in cast.on_stage(time_s, pan):
            where = actor.path(time_s, pan)
            if where is None:
                continue
            drop = Placement(
                where.x + 0.03 * where.side,
                where.y + 0.045 * where.side,
                where.side * 1.02,
                where.turn,
                where.tilt,
            )
            place(pixels, actor.shadow, drop)
            placed = place(pixels, actor.sprite, where)
            if placed is not None and placed.visible >= LEAST_VISIBLE:
                found.append((actor, placed.box))
        yield ClipScene(
            _expose(pixels, noise, np.random.default_rng((seed, FRAME, number)), time_s),
            cast.main_class(int(time_s / TURN_S)),
            np.asarray([box for _, box in found], np.float32).reshape(-1, 4),
            np.asarray([actor.class_index for actor, _ in found], np.int64),
            np.asarray([actor.identity for actor, _ in found], np.int64),
        )


class Cast:
    """Who plays in the clip of a seed; each actor is drawn when first needed, the last few kept."""

    def __init__(self, seed: int, size: tuple[int, int]) -> None:
        self._seed = seed
        self._width, self._height = size
        self.stage: Stage = build_stage(np.random.default_rng((seed, STAGE)), *size)
        self._main = lru_cache(4)(self._draw_main)
        self._passing = lru_cache(8)(self._draw_passing)
        self._standing = lru_cache(24)(self._draw_standing)

    def main_class(self, turn: int) -> int:
        """Class of the main thing in that turn: every class once before one comes again."""
        lap, place_in_lap = divmod(turn, len(CLASSES))
        order = np.random.default_rng((self._seed, ORDER, lap)).permutation(len(CLASSES))
        return int(order[place_in_lap])

    def on_stage(self, time_s: float, pan: float) -> Iterator[Actor]:
        """Who may be visible, farthest first."""
        spacing = STANDING_GAP * self._height
        first = int(np.floor(pan / spacing)) - 1
        for place_number in range(first, first + int(self._width / spacing) + 4):
            yield self._standing(place_number)
        turn = int(time_s / TURN_S)
        nearest = [turn - 1, turn] if time_s % TURN_S < TURN_S / 2 else [turn + 1, turn]
        mains = [self._main(n) for n in nearest if n >= 0]
        latest = int(time_s / PASS_GAP_S)
        passers = range(max(0, latest - int(PASS_S / PASS_GAP_S) - 1), latest + 1)
        if self.stage.upright:  # the lane is nearer to the camera than the middle of the picture
            yield from mains
            yield from (self._passing(n) for n in passers)
        else:
            yield from (self._passing(n) for n in passers)
            yield from mains

    def _actor(
        self,
        identity: int,
        index: int,
        side: float,
        rng: Rng,
        path: Callable[[float, float], Placement | None],
        mirrored: bool | None = None,
    ) -> Actor:
        sprite = draw_sprite(index, int(1.35 * side), rng, mirrored)
        return Actor(identity, index, sprite, shadow_of(sprite, 0.42, 0.03), path)

    def _draw_main(self, turn: int) -> Actor:
        rng = np.random.default_rng((self._seed, MAIN, turn))
        side = self._height * rng.uniform(0.5, 0.62)
        coming, going = -self._way_out(turn - 1), self._way_out(turn)
        middle = np.asarray((0.5 * self._width, 0.49 * self._height))
        phase, sway = rng.uniform(0, 6, 6), rng.uniform(0.6, 1.0, 6)
        turn_most = min(12.0, SHAPES[self.main_class(turn)].turn)
        start = turn * TURN_S

        def path(time_s: float, _pan: float) -> Placement | None:
            arriving = 1 - (time_s - start + TRAVEL_S / 2) / TRAVEL_S
            leaving = (time_s - start - TURN_S + TRAVEL_S / 2) / TRAVEL_S
            if turn == 0:
                arriving = 0.0
            if arriving >= 1 or leaving >= 1:
                return None
            off = coming * _ease(arriving) + going * _ease(leaving)
            wave = np.sin(phase + sway * time_s * 2.2)
            x, y = middle + off + 0.025 * self._height * wave[:2]
            tilt = 0.05 * wave[3]
            return Placement(
                float(x),
                float(y),
                side * (1 + 0.05 * float(wave[2])),
                turn_most * float(wave[4]),
                ((tilt, tilt), (-tilt, -tilt), (tilt, tilt), (-tilt, -tilt)),
            )

        return self._actor(3 * turn, self.main_class(turn), side, rng, path)

    def _way_out(self, turn: int) -> NDArray[np.float64]:
        """Where to the main thing of that turn goes, pixels; the next one comes from opposite."""
        rng = np.random.default_rng((self._seed, MAIN, turn + 1, ORDER))
        way = ((-1, 0), (-1, 0), (1, 0), (0, -1), (0, 1))[int(rng.integers(5))]
        return 0.85 * np.asarray(way) * (self._width, self._height)

    def _draw_standing(self, place_number: int) -> Actor:
        rng = np.random.default_rng((self._seed, STANDING, place_number % (1 << 32)))
        index = int(rng.integers(len(CLASSES)))
        share_y, share = self.stage.standing(rng)
        side = share * self._height
        x = (place_number + rng.uniform(0.1, 0.9)) * STANDING_GAP * self._height
        y = share_y * self._height - (side * 0.46 if self.stage.upright else 0)
        turn = rng.uniform(-1, 1) * (4 if self.stage.upright else SHAPES[index].turn)

        def path(_time_s: float, pan: float) -> Placement | None:
            return Placement(x - pan, y, side, turn)

        return self._actor(3 * place_number + 1, index, side, rng, path)

    def _draw_passing(self, number: int) -> Actor:
        rng = np.random.default_rng((self._seed, PASSING, number))
        upright = self.stage.upright
        index = int(rng.choice(VEHICLES) if upright else rng.integers(len(CLASSES)))
        share_y, share = self.stage.passing(rng)
        side = share * self._height
        y = share_y * self._height - (side * 0.34 if upright else 0)
        to_right = bool(rng.random() < 0.5)
        spin = 0.0 if upright else float(rng.uniform(-12, 12))
        speed = (self._width + 2 * side) / (PASS_S * rng.uniform(0.7, 1.0))
        start = number * PASS_GAP_S

        def path(time_s: float, _pan: float) -> Placement | None:
            way = speed * (time_s - start) - side
            if not -side <= way <= self._width + side:
                return None
            x = way if to_right else self._width - way
            bounce = 0.004 * side * float(np.sin(17 * time_s)) if upright else 0.0
            return Placement(x, y + bounce, side, spin * (time_s - start))

        return self._actor(3 * number + 2, index, side, rng, path, mirrored=not to_right)


def _ease(share: float) -> float:
    """0 to 1 with no jerk at 0."""
    return float(max(0.0, min(1.0, share)) ** 2.2)


def _noise_bank(rng: Rng, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """What to add and what to take away, 64 pixels wider and higher than a picture."""
    plane = NOISE_DEVIATION * grain(rng, size[0] + 64, size[1] + 64)
    tints = np.asarray((1.1, 0.8, 0.95), np.float32)
    noise = plane[..., None] * tints
    return np.maximum(noise, 0).astype(np.uint8), np.maximum(-noise, 0).astype(np.uint8)


def _expose(pixels: Pixels, noise: tuple[Pixels, Pixels], rng: Rng, time_s: float) -> Pixels:
    """Sensor noise and a slow drift of the light."""
    height, width = pixels.shape[:2]
    x, y = rng.integers(0, 64, 2).tolist()
    more, less = (bank[y : y + height, x : x + width] for bank in noise)
    gain = 1 + 0.04 * float(np.sin(0.9 * time_s))
    lit = cv2.convertScaleAbs(cv2.subtract(cv2.add(pixels, more), less), alpha=gain)
    return np.asarray(lit, np.uint8)
