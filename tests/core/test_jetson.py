"""Boards and releases, by the names that systems give them."""

import pytest

from edgeresnet.core.jetson import jetpack_of, l4t_of, retired


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ("36.2.0", "6.0 DP"),
        ("36.3", "6.0"),
        ("36.4", "6.1"),
        ("36.4.3", "6.2"),
        ("36.4.7", "6.2.1"),
        ("38.4.0", "7.1"),
        ("39.2.0", "7.2"),
        ("36.9.1", "6"),
        ("35.4.1", "5"),
        ("32.7.1", "4"),
        ("99.0.0", ""),
        ("", ""),
    ],
)
def test_a_release_is_told_as_exactly_as_it_is_known(l4t, jetpack):
    assert jetpack_of(l4t) == jetpack


@pytest.mark.parametrize(
    ("text", "l4t"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n", "36.4.3"),
        ("# R38 (release), REVISION: 2.0, GCID: 41844464\n", "38.2.0"),
        ("something else\n", ""),
        ("", ""),
    ],
)
def test_the_release_is_read_from_the_line_that_nvidia_writes(text, l4t):
    assert l4t_of(text) == l4t


@pytest.mark.parametrize(
    ("model", "board"),
    [
        ("NVIDIA Jetson Nano Developer Kit", "Jetson Nano"),
        ("NVIDIA Jetson TX2 NX Developer Kit", "Jetson TX2"),
        ("quill", "Jetson TX2"),
        ("NVIDIA Jetson Xavier NX Developer Kit", "Jetson Xavier NX"),
        ("Jetson-AGX", "Jetson AGX Xavier"),
    ],
)
def test_an_old_board_is_known_by_its_device_tree(model, board):
    assert retired(model).board == board


@pytest.mark.parametrize(
    "model",
    [
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
        "NVIDIA Jetson AGX Orin Developer Kit",
        "NVIDIA Jetson AGX Thor Developer Kit",
        "nvidia-dgpu",
        "",
    ],
)
def test_a_board_that_is_still_made_for_is_not(model):
    assert retired(model) is None
