"""The run configuration, ``app.toml``: one bundle, its sources and its sinks.

::

    schema_version = 1
    bundle = "resnet50.bundle"                  # beside this file

    [run]                                       # each may be left out
    top = 5
    threshold = 0.2
    class_thresholds = { tabby = 0.5 }          # of single classes
    track = false                               # true: boxes get the id they had in earlier frames
    max_age_ms = 500
    fps = 15                                    # at most, of each source
    while_building = "onnxruntime"              # serves until the device has built its engine

    [[source]]
    name = "door"
    uri = "rtsp://10.0.0.5/stream1"
    auth = "credential:door"                    # or env:NAME, file:PATH; it holds user:password
    roi = [0.25, 0.0, 0.5, 1.0]                 # left, top, width, height; whole numbers are pixels
    stall_s = 5

    [[source]]
    uri = "camera:///dev/v4l/by-id/usb-CAM?width=1280&height=720"
    fps = 30

    [[sink]]
    uri = "mqtts://broker.local/plant/door"
    auth = "file:/etc/edgeresnet/mqtt"
    options = { every = 5, spool_mb = 64 }      # what else may follow the ? of its URI

    [[sink]]
    uri = "web:0.0.0.0:8080"
    token = "env:WEB_TOKEN"

A secret stands in it by reference only. Relative paths in URIs are relative to where the run was
started, as on the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from edgeresnet.core.errors import ProfileError
from edgeresnet.core.files import existing_file
from edgeresnet.core.schema import parse, read_toml
from edgeresnet.core.secrets import secret_from
from edgeresnet.flow.stream import Policy
from edgeresnet.run.uris import Table, WholeUri, about, sink_uri, source_uri
from edgeresnet.sources import open_source

SCHEMA_VERSION = 1
_MOST, _MOST_CLASSES = 64, 10_000
Score = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class App:
    """What to run. Sources and sinks are whole URIs, as on the command line."""

    bundle: Path
    sources: tuple[str, ...]
    sinks: tuple[str, ...]
    policy: Policy
    while_building: str | None = None
    """Backend that serves while the device builds its engine."""


class _File(Table):
    schema_version: int
    bundle: str = Field(min_length=1)
    run: dict[str, Any] = {}
    source: list[dict[str, Any]] = Field([], max_length=_MOST)
    sink: list[dict[str, Any]] = Field([], max_length=_MOST)


class _Run(Table):
    top: int | None = Field(None, ge=1)
    threshold: float | None = Field(None, ge=0, le=1)
    class_thresholds: dict[str, Score] | None = Field(None, max_length=_MOST_CLASSES)
    track: bool | None = None
    max_age_ms: float | None = Field(None, ge=0)
    fps: float | None = Field(None, gt=0)
    while_building: Literal["onnxruntime"] | None = None


def read_app(path: Path) -> App:
    """Read a run configuration; whatever can be known to be wrong before the start is refused.

    The secrets that it refers to have to be there.
    """
    app, sources, sinks = _read(path)
    for uri in (*sources, *sinks):
        for key, reference in uri.references.items():
            secret_from(reference, f"{uri.what}: {key}")
    for index, uri in enumerate(sources):
        with about(uri.what):
            open_source(uri.text, index=index)  # never entered: only its options are looked at
    return app


def unchecked_app(path: Path) -> tuple[App, tuple[str, ...]]:
    """What a run configuration says, and the secrets that it refers to, sorted.

    For another machine or user: neither the secrets nor the sources need to be there.
    """
    app, sources, sinks = _read(path)
    held = {reference for uri in (*sources, *sinks) for reference in uri.references.values()}
    return app, tuple(sorted(held))


def _read(path: Path) -> tuple[App, list[WholeUri], list[WholeUri]]:
    what = str(path)
    table = read_toml(existing_file(path, "run configuration"), what)
    _check_version(table.get("schema_version"), what)
    for key in ("source", "sink"):
        if isinstance(table.get(key), dict):
            raise ProfileError(f"{what}: [{key}] is a single table", hint=f"write [[{key}]]")
    file = parse(_File, table, what, hide=True)
    run = parse(_Run, file.run, f"{what}: [run]", hide=True)
    sources = [source_uri(one, what, number) for number, one in enumerate(file.source, 1)]
    sinks = [sink_uri(one, what, number) for number, one in enumerate(file.sink, 1)]
    _check_names(sources)
    app = App(
        path.parent / file.bundle,
        tuple(uri.text for uri in sources),
        tuple(uri.text for uri in sinks),
        Policy(**run.model_dump(exclude_none=True, exclude={"while_building"})),
        run.while_building,
    )
    return app, sources, sinks


def _check_version(version: object, what: str) -> None:
    known = type(version) is int  # true is none
    if known and version == SCHEMA_VERSION:
        return
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ProfileError(
            f"{what}: schema_version {version} is newer than {SCHEMA_VERSION}, the one that this "
            "edgeresnet reads",
            hint="pip install --upgrade edgeresnet",
        )
    raise ProfileError(
        f"{what}: schema_version is missing or unknown",
        hint=f"schema_version = {SCHEMA_VERSION} in the first line",
    )


def _check_names(sources: list[WholeUri]) -> None:
    first: dict[str, int] = {}
    for number, uri in enumerate(sources, 1):
        if uri.name and first.setdefault(uri.name, number) != number:
            raise ProfileError(
                f"{uri.what}: name: [[source]] {first[uri.name]} has the same",
                hint="each source has a name of its own",
            )
