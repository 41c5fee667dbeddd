"""The machine is read from the system's own files, here from a folder in their place."""

import pytest

from edgeresnet.doctor import machine
from edgeresnet.doctor.verdict import Verdict

XEON = "model name\t: Intel(R) Xeon(R) 6\nflags\t\t: fpu avx2 avx512_vnni amx_int8 avx512_bf16\n"
PENTIUM = "model name\t: Intel(R) Pentium(R)\nflags\t\t: fpu sse4_2\n"
PI5 = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"
PI4 = "processor\t: 0\nFeatures\t: fp asimd\n"


def write(host, **texts):
    for name, text in texts.items():
        path = host / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_instructions_that_make_int8_pay_are_named(tmp_path):
    write(tmp_path, proc__cpuinfo=XEON)
    name, instructions = machine.processor(tmp_path, "x86_64")
    assert "Intel(R) Xeon(R) 6, x86_64" in name.found
    assert instructions.found == "AVX-512 VNNI, AMX-INT8, AVX2, AVX-512 BF16"
    assert instructions.verdict is Verdict.OK


@pytest.mark.parametrize("text", [PENTIUM, PI4])
def test_a_processor_without_them_gets_advice(tmp_path, text):
    write(tmp_path, proc__cpuinfo=text)
    _, instructions = machine.processor(tmp_path, "any")
    assert instructions.verdict is Verdict.ADVICE
    assert "compare with float" in instructions.hint


def test_a_board_is_called_by_its_own_name(tmp_path):
    write(
        tmp_path,
        proc__cpuinfo=PI5,
        **{"proc__device-tree__model": "Raspberry Pi 5 Model B Rev 1.0\0"},
    )
    name, instructions = machine.processor(tmp_path, "aarch64")
    assert name.found.startswith("Raspberry Pi 5 Model B Rev 1.0, aarch64")
    assert instructions.found == "dot product"


def test_a_system_without_these_files_is_no_error(tmp_path):
    name, instructions = machine.processor(tmp_path, "arm64")
    assert name.verdict is Verdict.OK
    assert instructions.verdict is Verdict.ADVICE
    assert machine.memory(tmp_path).found == "cannot be read here"


def meminfo(total_gib, free_gib):
    return f"MemTotal: {total_gib << 20} kB\nMemFree: 1 kB\nMemAvailable: {free_gib << 20} kB\n"


def test_memory_is_the_containers_where_that_is_less(tmp_path):
    write(tmp_path, proc__meminfo=meminfo(8, 6))
    assert machine.memory(tmp_path).found == "8.0 GiB, 6.0 available"
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    limit.parent.mkdir(parents=True)
    limit.write_text(f"{2 << 30}\n")
    assert machine.memory(tmp_path).found == "2.0 GiB for this container, 2.0 available"
    limit.write_text("max\n")
    assert machine.memory(tmp_path).found == "8.0 GiB, 6.0 available"


def test_too_little_memory_gets_advice(tmp_path):
    write(tmp_path, proc__meminfo=meminfo(4, 0))
    assert machine.memory(tmp_path).verdict is Verdict.ADVICE


@pytest.mark.parametrize(
    ("library", "architecture", "verdict"),
    [
        (("glibc", "2.36"), "aarch64", Verdict.OK),
        (("glibc", "2.31"), "aarch64", Verdict.ADVICE),
        (("glibc", "2.31"), "x86_64", Verdict.OK),
        (("", ""), "x86_64", Verdict.ADVICE),
    ],
)
def test_an_old_c_library_matters_where_wheels_are_picky(library, architecture, verdict):
    assert machine.c_library(library, architecture).verdict is verdict


def test_an_old_python_runs_bundles_only():
    assert machine.python((3, 10)).verdict is Verdict.ADVICE
    assert machine.python((3, 11)).verdict is Verdict.OK
