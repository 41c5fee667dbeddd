"""What the driver says, in words; memory and streams that nobody forgets."""

import ctypes
import threading

import pytest

from edgeresnet.backends.tensorrt import cuda as driver
from edgeresnet.backends.tensorrt.cuda import Cuda, CudaError, context, find_device, open_driver
from edgeresnet.core.errors import DeviceError, MissingBackendError


@pytest.fixture
def gpu(nvidia):
    """Driver and fake of a GPU."""

    def made(**kind):
        fake = nvidia(cuda=kind).cuda
        return Cuda(fake), fake

    return made


def test_no_driver_is_said_before_tensorrt_is_touched(monkeypatch):
    def absent(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(driver.ctypes, "CDLL", absent)
    with pytest.raises(MissingBackendError, match="no NVIDIA driver here") as caught:
        open_driver()
    assert "--gpus all" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "what", "hint"),
    [
        (100, "finds no GPU", "--gpus all"),
        (35, "does not fit its libraries: CUDA_ERROR_INSUFFICIENT_DRIVER", "update the driver"),
        (803, "does not fit its libraries", "update the driver"),
        (999, r"does not start: CUDA_ERROR_UNKNOWN \(999\)", "reboot"),
        (12345, r"does not start: unknown error \(12345\)", "reboot"),
    ],
)
def test_a_driver_that_does_not_start_says_why(gpu, nvidia, code, what, hint):
    fake = nvidia().cuda
    fake.fail("cuInit", code)
    with pytest.raises(MissingBackendError, match=what) as caught:
        Cuda(fake)
    assert hint in caught.value.hint


def test_a_device_is_described(gpu):
    cuda, _ = gpu(name="Orin", capability=(8, 7), integrated=True, driver=12060)
    device = find_device(cuda, "cuda:0")
    assert (device.name, device.compute_capability, device.cuda) == ("Orin", "8.7", 12060)
    assert device.integrated
    assert find_device(cuda, "cuda") == device


@pytest.mark.parametrize("text", ["cuda:1", "cuda:x", "GPU", "cuda:-1"])
def test_a_device_that_is_not_here_is_told_with_those_that_are(gpu, text):
    cuda, _ = gpu()
    with pytest.raises(DeviceError, match=f"no device {text} here") as caught:
        find_device(cuda, text)
    assert caught.value.hint == "devices: cuda:0"


@pytest.mark.parametrize("integrated", [True, False])
def test_what_is_written_on_one_side_is_read_on_the_other(gpu, integrated):
    cuda, fake = gpu(integrated=integrated)
    with context(cuda, find_device(cuda, "cuda:0"), spin=False) as opened:
        memory, stream = opened.memory(5), opened.stream()
        assert memory.mapped == integrated
        ctypes.memmove(memory.host, b"hello", 5)
        stream.upload(memory)
        stream.wait()
        ctypes.memset(memory.host, 0, 0 if integrated else 5)
        stream.download(memory)
        stream.wait()
        assert ctypes.string_at(memory.host, 5) == b"hello"
    copies = fake.calls["cuMemcpyHtoDAsync_v2"] + fake.calls["cuMemcpyDtoHAsync_v2"]
    assert copies == (0 if integrated else 2)  # where memory is shared nothing is copied
    assert fake.held() == {}


def test_a_gpu_that_shares_memory_but_cannot_map_it_copies(gpu):
    cuda, _ = gpu(integrated=True, maps_host=False)
    with context(cuda, find_device(cuda, "cuda:0"), spin=False) as opened:
        assert not opened.memory(5).mapped


def test_everything_is_freed_also_when_the_block_raises(gpu):
    cuda, fake = gpu(integrated=False)

    def fails():
        with context(cuda, find_device(cuda, "cuda:0"), spin=True) as opened:
            opened.memory(64)
            opened.stream().record(lambda: None)
            assert set(fake.held()) >= {"device memory", "host memory", "graphs", "streams"}
            raise KeyError("something else")

    with pytest.raises(KeyError):
        fails()
    assert fake.held() == {}


def test_out_of_memory_is_a_device_error_and_leaves_nothing(gpu):
    cuda, fake = gpu(integrated=False, free_mb=1)
    with (
        context(cuda, find_device(cuda, "cuda:0"), spin=False) as opened,
        pytest.raises(DeviceError, match="CUDA_ERROR_OUT_OF_MEMORY") as caught,
    ):
        opened.memory(2 << 20)
    assert "other programs" in caught.value.hint
    assert fake.held() == {}


def test_a_thread_that_calls_cuda_needs_the_context_made_current(gpu):
    cuda, _ = gpu()
    found = []
    with context(cuda, find_device(cuda, "cuda:0"), spin=False) as opened:

        def work():
            try:
                opened.memory(8)
            except CudaError as error:
                found.append(error.code)
            opened.use()
            found.append(opened.memory(8).size)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [201, 8]


@pytest.mark.parametrize(("spin", "flags"), [(True, 0), (False, 4)])
def test_waiting_threads_sleep_unless_microseconds_count(gpu, spin, flags):
    cuda, fake = gpu()
    with context(cuda, find_device(cuda, "cuda:0"), spin=spin):
        assert fake.flags == flags


def test_a_capture_that_fails_is_ended_so_that_the_stream_lives_on(gpu):
    cuda, _ = gpu(integrated=False)

    def raises():
        raise DeviceError("TensorRT cannot enqueue a run")

    with context(cuda, find_device(cuda, "cuda:0"), spin=False) as opened:
        stream, memory = opened.stream(), opened.memory(4)
        with pytest.raises(DeviceError, match="cannot enqueue"):
            stream.record(raises)
        stream.upload(memory)
        stream.wait()
