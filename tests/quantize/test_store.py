"""What was kept of a calibration is what was found; what is not that is refused by its name."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.errors import UsageError
from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.calibration import calibrate
from edgeresnet.quantize.equalize import channels, reapply, streams
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.ranges import choose_ranges
from edgeresnet.quantize.store import calibration_file, load, save

DIGEST = "5" * 64


@pytest.fixture(scope="module")
def model(small_network):
    """A network whose channels are far apart, so that calibrating it rescales."""
    easy, rng = small_network(block="basic"), np.random.default_rng(2)
    factors = {s.name: 10 ** rng.uniform(-1, 1, channels(easy, s)) for s in streams(easy)}
    return reapply(easy, factors)


@pytest.fixture(scope="module")
def found(model, smooth_pictures):
    recipe = Recipe(name="r", description="")
    seen = [f"{number:064}" for number in range(18)]
    return calibrate(model, iter(smooth_pictures[:18]), seen, recipe, open_model)


@pytest.fixture
def kept(found, tmp_path):
    """A file with all of it."""
    path = tmp_path / "small.calibration.npz"
    save(found, DIGEST, path)
    return path


@pytest.mark.parametrize("scheme", [Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC])
@pytest.mark.parametrize("method", Method)
def test_what_is_read_back_gives_the_same_ranges_to_the_last_bit(
    model, found, kept, method, scheme
):
    again = load(kept, model, DIGEST)
    recipe, placement = Recipe(name="r", description="", method=method), place(model, scheme)
    assert choose_ranges(again.statistics, placement, recipe, scheme) == choose_ranges(
        found.statistics, placement, recipe, scheme
    )


def test_everything_is_read_back(model, found, kept):
    again = load(kept, model, DIGEST)
    assert list(again.statistics) == list(found.statistics)
    for name, seen in found.statistics.items():
        for field in dataclasses.fields(seen):
            kept_value, value = (getattr(s, field.name) for s in (again.statistics[name], seen))
            assert np.array_equal(kept_value, value), (name, field.name)
            assert type(kept_value) is type(value), (name, field.name)
    assert found.equalized
    assert [done.as_json() for done in again.equalized] == [d.as_json() for d in found.equalized]
    assert again.rescaled(model) == found.rescaled(model)
    assert again.digests == found.digests
    assert again.convergence.as_json() == found.convergence.as_json()
    assert again.convergence.settled == found.convergence.settled
    assert (again.seconds, again.may_equalize) == (found.seconds, found.may_equalize)


def test_it_is_kept_beside_the_graph():
    assert calibration_file(Path("a/b.c/net.v1.onnx")) == Path("a/b.c/net.v1.calibration.npz")


def test_it_takes_the_place_of_an_earlier_one(model, found, kept):
    save(dataclasses.replace(found, digests=("new",)), DIGEST, kept)
    assert load(kept, model, DIGEST).digests == ("new",)
    assert list(kept.parent.iterdir()) == [kept]


def refused(path, model, says):
    with pytest.raises(UsageError, match=says) as caught:
        load(path, model, DIGEST)
    assert str(path) in caught.value.what
    assert "--images" in caught.value.hint


def rewritten(path, **changes):
    """The file again, with other things said about it; None leaves one out."""
    with np.load(path) as stored:
        arrays = dict(stored)
    about = json.loads(arrays["about"].tobytes()) | changes
    about = {key: value for key, value in about.items() if value is not None}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **arrays)


def test_the_calibration_of_another_graph_is_refused(model, found, kept):
    save(found, "6" * 64, kept)
    refused(kept, model, "another graph")


@pytest.mark.parametrize("schema", [0, 2, "1"])
def test_another_schema_is_refused(model, kept, schema):
    rewritten(kept, schema=schema)
    refused(kept, model, "another edgeresnet")


@pytest.mark.parametrize(
    "key", ["schema", "tensors", "digests", "equalized", "convergence", "seconds", "may_equalize"]
)
def test_a_file_that_leaves_something_out_is_refused(model, kept, key):
    rewritten(kept, **{key: None})
    refused(kept, model, "damaged")


def test_a_stream_that_the_graph_does_not_have_is_refused(model, kept):
    rewritten(kept, equalized=[{"stream": "elsewhere", "before": 9.0, "after": 1.0}])
    refused(kept, model, "damaged")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(model, kept, share):
    data = kept.read_bytes()
    kept.write_bytes(data[: int(share * len(data))])
    refused(kept, model, "damaged")


@pytest.mark.parametrize("data", [b"", b"no zip", b"\x93NUMPY", b"PK\x03\x04 rest", b"\x80\x04N."])
def test_a_file_that_is_no_zip_is_refused(model, tmp_path, data):
    path = tmp_path / "other.npz"
    path.write_bytes(data)
    refused(path, model, "damaged")


def test_arrays_of_another_kind_are_refused(model, tmp_path):
    path = tmp_path / "other.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))  # one array, not many
    refused(path, model, "damaged")
    np.savez(path, something=np.zeros(3))
    refused(path, model, "damaged")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("about.npy", b"text")
    refused(path, model, "damaged")


def test_a_changed_byte_is_refused_or_changes_nothing(model, found, kept, rng):
    """Some bytes of a zip are read by nobody, dates say; any other is noticed, whatever it hits."""
    data, noticed = kept.read_bytes(), 0
    for position in rng.integers(0, len(data), 60):
        changed = bytearray(data)
        changed[position] ^= 1 << int(rng.integers(8))
        kept.write_bytes(changed)
        try:
            again = load(kept, model, DIGEST)
        except UsageError:
            noticed += 1
            continue
        assert again.digests == found.digests
        for name, seen in found.statistics.items():
            assert np.array_equal(again.statistics[name].counts, seen.counts)
    assert noticed > 30


def test_a_file_that_is_not_there_is_refused(model, tmp_path):
    refused(tmp_path / "none.npz", model, "none.npz")
