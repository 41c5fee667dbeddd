"""Several sources at once: fair turns, and one that is bad hurts nobody."""

import threading
import time
from collections import Counter
from contextlib import closing

import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.core.protocols import Mode
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.intake import Feed
from edgeresnet.flow.opening import open_bundle
from edgeresnet.flow.stream import Policy, predictions
from edgeresnet.testing import FakeBackend, ListSource, grey, plugged

MANY = 400


@pytest.fixture
def together(greys):
    """Runs several sources to their end: results by source, total, feeds."""

    def run(*sources, policy=None, stop=None, until=None, backend=None):
        total = Counters()
        feeds = [Feed(source, Counters(total=total)) for source in sources]
        results, stop = [], stop or threading.Event()
        with (
            plugged(BACKENDS, "fake", backend=backend or FakeBackend()),
            open_bundle(greys, Mode.THROUGHPUT) as opened,
            closing(predictions(feeds, opened, policy or Policy(), stop)) as found,
        ):
            for result in found:
                results.append(result)
                if until is not None and until(results):
                    stop.set()
        assert total.balanced
        assert total.captured == sum(feed.counters.captured for feed in feeds)
        assert total.inferred == sum(feed.counters.inferred for feed in feeds) == len(results)
        return results, feeds, total

    return run


def names(results):
    return [result.frame.source for result in results]


def test_files_take_turns_and_lose_nothing_each_in_its_own_order(together):
    sources = [ListSource([grey(v) for v in range(n)], name=f"s{n}") for n in (5, 50, 20)]
    results, _, total = together(*sources)
    assert Counter(names(results)) == {"s5": 5, "s50": 50, "s20": 20}
    assert set(names(results[:3])) == {"s5", "s50", "s20"}
    assert Counter(names(results[:15])) == {"s5": 5, "s50": 5, "s20": 5}
    for name in ("s5", "s50", "s20"):
        indexes = [r.frame.index for r in results if r.frame.source == name]
        assert indexes == sorted(indexes)
    assert total.dropped == {}


def endless(name, pause_s=0.0):
    def items():
        while True:
            yield grey(3)
            time.sleep(pause_s)

    return ListSource(items(), live=True, name=name)


def test_a_fast_camera_does_not_push_a_slow_one_aside(together):
    slow_engine = FakeBackend(during=lambda _pictures: time.sleep(0.002))
    results, feeds, _ = together(
        endless("fast", 0.0001), endless("slow", 0.02), backend=slow_engine,
        until=lambda results: len(results) >= MANY,
    )  # fmt: skip
    fast, slow = (feed.counters for feed in feeds)
    assert fast.dropped["newer"] > fast.inferred  # it gives more than the engine takes
    assert slow.dropped.get("newer", 0) <= 1 + slow.captured // 20
    assert Counter(names(results))["slow"] == slow.inferred > 10


def test_a_camera_beside_a_file_is_looked_at_in_its_turn(together):
    file = ListSource([grey(1)] * MANY, name="file")
    results, feeds, _ = together(
        endless("camera", 0.001), file, until=lambda results: names(results).count("file") == MANY
    )
    assert feeds[1].counters.as_json() == {"captured": MANY, "inferred": MANY, "dropped": {}}
    assert names(results).count("camera") > 3


@pytest.mark.parametrize("live", [True, False])
def test_a_source_that_fails_ends_and_the_others_go_on_until_they_end(together, live, caplog):
    bad = ListSource([grey(1), OSError("it broke")], name="bad", live=live)
    good = ListSource([grey(2)] * 60, name="good")
    with pytest.raises(OSError, match="it broke"):
        together(bad, good)
    assert good.taken == 60
    assert [record.getMessage() for record in caplog.records] == [
        "bad: OSError('it broke'); the other sources go on"
    ]


def test_frames_counts_all_sources_together(together):
    sources = [ListSource([grey(v) for v in range(50)], name=name) for name in "ab"]
    _, _, total = together(*sources, policy=Policy(frames=31))
    assert total.captured == total.inferred == 31


def test_a_frame_that_was_spoken_for_and_did_not_come_is_another_sources(together):
    short = ListSource([grey(1)], name="short")
    long = ListSource([grey(1)] * 50, name="long")
    _, _, total = together(short, long, policy=Policy(frames=20))
    assert total.captured == 20


def test_a_rate_is_each_sources_own(together):
    sources = [ListSource([grey(1)] * 20, live=True, name=name) for name in "ab"]
    _, feeds, _ = together(*sources, policy=Policy(fps=1e-6))
    assert [feed.counters.inferred for feed in feeds] == [1, 1]
    assert [feed.counters.dropped for feed in feeds] == [{"rate": 19}] * 2


def test_enough_frames_end_a_run_though_another_camera_gives_nothing(together):
    never = threading.Event()
    _, feeds, total = together(
        ListSource([never], live=True, name="dead"),
        endless("well", 0.001),
        policy=Policy(frames=20),
    )
    never.set()
    assert total.captured == 20
    assert feeds[0].counters.captured == 0


def test_enough_frames_of_a_file_end_a_run_though_a_camera_gives_nothing(together):
    never = threading.Event()
    file = ListSource([grey(1)] * 50, name="file")
    _, _, total = together(
        ListSource([never], live=True, name="dead"), file, policy=Policy(frames=10)
    )
    never.set()
    assert total.captured == 10


def test_an_earlier_failure_is_not_raised_when_the_run_is_stopped(together):
    bad = ListSource([OSError("it broke")], name="bad")
    results, _, _ = together(bad, endless("well", 0.001), until=lambda results: len(results) >= 20)
    assert len(results) >= 20
