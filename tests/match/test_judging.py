"""When one setting is clearly better than another, on statistics made up for the question."""

import numpy as np
import pytest

from edgeresnet.core.preprocess import Preprocess
from edgeresnet.match.candidates import Candidate, candidates
from edgeresnet.match.judging import Gathered
from edgeresnet.match.moments import Moments, NormStatistics

PICTURES, CHANNELS, LAYERS = 30, 8, 12
GIVEN, *OTHERS = candidates(Preprocess(), "3x3")
ONE = {
    way: next(c for c in OTHERS if c.ways(GIVEN) == {way})
    for way in ("color", "normalisation", "stride_in")
}


def moments(rng, off, top=None, bar=0.0):
    """What layers do whose means are ``off`` by so many standard deviations each."""
    layers = []
    for by in off:
        means = by + 0.05 * rng.normal(size=(PICTURES, CHANNELS))
        layers.append((means, means**2 + 1.0))
    return Moments(tuple(layers), top, bar)


def verdict(rng, way, off, *, before=0.6, strided=4, tops=(None, None), bar=0.0):
    """The candidate of ``way`` beside the given one, whose layers are off by ``before``."""
    norm = NormStatistics(np.zeros(CHANNELS), np.ones(CHANNELS))
    seen = {
        GIVEN: moments(rng, [before] * LAYERS, tops[0], bar),
        ONE[way]: moments(rng, off, tops[1], bar),
    }
    return Gathered((norm,) * LAYERS, strided, seen).beside(ONE[way], GIVEN)


def sureness(rng, by):
    """Of two settings, the second the surer; pairs scatter by 1, so that t is ``by`` times 5.5."""
    before = rng.normal(size=PICTURES)
    scatter = rng.normal(size=PICTURES)
    scatter = (scatter - scatter.mean()) / scatter.std(ddof=1)
    return np.exp(before), np.exp(before + by + scatter)


@pytest.mark.parametrize("way", ["normalisation", "stride_in"])
def test_layers_that_all_fit_better_decide(rng, way):
    better = verdict(rng, way, [0.3] * LAYERS)
    assert better.log_ratio > 0.5
    assert better.share == 1
    assert better.clearly_better
    assert not verdict(rng, way, [0.9] * LAYERS).clearly_better


def test_a_stride_is_not_believed_against_the_layer_on_which_it_acts_first(rng):
    """Weights that have gone far make all layers behind fit better or worse by chance."""
    off = [0.3] * LAYERS
    off[4] = 0.7
    found = verdict(rng, "stride_in", off)
    assert found.log_ratio > 0.5
    assert found.t > 4
    assert found.acting < 0
    assert not found.clearly_better
    off[4], off[0] = 0.3, 0.7
    assert verdict(rng, "stride_in", off).clearly_better
    assert not verdict(rng, "normalisation", off).clearly_better  # that acts on the first of all


def test_where_a_stride_acts_may_be_unknown(rng):
    assert verdict(rng, "stride_in", [0.3] * LAYERS, strided=None).clearly_better


def test_layers_that_contradict_each_other_decide_nothing(rng):
    off = [0.3, 0.9] * (LAYERS // 2)
    assert not verdict(rng, "normalisation", off).clearly_better


@pytest.mark.parametrize(
    ("t", "bar", "better"), [(3.0, 2.0, True), (1.5, 2.0, False), (3.0, 4.0, False)]
)
def test_a_colour_order_is_told_by_how_sure_the_network_is_from_its_bar_on(rng, t, bar, better):
    tops = sureness(rng, t / PICTURES**0.5)
    found = verdict(rng, "color", [0.6] * LAYERS, tops=tops, bar=bar)
    assert found.surer_t == pytest.approx(t)
    assert found.clearly_better is better


def test_sureness_is_not_believed_against_every_layer(rng):
    tops = sureness(rng, 1.0)
    assert not verdict(rng, "color", [0.9] * LAYERS, tops=tops, bar=2.0).clearly_better


def test_layers_alone_tell_a_colour_order_when_nothing_says_how_sure(rng):
    found = verdict(rng, "color", [0.3] * LAYERS)
    assert found.surer_t is None
    assert found.clearly_better
    tops = sureness(rng, -0.5)
    assert not verdict(rng, "color", [0.3] * LAYERS, tops=tops, bar=2.0).clearly_better


def test_candidates_are_held_on_the_pictures_that_both_have_seen(rng):
    norm = NormStatistics(np.zeros(CHANNELS), np.ones(CHANNELS))
    few = moments(rng, [0.3] * LAYERS).first(9)
    seen: dict[Candidate, Moments] = {GIVEN: moments(rng, [0.6] * LAYERS), ONE["color"]: few}
    gathered = Gathered((norm,) * LAYERS, None, seen)
    first = Gathered((norm,) * LAYERS, None, {**seen, GIVEN: seen[GIVEN].first(9)})
    one, other = (g.beside(ONE["color"], GIVEN) for g in (gathered, first))
    assert one.log_ratio == other.log_ratio
