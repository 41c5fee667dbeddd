"""The choice between precisions and its reason, as functions of what was measured."""

from dataclasses import replace

import pytest

from edgeresnet.core.target import Scheme
from edgeresnet.flow.worth import Alternative, Setting, choose, explain, half_inside
from edgeresnet.metrics.accuracy import Interval
from edgeresnet.metrics.agreement import Agreement
from edgeresnet.metrics.processor import Processor

ROUNDS = 20
VNNI = Processor("Xeon", frozenset({"avx512_vnni"}))
OLD = Processor("Celeron", frozenset({"sse4_2"}))
UNKNOWN = Processor("Apple M1", frozenset())
SETTING = Setting(Scheme.U8_AFFINE, Scheme.U8_AFFINE, "intel-cpu", VNNI, "0.30 points lost")


def agreed(percent, count=64, of="labels"):
    return Agreement(of, count, Interval(percent, percent, percent))


def measured(name, ms, *, inside=True, images_per_s=None, times_ms=None):
    times = times_ms or (float(ms),) * ROUNDS
    rate = images_per_s or 2000 / ms
    return Alternative(name, {}, times, rate, 25.0, agreed(98.0), 0.06, inside)


def told(alternatives, setting=SETTING):
    best = choose(alternatives)
    return best.name, explain(alternatives, best, setting)


def test_the_fastest_inside_the_budget_is_chosen():
    best, reason = told([measured("float32", 42), measured("bfloat16", 9), measured("int8", 5)])
    assert best == "int8"
    assert "1.80 (1.80 to 1.80) times as fast as bfloat16 and inside" in reason
    assert "0.30 points lost" in reason


def test_int8_outside_the_budget_is_not_chosen_however_fast():
    best, reason = told([measured("float32", 42), measured("int8", 5, inside=False)])
    assert best == "float32"
    assert "8.40" in reason
    assert "outside the budget (0.30 points lost)" in reason


def test_a_half_that_is_not_right_is_passed_over():
    halves = [measured("bfloat16", 3, inside=False)]
    best, reason = told([measured("float32", 42), *halves, measured("int8", 5)])
    assert best == "int8"
    assert "as fast as float32" in reason


def test_a_gain_that_is_hardly_one_goes_to_the_more_exact():
    best, reason = told([measured("float32", 42), measured("bfloat16", 6.5), measured("int8", 6.2)])
    assert best == "bfloat16"
    assert "not clearly faster than bfloat16" in reason
    assert "instructions of its own" in reason


def test_a_scheme_that_the_backend_does_not_run_fast_is_named():
    setting = replace(SETTING, written=Scheme.S8_SYMMETRIC)
    best, reason = told([measured("float32", 30), measured("int8", 35)], setting)
    assert best == "float32"
    assert "INT8 is slower than float32, 0.86 (0.86 to 0.86) times as fast" in reason
    assert "quantize with --target intel-cpu" in reason


def test_a_processor_without_instructions_for_int8_is_named():
    setting = replace(SETTING, processor=OLD)
    assert (
        "Celeron has no instructions"
        in told([measured("float32", 30), measured("int8", 29)], setting)[1]
    )


@pytest.mark.parametrize("processor", [VNNI, UNKNOWN, None])
def test_a_processor_that_has_them_or_does_not_tell_is_not_blamed(processor):
    setting = replace(SETTING, processor=processor)
    _, reason = told([measured("float32", 30), measured("int8", 29)], setting)
    assert "instructions" not in reason
    assert "no cause" in reason


def test_fixed_costs_of_a_small_network_are_named():
    _, reason = told([measured("float32", 0.4), measured("int8", 0.4)])
    assert "0.40 ms" in reason
    assert "fixed costs" in reason


def test_times_that_scatter_decide_nothing_and_say_so():
    wild = tuple(10.0 if i % 3 else 60.0 for i in range(ROUNDS))
    exact = tuple(12.0 if i % 2 else 30.0 for i in range(ROUNDS))
    best, reason = told(
        [
            measured("float32", 0, times_ms=exact, images_per_s=50),
            measured("int8", 0, times_ms=wild, images_per_s=50),
        ]
    )
    assert best == "float32"
    assert "scatter" in reason


def test_slow_and_outside_says_both():
    _, reason = told([measured("float32", 30), measured("int8", 35, inside=False)])
    assert "slower" in reason
    assert "outside the budget" in reason


def test_another_answer_for_whole_files_is_told():
    best, reason = told(
        [measured("float32", 30, images_per_s=60), measured("int8", 29, images_per_s=200)]
    )
    assert best == "float32"
    assert "files" in reason
    assert "int8: 200 instead of 60 images/s" in reason


@pytest.mark.parametrize(
    ("agreement", "error", "max_drop", "inside"),
    [
        (agreed(100.0), 0.011, 1.0, True),
        (agreed(100 - 100 / 64), 0.011, 1.0, True),  # one label: fewer cannot be told
        (agreed(100 - 200 / 64), 0.011, 1.0, False),
        (agreed(100 - 200 / 64), 0.011, 3.2, True),
        (agreed(100.0), 0.3, 1.0, False),
        (agreed(100.0), float("inf"), 1.0, False),
        (agreed(99.5, 200, "boxes"), 0.011, 0.1, True),
        (agreed(99.0, 200, "boxes"), 0.011, 0.1, False),
        (agreed(100.0, 0, "boxes"), 0.011, 1.0, True),  # pictures of nothing
        (agreed(99.5, 2, "vectors"), 0.011, 1.0, True),
        (agreed(98.0, 2, "vectors"), 0.011, 1.0, False),  # a mean tells less than one of them
    ],
)
def test_half_precision_is_inside_when_right_and_little_of_what_it_says_changes(
    agreement, error, max_drop, inside
):
    assert half_inside(agreement, error, max_drop) is inside


def test_percentiles_are_of_the_rounds():
    found = measured("int8", 0, times_ms=tuple(map(float, range(1, 11))), images_per_s=1)
    assert (found.p50_ms, found.p90_ms) == (5.5, 9.0)
    data = found.as_json(found)
    assert data["latency_ms"] == {"p50": 5.5, "p90": 9.0}
    assert data["speedup"]["value"] == 1


def test_values_that_are_not_finite_are_no_json():
    found = replace(measured("int8", 5), logit_error=float("inf"))
    assert found.as_json(found)["logit_error"] is None
