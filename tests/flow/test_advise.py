"""Float, half precision and INT8 side by side; times are the fake clock's, never the machine's."""

import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgeresnet.backends import BACKENDS, get_backend
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import read_graph
from edgeresnet.core.errors import MissingBackendError, ModelError, UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.protocols import Mode
from edgeresnet.core.target import Scheme, Target, load_target
from edgeresnet.core.tensors import IMAGE, LOGITS, TensorSpec
from edgeresnet.datasets.procedural import draw_picture
from edgeresnet.datasets.procedural.crowds import draw_scene
from edgeresnet.flow.advise import advise
from edgeresnet.flow.golden import TOLERANCE
from edgeresnet.testing import FakeBackend, FakeEngine, grey, plugged

CLASSES = 256
SIZE = (6, 8)
DROP = "0.30 points lost"
BF16 = {"precision": "bf16"}
SECONDS = {"f32": 0.040, "bf16": 0.010, "int8": 0.004}
PICTURES = [grey(value, SIZE) for value in range(0, 256, 8)]
FAST = 0.3  # seconds a precision, of real time
REAL_AGREEMENT = 80  # percent; the sample network in INT8 keeps more than nine of ten labels


def fake_graph(scheme, batch=1):
    return Graph(
        path=Path("nowhere.onnx"),
        sha256="0" * 64,
        task="classify",
        scheme=scheme,
        preprocess=Preprocess(size=SIZE, resize=8),
        labels=Labels(tuple(f"class {i}" for i in range(CLASSES))),
        inputs=(TensorSpec(IMAGE, "uint8", (batch, *SIZE, 3)),),
        outputs=(TensorSpec(LOGITS, "float32", (batch, CLASSES)),),
    )


TARGET = Target(
    name="fake",
    description="nothing",
    backend="fake",
    device="none",
    scheme=Scheme.U8_AFFINE,
    memory_mb=1,
    options={"own": 1},
)


class Paced(FakeBackend):
    """A fake whose runs take the time of their precision on a clock of its own."""

    def __init__(self, wrong=(), **options):
        super().__init__(parallel=1, **options)
        self.now_s, self.wrong, self.folders, self.options = 0.0, wrong, set(), []

    def clock(self):
        return self.now_s

    def precisions(self, target):
        return {"float32": {"precision": "f32"}, "bfloat16": BF16}

    @contextmanager
    def load(self, artifact, target, mode, cache):
        int8 = artifact.scheme is not Scheme.FLOAT
        precision = "int8" if int8 else target.options["precision"]
        self.folders.add(artifact.folder)
        self.options.append(target.options)

        def pace(_pictures):
            self.now_s += SECONDS[precision]

        with super().load(artifact, target, mode, cache) as engine:
            own = FakeBackend(during=pace)
            wrong = precision in self.wrong
            yield FakeEngine(own, engine.inputs, engine.outputs, engine.parallel, wrong)


def advised(backend, *, inside=True, batch=1, scheme=Scheme.U8_AFFINE):
    with plugged(BACKENDS, "fake", backend=backend):
        return advise(
            fake_graph(Scheme.FLOAT, batch),
            fake_graph(scheme, batch),
            TARGET,
            pictures=PICTURES,
            int8_inside=inside,
            drop=DROP,
            max_drop=1.0,
            clock=backend.clock,
        )


def test_every_precision_is_measured_and_the_fastest_advised():
    found = advised(Paced())
    assert [a.name for a in found.alternatives] == ["float32", "bfloat16", "int8"]
    assert [a.p50_ms for a in found.alternatives] == pytest.approx([40, 10, 4])
    assert [a.images_per_s for a in found.alternatives] == pytest.approx([25, 100, 250], rel=0.1)
    assert [a.agreement.percent.value for a in found.alternatives] == [100, 100, 100]
    assert found.best.name == "int8"
    assert found.int8_pays
    assert DROP in found.reason


def test_the_options_of_a_precision_are_over_the_targets_own_and_int8_runs_as_it_stands():
    backend = Paced()
    found = advised(backend)
    assert [dict(a.options) for a in found.alternatives] == [{"precision": "f32"}, BF16, {}]
    assert backend.options[:3] == [
        {"own": 1, "precision": "f32"},
        {"own": 1, **BF16},
        {"own": 1},
    ]


def test_both_modes_are_loaded_afresh_and_nothing_stays():
    backend = Paced()
    advised(backend)
    assert backend.loads == [(Mode.LATENCY, None)] * 3 + [(Mode.THROUGHPUT, None)] * 3
    assert backend.open_engines == 0
    assert len(backend.folders) == 3
    assert not any(folder.exists() for folder in backend.folders)


def test_int8_that_the_gate_refused_is_not_advised():
    found = advised(Paced(), inside=False)
    assert found.best.name == "bfloat16"
    assert not found.int8_pays
    assert "outside the budget" in found.reason


def test_a_half_that_gives_other_labels_is_not_advised():
    found = advised(Paced(wrong={"bf16"}), inside=False)
    half = found.alternatives[1]
    assert not half.inside
    assert half.agreement.percent.value < 50
    assert half.logit_error > 1
    assert found.best.name == "float32"


class Broken(Paced):
    """One whose engines of the wrong precisions give no numbers."""

    @contextmanager
    def load(self, artifact, target, mode, cache):
        with super().load(artifact, target, mode, cache) as engine:
            run = engine.session().infer
            outputs = {LOGITS: np.full((1, CLASSES), np.nan, np.float32)}
            session = SimpleNamespace(infer=lambda feeds: run(feeds) and outputs)
            broken = SimpleNamespace(session=lambda: session, parallel=engine.parallel)
            yield broken if engine.wrong else engine


def test_a_half_that_gives_no_numbers_is_outside_and_stops_nothing():
    found = advised(Broken(wrong={"bf16"}))
    half = found.alternatives[1]
    assert (half.agreement.percent.value, half.inside) == (0, False)
    assert found.as_json()["alternatives"][1]["logit_error"] is None
    assert found.best.name == "int8"


def test_float_that_gives_no_numbers_is_an_error():
    with pytest.raises(ModelError, match=r"nowhere\.onnx gives values that are not finite on fake"):
        advised(Broken(wrong={"f32"}))


def test_a_scheme_of_another_backend_is_told(monkeypatch):
    monkeypatch.setitem(SECONDS, "int8", 0.05)
    found = advised(Paced(), scheme=Scheme.S8_SYMMETRIC)
    assert found.best.name == "bfloat16"
    assert "quantize with --target fake" in found.reason


def test_every_picture_of_a_batch_counts():
    assert advised(Paced(), batch=4).best.images_per_s == pytest.approx(1000, rel=0.1)


def test_the_report_is_json():
    found = advised(Paced()).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["best"] == "int8"
    assert found["pictures"] == len(PICTURES)
    assert found["alternatives"][0]["speedup"] == {"value": 1, "low": 1, "high": 1}
    assert found["fingerprint"]["cpu"]


def test_progress_is_told():
    told, backend = [], Paced()
    with plugged(BACKENDS, "fake", backend=backend):
        advise(
            fake_graph(Scheme.FLOAT),
            fake_graph(Scheme.U8_AFFINE),
            TARGET,
            pictures=PICTURES,
            int8_inside=True,
            drop=DROP,
            max_drop=1.0,
            progress=lambda *step: told.append(step),
            clock=backend.clock,
        )
    assert list(dict.fromkeys(what for what, _, _ in told)) == ["compile", "latency", "throughput"]
    assert all(0 <= done <= total for _, done, total in told)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"int8": fake_graph(Scheme.FLOAT)}, "INT8 graph"),
        ({"float_graph": fake_graph(Scheme.U8_AFFINE)}, "float graph"),
        ({"pictures": []}, "pictures"),
        ({"seconds": 0.0}, "time"),
        ({"seconds": float("inf")}, "time"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, said):
    given = {
        "float_graph": fake_graph(Scheme.FLOAT),
        "int8": fake_graph(Scheme.U8_AFFINE),
        "target": TARGET,
        "pictures": PICTURES,
        "int8_inside": True,
        "drop": DROP,
        "max_drop": 1.0,
    }
    with pytest.raises(UsageError, match=said):
        advise(**{**given, **change})


@pytest.fixture(scope="module", params=["intel-cpu", "generic-cpu"])
def real(request, sample_graph, sample_int8):
    """The sample network on this machine; of the module, since OpenVINO keeps its threads."""
    target = load_target(request.param)
    try:
        backend = get_backend(target.backend)
    except MissingBackendError as error:
        pytest.skip(str(error))
    graph = read_graph(sample_graph)
    scenes = (draw_picture(i, seed=6, size=(240, 200)) for i in range(24))
    found = advise(
        graph,
        read_graph(sample_int8),
        target,
        pictures=[fit(scene.pixels, graph.preprocess) for scene in scenes],
        int8_inside=True,
        drop=DROP,
        max_drop=5.0,
        seconds=FAST,
    )
    return list(backend.precisions(target)), found


@pytest.mark.slow
def test_the_sample_network_is_measured_in_all_that_this_machine_has(real):
    precisions, found = real
    assert [a.name for a in found.alternatives] == [*precisions, "int8"]
    assert found.best in found.alternatives
    assert found.reason
    for alternative in found.alternatives:
        assert 0 < alternative.p50_ms <= alternative.p90_ms
        assert alternative.images_per_s > 0


@pytest.mark.slow
def test_the_sample_network_gives_nearly_the_same_in_every_precision(real):
    _, found = real
    float32, *halves, int8 = found.alternatives
    assert (float32.agreement.percent.value, float32.logit_error) == (100, 0)
    assert all(half.inside and half.logit_error > 0 for half in halves)
    assert int8.agreement.percent.value >= REAL_AGREEMENT
    assert 0 < int8.logit_error < TOLERANCE[Scheme.U8_AFFINE]
    assert int8.size_mb < float32.size_mb / 2


@pytest.mark.slow
def test_a_detector_is_compared_by_its_boxes(detector_graph, detector_s8):
    graph = read_graph(detector_graph)
    scenes = [draw_scene(i, seed=6) for i in range(6)]
    found = advise(
        graph,
        read_graph(detector_s8),
        load_target("generic-cpu"),
        pictures=[fit(scene.pixels, graph.preprocess) for scene in scenes],
        int8_inside=True,
        drop=DROP,
        max_drop=5.0,
        seconds=FAST,
    )
    float32, int8 = found.alternatives
    things = sum(len(scene.boxes) for scene in scenes)
    assert found.as_json()["agreement_of"] == "boxes"
    assert things <= int8.agreement.count <= 2 * things + len(scenes)
    assert float32.agreement.percent.value == 100
    assert 85 <= int8.agreement.percent.value <= 100
    assert 0 < int8.logit_error < TOLERANCE[Scheme.S8_SYMMETRIC]
