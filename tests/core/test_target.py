"""Device profiles: what ships, what is refused by name, and what a profile may say."""

import pytest

from edgeresnet.core.errors import ProfileError
from edgeresnet.core.target import Published, load_target, target_names

FILE = """
description = "x"
backend = "tensorrt"
device = "cuda:0"
scheme = "s8-symmetric"
memory_mb = 100
"""
JETSONS = [name for name in target_names() if name.startswith("jetson-")]


@pytest.mark.parametrize("name", [n for n in target_names() if n.startswith(("jetson", "nvidia"))])
def test_a_profile_for_nvidias_gpus_says_what_tensorrt_needs(name):
    target = load_target(name)
    assert (target.backend, target.device, target.scheme.value) == (
        "tensorrt",
        "cuda:0",
        "s8-symmetric",
    )
    assert {"int8", "float16"} <= set(target.precisions)
    assert target.architecture == ("aarch64" if name in JETSONS else "")


@pytest.mark.parametrize("name", JETSONS)
def test_a_jetson_names_its_releases_all_with_a_tensorrt_that_is_new_enough(name):
    target = load_target(name)
    assert target.compute_capability == ("11.0" if "thor" in name else "8.7")
    assert target.power_modes
    assert target.jetpacks
    for pair in target.jetpacks:
        assert int(pair.jetpack.split(".")[0]) >= (7 if "thor" in name else 6)
        assert int(pair.tensorrt.split(".")[0]) >= 10


@pytest.mark.parametrize("name", target_names())
def test_a_published_figure_says_whose_it_is_and_what_was_run(name):
    target = load_target(name)
    for one in target.published:
        assert one.source
        assert one.runtime
        assert one.precision in target.precisions


def test_only_devices_that_somebody_measured_have_figures():
    assert {name for name in target_names() if load_target(name).published} == {
        "jetson-orin-nano-8gb",
        "jetson-orin-nx-16gb",
        "jetson-agx-orin-64gb",
    }


@pytest.mark.parametrize(
    ("name", "board", "jetpack"),
    [
        ("jetson-nano", "Jetson Nano", "4.6"),
        ("jetson-nano-2gb", "Jetson Nano", "4.6"),
        ("jetson-tx1", "Jetson TX1", "4.6"),
        ("jetson-tx2", "Jetson TX2", "4.6"),
        ("jetson-tx2-nx", "Jetson TX2", "4.6"),
        ("jetson-xavier-nx", "Jetson Xavier NX", "5.1"),
        ("jetson-agx-xavier", "Jetson AGX Xavier", "5.1"),
    ],
)
def test_a_board_that_jetpack_6_left_behind_is_refused_with_the_reason(name, board, jetpack):
    with pytest.raises(ProfileError, match=f"{board} is not supported.*JetPack is {jetpack}") as e:
        load_target(name)
    assert all(name in e.value.hint for name in JETSONS)


def test_an_own_file_may_have_the_name_of_such_a_board(tmp_path):
    own = tmp_path / "jetson-nano.toml"
    own.write_text(FILE)
    assert load_target(str(own)).name == "jetson-nano"


def test_a_name_that_is_merely_misspelt_is_corrected():
    with pytest.raises(ProfileError, match="no target named") as caught:
        load_target("jetson-orin-nano-8g")
    assert "jetson-orin-nano-8gb" in caught.value.hint


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ('compute_capability = "sm_87"\n', "compute_capability"),
        ('precisions = ["fp16"]\n', "precisions"),
        ('jetpacks = [{ jetpack = "6.2" }]\n', "jetpacks.0.tensorrt"),
        ('[[published]]\nprecision = "int8"\nruntime = "r"\nsource = "s"\n', "latency_ms or fps"),
        ('[[published]]\nprecision = "int8"\nfps = 3\nruntime = "r"\n', "published.0.source"),
        ('[[published]]\nprecision = "int8"\nfps = 0\nruntime = "r"\nsource = "s"\n', "fps"),
    ],
)
def test_what_a_profile_may_not_say_is_an_error_that_names_it(tmp_path, more, wrong):
    own = tmp_path / "own.toml"
    own.write_text(FILE + more)
    with pytest.raises(ProfileError, match=wrong):
        load_target(str(own))


def test_figures_survive_the_way_into_a_manifest_and_back():
    target = load_target("jetson-orin-nx-16gb")
    again = type(target).model_validate_json(target.model_dump_json())
    assert again == target
    assert Published(precision="int8", fps=2518, runtime="r", source="s").batch is None
