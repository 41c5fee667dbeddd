"""One bundle for one caller: open it, hand it pictures."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgeresnet.core.bundle import Bundle
from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.protocols import Mode, Session, Task
from edgeresnet.core.tensors import Pixels
from edgeresnet.flow.opening import open_bundle
from edgeresnet.tasks import make_task


@dataclass
class Model:
    """A proved bundle; calls from several threads take turns."""

    bundle: Bundle
    _session: Session
    _task: Task
    _batch: int
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def predict(self, picture: Path | str | Pixels) -> Prediction:
        """What the model says about one picture: a file, or BGR pixels (height, width, 3) uint8."""
        pixels = read_picture(Path(picture)) if isinstance(picture, (str, Path)) else picture
        try:
            frame = Frame(pixels, 0, 0)
        except ValueError as error:
            raise UsageError(str(error), hint="in BGR order, as cv2.imread gives one") from error
        with self._turn:
            feeds = self._task.feeds(frame)
            if self._batch > 1:
                feeds = {name: value.repeat(self._batch, axis=0) for name, value in feeds.items()}
            return self._task.prediction(self._session.infer(feeds), frame)


@contextmanager
def open_model(
    bundle: Path | str, *, top: int | None = None, threshold: float | None = None
) -> Generator[Model]:
    """Open a bundle for single pictures: verified, proved, loaded for latency.

    ::

        with edgeresnet.open("resnet50.bundle") as model:
            print(model.predict("cat.jpg").best.name)

    ``top`` and ``threshold`` are the task's own unless given: 5 labels, or 300 boxes from 0.3.
    """
    with open_bundle(Path(bundle), Mode.LATENCY, sessions=1) as opened:
        manifest = opened.bundle.manifest
        labels = opened.bundle.labels
        task = make_task(manifest.task, manifest.preprocess, labels, top=top, threshold=threshold)
        yield Model(opened.bundle, opened.sessions[0], task, opened.batch)
