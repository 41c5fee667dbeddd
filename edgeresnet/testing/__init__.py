"""Public fakes for the seams: try a source, sink or backend of your own without vendor or camera.

::

    bundle = write_bundle(tmp_path / "fake.bundle", classes=256)
    source = ListSource([grey(value) for value in (3, 1, 2)])
    sink = ListSink()
    with (
        plugged(BACKENDS, "fake", backend=FakeBackend()),
        plugged(sources.SCHEMES, "list", open_place=lambda *_, **__: source),
        plugged(sinks.SCHEMES, "list", open_place=lambda *_: sink),
    ):
        run(bundle, "list://", ["list:here"])
    assert sink.class_ids == [3, 1, 2]
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType

from edgeresnet.testing.backend import (
    ENTRY,
    FakeBackend,
    FakeEngine,
    FakeSession,
    brightness_logits,
    grey,
    write_bundle,
)
from edgeresnet.testing.streams import ListSink, ListSource

__all__ = [
    "ENTRY",
    "FakeBackend",
    "FakeEngine",
    "FakeSession",
    "ListSink",
    "ListSource",
    "brightness_logits",
    "grey",
    "plugged",
    "write_bundle",
]


@contextmanager
def plugged(registry: dict[str, str], name: str, **members: object) -> Generator[None]:
    """Put a module with ``members`` into a registry while the block runs.

    A backend's module has ``backend``, a source's and a sink's ``open_place``.
    """
    module = ModuleType(f"edgeresnet.testing.plugged_{name}_{id(members):x}")
    vars(module).update(members)
    before = registry.get(name)
    sys.modules[module.__name__], registry[name] = module, module.__name__
    try:
        yield
    finally:
        del sys.modules[module.__name__]
        if before is None:
            del registry[name]
        else:
            registry[name] = before
