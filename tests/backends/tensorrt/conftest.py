"""Graphs for TensorRT, quantized in no time, and NVIDIA's own parser where it was fetched."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
NVIDIA = Path(sys.prefix) / "nvidia"
BUILDER = Path(__file__).with_name("rtx_builder.py")
BUILD_S = 120


@pytest.fixture(scope="session")
def quantized(tmp_path_factory):
    """Quantizes a graph in no time: its ranges are those of two pictures of noise."""
    from edgeresnet.backends.onnxruntime.reference import open_model
    from edgeresnet.core.contract import describe, graph_of, load_onnx, save_onnx
    from edgeresnet.core.recipe import load_recipe
    from edgeresnet.core.target import Scheme
    from edgeresnet.quantize.placement import place
    from edgeresnet.quantize.qdq import insert
    from edgeresnet.quantize.ranges import choose_ranges
    from edgeresnet.quantize.statistics import observe

    def made(graph, kind="s8-symmetric"):
        model, scheme = load_onnx(graph), Scheme(kind)
        read = graph_of(model, graph)
        shape = (2, *read.inputs[0].shape[1:])
        pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        placement = place(model, scheme)
        *_, statistics = observe(model, placement.tensors, pictures, open_model)
        ranges = choose_ranges(statistics, placement, load_recipe("default"), scheme)
        model = insert(model, placement, ranges, scheme)
        describe(
            model,
            task=read.task,
            scheme=scheme,
            preprocess=read.preprocess,
            labels=read.labels,
            evidence=read.evidence,
        )
        out = tmp_path_factory.mktemp("quantized") / f"{graph.stem}.{kind}.onnx"
        save_onnx(model, out)
        return out

    return made


@pytest.fixture(scope="session")
def sample_s8(sample_graph, quantized):
    """The sample network as TensorRT wants it."""
    return quantized(sample_graph)


@pytest.fixture(scope="session")
def small_detectors(one_thread, tmp_path_factory):
    """Narrow, shallow detectors as float graphs, by kind; their weights are drawn."""
    import torch

    from edgeresnet.convert.networks import (
        FasterRCNNSpec,
        FCOSSpec,
        ResNetSpec,
        RetinaNetSpec,
        build_detector,
    )
    from edgeresnet.convert.stage import convert

    folder = tmp_path_factory.mktemp("detectors")
    backbone = ResNetSpec("bottleneck", (1, 1, 1, 1), width=0.125)
    made = {
        "retinanet-v2": RetinaNetSpec(backbone, 3, 64, norm=True, extra="c5"),
        "fcos": FCOSSpec(backbone, 3, 64),
        "faster-rcnn": FasterRCNNSpec(backbone, 4, 32, hidden=32),
    }
    with one_thread():
        for kind, spec in made.items():
            torch.manual_seed(0)
            torch.save(build_detector(spec).state_dict(), folder / f"{kind}.pth")
            convert(folder / f"{kind}.pth", folder / f"{kind}.onnx", preprocess={"size": (64, 128)})
    return {kind: folder / f"{kind}.onnx" for kind in made}


@pytest.fixture(scope="session")
def real_graph(real_network, tmp_path_factory):
    """The ResNet-50 trained on ImageNet as a contract graph."""
    from edgeresnet.convert.stage import convert

    out = tmp_path_factory.mktemp("real") / "real.onnx"
    convert(real_network, out, stride_in="1x1")
    return out


@pytest.fixture(scope="session")
def real_s8(real_graph, quantized):
    """The same as TensorRT wants it."""
    return quantized(real_graph)


@pytest.fixture(scope="session")
def lint_cases():
    """The linter's tests, which make every kind of bad graph from a small good one."""
    path = ROOT / "tests/core/test_lint.py"
    spec = importlib.util.spec_from_file_location("lint_cases", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def bindings():
    """Folder of the bindings of every version, as ``tools/tensorrt_api.py`` fetched them."""
    if not (NVIDIA / "bindings").is_dir():
        pytest.skip("NVIDIA's bindings are not fetched: make test-trt")
    return NVIDIA / "bindings"


@pytest.fixture(scope="session")
def rtx():
    """Builds graphs with TensorRT-RTX: for each ``{"plan": bytes}`` or ``{"error": its words}``.

    In a process of their own: some graphs crash NVIDIA's parsers.
    """
    if not (NVIDIA / "rtx").is_dir():
        pytest.skip("TensorRT-RTX is not fetched: make test-trt")
    environment = {**os.environ, "PYTHONPATH": str(NVIDIA / "rtx")}

    def build(*graphs, precision="float32"):
        command = [sys.executable, str(BUILDER), precision, *map(str, graphs)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(told) == len(graphs), (done.returncode, done.stdout, done.stderr[-2000:])
        return told

    return build


@pytest.fixture(scope="session")
def target():
    """Makes a target of this backend with some options."""
    from edgeresnet.core.target import Scheme, Target

    def made(device="cuda:0", **options):
        return Target(
            name="bench",
            description="a GPU",
            backend="tensorrt",
            device=device,
            scheme=Scheme.S8_SYMMETRIC,
            memory_mb=1000,
            options=options,
        )

    return made


@pytest.fixture(scope="session")
def artifact(nvidia, sample_s8, target, tmp_path_factory):
    """Compiles the sample network; in ``float16``, or in float32, where it is not INT8."""
    from edgeresnet.core.contract import read_graph

    made = {}

    def compiled(precision="float32"):
        if precision not in made:
            out, wanted = tmp_path_factory.mktemp("typed"), target(precision=precision)
            made[precision] = nvidia().backend.compile(read_graph(sample_s8), wanted, out)
        return made[precision]

    return compiled


@pytest.fixture(scope="session")
def float_artifact(nvidia, sample_graph, target, tmp_path_factory):
    """The compiled sample network without Q/DQ."""
    from edgeresnet.core.contract import read_graph

    out = tmp_path_factory.mktemp("float")
    return nvidia().backend.compile(read_graph(sample_graph), target(), out)


@pytest.fixture
def engines(tmp_path):
    """A bundle's own folder for engines, with another bundle's beside it."""
    (tmp_path / "engines/tensorrt-other").mkdir(parents=True)
    folder = tmp_path / "engines/tensorrt-bundle"
    folder.mkdir(mode=0o700)
    return folder
