"""From a bundle's ONNX to an engine on the device: kept, found again, rebuilt when it must be."""

import logging

import numpy as np
import onnx
import pytest

from edgeresnet.core.errors import MissingBackendError, ModelError
from edgeresnet.core.protocols import Mode
from edgeresnet.core.tensors import IMAGE, LOGITS

ALL = ("10.3.0", "10.13.3", "10.16.1", "11.0.0", "11.4.0", "rtx-1.7.1")


def builds(machine):
    return len(machine.trt.fake.builds)


@pytest.fixture
def start(artifact, target):
    """A start of a program on a machine: loads, infers once, ends."""

    def run(machine, engines, mode=Mode.LATENCY, **options):
        with machine.backend.load(artifact(), target(**options), mode, engines) as engine:
            spec = engine.inputs[0]
            picture = np.full(spec.shape, 90, np.uint8)
            return engine.session().infer({IMAGE: picture})[LOGITS].copy()

    return run


def test_a_host_without_gpu_compiles_for_one(artifact):
    made = artifact("float16")
    assert made.on_device
    assert made.normalisation == "graph"
    model = onnx.load(str(made.path))
    assert {w.data_type for w in model.graph.initializer} >= {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("version", ALL)
def test_the_second_start_finds_the_engine_of_the_first(nvidia, start, engines, version):
    machine = nvidia(version)
    first = start(machine, engines)
    assert np.array_equal(start(machine, engines, Mode.THROUGHPUT), first)
    assert builds(machine) == 1
    assert machine.cuda.held() == {}


def test_tensorrt_8_is_built_by_flags(nvidia, start, engines):
    machine = nvidia("8.6.1", cuda={"integrated": False, "name": "T4", "capability": (7, 5)})
    start(machine, engines, typing="weak", precision="float16")
    assert machine.trt.fake.builds[0]["flags"] == {"INT8", "FP16"}


def test_without_a_store_each_start_builds(nvidia, start):
    machine = nvidia()
    start(machine, None)
    start(machine, None)
    assert builds(machine) == 2


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"version": "10.13.3"}, "TensorRT was tensorrt 10.3.0, is tensorrt 10.13.3"),
        (
            {"cuda": {"name": "Thor", "capability": (11, 0)}},
            "GPU was Orin (compute capability 8.7, 16 multiprocessors)",
        ),
        ({"cuda": {"driver": 13000}}, "CUDA 12060, is "),
    ],
)
def test_on_another_machine_it_is_built_again_and_one_line_says_why(
    nvidia, start, engines, caplog, other, said
):
    start(nvidia(), engines)
    another = nvidia(**{"version": "10.3.0", **other})
    with caplog.at_level(logging.WARNING):
        start(another, engines)
    assert builds(another) == 1
    assert said in caplog.text
    assert len(caplog.messages) == 1


def test_other_options_make_another_engine_but_for_those_of_a_run(nvidia, start, engines):
    machine = nvidia()
    start(machine, engines)
    start(machine, engines, optimization_level=5)
    assert builds(machine) == 2
    start(machine, engines, cuda_graph="off")
    assert builds(machine) == 2


def test_an_engine_that_tensorrt_does_not_take_any_more_is_built_again(
    nvidia, start, engines, caplog
):
    machine = nvidia()
    start(machine, engines)
    real = machine.trt.Runtime.deserialize_cuda_engine
    refuse = [True]

    def once(runtime, plan):
        return refuse.clear() if refuse else real(runtime, plan)

    machine.trt.Runtime.deserialize_cuda_engine = once
    with caplog.at_level(logging.WARNING):
        start(machine, engines)
    assert "does not take the kept engine" in caplog.text
    assert builds(machine) == 2


def test_a_store_that_cannot_be_written_is_done_without(nvidia, start, engines, caplog):
    machine = nvidia()
    (engines.parent / "tensorrt-shared").write_text("a file is in the way")
    start(machine, engines)
    assert "engines cannot be kept" in caplog.text
    assert builds(machine) == 1


def test_a_new_engine_that_is_refused_is_an_error_and_not_kept(nvidia, start, engines):
    machine = nvidia(deserialize_fails=True)
    with pytest.raises(ModelError, match="does not take its own engine"):
        start(machine, engines)
    assert list(engines.glob("*.plan")) == []
    assert machine.cuda.held() == {}


def test_no_gpu_is_said_before_tensorrt_is_even_imported(nvidia, artifact, target):
    from edgeresnet.backends.tensorrt import TensorRtBackend
    from edgeresnet.backends.tensorrt.cuda import Cuda

    fake = nvidia().cuda
    fake.devices = 0

    def never(_module):
        raise AssertionError("TensorRT 8 ends the process where there is no GPU")

    backend = TensorRtBackend(find=never, driver=lambda: Cuda(fake))
    with pytest.raises(MissingBackendError, match="finds no GPU"):
        backend.load(artifact(), target(), Mode.LATENCY, None).__enter__()


def test_the_version_is_that_of_the_first_module_that_is_here(nvidia):
    from edgeresnet.backends.tensorrt import TensorRtBackend

    trt = nvidia("11.4.0").trt

    def find(module):
        if module != "tensorrt_rtx":
            raise MissingBackendError(f"{module} is not here")
        return trt

    assert TensorRtBackend(find=find).version() == trt.__version__

    def nothing(module):
        raise MissingBackendError(f"{module} is not here")

    with pytest.raises(MissingBackendError, match="tensorrt is not here"):
        TensorRtBackend(find=nothing).version()
