import numpy as np
import pytest

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import IMAGE, LOGITS


def test_a_file_and_its_bytes_give_the_same(sample_graph, rng):
    feeds = {IMAGE: rng.integers(0, 256, (1, 128, 128, 3), np.uint8)}
    from_file = open_model(sample_graph)(feeds)
    from_bytes = open_model(sample_graph.read_bytes())(feeds)
    assert set(from_file) == {LOGITS}
    assert np.array_equal(from_file[LOGITS], from_bytes[LOGITS])


def test_without_optimizing_the_figures_stay_as_good_as_the_same(sample_graph, rng):
    feeds = {IMAGE: rng.integers(0, 256, (1, 128, 128, 3), np.uint8)}
    plain = open_model(sample_graph, optimize=False)(feeds)[LOGITS]
    assert np.allclose(plain, open_model(sample_graph)(feeds)[LOGITS], atol=1e-4)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_what_is_no_network_is_a_model_error(tmp_path, as_bytes):
    path = tmp_path / "text.onnx"
    path.write_text("hello")
    with pytest.raises(ModelError, match="cannot load" if as_bytes else "cannot load text"):
        open_model(path.read_bytes() if as_bytes else path)
