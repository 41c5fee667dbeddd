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


def test_it_shows_of_both_networks_how_right_and_how_fast_they_are(shown, small_demo):
    told, asked = shown()
    report, said = small_demo
    assert told.code == 0
    assert asked == [("demo-out", False)]
    parts = told.out.split("\n\n")[-len(report.ways) - 1 : -1]
    for way, part, metric in zip(report.ways, parts, ("top-1 %", "mAP@.5 %"), strict=True):
        lines = part.strip().splitlines()
        assert lines[0].startswith(f"{way.network.name}: ")
        assert metric in lines[1]
        legs = [leg for pair in way.pairs for leg in pair.legs]
        for leg, row in zip(legs, lines[2:-1], strict=True):
            assert row.startswith(leg.name)
            assert f"{leg.right.value:.2f}" in row
            assert f"{leg.speed.end_to_end_fps:.0f}" in row
        for pair in way.pairs:
            (row,) = (line for line in lines if line.startswith(pair.legs[1].name))
            assert float(row.removeprefix(pair.legs[1].name).split()[1]) == pytest.approx(
                pair.drop.value, abs=0.006
            )
        assert lines[-1] == "clip: 30 frames captured = 30 inferred + 0 dropped"
    end = re.sub(r"\s", "", told.out)
    assert end.endswith(f"lookat{report.written[0]}and{report.written[1]}")
    assert all(line in told.err for line in said)


def test_json_is_one_object_with_every_leg(shown, small_demo):
    told, asked = shown("-o", "here", "--force", "--json")
    report, _ = small_demo
    data = told.json
    assert asked == [("here", True)]
    for way in report.ways:
        found = data[way.network.name]
        assert found["accuracy"]["verdict"] == "inside"
        assert found["run"]["frames"]["captured"] == 30
        assert [one["target"] for one in found["targets"]] == [pair.target for pair in way.pairs]
        for one, pair in zip(found["targets"], way.pairs, strict=True):
            assert one["evaluate"] == pair.accuracy.as_json()
            assert [leg["name"] for leg in one["legs"]] == [leg.name for leg in pair.legs]
            assert all(leg["benchmark"]["fps"] > 0 for leg in one["legs"])
    assert data["written"] == [str(path) for path in report.written]


def test_quiet_says_nothing_on_the_way(shown):
    told, _ = shown("-q")
    assert told.err == ""
    assert "frames captured" in told.out
