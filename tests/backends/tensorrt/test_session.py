"""Sessions give what the graph gives, on any thread, copied or mapped, launched either way."""

import gc
import threading

import numpy as np
import pytest

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.errors import DeviceError
from edgeresnet.core.protocols import Mode
from edgeresnet.core.tensors import IMAGE, LOGITS
from edgeresnet.flow.golden import batch_feeds, relative_error

ROUNDING = 0.05
"""The fake leaves Q/DQ pairs unfused, ONNX Runtime's own way fuses them."""


@pytest.fixture
def feeds(artifact, rng):
    """Makes feeds, each another picture."""
    size = artifact().preprocess.size
    return lambda: batch_feeds(rng.integers(0, 256, (*size, 3), np.uint8), 1)


@pytest.fixture
def opened(nvidia, artifact, target):
    """Opens the sample network on a machine."""

    def loaded(machine, mode=Mode.LATENCY, **options):
        return machine.backend.load(artifact(), target(**options), mode, None)

    return loaded


@pytest.mark.parametrize("integrated", [True, False])
@pytest.mark.parametrize("cuda_graph", ["on", "off"])
def test_a_result_is_the_graphs(nvidia, opened, artifact, feeds, integrated, cuda_graph):
    machine = nvidia(cuda={"integrated": integrated})
    run = open_model(artifact().path)
    with opened(machine, cuda_graph=cuda_graph) as engine:
        session = engine.session()
        for fed in (feeds(), feeds()):
            assert relative_error(session.infer(fed)[LOGITS], run(fed)[LOGITS]) < ROUNDING
    launches = machine.cuda.calls["cuGraphLaunch"]
    assert launches >= 3 if cuda_graph == "on" else launches == 0
    assert machine.cuda.held() == {}


def test_a_recorded_run_is_one_call_of_the_driver(nvidia, opened, feeds):
    machine = nvidia(cuda={"integrated": False})
    with opened(machine, cuda_graph="on") as engine:
        session = engine.session()
        machine.cuda.calls.clear()
        session.infer(feeds())
        assert machine.cuda.calls == {
            "cuCtxSetCurrent": 1,
            "cuGraphLaunch": 1,
            "cuStreamSynchronize": 1,
        }


@pytest.mark.parametrize("name", ["cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags"])
def test_an_engine_that_cannot_be_recorded_runs_all_the_same(nvidia, opened, artifact, feeds, name):
    machine = nvidia(cuda={"integrated": False})
    machine.cuda.fail(name, 900)
    fed = feeds()
    with opened(machine, cuda_graph="on") as engine:
        got = engine.session().infer(fed)[LOGITS]
        assert relative_error(got, open_model(artifact().path)(fed)[LOGITS]) < ROUNDING


def test_what_is_measured_decides_how_a_run_is_launched(nvidia, opened, feeds):
    machine = nvidia()
    with opened(machine) as engine:
        engine.session().infer(feeds())
    assert machine.cuda.calls["cuGraphLaunch"] >= 20
    assert machine.trt.fake.runs >= 40


def test_sessions_on_threads_of_their_own_do_not_disturb_each_other(nvidia, opened, feeds):
    machine = nvidia(cuda={"integrated": False})
    wrong = []
    with opened(machine, Mode.THROUGHPUT) as engine:
        assert engine.parallel == 2

        def work(session, mine, expected):
            results = (session.infer(mine)[LOGITS].copy() for _ in range(20))
            wrong.extend(result for result in results if not np.array_equal(result, expected))

        alone = engine.session()
        pictures = [feeds() for _ in range(engine.parallel)]
        threads = [
            threading.Thread(
                target=work, args=(engine.session(), fed, alone.infer(fed)[LOGITS].copy())
            )
            for fed in pictures
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_gpu_that_fails_in_a_run_is_a_device_error_and_is_left_clean(nvidia, opened, feeds):
    machine = nvidia()
    with opened(machine) as engine:
        session = engine.session()
        machine.cuda.fail("cuStreamSynchronize", 719, times=1)
        with pytest.raises(DeviceError, match=r"GPU failed in a run: .*CUDA_ERROR_LAUNCH_FAILED"):
            session.infer(feeds())
    assert machine.cuda.held() == {}


def test_a_run_that_is_refused_is_a_device_error(nvidia, opened, feeds):
    machine = nvidia()
    with opened(machine, cuda_graph="off") as engine:
        session = engine.session()
        machine.trt.fake.faults.execute_fails = True
        with pytest.raises(DeviceError, match="cannot enqueue"):
            session.infer(feeds())


def test_a_session_that_does_not_fit_in_memory_is_a_device_error(nvidia, opened):
    machine = nvidia()
    with opened(machine) as engine:
        machine.trt.fake.faults.context_fails = True
        with pytest.raises(DeviceError, match="cannot make another session") as caught:
            engine.session()
    assert "smaller batch" in caught.value.hint


def test_a_picture_of_another_type_is_refused(nvidia, opened, feeds):
    with opened(nvidia()) as engine, pytest.raises(TypeError):
        engine.session().infer({IMAGE: feeds()[IMAGE].astype(np.float32)})


@pytest.mark.parametrize("cuda_graph", ["on", "off"])
def test_contexts_are_gone_before_cudas_own_although_sessions_are_still_held(
    nvidia, opened, feeds, cuda_graph
):
    machine = nvidia(cuda={"integrated": False})
    gc.disable()
    try:
        with opened(machine, cuda_graph=cuda_graph) as engine:
            held = [engine.session(), engine.session()]
            held[0].infer(feeds())
        assert list(machine.trt.fake.contexts) == []
    finally:
        gc.enable()
    assert machine.cuda.held() == {}
    assert len(held) == 2


def test_a_gpu_that_failed_for_good_tells_its_own_error(nvidia, opened, feeds):
    machine = nvidia()

    def run():
        with opened(machine) as engine:
            session = engine.session()
            for call in ("cuStreamSynchronize", "cuMemFreeHost", "cuDevicePrimaryCtxRelease_v2"):
                machine.cuda.fail(call, 719)
            session.infer(feeds())

    with pytest.raises(DeviceError, match="the GPU failed in a run"):
        run()


def test_a_picture_of_another_shape_is_refused(nvidia, opened, feeds):
    with opened(nvidia()) as engine, pytest.raises(ValueError, match="the engine takes"):
        engine.session().infer({IMAGE: feeds()[IMAGE][:, :8]})


def test_the_engine_tells_what_it_is_made_of(nvidia, opened):
    with opened(nvidia()) as engine:
        assert sum(layer.multiplies for layer in engine.layers) >= 50
