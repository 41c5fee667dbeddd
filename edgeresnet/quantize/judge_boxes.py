"""INT8 beside float on annotated pictures: boxes, where :mod:`judge` compares labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from edgeresnet.core.contract import batch_of
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
from edgeresnet.metrics.accuracy import Interval, proportion
from edgeresnet.metrics.agreement import same_boxes
from edgeresnet.metrics.average_precision import average_precision, paired_drop
from edgeresnet.quantize.gate import Gate
from edgeresnet.quantize.judge import FIRST, Floats, Verdict
from edgeresnet.quantize.statistics import OpenModel, cores
from edgeresnet.tasks import make_task

if TYPE_CHECKING:
    import onnx

_LEAST_SCORE = 0.05
"""As in ``evaluate``: a precision curve needs the faint boxes."""
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
        """How ``int8`` does; raises UsageError when no picture is readable."""
        exact, rounded = self._reference, self._run(int8, what)
        before, after = [seen[1] for seen in exact], [seen[1] for seen in rounded]
        signed = [np.stack([seen[2] for seen in found]) for found in (rounded, exact)]
        if not np.isfinite(signed[0]).all():
            raise ModelError("the INT8 graph gives values that are not finite")
        error = relative_error(*signed)
        hits = same_boxes(before, after)
        agreement = proportion(hits) if len(hits) else Interval(100.0, 0.0, 100.0)
        known = [i for i, seen in enumerate(exact) if seen[0] in self.truth]
        if not known:
            lost = Interval(100 - agreement.value, 100 - agreement.high, 100 - agreement.low)
            gate = Gate(len(exact), self.max_drop, agreement, lost, None, None, boxes=len(hits))
            return Verdict(gate, error, ())
        truth = [self.truth[exact[i][0]] for i in known]
        float_ = average_precision(truth, [before[i] for i in known])
        score = average_precision(truth, [after[i] for i in known])
        drop = paired_drop(float_, score)[1]
        gate = Gate(
            len(known),
            self.max_drop,
            agreement,
            drop,
            None,
            None,
            boxes=len(hits),
            map=(float_.map, score.map),
            map50=(float_.map50, score.map50),
        )
        return Verdict(gate, error, ())

    @cached_property
    def first_pictures(self) -> list[Pixels]:
        """The first few that are readable, fitted: for what needs only some."""
        return [pixels for _, _, pixels in islice(self._pictures(Unreadable({})), FIRST)]

    @cached_property
    def _reference(self) -> list[_Seen]:
        return self._run(self.model, "judge float")

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
        task = make_task("detect", self.preprocess, self.labels, threshold=_LEAST_SCORE)

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
