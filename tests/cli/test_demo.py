"""``edgeresnet demo`` as it is typed; what it shows of a demo that was made elsewhere."""

import re

import pytest

from edgeresnet.demo import stage


@pytest.fixture
def shown(small_demo, monkeypatch, edgeresnet):
    """Types the command, which then takes no time."""
    report, said = small_demo

    def demo(folder, *, force, say, progress):
        assert callable(progress())
        asked.append((str(folder), force))
        for line in said:
            say(line)
        return report

    asked = []
    monkeypatch.setattr(stage, "demo", demo)
    return lambda *more: (edgeresnet("demo", *more), asked)


def test_it_shows_how_right_and_how_fast_and_what_was_written(shown, small_demo):
    told, asked = shown()
    report, said = small_demo
    assert told.code == 0
    assert asked == [("demo-out", False)]
    for leg in report.legs:
        (row,) = (line for line in told.out.splitlines() if line.startswith(leg.name))
        assert f"{leg.accuracy.top1.value:.2f}" in row
        assert f"{leg.speed.end_to_end_fps:.0f}" in row
    for path in report.written:
        assert path.name in re.sub(r"\s", "", told.out)  # long paths are folded
    assert "30 frames captured = 30 inferred + 0 dropped" in told.out
    assert all(line in told.err for line in said)


def test_json_is_one_object_with_every_leg(shown, small_demo):
    told, asked = shown("-o", "here", "--force", "--json")
    report, _ = small_demo
    data = told.json
    assert asked == [("here", True)]
    assert [leg["name"] for leg in data["legs"]] == [leg.name for leg in report.legs]
    assert all(leg["evaluate"]["top1"]["value"] > 0 for leg in data["legs"])
    assert all(leg["benchmark"]["fps"] > 0 for leg in data["legs"])
    assert data["run"]["frames"]["captured"] == 30
    assert data["written"] == [str(path) for path in report.written]
    assert data["accuracy"]["verdict"]


def test_quiet_says_nothing_on_the_way(shown):
    told, _ = shown("-q")
    assert told.err == ""
    assert "frames captured" in told.out
