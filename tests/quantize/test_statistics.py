"""Activation statistics lose nothing and stay the same size, whatever comes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper

from edgeresnet.core.contract import OPSET
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import IMAGE
from edgeresnet.quantize.statistics import _STRIDE, BINS, TensorStatistics, observe

finite = st.floats(-1e6, 1e6, width=32)
batches = st.lists(
    st.integers(1, 60).flatmap(lambda n: arrays(np.float32, n, elements=finite)),
    min_size=1,
    max_size=6,
)


def gathered(parts):
    found = TensorStatistics()
    for part in parts:
        found.add(part)
    return found


@given(parts=batches)
def test_growing_keeps_every_count_and_the_memory(parts):
    found = gathered(parts)
    assert found.counts.shape == (BINS,)
    assert found.counts.sum() == sum(len(part[::_STRIDE]) for part in parts)
    assert found.counts.min() >= 0


@given(parts=batches)
def test_the_extremes_are_exact_and_inside_the_reach(parts):
    found = gathered(parts)
    values = np.concatenate(parts)
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.reach >= np.abs(values).max()


@given(parts=batches)
def test_every_value_is_counted_in_a_bin_near_it(parts):
    """Merging moves a value by no more than the bin it ends in."""
    found = gathered(parts)
    sampled = np.sort(np.concatenate([part[::_STRIDE] for part in parts]).astype(np.float64))
    width = 2 * found.reach / BINS
    binned = np.repeat((np.arange(BINS) + 0.5) * width - found.reach, found.counts)
    assert np.abs(binned - sampled).max() <= width * 1.001


@settings(max_examples=50)
@given(parts=batches, share=st.floats(0.001, 0.999))
def test_a_quantile_is_numpys_to_two_bins(parts, share):
    found = gathered(parts)
    sampled = np.concatenate([part[::_STRIDE] for part in parts])
    expected = np.quantile(sampled, share, method="inverted_cdf")
    width = 2 * found.reach / BINS
    # a share that falls on a step of the distribution may round to either side of it
    near = [np.quantile(sampled, s, method="inverted_cdf") for s in (share - 1e-9, share + 1e-9)]
    assert min(near) - 2 * width <= found.quantile(share) <= max([*near, expected]) + 2 * width


def test_quantiles_of_many_values_are_numpys(rng):
    parts = [rng.normal(3, 2, (4, 5, 16, 16)).astype(np.float32) for _ in range(40)]
    found = gathered(parts)
    values = np.concatenate([part.ravel() for part in parts])
    width = 2 * found.reach / BINS
    for share in (0.0001, 0.01, 0.5, 0.99, 0.9999):
        noise = 4 / np.sqrt(len(values)) if 0.001 < share < 0.999 else 1.0  # every 7th is seen
        assert found.quantile(share) == pytest.approx(np.quantile(values, share), abs=width + noise)


def test_all_values_lie_between_the_first_and_the_last_quantile(rng):
    values = rng.normal(size=5000).astype(np.float32)
    found = gathered([values])
    assert found.quantile(0.0) <= values[::_STRIDE].min()
    assert found.quantile(1.0) >= values[::_STRIDE].max()


def test_zeros_and_tiny_values_are_counted_too():
    found = gathered([np.zeros(70, np.float32), np.full(70, 1e-30, np.float32)])
    assert found.counts.sum() == 20
    assert found.quantile(1.0) < 1e-6
    assert gathered([np.zeros(7, np.float32), np.full(7, 1e30, np.float32)]).high > 9e29


def test_no_values_have_no_quantile():
    with pytest.raises(ValueError, match="no values"):
        TensorStatistics().quantile(0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    values = np.ones(10, np.float32)
    values[4] = bad
    with pytest.raises(ValueError, match="not finite"):
        TensorStatistics().add(values)


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


def fake_runtime(batches_run, bad=None):
    """Computes what ``model_of`` describes, and notes the batches that it was given."""

    def open_model(_data):
        def run(feeds):
            batches_run.append(feeds[IMAGE].copy())
            x = feeds[IMAGE].astype(np.float32)
            return {"x": x if bad is None else x * np.float32(bad), "y": -x}

        return run

    return open_model


@pytest.mark.parametrize("batch", [1, 3, 4])
@pytest.mark.parametrize("count", [1, 4, 7])
def test_each_picture_counts_once_however_the_batches_fall(batch, count):
    pictures = [np.full((2, 2, 3), i + 1, np.uint8) for i in range(count)]
    run: list = []
    found = observe(model_of(batch), ["x"], iter(pictures), fake_runtime(run))["x"]
    expected = TensorStatistics()
    for i in range(0, count, batch):
        expected.add(np.stack(pictures[i : i + batch]).astype(np.float32))
    assert all(feeds.shape == (batch, 2, 2, 3) for feeds in run)
    assert len(run) == -(-count // batch)
    assert (found.low, found.high) == (1, count)
    assert np.array_equal(found.counts, expected.counts)


def test_no_pictures_leave_no_statistics():
    found = observe(model_of(2), ["x"], [], fake_runtime([]))
    assert found["x"].counts is None


def test_the_real_runtime_exposes_the_tensors():
    from edgeresnet.backends.onnxruntime.reference import open_model

    pictures = [np.full((2, 2, 3), value, np.uint8) for value in (3, 200)]
    found = observe(model_of(1), ["x"], pictures, open_model)["x"]
    assert (found.low, found.high) == (3.0, 200.0)


def test_a_network_that_overflows_is_refused_by_the_tensors_name():
    pictures = [np.full((2, 2, 3), 3, np.uint8)]
    with pytest.raises(ModelError, match="not finite in x"):
        observe(model_of(1), ["x"], pictures, fake_runtime([], bad=np.inf))
