"""One calibration serves every scheme, and says whether more pictures would have moved it."""

import numpy as np
import pytest

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.calibration import Convergence, calibrate, observed_tensors
from edgeresnet.quantize.emit import Emitter
from edgeresnet.quantize.equalize import channels, reapply, streams
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.ranges import choose_ranges

PLAIN = Recipe(name="r", description="", equalize=False)
DEFAULT = Recipe(name="r", description="")


def dull(pictures):
    """Nearly grey."""
    return [(116 + (picture - 128.0) * 0.1).astype(np.uint8) for picture in pictures]


def many(pictures, count):
    """More pictures of the same kind: mirrored, and in other colours."""
    rng = np.random.default_rng(3)
    drawn = []
    for _ in range(count):
        picture = pictures[rng.integers(len(pictures))]
        picture = picture[:: rng.choice([-1, 1]), :: rng.choice([-1, 1]), rng.permutation(3)]
        drawn.append(np.roll(picture, rng.integers(0, 64, 2), (0, 1)))
    return drawn


def scales_of(found, model, recipe, scheme):
    ranges = choose_ranges(found.statistics, place(model, scheme), recipe, scheme)
    return {name: (r.scale, r.zero_point) for name, r in ranges.items()}


@pytest.mark.parametrize("recipe", [PLAIN, DEFAULT])
def test_pictures_of_one_kind_settle_and_brighter_ones_later_do_not(
    small_network, smooth_pictures, recipe
):
    pictures = many(smooth_pictures, 64)
    model = small_network(block="basic")
    alike = calibrate(model, iter(pictures), [], recipe, open_model).convergence
    assert alike.settled is True
    mixed = dull(pictures[:32]) + pictures[32:]
    unlike = calibrate(model, iter(mixed), [], recipe, open_model).convergence
    assert unlike.settled is False
    assert unlike.half_change > 0.15
    assert set(unlike.unsettled) > set(alike.unsettled)


def test_the_ranges_are_looked_at_whenever_the_pictures_have_doubled(
    small_network, smooth_pictures
):
    pictures = many(smooth_pictures, 40)
    looks = calibrate(small_network(), iter(pictures), [], PLAIN, open_model).convergence
    assert looks.pictures == (8, 16, 32, 40)
    assert looks.change[-1] == 0
    assert all(0 <= change < 1 for change in looks.change)


@pytest.mark.parametrize("count", [1, 7, 8, 12])
def test_too_few_pictures_do_not_tell(small_network, smooth_pictures, count):
    found = calibrate(small_network(), iter(smooth_pictures[:count]), [], PLAIN, open_model)
    assert found.convergence.settled is None
    assert found.convergence.half_change is None


@pytest.mark.parametrize(
    ("pictures", "change", "settled"),
    [
        ((), (), None),
        ((8,), (0.0,), None),
        ((8, 12), (0.5, 0.0), None),
        ((8, 16), (0.05, 0.0), True),
        ((8, 16), (0.051, 0.0), False),
        ((8, 16, 32, 64), (0.5, 0.3, 0.01, 0.0), True),
        ((8, 16, 32, 40), (0.01, 0.3, 0.01, 0.0), False),  # 16 is the last before the half
    ],
)
def test_what_half_of_the_pictures_gave_decides(pictures, change, settled):
    found = Convergence(pictures, change, ())
    assert found.settled is settled
    assert found.as_json()["settled"] is settled


@pytest.mark.parametrize(("batch", "recipe"), [(1, PLAIN), (5, DEFAULT)])
def test_the_number_of_jobs_changes_no_range(small_network, smooth_pictures, recipe, batch):
    model = small_network(batch=batch, block="basic")
    found = [
        calibrate(model, iter(smooth_pictures[:12]), [], recipe, open_model, jobs=jobs)
        for jobs in (1, 3)
    ]
    for scheme in (Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC):
        assert scales_of(found[0], model, recipe, scheme) == scales_of(
            found[1], model, recipe, scheme
        )
    graphs = [f.rescaled(model).SerializeToString() for f in found]
    assert graphs[0] == graphs[1]


def test_every_scheme_and_method_finds_its_tensors(small_network, smooth_pictures):
    model = small_network(se=True)
    found = calibrate(model, iter(smooth_pictures[:4]), [], DEFAULT, open_model)
    assert set(found.statistics) == set(observed_tensors(model))
    for scheme in (Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC):
        for method in Method:
            recipe = Recipe(name="r", description="", method=method)
            Emitter(found.rescaled(model), scheme, recipe, found.statistics).build()


def test_rescaled_channels_are_looked_at_again_on_every_picture(small_network, smooth_pictures):
    """The statistics are those of the rescaled graph, on all pictures, each counted once."""
    model = small_network(block="basic")
    rng = np.random.default_rng(1)
    factors = {s.name: 10 ** rng.uniform(-1.5, 1.5, channels(model, s)) for s in streams(model)}
    hard, read = reapply(model, factors), []

    def pictures():
        for number, picture in enumerate(many(smooth_pictures, 40)):
            read.append(f"digest {number}")
            yield picture

    found = calibrate(hard, pictures(), read, DEFAULT, open_model)
    assert found.equalized
    assert found.may_equalize
    assert found.digests == tuple(f"digest {number}" for number in range(40))
    plain = calibrate(found.rescaled(hard), iter(many(smooth_pictures, 40)), [], PLAIN, open_model)
    assert {seen.pictures for seen in found.statistics.values()} == {40}
    for name, seen in found.statistics.items():
        assert np.array_equal(seen.counts, plain.statistics[name].counts)
        assert np.array_equal(seen.sums, plain.statistics[name].sums)


@pytest.mark.parametrize("recipe", [PLAIN, DEFAULT])
def test_not_one_readable_picture_leaves_nothing_to_quantize_by(small_network, recipe):
    found = calibrate(small_network(), iter([]), [], recipe, open_model)
    assert found.statistics == {}
    assert found.equalized == ()
    assert found.convergence.settled is None
