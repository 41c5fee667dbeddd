"""The same thing in the next frame: boxes get an id that they keep, also after a short absence.

The association is that of ByteTrack (Zhang et al. 2022): sure boxes first, then what is left of the
tracks with faint boxes, which are seldom anything but things half hidden.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeresnet.core.assignment import best_pairs
from edgeresnet.core.boxes import Boxes, iou_matrix
from edgeresnet.core.predictions import NOT_TRACKED, Detections, Prediction
from edgeresnet.tasks.motion import Motion

FAINT = 0.1
"""Boxes of this score or more are looked at where a track has lost its own."""
LOST_S = 1.0
"""How long something may be out of sight and still be known again."""
_SURE_IOU, _FAINT_IOU, _NEW_IOU = 0.2, 0.5, 0.3
"""Least overlap of a box with where its track is expected: of sure ones, of faint ones, and of sure
ones with what was seen only once. The first is low: things move while they are out of sight."""

Places = npt.NDArray[np.int64]


class Tracker:
    """Follows the boxes of one source. ``least`` (classes,) is the score from which a box is sure.

    A thing gets its id, counted from 1, when it is seen in two frames running, or at once in the
    first frame. A faint box is given on only when it continues a track.
    """

    def __init__(self, least: npt.NDArray[np.float64], most: int, lost_s: float = LOST_S) -> None:
        self._least, self._most, self._lost_s = least, most, lost_s
        self._motion = Motion.of(np.zeros((0, 4), np.float32))
        self._ids, self._class_ids = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._seen_s, self._in_sight = np.zeros(0), np.zeros(0, bool)
        """When each track was last seen, and whether that was in the last frame."""
        self._now_s: float | None = None
        self._gap_s: float | None = None
        """Moment of the last frame, and its distance from the one before."""
        self._next_id, self._first = 1, True

    def follow(self, prediction: Prediction, moment_s: float) -> Detections:
        """The boxes to show, best first, with their ``track_ids``. Moments only grow."""
        assert isinstance(prediction, Detections)
        self._expect(moment_s)
        sure = prediction.scores >= self._least[prediction.class_ids]
        owner = self._owners(prediction, sure)
        known = np.flatnonzero(owner >= 0)
        self._see(owner[known], prediction.xyxy[known])
        new = np.flatnonzero(sure & (owner < 0))
        owner[new] = len(self._ids) + np.arange(len(new))
        self._begin(prediction.only(new))
        track_ids = np.full(len(prediction), NOT_TRACKED)
        track_ids[owner >= 0] = self._ids[owner[owner >= 0]]
        shown = np.flatnonzero(sure | (owner >= 0))[: self._most]
        return replace(prediction, track_ids=track_ids).only(shown)

    def _expect(self, moment_s: float) -> None:
        """Go on to ``moment_s``; what is out of sight too long, or was seen only once, is gone.

        What the last frame showed is expected in this one, if that came within LOST_S or within
        twice the time of the one before: cameras that give a frame now and then are followed too.
        """
        before_s, self._now_s = self._now_s, moment_s
        if before_s is None:
            return
        self._in_sight = self._seen_s == before_s
        usual_s, self._gap_s = self._gap_s, moment_s - before_s
        in_time = usual_s is None or self._gap_s <= max(self._lost_s, 2 * usual_s)
        recent = moment_s - self._seen_s <= self._lost_s
        kept = np.flatnonzero((self._in_sight & in_time) | (recent & (self._ids != NOT_TRACKED)))
        self._ids, self._class_ids = self._ids[kept], self._class_ids[kept]
        self._seen_s, self._in_sight = self._seen_s[kept], self._in_sight[kept]
        self._motion = self._motion.only(kept).after(moment_s - before_s)

    def _owners(self, prediction: Detections, sure: npt.NDArray[np.bool_]) -> Places:
        """The track of each box, -1 where there is none."""
        overlap = iou_matrix(prediction.xyxy, self._motion.boxes())
        overlap[prediction.class_ids[:, None] != self._class_ids] = 0
        owner = np.full(len(prediction), -1)
        numbered = self._ids != NOT_TRACKED
        faint = ~sure & (prediction.scores >= FAINT)
        for boxes, tracks, least in (
            (sure, numbered, _SURE_IOU),
            (faint, numbered & self._in_sight, _FAINT_IOU),
            (sure, ~numbered, _NEW_IOU),
        ):
            taken = np.isin(np.arange(len(self._ids)), owner)
            rows, columns = np.flatnonzero(boxes & (owner < 0)), np.flatnonzero(tracks & ~taken)
            pairs = best_pairs(overlap[np.ix_(rows, columns)] - least)
            owner[rows[pairs[0]]] = columns[pairs[1]]
        return owner

    def _see(self, tracks: Places, boxes: Boxes) -> None:
        """Each of ``tracks`` is where its box is; what was seen once before gets its id."""
        seen = self._motion.only(tracks).seen(boxes)
        self._motion = self._motion.replaced(tracks, seen)
        self._seen_s[tracks] = self._now_s
        fresh = tracks[self._ids[tracks] == NOT_TRACKED]
        self._ids[fresh] = self._new_ids(len(fresh))

    def _begin(self, boxes: Detections) -> None:
        """Tracks of boxes that continue none."""
        ids = self._new_ids(len(boxes)) if self._first else np.full(len(boxes), NOT_TRACKED)
        self._first = False
        self._motion = self._motion.joined(Motion.of(boxes.xyxy))
        self._ids = np.concatenate([self._ids, ids])
        self._class_ids = np.concatenate([self._class_ids, boxes.class_ids])
        self._seen_s = np.concatenate([self._seen_s, np.full(len(boxes), self._now_s)])

    def _new_ids(self, count: int) -> Places:
        first, self._next_id = self._next_id, self._next_id + count
        return np.arange(first, self._next_id)
