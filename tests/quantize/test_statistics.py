"""Activation statistics lose nothing and stay the same size, whatever comes in whatever order."""

import copy
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper

from edgeresnet.core.contract import OPSET
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import IMAGE
from edgeresnet.quantize.statistics import _SMALL, _STRIDE, BINS, TensorStatistics, observe

CHANNELS = 3
ORDERLESS = ("counts", "lows", "highs", "pictures", "values", "reach")
EXACT = (*ORDERLESS, "peaks", "sums", "squares")

finite = st.floats(-1e6, 1e6, width=32)
batch = st.tuples(st.integers(1, 3), st.just(CHANNELS), st.integers(1, 20)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=finite)
)
batches = st.lists(batch, min_size=1, max_size=6)


def gathered(parts):
    found = TensorStatistics.of(parts[0])
    for part in parts[1:]:
        found.add(TensorStatistics.of(part))
    return found


def whole(parts):
    return np.concatenate([part.ravel() for part in parts])


def same(found, other, names=EXACT):
    return all(np.array_equal(getattr(found, name), getattr(other, name)) for name in names)


@given(parts=batches)
def test_growing_keeps_every_count_and_the_memory(parts):
    found = gathered(parts)
    assert found.counts.shape == (BINS,)
    assert found.counts.sum() == whole(parts).size
    assert found.counts.min() >= 0


@given(parts=batches)
def test_the_extremes_are_exact_and_inside_the_reach(parts):
    found, values = gathered(parts), whole(parts)
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.reach >= np.abs(values).max()


@given(parts=batches)
def test_the_reach_is_a_power_of_two(parts):
    mantissa, _ = np.frexp(gathered(parts).reach)
    assert mantissa == 0.5


@given(parts=batches)
def test_the_histogram_of_parts_is_the_histogram_of_the_whole(parts):
    """of(a) + of(b) == of(a and b): doubling the reach merges bins, and rounds nothing again."""
    rows = np.concatenate([part.transpose(0, 2, 1).reshape(-1, CHANNELS) for part in parts])
    assert same(gathered(parts), TensorStatistics.of(rows), ("counts", "lows", "highs", "reach"))


@given(parts=batches, order=st.randoms(use_true_random=False))
def test_the_order_of_merging_changes_nothing(parts, order):
    mixed = list(parts)
    order.shuffle(mixed)
    found, other = gathered(parts), gathered(mixed)
    assert same(found, other, ORDERLESS)
    for name in ("peaks", "sums", "squares"):  # in double precision, but for its last bits
        size = np.abs(getattr(found, name)).max()
        rounding = 1e-12 * max(size, np.abs(whole(parts)).max())
        assert np.abs(getattr(found, name) - getattr(other, name)).max() <= rounding


@given(parts=batches)
def test_what_is_added_is_left_as_it_was(parts):
    added = TensorStatistics.of(parts[-1])
    before = copy.deepcopy(added)
    gathered(parts).add(added)
    assert same(added, before)


@given(parts=batches)
def test_every_value_is_counted_in_a_bin_near_it(parts):
    """Merging moves a value by no more than the bin it ends in."""
    found = gathered(parts)
    binned = np.repeat(found.centres, found.counts)
    width = 2 * found.reach / BINS
    assert np.abs(binned - np.sort(whole(parts).astype(np.float64))).max() <= width / 2 * 1.001


@settings(max_examples=50)
@given(parts=batches, share=st.floats(0.001, 0.999))
def test_a_quantile_is_numpys_to_two_bins(parts, share):
    found, values = gathered(parts), whole(parts)
    width = 2 * found.reach / BINS
    # a share that falls on a step of the distribution may round to either side of it
    near = [np.quantile(values, s, method="inverted_cdf") for s in (share - 1e-9, share + 1e-9)]
    assert min(near) - 2 * width <= found.quantile(share) <= max(near) + 2 * width


def test_quantiles_of_large_tensors_are_numpys(rng):
    """Every eleventh value of a large tensor is seen, which is enough."""
    parts = [rng.normal(3, 2, (2, 8, 64, 64)).astype(np.float32) for _ in range(5)]
    assert parts[0].size > _SMALL
    found, values = gathered(parts), whole(parts)
    assert found.counts.sum() == 5 * len(parts[0].ravel()[::_STRIDE])
    width = 2 * found.reach / BINS
    for share in (0.0001, 0.01, 0.5, 0.99, 0.9999):
        noise = 4 / np.sqrt(len(values)) * 10 if 0.001 < share < 0.999 else 1.0
        assert found.quantile(share) == pytest.approx(np.quantile(values, share), abs=width + noise)


def test_all_values_lie_between_the_first_and_the_last_quantile(rng):
    values = rng.normal(size=(2, 5, 500)).astype(np.float32)
    found = TensorStatistics.of(values)
    assert found.quantile(0.0) <= values.min()
    assert found.quantile(1.0) >= values.max()


@pytest.mark.parametrize("shape", [(1, 6), (3, 6), (1, 6, 40, 50), (4, 6, 9, 7)])
def test_what_is_kept_of_each_channel_is_numpys(rng, shape):
    """Rounding to 1e-5: sums over one map are made in single precision."""
    values = rng.normal(rng.normal(size=(6, *[1] * (len(shape) - 2))), 2, shape).astype(np.float32)
    found = TensorStatistics.of(values)
    rows = values.astype(np.float64).reshape(shape[0], 6, -1)
    assert found.pictures == shape[0]
    assert found.values == values.size // 6
    np.testing.assert_array_equal(found.lows, rows.min((0, 2)))
    np.testing.assert_array_equal(found.highs, rows.max((0, 2)))
    np.testing.assert_array_equal(found.peaks, np.abs(rows).max(2).sum(0))
    np.testing.assert_allclose(found.means, rows.mean((0, 2)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.squares, np.square(rows).sum((0, 2)), rtol=1e-5)


def test_sums_of_small_integers_are_exact_however_the_pictures_are_parted(rng):
    values = rng.integers(-9, 10, (12, 4, 5, 5)).astype(np.float32)
    together = TensorStatistics.of(values)
    assert same(gathered(list(values[:, None])), together)
    assert same(gathered([values[:5], values[5:]]), together)
    assert np.array_equal(together.means * 300, values.sum((0, 2, 3)))


def test_zeros_and_tiny_values_are_counted_too():
    zeros, tiny = np.zeros((1, 2, 5), np.float32), np.full((1, 2, 5), 1e-30, np.float32)
    found = gathered([zeros, tiny])
    assert found.counts.sum() == 20
    assert found.quantile(1.0) < 1e-6
    assert gathered([zeros, np.full((1, 2, 5), 1e30, np.float32)]).high > 9e29


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    values = np.ones((1, 2, 5), np.float32)
    values[0, 1, 4] = bad
    with pytest.raises(ValueError, match="not finite"):
        TensorStatistics.of(values)


def model_of(batch):
    """A graph whose tensor ``x`` is the picture in float."""
    image = helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, [batch, 2, 2, 3])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 2, 2, 3])
    nodes = [
        helper.make_node("Cast", [IMAGE], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Neg", ["x"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [image], [out])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def fake_runtime(batches_run=None, factor=1.0, delays=None):
    """Computes what ``model_of`` describes, notes the batches that it was given, takes its time."""
    noted = [] if batches_run is None else batches_run

    def open_model(_data, *, threads):
        assert threads == 1  # the cores are shared out among the batches

        def run(feeds):
            noted.append(feeds[IMAGE].copy())
            if delays:
                time.sleep(delays[int(feeds[IMAGE].max()) % len(delays)])
            x = feeds[IMAGE].astype(np.float32)
            return {"x": x * np.float32(factor), "y": -x}

        return run

    return open_model


def last(given):
    """The statistics after the last batch, and how many batches there were."""
    found, looks = {}, 0
    for looks, found in enumerate(given, 1):  # noqa: B007  the last of each is wanted
        pass
    return found, looks


@pytest.mark.parametrize("batch", [1, 3, 4])
@pytest.mark.parametrize("count", [1, 4, 7])
def test_each_picture_counts_once_however_the_batches_fall(batch, count):
    pictures = [np.full((2, 2, 3), i + 1, np.uint8) for i in range(count)]
    run: list = []
    given = observe(model_of(batch), ["x"], iter(pictures), fake_runtime(run), jobs=1)
    found, looks = last(given)
    expected = TensorStatistics.of(np.stack(pictures).astype(np.float32))
    assert all(feeds.shape == (batch, 2, 2, 3) for feeds in run)
    assert len(run) == looks == -(-count // batch)
    assert same(found["x"], expected)


def test_the_statistics_are_given_after_each_batch_and_grow():
    pictures = [np.full((2, 2, 3), value, np.uint8) for value in (5, 9, 200, 7)]
    given = observe(model_of(1), ["x"], pictures, fake_runtime(), jobs=1)
    assert [(found["x"].pictures, found["x"].high) for found in given] == [
        (1, 5),
        (2, 9),
        (3, 200),
        (4, 200),
    ]


@pytest.mark.parametrize("batch", [1, 3])
def test_the_number_of_jobs_changes_nothing_to_the_last_bit(rng, batch):
    """Batches that take unequal times end in another order than they began."""
    pictures = list(rng.integers(0, 256, (17, 2, 2, 3), np.uint8))
    found = [
        last(
            observe(
                model_of(batch),
                ["x", "y"],
                pictures,
                fake_runtime(factor=0.1, delays=(0.004, 0, 0.002)),
                jobs=jobs,
            )
        )[0]
        for jobs in (1, 2, 3)
    ]
    for name in ("x", "y"):
        assert found[0][name].pictures == 17
        assert same(found[0][name], found[1][name])
        assert same(found[0][name], found[2][name])


def test_what_is_known_is_added_to(rng):
    pictures = list(rng.integers(0, 256, (6, 2, 2, 3), np.uint8))
    known, _ = last(observe(model_of(1), ["x"], pictures[:2], fake_runtime(), jobs=1))
    more, _ = last(observe(model_of(1), ["x"], pictures[2:], fake_runtime(), jobs=1, known=known))
    once, _ = last(observe(model_of(1), ["x"], pictures, fake_runtime(), jobs=1))
    assert same(more["x"], once["x"])


def test_no_pictures_give_no_statistics():
    assert list(observe(model_of(2), ["x"], [], fake_runtime())) == []


def test_the_real_runtime_exposes_the_tensors():
    from edgeresnet.backends.onnxruntime.reference import open_model

    pictures = [np.full((2, 2, 3), value, np.uint8) for value in (3, 200)]
    found, _ = last(observe(model_of(1), ["x"], pictures, open_model))
    assert (found["x"].low, found["x"].high) == (3.0, 200.0)


def test_a_network_that_overflows_is_refused_by_the_tensors_name():
    pictures = [np.full((2, 2, 3), 3, np.uint8)]
    with pytest.raises(ModelError, match="not finite in x"):
        last(observe(model_of(1), ["x"], pictures, fake_runtime(factor=np.inf)))
