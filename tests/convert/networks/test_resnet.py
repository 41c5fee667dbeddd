"""The ResNet family has torchvision's names, counts and shapes."""

from dataclasses import replace

import pytest
import torch

from edgeresnet.convert.networks import (
    ARCHITECTURES,
    ResNet,
    ResNetSpec,
    arch_name,
    build,
    infer_spec,
)

PUBLISHED_PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "se_resnet50": 28_088_024,  # timm's seresnet50
}


def on_meta(spec: ResNetSpec) -> ResNet:
    with torch.device("meta"):
        return ResNet(spec)


def shapes_of(spec: ResNetSpec) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in on_meta(spec).state_dict().items()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    parameters = on_meta(ARCHITECTURES[name]).parameters()
    assert sum(p.numel() for p in parameters) == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("width", [1.0, 0.25])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_spec_is_read_back_from_its_shapes(name: str, width: float) -> None:
    spec = replace(ARCHITECTURES[name], width=width, classes=21, in_channels=1)
    assert infer_spec(shapes_of(spec)) == spec
    assert arch_name(spec) == name


def test_the_stride_leaves_no_trace_in_the_shapes() -> None:
    spec = ARCHITECTURES["resnet50"]
    assert infer_spec(shapes_of(replace(spec, stride_in="1x1"))) == spec


def test_v1_and_v15_differ_in_the_stride_only() -> None:
    v15 = build(replace(ARCHITECTURES["resnet50"], width=0.25, classes=5)).eval()
    v1 = build(replace(v15.spec, stride_in="1x1")).eval()
    v1.load_state_dict(v15.state_dict())
    for n in (2, 3, 4):
        old, new = getattr(v1, f"layer{n}")[0], getattr(v15, f"layer{n}")[0]
        assert (old.conv1.stride, old.conv2.stride) == ((2, 2), (1, 1))
        assert (new.conv1.stride, new.conv2.stride) == ((1, 1), (2, 2))
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert v1(x).shape == v15(x).shape == (1, 5)
        assert not torch.allclose(v1(x), v15(x))


def test_keys_are_those_of_torchvision() -> None:
    keys = shapes_of(ARCHITECTURES["resnet50"])
    assert len(keys) == 320
    assert keys["conv1.weight"] == (64, 3, 7, 7)
    assert keys["bn1.num_batches_tracked"] == ()
    assert keys["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert keys["layer1.0.downsample.1.running_var"] == (256,)
    assert keys["layer4.2.conv2.weight"] == (512, 512, 3, 3)
    assert keys["fc.bias"] == (1000,)
    assert "layer1.0.downsample.0.weight" not in shapes_of(ARCHITECTURES["resnet18"])


def test_squeeze_and_excitation_has_timms_keys() -> None:
    keys = shapes_of(ARCHITECTURES["se_resnet50"])
    assert keys["layer1.0.se.fc1.weight"] == (16, 256, 1, 1)
    assert keys["layer4.2.se.fc2.bias"] == (2048,)


def test_features_halve_in_size_from_stage_to_stage() -> None:
    network = build(ResNetSpec("basic", (1, 1, 1, 1), width=0.25, classes=3)).eval()
    with torch.no_grad():
        sizes = [tuple(f.shape[1:]) for f in network.features(torch.zeros(1, 3, 64, 96))]
    assert sizes == [(16, 16, 24), (32, 8, 12), (64, 4, 6), (128, 2, 3)]


def test_checkpoints_older_than_num_batches_tracked_are_read() -> None:
    spec = ARCHITECTURES["resnet18"]
    old = {k: v for k, v in shapes_of(spec).items() if not k.endswith("num_batches_tracked")}
    assert infer_spec(old) == spec


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"conv1.weight": None}, "conv1.weight"),
        ({"conv1.weight": (64, 147)}, "conv1.weight"),
        ({"fc.weight": None}, "fc.weight"),
        ({"fc.weight": (1000, 2049)}, "fc.weight"),
        ({"layer3.0.conv1.weight": None}, "layer3.0.conv1.weight"),
        ({"layer3.2.bn2.bias": None}, "layer3.2.bn2.bias"),
        ({"layer2.1.conv3.weight": (512, 128, 3, 3)}, "layer2.1.conv3.weight"),
        ({"layer4.0.conv2.weight": (0, 0, 3, 3)}, "layer4.0.conv2.weight"),
        ({"layer4.0.conv2.weight": (4, 512, 3, 3)}, "layer4.0.conv2.weight"),
        ({"fc2.weight": (10, 10)}, "fc2.weight"),
    ],
)
def test_the_first_key_that_does_not_fit_is_named(
    change: dict[str, tuple[int, ...] | None], key: str
) -> None:
    changed = {**shapes_of(ARCHITECTURES["resnet50"]), **change}
    with pytest.raises(ValueError, match=rf"^{key}: "):
        infer_spec({k: v for k, v in changed.items() if v is not None})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layers": (3, 4, 0, 3)}, "layers is"),
        ({"width": 0.3}, "multiple of 1/64"),
        ({"width": 0.0}, "multiple of 1/64"),
        ({"classes": 0}, "classes is 0"),
        ({"block": "basic", "groups": 32}, "basic blocks take"),
        ({"block": "basic", "stride_in": "1x1"}, "no 1x1 convolution"),
        ({"block": "plain"}, "block is 'plain'"),
        ({"stride_in": "7x7"}, "stride_in is '7x7'"),
        ({"groups": 32, "width_per_group": 4, "width": 0.125}, "no channel"),
    ],
)
def test_impossible_specs_cannot_be_written(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ARCHITECTURES["resnet50"], **wrong)  # type: ignore[arg-type]


def test_unpublished_depths_are_spelt_out() -> None:
    assert arch_name(ResNetSpec("bottleneck", (3, 4, 5, 3))) == "resnet_bottleneck_3_4_5_3"
    wide = ResNetSpec("bottleneck", (1, 1, 1, 1), groups=8, width_per_group=16, se=True)
    assert arch_name(wide) == "se_resnext_bottleneck_1_1_1_1_8x16d"
