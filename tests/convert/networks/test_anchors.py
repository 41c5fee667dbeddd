"""Anchors lie where the maps' places are, and boxes written relative to them come back."""

import pytest
import torch

from edgeresnet.convert.networks.anchors import (
    LARGEST_STEP,
    decode_deltas,
    decode_distances,
    encode_deltas,
    grids,
    make_anchors,
)


def test_levels_above_the_backbones_are_halved_upwards():
    assert grids((320, 800), 8, 5) == [(40, 100), (20, 50), (10, 25), (5, 13), (3, 7)]


@pytest.mark.parametrize("size", [(100, 128), (128, 48), (0, 32)])
def test_a_size_whose_levels_are_no_halves_is_refused(size):
    with pytest.raises(ValueError, match="multiple of 32"):
        grids(size, 8, 5)


def test_anchors_are_ordered_by_row_column_ratio_and_side():
    found = make_anchors((32, 64), 32, [[32, 64]])
    assert found.shape == (1 * 2 * 3 * 2, 4)
    centres = (found[:, :2] + found[:, 2:]) / 2
    assert centres[:6].abs().max() <= 0.5  # rounded boxes around the first place's corner
    assert (centres[6:, 0] - 32).abs().max() <= 0.5
    sides = found[:, 2:] - found[:, :2]
    ratios = sides[:, 1] / sides[:, 0]
    torch.testing.assert_close(ratios[:6], torch.tensor([0.5, 0.5, 1, 1, 2, 2]), atol=0.1, rtol=0)
    assert (sides.prod(1).sqrt()[:6].round() - torch.tensor([32, 64] * 3)).abs().max() <= 1


def test_the_step_of_a_level_that_does_not_divide_the_picture_is_cut_to_whole_pixels():
    found = make_anchors((800, 800), 8, [[8], [8], [8], [8], [8]], [1.0])
    last = found[-49:]  # 7 x 7 places
    assert last[-1].tolist() == [6 * 114 - 4, 6 * 114 - 4, 6 * 114 + 4, 6 * 114 + 4]


def test_deltas_are_undone_by_decoding():
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(50, 2, 2, generator=generator) * 100
    anchors, boxes = (torch.cat([c, c + 5 + 50 * c.flip(1) / 100], 1) for c in corners.unbind(1))
    torch.testing.assert_close(
        decode_deltas(encode_deltas(boxes, anchors), anchors), boxes, atol=1e-3, rtol=1e-5
    )


def test_no_delta_makes_a_box_without_end():
    box = decode_deltas(torch.tensor([0.0, 0, 1e4, 1e4]), torch.tensor([0.0, 0, 16, 16]))
    assert (box[2:] - box[:2]).tolist() == pytest.approx([1000, 1000])
    assert pytest.approx(62.5) == torch.tensor(LARGEST_STEP).exp().item()


def test_distances_reach_from_the_anchors_centre_in_its_sizes():
    box = decode_distances(torch.tensor([1.0, 2, 3, 4]), torch.tensor([4.0, 4, 12, 12]))
    assert box.tolist() == [0, -8, 32, 40]
