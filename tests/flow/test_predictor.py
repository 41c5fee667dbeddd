import numpy as np
import pytest

from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.tensors import IMAGE, LOGITS
from edgeresnet.flow.predictor import open_predictor
from edgeresnet.testing import grey


def test_a_bundle_gives_the_logits_of_each_picture_beside_what_came_with_it(greys, backend):
    backend.parallel = 3
    values = list(range(0, 250, 5))
    with open_predictor(greys) as predictor:
        assert predictor.name == "grey.bundle on fake"
        assert len(predictor.workers) == 3
        found = list(predictor.logits((value, grey(value, (8, 8))) for value in values))
    assert [key for key, _ in found] == values
    assert [int(row.argmax()) for _, row in found] == values


def test_rows_are_kept_when_the_session_runs_again(greys, backend):
    with open_predictor(greys) as predictor:
        run = predictor.workers[0]
        first = run(grey(3, (8, 8)))
        kept = first.copy()
        run(grey(200, (8, 8)))
    assert np.array_equal(first, kept)


def test_a_graph_is_run_by_onnx_runtime(sample_graph):
    import onnxruntime

    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (128, 128, 3), np.uint8)
    session = onnxruntime.InferenceSession(str(sample_graph), providers=["CPUExecutionProvider"])
    (expected,) = session.run([LOGITS], {IMAGE: picture[None]})
    with open_predictor(sample_graph) as predictor:
        assert predictor.name == "sample.onnx on onnxruntime"
        assert predictor.model.startswith("sha256:")
        ((key, row),) = predictor.logits([("here", picture)])
    assert key == "here"
    assert np.allclose(row, expected[0], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "error", "what"),
    [
        ("absent.onnx", UsageError, "no such file"),
        ("folder", ModelError, "not a bundle"),
        ("text.onnx", ModelError, "not a whole ONNX file"),
    ],
)
def test_what_is_neither_graph_nor_bundle_is_refused_by_name(tmp_path, name, error, what):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(error, match=what) as caught:
        open_predictor(tmp_path / name).__enter__()
    assert name in caught.value.what
