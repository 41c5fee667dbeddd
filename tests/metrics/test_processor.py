"""The processor is read from the system's own file, here from a folder in its place."""

import pytest

from edgeresnet.metrics.processor import read_processor


def host(folder, text):
    (folder / "proc").mkdir()
    (folder / "proc/cpuinfo").write_text(text)
    return folder


def test_a_machine_without_cpuinfo_has_a_name_too(tmp_path):
    found = read_processor(tmp_path)
    assert found.name
    assert found.flags == frozenset()
    assert found.int8 == ()


@pytest.mark.parametrize(
    ("text", "name", "int8"),
    [
        (
            "model name\t: Xeon\nflags\t\t: fpu avx2 amx_int8\n\nflags\t\t: none",
            "Xeon",
            ("AMX-INT8",),
        ),
        (
            "processor\t: 0\nFeatures\t: fp asimddp\n\nModel\t\t: Raspberry Pi 5",
            "Raspberry Pi 5",
            ("dot product",),
        ),
        ("model name\t: Celeron\nflags\t\t: sse4_2", "Celeron", ()),
    ],
)
def test_arm_and_x86_name_their_flags_differently(tmp_path, text, name, int8):
    found = read_processor(host(tmp_path, text))
    assert (found.name, found.int8) == (name, int8)


def test_a_file_that_is_no_text_is_read_as_far_as_it_goes(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_bytes(b"model name: \xff CPU\nflags: avx_vnni\n")
    assert read_processor(tmp_path).int8 == ("AVX-VNNI",)
