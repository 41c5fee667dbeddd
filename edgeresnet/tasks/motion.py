"""Where boxes are going: a Kalman filter of constant velocity, for many boxes at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeresnet.core.boxes import Boxes

Reals = npt.NDArray[np.float64]

_MEASURED = 0.05
"""Deviation of a detected side, in box sizes."""
_SPEED = 1.0
"""Deviation of the speed of something that comes into view, in box sizes a second."""
_PUSH = 1.0
"""Change of speed, in box sizes a second, within a second."""
_GROWTH = 0.3
"""The same for how fast the width and the height change."""
_LEAST_PX = 1.0


@dataclass(frozen=True, eq=False)
class Motion:
    """``n`` boxes, each by its centre, width and height, and how fast these change.

    Each of the four is filtered by itself: ``place`` and ``speed`` (n, 4) in pixels and pixels a
    second, with the variances and the covariance of the two. Noise is in proportion to the size
    of the box, as is the error of a detector.
    """

    place: Reals
    speed: Reals
    place_variance: Reals
    covariance: Reals
    speed_variance: Reals

    @staticmethod
    def of(boxes: Boxes) -> Motion:
        """Boxes seen for the first time, at rest as far as anyone knows."""
        place = _centred(boxes)
        size = np.repeat(_size(place), 4, axis=1)
        zero = np.zeros_like(place)
        return Motion(place, zero, (_MEASURED * size) ** 2, zero, (_SPEED * size * _calm()) ** 2)

    def after(self, seconds: float) -> Motion:
        """As expected so much later; speed changes at random meanwhile (white noise)."""
        push = (_PUSH * _size(self.place) * _calm()) ** 2
        covariance = self.covariance + seconds * self.speed_variance
        return Motion(
            self.place + seconds * self.speed,
            self.speed,
            self.place_variance + seconds * (self.covariance + covariance) + push * seconds**3 / 3,
            covariance + push * seconds**2 / 2,
            self.speed_variance + push * seconds,
        )

    def seen(self, boxes: Boxes) -> Motion:
        """With what was detected, one box for each."""
        noise = (_MEASURED * _size(self.place)) ** 2
        surprise = _centred(boxes) - self.place
        trust = self.place_variance / (self.place_variance + noise)
        turn = self.covariance / (self.place_variance + noise)
        return Motion(
            self.place + trust * surprise,
            self.speed + turn * surprise,
            (1 - trust) * self.place_variance,
            (1 - trust) * self.covariance,
            self.speed_variance - turn * self.covariance,
        )

    def only(self, places: npt.NDArray[np.int64]) -> Motion:
        """Those at ``places``, in that order."""
        return Motion(*(one[places] for one in self._all))

    def replaced(self, places: npt.NDArray[np.int64], others: Motion) -> Motion:
        """With ``others`` at ``places``."""
        made = [one.copy() for one in self._all]
        for one, other in zip(made, others._all, strict=True):
            one[places] = other
        return Motion(*made)

    def joined(self, others: Motion) -> Motion:
        """These, then the others."""
        pairs = zip(self._all, others._all, strict=True)
        return Motion(*(np.concatenate(pair) for pair in pairs))

    def boxes(self) -> Boxes:
        """Where they are expected, left, top, right, bottom."""
        half = np.maximum(self.place[:, 2:], _LEAST_PX) / 2
        return np.concatenate([self.place[:, :2] - half, self.place[:, :2] + half], 1).astype(
            np.float32
        )

    @property
    def _all(self) -> tuple[Reals, ...]:
        return (
            self.place,
            self.speed,
            self.place_variance,
            self.covariance,
            self.speed_variance,
        )


def _centred(boxes: Boxes) -> Reals:
    sides = boxes.astype(np.float64)
    size = sides[:, 2:] - sides[:, :2]
    return np.concatenate([sides[:, :2] + size / 2, size], 1)


def _size(place: Reals) -> Reals:
    """One length for each box (n, 1), by which noise is measured."""
    width, height = (np.maximum(place[:, [side]], _LEAST_PX) for side in (2, 3))
    return np.asarray(np.sqrt(width * height), np.float64)


def _calm() -> Reals:
    return np.array([1, 1, _GROWTH, _GROWTH])
