"""A source of which the model looks at a part of each frame."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from edgeresnet.core.frames import Frame
from edgeresnet.core.protocols import FrameSource
from edgeresnet.core.region import RegionSpec

_log = logging.getLogger("edgeresnet")


class LookingSource:
    """``inner``, and a region in each of its frames."""

    def __init__(self, inner: FrameSource, region: RegionSpec) -> None:
        self._inner: Any = inner
        self._region = region

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever else the source has
        return getattr(self._inner, name)

    def __iter__(self) -> Iterator[Frame]:
        told = False
        for frame in self._inner:
            region = self._region.on(frame.width, frame.height)
            if region is not None:
                yield replace(frame, region=region)
                continue
            if not told:
                told = True
                _log.warning(
                    "%s: roi lies outside of the picture (%dx%d); its frames are dropped",
                    frame.source,
                    frame.width,
                    frame.height,
                )
            self._inner.dropped["region"] = self._inner.dropped.get("region", 0) + 1


@contextmanager
def looking(
    opened: AbstractContextManager[FrameSource], region: RegionSpec
) -> Generator[FrameSource]:
    """The opened source with its region."""
    with opened as inner:
        yield LookingSource(inner, region)
