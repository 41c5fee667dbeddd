"""Pictures reach the network as torchvision would hand them over."""

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgeresnet.core.errors import ProfileError, UsageError
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.preprocess import (
    Color,
    Crop,
    Interpolation,
    Preprocess,
    as_json,
    fit,
    from_json,
    placed,
    read_preprocess,
)
from edgeresnet.core.schema import parse
from edgeresnet.datasets.procedural import draw_picture

CLOSE = 1.5
"""Mean difference in grey levels; half of what JPEG at quality 90 changes."""
MEAN_RGB = (124, 116, 104)
"""ImageNet's mean colour, rounded."""
DOWNSCALES = (0.7, 1.0, 1.04, 1.3, 1.46, 1.875, 1.95, 2.0, 2.8, 3.99, 4.0, 5.3, 8.0)


@pytest.fixture(scope="module")
def scene():
    """A drawn picture larger than any that is needed."""
    return draw_picture(3, seed=1, size=(2400, 2000)).pixels


def scaled(pixels, height, width):
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def torchvision_fit(pixels, preprocess):
    """``Resize`` and ``CenterCrop`` on a PIL picture, as torchvision computes them."""
    kind = Image.BICUBIC if preprocess.interpolation is Interpolation.BICUBIC else Image.BILINEAR
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    rows, columns = preprocess.size
    if preprocess.crop is Crop.NONE:
        return np.asarray(picture.resize((columns, rows), kind))[..., ::-1]
    if preprocess.crop is Crop.LETTERBOX:
        scale = min(columns / picture.size[0], rows / picture.size[1])
        shape = [max(1, round(side * scale)) for side in picture.size]
        canvas = Image.new("RGB", (columns, rows), MEAN_RGB)
        canvas.paste(picture.resize(shape, kind))
        return np.asarray(canvas)[..., ::-1]
    (width, height), side = picture.size, preprocess.resize
    if width <= height:
        picture = picture.resize((side, int(side * height / width)), kind)
    else:
        picture = picture.resize((int(side * width / height), side), kind)
    top = round((picture.size[1] - rows) / 2.0)
    left = round((picture.size[0] - columns) / 2.0)
    return np.asarray(picture.crop((left, top, left + columns, top + rows)))[..., ::-1]


def difference(pixels, preprocess):
    fitted = fit(pixels, preprocess)
    assert fitted.shape == (*preprocess.size, 3)
    assert fitted.dtype == np.uint8
    return np.abs(fitted.astype(int) - torchvision_fit(pixels, preprocess)).mean(2)


@pytest.mark.parametrize("crop", Crop)
@pytest.mark.parametrize("downscale", DOWNSCALES)
def test_a_picture_is_fitted_as_torchvision_does_it(scene, downscale, crop):
    side = round(256 * downscale)
    for height, width in ((side, side), (side, side * 4 // 3 + 1), (side * 3 // 2, side)):
        apart = difference(scaled(scene, height, width), Preprocess(crop=crop))
        assert apart.mean() < CLOSE
        border = np.concatenate([apart[0], apart[-1], apart[:, 0], apart[:, -1]])
        assert border.mean() < 2 * CLOSE  # the cut for speed must not show at the edges


@pytest.mark.parametrize(
    ("size", "resize"), [((224, 224), 224), ((128, 128), 146), ((192, 224), 236), ((223, 97), 251)]
)
@pytest.mark.parametrize("shape", [(375, 500), (513, 387), (1080, 1920), (97, 223)])
def test_odd_sizes_are_fitted_too(scene, size, resize, shape):
    preprocess = Preprocess(size=size, resize=resize)
    assert difference(scaled(scene, *shape), preprocess).mean() < CLOSE


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 1), (1, 50), (3, 3), (13, 13), (10, 2000), (2000, 10), (16, 7000)]
)
def test_tiny_and_extreme_pictures_are_fitted_too(scene, shape):
    for crop in Crop:
        assert difference(scaled(scene, *shape), Preprocess(crop=crop)).mean() < CLOSE


def test_bicubic_stays_near_pil(scene):
    preprocess = Preprocess(interpolation=Interpolation.BICUBIC)
    found = [
        difference(scaled(scene, round(256 * d), round(350 * d)), preprocess).mean()
        for d in DOWNSCALES
    ]
    assert max(found) < 2 * CLOSE  # approximated with the smoothing of bilinear


def test_real_photographs_are_fitted_as_torchvision_does_it(shared):
    files = sorted((shared / "data/imagenet-sample/images").iterdir())[::10]
    assert len(files) == 50
    found = [difference(read_picture(file), Preprocess()).mean() for file in files]
    assert np.mean(found) < CLOSE / 2
    assert np.sort(found)[-3] < CLOSE  # two of fifty may be all fine texture
    assert max(found) < 2 * CLOSE


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    rows=st.integers(1, 300),
    columns=st.integers(1, 300),
    more=st.integers(0, 60),
    crop=st.sampled_from(Crop),
    interpolation=st.sampled_from(Interpolation),
)
def test_every_picture_comes_out_in_the_asked_for_size_and_flat_ones_unchanged(
    height, width, rows, columns, more, crop, interpolation
):
    preprocess = Preprocess(
        size=(rows, columns),
        resize=max(rows, columns) + more,
        crop=crop,
        interpolation=interpolation,
    )
    flat = np.full((height, width, 3), (13, 130, 250), np.uint8)
    fitted = fit(flat, preprocess)
    assert fitted.shape == (rows, columns, 3)
    near = np.abs(fitted.astype(int) - flat[0, 0]).max(2) <= 1  # weights are rounded
    filled = (fitted == MEAN_RGB[::-1]).all(2) & (crop is Crop.LETTERBOX)
    assert (near | filled).all()
    assert near[0, 0]


@settings(max_examples=30, deadline=None)
@given(height=st.integers(40, 400), width=st.integers(40, 400))
def test_a_mirrored_picture_gives_the_mirrored_result(height, width):
    pixels = scaled(draw_picture(5, seed=2, size=(400, 400)).pixels, height, width)
    preprocess = Preprocess(size=(96, 96), crop=Crop.NONE)
    straight = fit(pixels, preprocess).astype(int)
    turned = fit(np.ascontiguousarray(pixels[::-1, ::-1]), preprocess)[::-1, ::-1]
    assert np.abs(straight - turned).mean() < 2 * CLOSE  # a last odd row or column is left out


@pytest.mark.parametrize("interpolation", Interpolation)
def test_pictures_need_not_lie_in_one_piece(scene, interpolation):
    preprocess = Preprocess(interpolation=interpolation)
    whole = scaled(scene, 600, 800)
    for view in (whole[::-1, :, ::-1], whole[50:550, 100:700], whole[::2, ::2]):
        expected = fit(np.ascontiguousarray(view), preprocess)
        assert np.array_equal(fit(view, preprocess), expected)


def test_a_picture_that_fits_already_is_not_touched(scene):
    pixels = scaled(scene, 224, 224)
    for interpolation in Interpolation:
        same = Preprocess(resize=224, interpolation=interpolation)
        assert np.array_equal(fit(pixels, same), pixels)
        stretched = Preprocess(crop=Crop.NONE, interpolation=interpolation)
        assert np.array_equal(fit(pixels, stretched), pixels)


def edges(grey, middle_x, middle_y):
    """Where a bright rectangle ends, to a part of a pixel, from a place in its middle."""
    across, down = grey[middle_y] / 255, grey[:, middle_x] / 255
    return [
        middle_x - across[:middle_x].sum(),
        middle_y - down[:middle_y].sum(),
        middle_x + across[middle_x:].sum(),
        middle_y + down[middle_y:].sum(),
    ]


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(8, 900),
    width=st.integers(8, 900),
    size=st.tuples(st.integers(8, 500), st.integers(8, 500)),
    crop=st.sampled_from([Crop.LETTERBOX, Crop.NONE]),
    interpolation=st.sampled_from([Interpolation.BILINEAR, Interpolation.LINEAR]),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
@example(721, 1283, (320, 512), Crop.LETTERBOX, Interpolation.LINEAR, [0.1, 0.9, 0.3, 0.7])
@example(719, 1277, (97, 64), Crop.LETTERBOX, Interpolation.BILINEAR, [0.0, 1.0, 0.0, 1.0])
def test_the_corners_of_a_marker_are_found_again_from_where_they_were_fitted_to(
    height, width, size, crop, interpolation, corners
):
    pre = Preprocess(size=size, crop=crop, interpolation=interpolation, mean=(0.0, 0.0, 0.0))
    placing = placed(height, width, pre)
    coarser = [max(1, 1 / scale) for scale in (placing.scale_x, placing.scale_y)] * 2
    left, right = sorted(round(x * width) for x in corners[:2])
    top, bottom = sorted(round(y * height) for y in corners[2:])
    assume(right - left >= 4 * coarser[0] and bottom - top >= 4 * coarser[1])  # else none is bright
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    middle = placing.fitted(np.array([[left + right, top + bottom] * 2], np.float32) / 2)[0]
    found = edges(fit(pixels, pre)[..., 1].astype(float), int(middle[0]), int(middle[1]))
    back = placing.source(np.array([found], np.float32))[0]
    assert (np.abs(back - [left, top, right, bottom]) <= 0.6 * np.array(coarser)).all()


@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    crop=st.sampled_from(Crop),
    boxes=st.lists(st.tuples(*[st.floats(-100, 3000)] * 4), max_size=5),
)
def test_boxes_come_back_from_where_they_were_put(height, width, crop, boxes):
    placing = placed(height, width, Preprocess(crop=crop))
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    assert np.abs(placing.source(placing.fitted(boxes)) - boxes).max(initial=0) <= 0.01


def test_a_centre_crop_is_inverted_too():
    placing = placed(512, 1024, Preprocess())  # halved, then 16 rows and 144 columns cut off
    marker = np.array([[288, 32, 736, 480]], np.float32)
    assert np.allclose(placing.fitted(marker), [[0, 0, 224, 224]], atol=1e-3)


@pytest.mark.parametrize("color", Color)
def test_what_a_letterbox_leaves_free_is_nothing_to_the_network(color):
    pre = Preprocess(crop=Crop.LETTERBOX, color=color)
    fitted = fit(np.zeros((100, 200, 3), np.uint8), pre)
    assert (fitted[:112] == 0).all()
    filled = pre.normalise(fitted[None])[0, :, 112:]
    assert np.abs(filled).max() <= 0.5 / 255 / min(pre.std) + 1e-6  # half a grey level


def test_the_middle_is_kept_and_the_rest_cut_off():
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, 144:368] = 200
    fitted = fit(pixels, Preprocess())
    assert (fitted == 200).all()
    assert (fit(pixels, Preprocess(crop=Crop.NONE))[:, 0] == 0).all()


def test_shrinking_is_antialiased_unless_asked_not_to():
    board = np.indices((896, 896)).sum(0) % 2 * np.uint8(255)
    board = np.repeat(board[..., None], 3, 2).astype(np.uint8)
    for interpolation in (Interpolation.BILINEAR, Interpolation.BICUBIC, Interpolation.AREA):
        fitted = fit(board, Preprocess(crop=Crop.NONE, interpolation=interpolation))
        assert np.abs(fitted.astype(int) - 127.5).max() < 2
    nearest = fit(board, Preprocess(crop=Crop.NONE, interpolation=Interpolation.NEAREST))
    assert set(np.unique(nearest)) <= {0, 255}


@pytest.mark.parametrize("interpolation", [Interpolation.LINEAR, Interpolation.AREA])
def test_opencv_names_mean_opencv_results(scene, interpolation):
    flag = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}[interpolation.value]
    for shape in ((300, 400), (500, 333), (896, 900)):
        pixels = scaled(scene, *shape)
        expected = cv2.resize(pixels, (224, 224), interpolation=flag)
        fitted = fit(pixels, Preprocess(crop=Crop.NONE, interpolation=interpolation))
        assert np.abs(fitted.astype(int) - expected).max() <= 1


triples = st.tuples(*[st.floats(-300, 300)] * 3)
stds = st.tuples(*[st.floats(0.01, 300)] * 3)


@given(
    scale=st.sampled_from([1 / 255, 1.0, 1 / 127.5]),
    mean=triples,
    std=stds,
    color=st.sampled_from(Color),
)
def test_the_affine_form_is_the_definition(scale, mean, std, color):
    preprocess = Preprocess(scale=scale, mean=mean, std=std, color=color)
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3) * 2
    factor, offset = preprocess.affine()
    bgr = pixels * factor + offset
    planes = (bgr[..., ::-1] if color is Color.RGB else bgr).transpose(0, 3, 1, 2)
    expected = preprocess.normalise(pixels)
    assert expected.dtype == np.float32
    assert expected.flags.c_contiguous
    reach = (255 * scale + np.abs(mean).max()) / min(std)
    assert np.abs(planes - expected).max() <= 1e-6 * max(reach, 1)  # float32 has 24 bits


def test_mean_and_std_are_in_the_order_of_the_networks_channels():
    pixels = np.zeros((1, 1, 1, 3), np.uint8)
    pixels[..., :] = (10, 20, 30)  # blue, green, red
    table = {"scale": 1.0, "mean": (1.0, 2.0, 3.0), "std": (1.0, 1.0, 1.0)}
    assert Preprocess(**table).normalise(pixels).ravel().tolist() == [29, 18, 7]
    bgr = Preprocess(**table, color=Color.BGR)
    assert bgr.normalise(pixels).ravel().tolist() == [9, 18, 27]


@given(
    size=st.tuples(st.integers(1, 500), st.integers(1, 500)),
    more=st.integers(0, 100),
    crop=st.sampled_from(Crop),
    interpolation=st.sampled_from(Interpolation),
    color=st.sampled_from(Color),
    scale=st.floats(1e-6, 10),
    mean=triples,
    std=stds,
)
def test_what_is_written_is_read_back(size, more, **fields):
    preprocess = Preprocess(size=size, resize=max(size) + more, **fields)
    assert from_json(as_json(preprocess), "text") == preprocess


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"size": [0, 224]}, "size"),
        ({"size": [224]}, "size"),
        ({"size": [224, 20000]}, "size"),
        ({"resize": 100}, "resize 100 is smaller than the crop 224"),
        ({"resize": None}, "resize"),
        ({"std": [0.2, 0.0, 0.2]}, "std must be positive"),
        ({"std": [0.2, -0.1, 0.2]}, "std must be positive"),
        ({"std": [1, 1]}, "std"),
        ({"mean": ["a", 1, 1]}, "mean"),
        ({"mean": [math.nan, 0, 0]}, "mean"),
        ({"mean": [0, math.inf, 0]}, "mean"),
        ({"scale": 0}, "scale"),
        ({"scale": math.inf}, "scale"),
        ({"color": "rbg"}, "color"),
        ({"crop": "middle"}, "crop"),
        ({"interpolation": "lanczos"}, "interpolation"),
        ({"sise": [224, 224]}, "did you mean 'size'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(table, says):
    with pytest.raises(ProfileError) as caught:
        parse(Preprocess, table, "preprocess")
    assert says in str(caught.value)


def test_an_unknown_key_of_a_file_is_refused_with_the_nearest(tmp_path):
    file = tmp_path / "preprocess.json"
    file.write_text(json.dumps({"sise": [224, 224]}))
    with pytest.raises(ProfileError, match=r"preprocess\.json: unknown key 'sise'") as caught:
        read_preprocess(file)
    assert "'size'" in caught.value.hint


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"not json", b"[1, 2]", b""])
def test_what_is_no_json_object_is_refused(tmp_path, data):
    file = tmp_path / "preprocess.json"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=r"preprocess\.json"):
        read_preprocess(file)


def test_a_file_sets_only_what_it_names(tmp_path):
    file = tmp_path / "preprocess.json"
    file.write_text('{"size": [160, 192], "color": "bgr"}')
    assert read_preprocess(file) == {"size": [160, 192], "color": "bgr"}
