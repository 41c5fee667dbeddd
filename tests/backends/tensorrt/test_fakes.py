"""The fakes are as strict as what they stand for, so that code which passes on them is right."""

import ctypes
import sys
import threading

import numpy as np
import onnx
import pytest
from fake_cuda import FakeCuda
from fake_trt import fake_tensorrt
from onnx import TensorProto, helper, numpy_helper

BYTES = 16
OUT_OF_MEMORY, INVALID_CONTEXT, CAPTURE_INVALIDATED = 2, 201, 901


class Log:
    """Makes a logger of a module's that keeps what it is told."""

    def __new__(cls, trt):
        class Kept(trt.ILogger):
            def __init__(self):
                trt.ILogger.__init__(self)
                self.told = []

            def log(self, severity, text):
                self.told.append(text)

        return Kept()


@pytest.fixture
def cuda():
    """A driver with a context that is current on this thread."""
    made = FakeCuda(integrated=False)
    handle = ctypes.c_void_p()
    made.cuInit(0)
    made.cuDevicePrimaryCtxRetain(ctypes.byref(handle), 0)
    made.cuCtxSetCurrent(handle)
    made.context = handle
    return made


def memory(cuda, size=BYTES):
    address = ctypes.c_uint64()
    assert cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size)) == 0
    return address


def stream(cuda):
    handle = ctypes.c_void_p()
    assert cuda.cuStreamCreate(ctypes.byref(handle), 1) == 0
    return handle


def copies(cuda, host, device, on):
    size = ctypes.c_size_t(BYTES)
    return (
        lambda: cuda.cuMemcpyHtoDAsync_v2(device, host, size, on),
        lambda: cuda.cuMemcpyDtoHAsync_v2(host, device, size, on),
    )


def test_work_on_a_stream_is_done_when_it_is_waited_for(cuda):
    device, on = memory(cuda), stream(cuda)
    host = ctypes.create_string_buffer(b"first", BYTES)
    upload, download = copies(cuda, host, device, on)
    assert upload() == 0
    host.value = b"second"  # too early: the copy takes this
    assert cuda.cuStreamSynchronize(on) == 0
    host.value = b"third"
    assert download() == 0
    assert host.value == b"third"
    assert cuda.cuStreamSynchronize(on) == 0
    assert host.value == b"second"


def test_a_recorded_graph_is_done_again_at_each_launch(cuda):
    device, on = memory(cuda), stream(cuda)
    host = ctypes.create_string_buffer(b"first", BYTES)
    upload, _ = copies(cuda, host, device, on)
    graph, launchable = ctypes.c_void_p(), ctypes.c_void_p()
    assert cuda.cuStreamBeginCapture_v2(on, 2) == 0
    assert upload() == 0
    assert cuda.cuStreamEndCapture(on, ctypes.byref(graph)) == 0
    flags = ctypes.c_uint64(0)
    assert cuda.cuGraphInstantiateWithFlags(ctypes.byref(launchable), graph, flags) == 0
    for text in (b"one", b"two"):
        host.value = text
        assert cuda.cuGraphLaunch(launchable, on) == 0
        assert cuda.cuStreamSynchronize(on) == 0
        assert ctypes.string_at(device.value, 3) == text
    assert cuda.held()["graphs"] == cuda.held()["launchable graphs"] == 1


def test_waiting_within_a_capture_breaks_it(cuda):
    on, graph = stream(cuda), ctypes.c_void_p()
    cuda.cuStreamBeginCapture_v2(on, 2)
    assert cuda.cuStreamSynchronize(on)
    assert cuda.cuStreamEndCapture(on, ctypes.byref(graph)) == CAPTURE_INVALIDATED


def test_a_thread_without_a_context_is_refused(cuda):
    answers = []

    def elsewhere():
        address, size = ctypes.c_uint64(), ctypes.c_size_t(BYTES)
        answers.append(cuda.cuMemAlloc_v2(ctypes.byref(address), size))
        cuda.cuCtxSetCurrent(cuda.context)
        answers.append(cuda.cuMemAlloc_v2(ctypes.byref(address), size))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert answers == [INVALID_CONTEXT, 0]


def test_a_bare_number_where_c_takes_64_bits_is_an_error(cuda):
    address = memory(cuda)
    with pytest.raises(TypeError, match="64 bits"):
        cuda.cuMemFree_v2(address.value)
    with pytest.raises(TypeError, match="64 bits"):
        cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_int(BYTES))
    with pytest.raises(TypeError, match="64 bits"):
        cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_int()), ctypes.c_size_t(BYTES))
    with pytest.raises(TypeError, match="takes 1 arguments"):
        cuda.cuMemFree_v2()


def test_what_is_not_freed_is_counted(cuda):
    assert cuda.held() == {"contexts": 1}
    address = memory(cuda)
    assert cuda.held()["device memory"] == BYTES
    assert cuda.cuMemFree_v2(address) == 0
    assert cuda.cuMemFree_v2(address)
    assert cuda.cuDevicePrimaryCtxRelease_v2(0) == 0
    assert cuda.held() == {}


def test_a_function_fails_when_and_as_often_as_asked(cuda):
    address, size = ctypes.c_uint64(), ctypes.c_size_t(BYTES)
    cuda.fail("cuMemAlloc_v2", OUT_OF_MEMORY, after=1, times=2)
    answers = [cuda.cuMemAlloc_v2(ctypes.byref(address), size) for _ in range(4)]
    assert answers == [0, OUT_OF_MEMORY, OUT_OF_MEMORY, 0]


def test_memory_ends(cuda):
    address = ctypes.c_uint64()
    huge = ctypes.c_size_t(1 << 40)
    assert cuda.cuMemAlloc_v2(ctypes.byref(address), huge) == OUT_OF_MEMORY


def test_an_old_driver_lacks_functions():
    with pytest.raises(AttributeError, match="undefined symbol"):
        _ = FakeCuda(missing=("cuGraphInstantiateWithFlags",)).cuGraphInstantiateWithFlags


def relu(folder, *, batch="N", value=None):
    """A file with one node, or one that also quantizes by the zero point ``value``."""
    nodes, tables = [helper.make_node("Relu", ["x"], ["y"], name="relu")], []
    if value is not None:
        nodes[0].input[0] = "d"
        for kind, source, made in (("Quantize", "x", "q"), ("Dequantize", "q", "d")):
            names = [source, "s", "z"]
            nodes.insert(-1, helper.make_node(f"{kind}Linear", names, [made], name=made))
        tables = [numpy_helper.from_array(np.float32(0.1), "s")]
        tables.append(numpy_helper.from_array(np.int8(value), "z"))
    shape = [batch, 4]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tables)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "relu.onnx")
    return str(folder / "relu.onnx")


def parsed(trt, log, file, flags=0):
    builder = trt.Builder(log)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    return builder, network, parser, parser.parse_from_file(file)


def plan(trt, log, file, **profile):
    builder, network, parser, ok = parsed(trt, log, file)
    assert ok, parser.get_error(0).desc()
    config = builder.create_builder_config()
    if profile:
        made = builder.create_optimization_profile()
        made.set_shape("x", **profile)
        assert config.add_optimization_profile(made) == 0
    return builder.build_serialized_network(network, config)


FREE = {"min": (1, 4), "opt": (2, 4), "max": (4, 4)}


def test_an_engine_computes_what_the_graph_says(cuda, tmp_path):
    trt = fake_tensorrt("11.4.0", cuda=cuda)
    log = Log(trt)
    engine = trt.Runtime(log).deserialize_cuda_engine(plan(trt, log, relu(tmp_path), **FREE))
    context, on = engine.create_execution_context(), stream(cuda)
    assert context.infer_shapes() == ["x"]
    assert context.set_input_shape("x", (2, 4))
    assert not context.set_input_shape("x", (5, 4))
    assert context.get_tensor_shape("y") == (2, 4)
    addresses = {name: memory(cuda, 32) for name in ("x", "y")}
    for name, address in addresses.items():
        assert context.set_tensor_address(name, address.value)
    given = np.arange(-4, 4, dtype=np.float32).reshape(2, 4)
    ctypes.memmove(addresses["x"].value, given.ctypes.data, given.nbytes)
    assert context.execute_async_v3(on.value)
    assert cuda.cuStreamSynchronize(on) == 0
    got = np.frombuffer(ctypes.string_at(addresses["y"].value, 32), np.float32).reshape(2, 4)
    assert np.array_equal(got, np.maximum(given, 0))


def test_an_address_that_the_gpu_cannot_reach_is_refused(cuda, tmp_path):
    trt = fake_tensorrt(cuda=cuda)
    log = Log(trt)
    engine = trt.Runtime(log).deserialize_cuda_engine(plan(trt, log, relu(tmp_path, batch=2)))
    context, on = engine.create_execution_context(), stream(cuda)
    assert not context.execute_async_v3(on.value)
    host = ctypes.create_string_buffer(512)
    for name in ("x", "y"):
        context.set_tensor_address(name, ctypes.addressof(host) // 256 * 256 + 256)
    assert not context.execute_async_v3(on.value)


def test_names_arguments_and_types_are_those_of_the_version():
    trt = fake_tensorrt("10.3.0")
    builder = trt.Builder(Log(trt))
    config = builder.create_builder_config()
    for wrong in (
        lambda: builder.create_network(flag=1),
        lambda: builder.create_network(1, 2),
        lambda: config.set_flag(0),
        lambda: config.set_flag(trt.MemoryPoolType.WORKSPACE),
        lambda: config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1.5),
        lambda: setattr(config, "profiling_verbosity", 2),
        lambda: 1 << trt.BuilderFlag.FP16,
        lambda: trt.OnnxParser(builder.create_network(), Log(trt)).parse_from_file(1),
        trt.IBuilderConfig,
        lambda: trt.Builder(object()),
    ):
        with pytest.raises(TypeError):
            wrong()
    for absent in (
        lambda: config.max_workspace_size,
        lambda: setattr(config, "max_workspace_size", 1),
        lambda: setattr(builder, "num_DLA_cores", 1),
        lambda: builder.build_engine,
        lambda: trt.BuilderFlag.STRICT_TYPES,
        lambda: trt.UffParser,
    ):
        with pytest.raises(AttributeError):
            absent()


def test_a_derived_class_has_to_call_its_base():
    trt = fake_tensorrt()

    class Silent(trt.ILogger):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match="must be called when overriding"):
        Silent()


def test_enumerations_are_pybind11_s():
    flags = fake_tensorrt().BuilderFlag
    assert int(flags.INT8) == flags.INT8.value == 1
    assert flags.INT8 != 1
    assert flags(1) == flags.INT8
    assert flags.INT8 != fake_tensorrt("8.6.1").BuilderFlag.INT8
    assert str(flags.INT8) == "BuilderFlag.INT8"
    assert "BF16" in flags.__members__


def test_host_memory_is_a_buffer_and_no_more(tmp_path):
    trt = fake_tensorrt()
    built = plan(trt, Log(trt), relu(tmp_path, batch=1))
    assert len(bytes(built)) == built.nbytes == memoryview(built).nbytes
    with pytest.raises(TypeError):
        len(built)
    with pytest.raises(AttributeError):
        _ = built.decode


def test_a_plan_is_good_for_its_version_and_gpu_only(tmp_path):
    trt, file = fake_tensorrt("10.3.0"), relu(tmp_path, batch=1)
    log = Log(trt)
    good = bytes(plan(trt, log, file))

    def taken(content, **changes):
        other = fake_tensorrt(**{"version": "10.3.0", **changes})
        log = Log(other)
        engine = other.Runtime(log).deserialize_cuda_engine(content)
        return engine is not None or log.told[-1]

    assert taken(good) is True
    assert "expecting library version 10.13.3.9 got 10.3.0" in taken(good, version="10.13.3")
    assert "expecting compute 8.6 got compute 8.7" in taken(good, capability="8.6")
    assert "Magic tag" in taken(good[:-1])
    assert "Magic tag" in taken(good[:-1] + bytes([good[-1] ^ 1]))
    assert "Magic tag" in taken(b"")


def test_without_cuda_there_is_no_builder():
    trt = fake_tensorrt("10.3.0", no_cuda=True)
    log = Log(trt)
    with pytest.raises(TypeError, match="factory function returned nullptr"):
        trt.Builder(log)
    assert "error: 35" in log.told[0]


def test_tensorrt_8_dies_without_cuda():
    trt = fake_tensorrt("8.6.1", no_cuda=True)
    with pytest.raises(BaseException, match="Runtime without CUDA") as died:
        trt.Runtime(Log(trt))
    assert not isinstance(died.value, Exception)


def test_tensorrt_8_wants_an_explicit_batch_and_the_flag_for_int8(tmp_path):
    trt, file = fake_tensorrt("8.6.1"), relu(tmp_path, batch=1, value=0)
    log = Log(trt)
    assert not parsed(trt, log, file)[-1]
    explicit = 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    builder, network, _, ok = parsed(trt, log, file, explicit)
    assert ok
    config = builder.create_builder_config()
    assert builder.build_serialized_network(network, config) is None
    config.set_flag(trt.BuilderFlag.INT8)
    assert builder.build_serialized_network(network, config) is not None


def test_a_strongly_typed_network_takes_no_flags(tmp_path):
    trt, log = fake_tensorrt("10.3.0"), None
    log = Log(trt)
    strong = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    builder, network, *_ = parsed(trt, log, relu(tmp_path, batch=1), strong)
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.FP16)
    assert builder.build_serialized_network(network, config) is None
    assert "strongly typed" in log.told[-1]


def test_a_free_batch_needs_a_profile(tmp_path):
    trt = fake_tensorrt()
    log = Log(trt)
    assert plan(trt, log, relu(tmp_path)) is None
    assert "no optimization profile" in log.told[-1]


def test_the_parser_names_the_node_that_it_refuses(tmp_path):
    trt = fake_tensorrt("10.3.0")
    _, _, parser, ok = parsed(trt, Log(trt), relu(tmp_path, value=3))
    assert not ok
    assert parser.num_errors == 2
    error = parser.get_error(0)
    assert (error.node_name(), error.node_operator(), error.node()) == ("q", "QuantizeLinear", 0)
    assert "Non-zero zero point" in error.desc()
    with pytest.raises(AttributeError):
        fake_tensorrt("8.6.1").ParserError.node_name  # noqa: B018


@pytest.fixture
def monitored(tmp_path):
    """Builds with a monitor that is made from ``step``; the plan and what was told."""

    def run(step, **faults):
        trt = fake_tensorrt(**faults)
        log, heard = Log(trt), []

        class Monitor(trt.IProgressMonitor):
            def __init__(self):
                trt.IProgressMonitor.__init__(self)

            def phase_start(self, name, parent, steps):
                heard.append((name, parent, steps))

            def step_complete(self, name, number):
                heard.append((name, number))
                return step(name, number)

            def phase_finish(self, name):
                heard.append(name)

        builder, network, *_ = parsed(trt, log, relu(tmp_path, batch=1))
        config = builder.create_builder_config()
        config.progress_monitor = Monitor()
        return builder.build_serialized_network(network, config), heard, log.told

    return run


def test_a_build_tells_its_phases_and_not_its_last_step(monitored):
    built, heard, _ = monitored(lambda *_: True)
    assert built is not None
    (outer,) = [told for told in heard if len(told) == 3 and told[1] is None]
    steps = [told for told in heard if told[0] == outer[0] and len(told) == 2]
    assert len(steps) == outer[2] - 1
    assert heard[-1] == outer[0]


def test_a_monitor_that_says_no_or_raises_ends_the_build(monitored, capsys):
    for step in (lambda *_: False, lambda *_: 1 / 0):
        built, heard, told = monitored(step)
        assert built is None
        assert heard[-1] == "Building engine"
        assert "BuildCanceled" in told[-1]
    assert "Exception caught in step_complete" in capsys.readouterr().err


def test_faults_can_be_set_later(tmp_path):
    trt = fake_tensorrt()
    log = Log(trt)
    engine = trt.Runtime(log).deserialize_cuda_engine(plan(trt, log, relu(tmp_path, batch=1)))
    assert engine.create_execution_context() is not None
    trt.fake.faults.context_fails = True
    assert engine.create_execution_context() is None
    trt.fake.faults.build_out_of_memory = True
    assert plan(trt, log, relu(tmp_path, batch=1)) is None
    assert "OutOfMemory" in log.told[-2]


def test_a_module_for_another_process_is_written(tmp_path):
    import subprocess

    from fake_trt import write_module

    write_module(tmp_path, "10.3.0", no_cuda=True)
    code = "import tensorrt; print(tensorrt.__version__, tensorrt.fake.faults.no_cuda)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["10.3.0", "True"]
