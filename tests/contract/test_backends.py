"""What every backend owes to those who compile and run with it, on the sample network."""

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from edgeresnet.backends import BACKENDS, get_backend, in_precision, precision_of
from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import read_graph
from edgeresnet.core.errors import (
    EdgeError,
    MissingBackendError,
    ModelError,
    ProfileError,
    UsageError,
)
from edgeresnet.core.preprocess import fit
from edgeresnet.core.protocols import Mode
from edgeresnet.core.target import load_target
from edgeresnet.core.tensors import IMAGE, LOGITS
from edgeresnet.datasets.procedural import draw_picture, write_pictures
from edgeresnet.flow.golden import HALF_TOLERANCE, TOLERANCE, batch_feeds, relative_error
from edgeresnet.quantize.stage import quantize

TARGETS = {"onnxruntime": "generic-cpu", "openvino": "intel-cpu", "tensorrt": "nvidia-dgpu"}
WRONG_OPTIONS = {
    "onnxruntime": {"session.load_model_format": "ORT"},
    "openvino": {"NUM_STREAMS": "many"},
    "tensorrt": {"precision": "many"},
}
WAYS_TO_SEE = {
    "rgb": {},
    "bgr": {"color": "bgr", "scale": 1.0, "mean": (103.9, 116.8, 123.7), "std": (57.0, 57.0, 58.0)},
    "symmetric": {"scale": 1 / 127.5, "mean": (1.0, 1.0, 1.0), "std": (1.0, 1.0, 1.0)},
}
GRAPHS = (
    ("rgb", "float"),
    ("rgb", "u8-affine"),
    ("rgb", "s8-symmetric"),
    ("bgr", "float"),
    ("bgr", "u8-affine"),
    ("symmetric", "u8-affine"),
)
PICTURES = 4
RUNS = 25
EXACT_FLOAT = 1e-5  # float32 sums in another order


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request, nvidia):
    """Each registered backend that is installed; TensorRT on a machine that is a fake."""
    if request.param == "tensorrt":
        return nvidia().backend
    try:
        return get_backend(request.param)
    except MissingBackendError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def target(backend):
    own = {"precision": "float32"} if backend.name == "tensorrt" else {}
    return load_target(TARGETS[backend.name]).with_options(own)


@pytest.fixture(scope="module")
def graphs(sample_weights, tmp_path_factory):
    """Makes the sample network's graph for a way to see and a scheme, each once."""
    folder = tmp_path_factory.mktemp("graphs")
    write_pictures(folder / "pictures", 24, seed=8)
    made = {}

    def graph(way, scheme, batch=1):
        key = f"{way}.{scheme}.{batch}"
        if key not in made:
            out = folder / f"{key}.onnx"
            if scheme == "float":
                convert(sample_weights, out, preprocess=WAYS_TO_SEE[way], batch=batch)
            else:  # forced: the network was not trained to see in these ways
                float_graph = graph(way, "float", batch).path
                quantize(float_graph, out, images=folder / "pictures", scheme=scheme, force=True)
            made[key] = read_graph(out)
        return made[key]

    return graph


@pytest.fixture(scope="module")
def artifacts(backend, target, tmp_path_factory):
    """Compiles a graph, once a module."""
    made = {}

    def artifact(graph):
        if graph.path not in made:
            out = tmp_path_factory.mktemp(f"{backend.name}.{graph.path.stem}")
            made[graph.path] = backend.compile(graph, target, out)
        return made[graph.path]

    return artifact


@pytest.fixture(scope="module")
def pictures():
    """Drawn pictures, fitted for the sample network."""

    def fitted(graph):
        scenes = (draw_picture(i, seed=5, size=(200, 170)) for i in range(PICTURES))
        return [fit(scene.pixels, graph.preprocess) for scene in scenes]

    return fitted


def readable(target, scheme):
    """``scheme``, or the only one in which the vendor reads INT8."""
    return scheme if scheme == "float" or target.backend != "tensorrt" else "s8-symmetric"


def logits(run, picture, batch=1):
    return np.array(run(batch_feeds(picture, batch))[LOGITS][0])


def test_every_backend_is_held_to_this_contract():
    assert set(BACKENDS) == set(TARGETS) == set(WRONG_OPTIONS)


def test_it_has_its_name_and_a_version(backend):
    assert BACKENDS[backend.name].endswith(backend.name)
    assert backend.version()[0].isdecimal()


@pytest.mark.parametrize(("way", "scheme"), GRAPHS)
def test_the_artifact_says_what_it_is_and_its_entry_is_there(
    backend, target, graphs, artifacts, way, scheme
):
    graph = graphs(way, readable(target, scheme))
    artifact = artifacts(graph)
    assert artifact.backend == backend.name
    assert artifact.path.is_file()
    assert artifact.scheme is graph.scheme
    assert artifact.normalisation in ("graph", "engine", "host")
    assert (artifact.inputs, artifact.outputs) == (graph.inputs, graph.outputs)
    assert artifact.preprocess == graph.preprocess


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("way", "scheme"), GRAPHS)
def test_every_session_gives_the_logits_of_the_contract_graph(
    backend, target, graphs, artifacts, pictures, way, scheme, mode
):
    graph = graphs(way, readable(target, scheme))
    reference = open_model(graph.path)
    with backend.load(artifacts(graph), target, mode, None) as engine:
        assert engine.inputs[0].name == IMAGE
        assert engine.inputs[0].accepts(pictures(graph)[0][None])
        assert [spec.name for spec in engine.outputs] == [LOGITS]
        assert engine.parallel >= 1
        for session in [engine.session() for _ in range(engine.parallel)]:
            for picture in pictures(graph):
                got = session.infer(batch_feeds(picture, 1))
                assert set(got) == {LOGITS}
                assert engine.outputs[0].accepts(got[LOGITS])
                expected = logits(reference, picture)
                assert relative_error(got[LOGITS][0], expected) < TOLERANCE[graph.scheme]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("way", "scheme"), GRAPHS)
def test_onnx_runtime_gives_them_to_the_last_bit_although_the_host_normalises(
    graphs, tmp_path, pictures, way, scheme, mode
):
    """With as many threads, so that sums are taken in the same order."""
    backend, target = get_backend("onnxruntime"), load_target("generic-cpu")
    graph = graphs(way, scheme)
    artifact = backend.compile(graph, target, tmp_path)
    assert artifact.normalisation == "host"
    reference = open_model(graph.path, threads=1 if mode is Mode.THROUGHPUT else 0)
    with backend.load(artifact, target, mode, None) as engine:
        session = engine.session()
        for picture in pictures(graph):
            error = relative_error(logits(session.infer, picture), logits(reference, picture))
            assert error <= (EXACT_FLOAT if scheme == "float" else 0)


def test_sessions_on_two_threads_do_not_mix_their_pictures(
    backend, target, graphs, artifacts, pictures
):
    graph = graphs("rgb", readable(target, "u8-affine"))
    with backend.load(artifacts(graph), target, Mode.THROUGHPUT, None) as engine:
        sessions = [engine.session(), engine.session()]
        own = [logits(sessions[0].infer, picture) for picture in pictures(graph)[:2]]
        assert relative_error(own[0], own[1]) > TOLERANCE[graph.scheme]  # else nothing is shown
        worst = [0.0, 0.0]

        def work(at):
            for _ in range(RUNS):
                got = logits(sessions[at].infer, pictures(graph)[at])
                worst[at] = max(worst[at], relative_error(got, own[at]))

        threads = [threading.Thread(target=work, args=(at,)) for at in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(worst) < EXACT_FLOAT


def test_a_result_stays_as_it_is_while_another_session_runs(
    backend, target, graphs, artifacts, pictures
):
    graph = graphs("rgb", "float")
    with backend.load(artifacts(graph), target, Mode.THROUGHPUT, None) as engine:
        one, other = engine.session(), engine.session()
        result = one.infer(batch_feeds(pictures(graph)[0], 1))[LOGITS]
        kept = result.copy()
        other.infer(batch_feeds(pictures(graph)[1], 1))
        assert np.array_equal(result, kept)


def test_a_session_leaves_its_feeds_as_they_are(backend, target, graphs, artifacts, pictures):
    graph = graphs("rgb", readable(target, "u8-affine"))
    feeds = batch_feeds(pictures(graph)[0], 1)
    before = feeds[IMAGE].copy()
    with backend.load(artifacts(graph), target, Mode.LATENCY, None) as engine:
        engine.session().infer(feeds)
    assert np.array_equal(feeds[IMAGE], before)


def test_each_picture_of_a_batch_gets_its_own_logits(backend, target, graphs, artifacts, pictures):
    graph = graphs("rgb", "float", batch=2)
    assert graph.batch == 2
    reference = open_model(graph.path)
    with backend.load(artifacts(graph), target, Mode.LATENCY, None) as engine:
        assert engine.inputs[0].shape[0] == 2
        session = engine.session()
        for one, other in pairwise(pictures(graph)):
            rows = session.infer({IMAGE: np.stack([one, other])})[LOGITS]
            for picture, row in zip((one, other), rows, strict=True):
                assert relative_error(row, logits(reference, picture, 2)) < EXACT_FLOAT


def test_what_a_cache_keeps_gives_the_same(backend, target, graphs, artifacts, pictures, tmp_path):
    graph = graphs("rgb", readable(target, "u8-affine"))
    picture, seen = pictures(graph)[0], []
    for _ in range(2):
        with backend.load(artifacts(graph), target, Mode.LATENCY, tmp_path) as engine:
            seen.append(logits(engine.session().infer, picture))
    assert relative_error(seen[1], seen[0]) < EXACT_FLOAT


@pytest.mark.parametrize("damage", ["absent", "empty", "half", "text"])
def test_a_broken_artifact_is_a_model_error(backend, target, graphs, artifacts, tmp_path, damage):
    good = artifacts(graphs("rgb", readable(target, "u8-affine")))
    for broken in sorted(good.folder.iterdir()):
        folder = tmp_path / broken.name
        folder.mkdir()
        for file in good.folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        data = broken.read_bytes()
        path = folder / broken.name
        path.unlink()
        if damage != "absent":
            path.write_bytes({"empty": b"", "half": data[: len(data) // 2]}.get(damage, b"x" * 99))
        artifact = replace(good, folder=folder)
        with pytest.raises(ModelError) as caught:
            backend.load(artifact, target, Mode.LATENCY, None).__enter__()
        assert good.entry in caught.value.what


def test_the_options_of_a_target_reach_the_vendor(backend, target, graphs, artifacts):
    wrong = target.model_copy(update={"options": WRONG_OPTIONS[backend.name]})
    with pytest.raises((ModelError, ProfileError)):
        backend.load(artifacts(graphs("rgb", "float")), wrong, Mode.LATENCY, None).__enter__()


def test_a_float_graph_is_right_in_every_precision_that_the_device_has(
    backend, target, graphs, artifacts, pictures, tmp_path
):
    graph = graphs("rgb", "float")
    reference = open_model(graph.path)
    expected = np.stack([logits(reference, picture) for picture in pictures(graph)])
    precisions = backend.precisions(target)
    assert next(iter(precisions)) == "float32"
    assert set(precisions) <= {"float32", "bfloat16", "float16"}
    for name in precisions:
        chosen = in_precision(backend, target, name)
        artifact = artifacts(graph)
        if artifact.on_device:  # its file has the types of its engine
            (tmp_path / name).mkdir()
            artifact = backend.compile(graph, chosen, tmp_path / name)
        with backend.load(artifact, chosen, Mode.LATENCY, None) as engine:
            session = engine.session()
            got = np.stack([logits(session.infer, picture) for picture in pictures(graph)])
        error = relative_error(got, expected)
        if name == "float32":
            assert error < EXACT_FLOAT
        else:
            assert EXACT_FLOAT < error < HALF_TOLERANCE  # else it was float32 all the same


def test_a_precision_is_over_the_targets_own_options(backend, target):
    own = target.with_options({"OWN": 1})
    for name, options in backend.precisions(own).items():
        chosen = in_precision(backend, own, name)
        assert chosen.options == {"OWN": 1, **options}
        assert precision_of(backend, chosen) == name
    assert precision_of(backend, target) == "float32"


def test_a_precision_that_the_device_has_not_is_refused_with_those_that_it_has(backend, target):
    with pytest.raises(UsageError, match="float8") as caught:
        in_precision(backend, target, "float8")
    assert "float32" in caught.value.hint


def test_a_device_that_does_not_tell_has_float32(backend, target):
    composite = target.model_copy(update={"device": "AUTO"})
    assert next(iter(backend.precisions(composite))) == "float32"


def test_a_device_that_is_not_here_is_an_error_that_names_those_that_are(
    backend, target, graphs, artifacts
):
    absent = target.model_copy(update={"device": "NoSuchDevice"})
    with pytest.raises(EdgeError, match="NoSuchDevice") as caught:
        backend.load(artifacts(graphs("rgb", "float")), absent, Mode.LATENCY, None).__enter__()
    assert target.device in caught.value.hint
