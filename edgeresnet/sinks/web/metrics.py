"""The run's figures as Prometheus reads them; how many series there are does not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgeresnet import __version__
from edgeresnet.core.status import RunStatus, SinkState, SinkStatus, SourceState, SourceStatus
from edgeresnet.sinks.web.newest import MOST_SOURCES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REASONS, _SINKS, _LETTERS = 24, 32, 64
_QUANTILES = {"p50": "0.5", "p90": "0.9", "p99": "0.99", "max": "1"}
_STAGES = ("decode", "prepare", "infer", "finish")
_T = TypeVar("_T")
_Samples: TypeAlias = list[tuple[dict[str, str], float]]


def metrics_text(status: RunStatus | None, clients: int) -> str:
    """All of it; without a status only what the server knows itself."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(status, clients))
    return generate_latest(registry).decode()


class _Figures(Collector):
    """One answer: what it says hangs together, since it comes from one status."""

    def __init__(self, status: RunStatus | None, clients: int) -> None:
        self._status, self._clients = status, clients

    def collect(self) -> Iterable[Metric]:
        """Build every family."""
        status = self._status
        model = status.model if status else ""
        yield _gauge(
            "build_info", "What runs here.", [({"version": __version__, "model": model}, 1)]
        )
        yield _gauge("web_clients", "Connections to the page and its streams.", self._clients)
        if status is None:
            return
        yield _gauge("uptime_seconds", "Since the run began.", status.uptime_s)
        yield _gauge("fps", "Predictions a second, over the last seconds.", status.fps)
        yield _gauge("resident_memory_bytes", "Memory of the run.", status.rss_mb * 1e6)
        yield _counter("recompiled", "Engines compiled again at load.", status.recompiled)
        latency = status.latency_ms
        yield _gauge(
            "latency_seconds",
            "From capture to result, over the last seconds.",
            [
                ({"quantile": _QUANTILES[q]}, latency[q] / 1e3)
                for q in _QUANTILES
                if _is(latency, q)
            ],
        )
        stages = status.stages_ms
        yield _gauge(
            "stage_median_seconds",
            "Median of each stage over the run.",
            [({"stage": one}, stages[one] / 1e3) for one in _STAGES if _is(stages, one)],
        )
        yield from _of_sources(_named(status.sources[:MOST_SOURCES], lambda one: one.name))
        yield from _of_sinks(_named(status.sinks[:_SINKS], lambda one: one.name))


def _of_sources(sources: Mapping[str, SourceStatus]) -> Iterable[Metric]:
    def each(value: Callable[[SourceStatus], float]) -> list[tuple[dict[str, str], float]]:
        return [({"source": name}, value(one)) for name, one in sources.items()]

    yield _counter(
        "frames_captured",
        "Frames whose fate is known: those inferred and those dropped.",
        each(lambda one: one.frames.captured),
    )
    yield _counter("frames_inferred", "Frames with a result.", each(lambda s: s.frames.inferred))
    yield _counter(
        "frames_dropped",
        "Frames without one, by reason.",
        [
            ({"source": name, "reason": reason}, count)
            for name, one in sources.items()
            for reason, count in _few(one.frames.dropped).items()
        ],
    )
    yield _gauge("frames_in_flight", "Frames under way.", each(lambda s: s.frames.in_flight))
    yield _gauge("source_fps", "Captured frames a second.", each(lambda one: one.fps))
    yield _gauge(
        "source_state",
        "1 for the state that the source is in, 0 for the others.",
        [
            ({"source": name, "state": state}, one.health.state == state)
            for name, one in sources.items()
            for state in get_args(SourceState)
        ],
    )
    yield _counter(
        "source_reconnects", "Times it was lost and came back.", each(lambda s: s.health.reconnects)
    )
    yield _gauge(
        "source_frozen", "1 while the picture does not change.", each(lambda s: s.health.frozen)
    )


def _of_sinks(sinks: Mapping[str, SinkStatus]) -> Iterable[Metric]:
    def each(value: Callable[[SinkStatus], float]) -> list[tuple[dict[str, str], float]]:
        return [({"sink": name}, value(one)) for name, one in sinks.items()]

    yield _counter("sink_accepted", "Predictions handed to it.", each(lambda one: one.accepted))
    yield _counter("sink_delivered", "Predictions that arrived.", each(lambda one: one.delivered))
    yield _counter(
        "sink_dropped",
        "Predictions that will not arrive, by reason.",
        [
            ({"sink": name, "reason": reason}, count)
            for name, one in sinks.items()
            for reason, count in _few(one.dropped).items()
        ],
    )
    yield _gauge("sink_waiting", "In its queue or spool.", each(lambda one: one.waiting))
    yield _counter("sink_errors", "Failed attempts.", each(lambda one: one.errors))
    yield _gauge(
        "sink_state",
        "1 for the state that the sink is in, 0 for the other.",
        [
            ({"sink": name, "state": state}, one.state == state)
            for name, one in sinks.items()
            for state in get_args(SinkState)
        ],
    )


def _gauge(name: str, about: str, samples: _Samples | float) -> Metric:
    return _filled(GaugeMetricFamily(f"edgeresnet_{name}", about), samples)


def _counter(name: str, about: str, samples: _Samples | float) -> Metric:
    return _filled(CounterMetricFamily(f"edgeresnet_{name}", about), samples, "_total")


def _filled(family: Metric, samples: _Samples | float, ending: str = "") -> Metric:
    several = samples if isinstance(samples, list) else [({}, samples)]
    for labels, value in several:
        family.add_sample(f"{family.name}{ending}", labels, float(value))
    return family


def _is(values: Mapping[str, float], name: str) -> bool:
    return isinstance(values.get(name), (int, float))


def _few(dropped: Mapping[str, int]) -> dict[str, int]:
    """Counts by reason; what is beyond the most that are told apart is ``other``: the sum holds."""
    few: dict[str, int] = {}
    for reason, count in dropped.items():
        short = reason[:_LETTERS]
        key = short if short in few or len(few) < _REASONS else "other"
        few[key] = few.get(key, 0) + count
    return few


def _named(many: Iterable[_T], name: Callable[[_T], str]) -> dict[str, _T]:
    """Each under a short name that no other has: two equal series are no valid answer."""
    named: dict[str, _T] = {}
    for one in many:
        short, number = name(one)[:_LETTERS], 2
        key = short
        while key in named:
            key, number = f"{short}#{number}", number + 1
        named[key] = one
    return named
