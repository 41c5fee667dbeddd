"""One graph, every version of TensorRT: which flags are set, and what each refusal means."""

import onnx
import pytest

from edgeresnet.backends.tensorrt.build import build
from edgeresnet.backends.tensorrt.cuda import context, find_device
from edgeresnet.backends.tensorrt.settings import settings_of
from edgeresnet.core.errors import DeviceError, MissingBackendError, ModelError, ProfileError

STRONG = ("10.3.0", "10.13.3", "10.16.1", "11.0.0", "11.4.0", "rtx-1.7.1")


@pytest.fixture
def built(nvidia, artifact, target):
    """Builds on a machine; gives what came out and what TensorRT was asked for."""

    def run(version="10.3.0", *, machine=None, file=None, int8=True, free_mb=4000, **more):
        call = {key: more.pop(key) for key in ("timing", "progress", "last_s") if key in more}
        options = {key: more.pop(key) for key in list(more) if key in OPTIONS}
        machine = machine or nvidia(version, **more)
        cuda = machine.backend.driver()
        with context(cuda, find_device(cuda, "cuda:0"), spin=False):
            made = build(
                machine.trt,
                file or artifact().path,
                settings_of(target(**options)),
                int8=int8,
                free_mb=free_mb,
                **call,
            )
        return made, machine.trt.fake.builds[-1]

    return run


OPTIONS = {"precision", "typing", "workspace_mb", "optimization_level", "batch_max"}


@pytest.mark.parametrize("version", STRONG)
def test_where_networks_can_be_strongly_typed_they_are_and_no_flag_is_set(built, version):
    made, asked = built(version, precision="float16")
    assert asked["strongly_typed"]
    assert asked["flags"] == frozenset()
    assert len(made.plan) > 1000


@pytest.mark.parametrize(
    ("precision", "int8", "flags"),
    [
        ("float16", True, {"INT8", "FP16"}),
        ("float16", False, {"FP16"}),
        ("float32", True, {"INT8"}),
        ("float32", False, set()),
    ],
)
@pytest.mark.parametrize("version", ["8.6.1", "10.3.0"])
def test_weak_typing_permits_by_flags_what_was_asked_for(
    built, artifact, float_artifact, version, precision, int8, flags
):
    file = (artifact() if int8 else float_artifact).path
    _, asked = built(version, file=file, typing="weak", precision=precision, int8=int8)
    assert asked["flags"] == flags
    assert not asked["strongly_typed"]


def test_a_version_without_strong_typing_refuses_a_bundle_that_needs_it(built):
    with pytest.raises(ModelError, match=r"8\.6\.1 has no strongly typed") as caught:
        built("8.6.1")
    assert "JetPack 6" in caught.value.hint


@pytest.mark.parametrize("version", ["11.0.0", "11.4.0", "rtx-1.7.1"])
def test_a_version_without_flags_refuses_a_bundle_that_asks_for_them(built, version):
    with pytest.raises(ModelError, match="strongly typed networks only"):
        built(version, typing="weak")


def test_kernels_of_other_libraries_are_left_where_there_is_a_choice(built):
    external = 1 << 0 | 1 << 1 | 1 << 2
    _, asked = built("8.6.1", typing="weak")
    assert asked["sources"] & external == 0
    assert asked["sources"]


@pytest.mark.parametrize(
    ("asked_mb", "free_mb", "mb"), [(0, 1000, 500), (0, 9000, 2048), (64, 9000, 64)]
)
def test_scratch_memory_is_what_was_asked_for_or_half_of_what_is_free(built, asked_mb, free_mb, mb):
    _, asked = built(workspace_mb=asked_mb, free_mb=free_mb)
    assert asked["pools"] == {"WORKSPACE": mb << 20}


def test_too_little_memory_is_said_before_the_build(built, nvidia):
    machine = nvidia()
    with pytest.raises(DeviceError, match="120 MB of memory are free") as caught:
        built(machine=machine, free_mb=120)
    assert "add swap" in caught.value.hint
    assert machine.trt.fake.builds == []


def test_a_free_batch_gets_a_profile(built, artifact, tmp_path):
    model = onnx.load(str(artifact().path))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(model, str(tmp_path / "free.onnx"))
    size = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
    _, asked = built(file=tmp_path / "free.onnx", batch_max=4)
    (profile,) = asked["profiles"]
    assert profile == {"image": ((1, *size), (1, *size), (4, *size))}


def test_a_fixed_batch_gets_none(built):
    assert built()[1]["profiles"] == []


def test_what_a_build_learned_of_kernels_goes_into_the_next(built):
    first, asked = built()
    assert asked["timing"] == 0
    assert first.timing
    _, asked = built(timing=first.timing)
    assert asked["timing"] > 0


@pytest.mark.parametrize("junk", [b"another version's", b"\0" * 100])
def test_a_timing_cache_that_does_not_fit_is_no_error(built, junk):
    made, _ = built(timing=junk)
    assert made.timing


def test_a_node_that_the_parser_refuses_is_named(built, artifact):
    node = onnx.load(str(artifact().path)).graph.node[7]
    with pytest.raises(ModelError, match="no such plugin") as caught:
        built("10.3.0", parse_errors=((7, "no such plugin"),))
    assert node.name in caught.value.what
    assert node.op_type in caught.value.what


def test_an_old_parser_tells_the_number_of_the_node(built):
    with pytest.raises(ModelError, match=r"node 7: .*no such plugin"):
        built("8.6.1", typing="weak", parse_errors=((7, "no such plugin"),))


@pytest.mark.parametrize("version", ["10.3.0", "11.4.0"])
def test_out_of_memory_in_a_build_is_a_device_error(built, version):
    with pytest.raises(DeviceError, match="out of memory while TensorRT") as caught:
        built(version, build_out_of_memory=True)
    assert "workspace_mb under 2000" in caught.value.hint


def test_a_node_without_a_kernel_is_named(built):
    text = (
        "10: Could not find any implementation for node {ForeignNode[/layer1/layer1.0/conv1/Conv]}."
    )
    with pytest.raises(
        ModelError, match=r"no kernel for \{ForeignNode\[/layer1/layer1\.0"
    ) as caught:
        built(build_error=text)
    assert "workspace_mb over" in caught.value.hint


def test_any_other_refusal_is_told_in_the_builders_words(built):
    with pytest.raises(ModelError, match="the moon is full"):
        built(build_error="the moon is full")


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0", "11.4.0"])
def test_a_builder_without_cuda_is_a_missing_backend(built, version):
    typing = "weak" if version == "8.6.1" else "strong"
    with pytest.raises(MissingBackendError, match="finds no usable GPU"):
        built(version, typing=typing, no_cuda=True)


def test_the_steps_of_a_build_are_told_with_the_time_it_took_before(built):
    heard = []
    built("10.3.0", progress=lambda *told: heard.append(told), last_s=140)
    assert {what for what, *_ in heard} == {"build the engine, 140 s last time"}
    assert heard[-1][1] == heard[-1][2] > 1
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)


def test_a_version_that_tells_no_steps_is_built_all_the_same(built):
    heard = []
    built("8.6.1", typing="weak", progress=lambda *told: heard.append(told))
    assert heard == [("build the engine", 0, 1)]


@pytest.mark.parametrize("call", [1, 2, 9, 40])
def test_ctrl_c_ends_a_build_wherever_it_arrives(built, nvidia, call):
    """The minutes pass in phases within the outermost one."""
    machine, calls = nvidia(), iter(range(1000))

    def interrupted(_what, _done, _total):
        if next(calls) == call:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(machine=machine, progress=interrupted)
    assert next(calls) <= call + 2  # TensorRT was told at once


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"precison": "float16"}, "unknown key 'precison'"),
        ({"precision": "int8"}, "precision"),
        ({"batch_min": 9}, "batch_min <= batch_opt <= batch_max"),
    ],
)
def test_an_option_that_tensorrt_does_not_have_is_named(target, options, what):
    with pytest.raises(ProfileError, match=what):
        settings_of(target(**options))
