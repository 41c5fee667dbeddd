"""INT8 beside float on annotated pictures: boxes, where :mod:`judge` compares labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from edgeresnet.core.contract import batch_of
from edgeresnet.core.cores import cores
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import Labels
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.predictions import Detections
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.annotated import Annotated
from edgeresnet.datasets.pictures import Entry, Listing, Unreadable
from edgeresnet.flow.golden import batch_feeds, relative_error
from edgeresnet.flow.ordered import ordered
from edgeresnet.metrics.agreement import of_boxes
from edgeresnet.metrics.average_precision import (
    LEAST_SCORE,
    AveragePrecision,
    average_precision,
    paired_drop,
)
from edgeresnet.quantize.flips import BoxFlip, box_flip
from edgeresnet.quantize.gate import Gate, lacking
from edgeresnet.quantize.judge import FIRST, Floats, Verdict
from edgeresnet.quantize.statistics import OpenModel
from edgeresnet.tasks import make_task

if TYPE_CHECKING:
    import onnx

_Seen: TypeAlias = tuple[Path, Detections, Floats]


@dataclass(eq=False)
class BoxJudge:
    """Runs detectors over the same pictures as the float graph, whose boxes are found once."""

    model: onnx.ModelProto
    listing: Listing
    preprocess: Preprocess
    labels: Labels
    truth: Mapping[Path, Annotated]
    """Empty where the pictures have no boxes: then agreement with float is judged."""
    max_drop: float
    unreadable: Unreadable
    open_model: OpenModel
    jobs: int | None = None
    progress: Progress = silent

    def judge(self, int8: onnx.ModelProto, what: str = "judge") -> Verdict:
        """How ``int8`` does.

        UsageError when no picture is readable, or no box is to be found on those that are.
        """
        exact, rounded = self._reference, self._run(int8, what)
        before, after = [seen[1] for seen in exact], [seen[1] for seen in rounded]
        signed = [np.stack([seen[2] for seen in found]) for found in (rounded, exact)]
        if not np.isfinite(signed[0]).all():
            raise ModelError("the INT8 graph gives values that are not finite")
        error = relative_error(*signed)
        agreed = of_boxes(before, after)
        truth = [self.truth.get(seen[0]) for seen in exact]
        flips = _flips([seen[0] for seen in exact], before, after, truth)
        if not self.truth:
            lost = lacking(agreed.percent)
            gate = Gate(
                len(exact),
                self.max_drop,
                agreed.percent,
                lost,
                boxes=agreed.count,
                things=agreed.count,
                things_each=agreed.count / len(exact) or 1.0,
            )
            return Verdict(gate, error, flips)
        float_, score = self._float_score, self._score(rounded)
        pictures = sum(picture is not None for picture in truth)
        gate = Gate(
            pictures,
            self.max_drop,
            agreed.percent,
            paired_drop(float_, score)[1],
            boxes=agreed.count,
            things=float_.things,
            things_each=sum(one.boxes for one in float_.per_class) / pictures,
            map=(float_.map, score.map),
            map50=(float_.map50, score.map50),
        )
        return Verdict(gate, error, flips)

    @cached_property
    def first_pictures(self) -> list[Pixels]:
        """The first few that are readable, fitted: for what needs only some."""
        return [pixels for _, _, pixels in islice(self._pictures(Unreadable({})), FIRST)]

    @cached_property
    def _reference(self) -> list[_Seen]:
        return self._run(self.model, "judge float")

    @cached_property
    def _float_score(self) -> AveragePrecision:
        return self._score(self._reference)

    def _score(self, seen: Sequence[_Seen]) -> AveragePrecision:
        """Of what was seen on the annotated pictures."""
        known = [(self.truth[path], boxes) for path, boxes, _ in seen if path in self.truth]
        return average_precision([true for true, _ in known], [found for _, found in known])

    def _pictures(self, unreadable: Unreadable) -> Iterator[tuple[Entry, Frame, Pixels]]:
        for entry in self.listing.entries:
            try:
                pixels = read_picture(entry.path)
            except UsageError as error:
                unreadable.reasons[entry.path] = error.what
                continue
            yield entry, Frame(pixels, 0, 0), fit(pixels, self.preprocess)

    def _run(self, model: onnx.ModelProto, what: str) -> list[_Seen]:
        run = self.open_model(model.SerializeToString(), threads=1)
        batch = batch_of(model)
        task = make_task("detect", self.preprocess, self.labels, threshold=LEAST_SCORE)

        def look(item: tuple[Entry, Frame, Pixels]) -> _Seen:
            entry, frame, fitted = item
            outputs = run(batch_feeds(fitted, batch))
            boxes = cast("Detections", task.prediction(outputs, frame))
            return entry.path, boxes, np.array(task.signature(outputs))

        seen: list[_Seen] = []
        pictures = self._pictures(self.unreadable)
        for found in ordered([look] * (self.jobs or cores()), pictures):
            seen.append(found)
            self.progress(what, len(seen), len(self.listing.entries))
        self.unreadable.raise_if_all(len(seen), "--eval")
        return seen


def _flips(
    paths: Sequence[Path],
    before: Sequence[Detections],
    after: Sequence[Detections],
    truth: Sequence[Annotated | None],
) -> tuple[BoxFlip, ...]:
    """Pictures with changed boxes, the one with the surest change first."""
    found = [box_flip(*picture) for picture in zip(paths, before, after, truth, strict=True)]
    flips = [flip for flip in found if flip is not None]
    return tuple(sorted(flips, key=lambda flip: -flip.score))
