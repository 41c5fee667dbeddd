"""Keras' ResNet-50 as a TensorFlow.js layers model becomes torch's, arithmetic and all."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgeresnet.convert.build import network_of
from edgeresnet.convert.checkpoint import read_checkpoint
from edgeresnet.convert.keras_tfjs import CAFFE, read_layers_model
from edgeresnet.core.errors import ModelError

STAGES = ((2, 3), (3, 4), (4, 6), (5, 3))
WIDTH = 4
KERAS_EPS = 1.001e-5


def layer_names(naming):
    """Convolution and norm of every layer, in Keras' own words; independent of the reader's."""
    pairs = [("conv1", "bn_conv1")] if naming == "old" else [("conv1_conv", "conv1_bn")]
    for stage, blocks in STAGES:
        for block in range(blocks):
            if naming == "old":
                key = f"{stage}{'abcdef'[block]}_branch"
                ends = ["2a", "2b", "2c"] + (["1"] if block == 0 else [])
                pairs += [(f"res{key}{end}", f"bn{key}{end}") for end in ends]
            else:
                key = f"conv{stage}_block{block + 1}"
                ends = [1, 2, 3] + ([0] if block == 0 else [])
                pairs += [(f"{key}_{end}_conv", f"{key}_{end}_bn") for end in ends]
    return pairs


def kernels(naming):
    """Kernel shapes of every convolution."""
    shapes, inputs = {}, WIDTH
    pairs = iter(layer_names(naming)[1:])
    for stage, blocks in STAGES:
        inner, outer = WIDTH << (stage - 2), (WIDTH << (stage - 2)) * 4
        for block in range(blocks):
            shapes[next(pairs)[0]] = (1, 1, inputs, inner)
            shapes[next(pairs)[0]] = (3, 3, inner, inner)
            shapes[next(pairs)[0]] = (1, 1, inner, outer)
            if block == 0:
                shapes[next(pairs)[0]] = (1, 1, inputs, outer)
            inputs = outer
    return shapes


def random_arrays(naming, rng):
    shapes = kernels(naming)
    arrays = {}
    for conv, norm in layer_names(naming):
        shape = shapes.get(conv, (7, 7, 3, WIDTH))
        arrays[f"{conv}/kernel"] = rng.normal(size=shape) / np.sqrt(np.prod(shape[:3]))
        arrays[f"{conv}/bias"] = rng.normal(size=shape[3])
        arrays[f"{norm}/gamma"] = rng.uniform(0.5, 1.5, shape[3])
        arrays[f"{norm}/beta"] = rng.normal(size=shape[3])
        arrays[f"{norm}/moving_mean"] = rng.normal(size=shape[3])
        arrays[f"{norm}/moving_variance"] = rng.uniform(1e-5, 2, shape[3])
    fc = "fc1000" if naming == "old" else "predictions"
    arrays[f"{fc}/kernel"] = rng.normal(size=(WIDTH * 32, 7))
    arrays[f"{fc}/bias"] = rng.normal(size=7)
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def write_model(folder, arrays, naming, *, shards=3, stride_in="1x1", dtype="<f4"):
    data = b"".join(value.astype(dtype).tobytes() for value in arrays.values())
    names = [f"group1-shard{i + 1}of{shards}.bin" for i in range(shards)]
    size = -(-len(data) // shards)  # cut without regard to the weights, as TensorFlow.js does
    for i, name in enumerate(names):
        (folder / name).write_bytes(data[i * size : (i + 1) * size])
    kind = {"<f4": "float32", "<f2": "float16"}[dtype]
    weights = [{"name": k, "shape": v.shape, "dtype": kind} for k, v in arrays.items()]
    a, b = ("2a", "2b") if naming == "old" else ("1", "2")
    layers = []
    for stage, _ in STAGES[1:]:
        key = f"res{stage}a_branch" if naming == "old" else f"conv{stage}_block1_"
        end = "" if naming == "old" else "_conv"
        first, second = ([2, 2], [1, 1]) if stride_in == "1x1" else ([1, 1], [2, 2])
        layers += [
            {"class_name": "Conv2D", "config": {"name": f"{key}{a}{end}", "strides": first}},
            {"class_name": "Conv2D", "config": {"name": f"{key}{b}{end}", "strides": second}},
        ]
    model = {
        "modelTopology": {"model_config": {"class_name": "Model", "config": {"layers": layers}}},
        "weightsManifest": [{"paths": names, "weights": weights}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    return folder / "model.json"


def keras_layer(arrays, conv, norm, x, stride=1, padding=0):
    """Convolution with bias, then batch normalisation with Keras' epsilon, in double."""
    get = {k: torch.from_numpy(v).double() for k, v in arrays.items()}
    kernel = get[f"{conv}/kernel"].permute(3, 2, 0, 1)
    y = functional.conv2d(x, kernel, get[f"{conv}/bias"], stride, padding)
    shape = (1, -1, 1, 1)
    scale = get[f"{norm}/gamma"] / torch.sqrt(get[f"{norm}/moving_variance"] + KERAS_EPS)
    mean, beta = get[f"{norm}/moving_mean"], get[f"{norm}/beta"]
    return (y - mean.reshape(shape)) * scale.reshape(shape) + beta.reshape(shape)


def keras_forward(arrays, naming, x, stride_in):
    """The whole network by hand, as keras.applications.resnet50 defines it."""
    pairs = iter(layer_names(naming))
    x = torch.relu(keras_layer(arrays, *next(pairs), x, 2, 3))
    x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, 2)
    for stage, blocks in STAGES:
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 2 else 1
            first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
            y = torch.relu(keras_layer(arrays, *next(pairs), x, first))
            y = torch.relu(keras_layer(arrays, *next(pairs), y, second, 1))
            y = keras_layer(arrays, *next(pairs), y)
            if block == 0:
                x = keras_layer(arrays, *next(pairs), x, stride)
            x = torch.relu(x + y)
    fc = "fc1000" if naming == "old" else "predictions"
    kernel, bias = (
        torch.from_numpy(arrays[f"{fc}/{part}"]).double() for part in ("kernel", "bias")
    )
    return x.mean((2, 3)) @ kernel + bias


@pytest.mark.parametrize("naming", ["old", "new"])
@pytest.mark.parametrize("stride_in", ["1x1", "3x3"])
def test_the_network_gives_what_keras_arithmetic_gives(tmp_path, rng, naming, stride_in):
    """Biases, epsilon, the stride's place and every name; Keras pads the pool with zeros."""
    arrays = random_arrays(naming, rng)
    path = write_model(tmp_path, arrays, naming, stride_in=stride_in)
    checkpoint = read_checkpoint(path)
    assert checkpoint.stride_in == stride_in
    assert checkpoint.preprocess == CAFFE
    network, spec = network_of(checkpoint, None, None)
    assert spec.layers == (3, 4, 6, 3)
    assert spec.classes == 7
    assert spec.stride_in == stride_in
    x = torch.from_numpy(rng.normal(size=(2, 3, 64, 64)))
    with torch.no_grad():
        found = network.double()(x)
    expected = keras_forward(arrays, naming, x, stride_in)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_half_precision_shards_are_read(tmp_path, rng):
    arrays = random_arrays("new", rng)
    state = read_layers_model(write_model(tmp_path, arrays, "new", dtype="<f2")).state
    expected = torch.from_numpy(arrays["conv1_conv/kernel"]).permute(3, 2, 0, 1)
    torch.testing.assert_close(state["conv1.weight"], expected, rtol=1e-3, atol=1e-4)


def test_the_number_of_shards_changes_nothing_but_their_content_the_digest(tmp_path, rng):
    arrays = random_arrays("old", rng)
    models = []
    for i, shards in enumerate((1, 5)):
        (tmp_path / str(i)).mkdir()
        models.append(
            read_layers_model(write_model(tmp_path / str(i), arrays, "old", shards=shards))
        )
    assert all(torch.equal(models[0].state[k], models[1].state[k]) for k in models[0].state)
    arrays["conv1/bias"] = arrays["conv1/bias"] + 1
    other = read_layers_model(write_model(tmp_path / "0", arrays, "old", shards=1))
    assert other.sha256 != models[0].sha256


def test_weights_without_convolution_biases_are_read(tmp_path, rng):
    arrays = random_arrays("new", rng)
    biased = read_layers_model(write_model(tmp_path, arrays, "new")).state
    plain = {k: v for k, v in arrays.items() if not k.endswith("_conv/bias")}
    state = read_layers_model(write_model(tmp_path, plain, "new")).state
    moved = biased["bn1.running_mean"] + torch.from_numpy(arrays["conv1_conv/bias"])
    torch.testing.assert_close(state["bn1.running_mean"], moved)


@pytest.fixture
def model(tmp_path, rng):
    return write_model(tmp_path, random_arrays("old", rng), "old")


def edited(path, edit):
    table = json.loads(path.read_text())
    edit(table)
    path.write_text(json.dumps(table))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        pytest.param(lambda t: t.pop("weightsManifest"), "weightsManifest", id="no manifest"),
        pytest.param(lambda t: t.pop("modelTopology"), "modelTopology", id="no topology"),
        pytest.param(
            lambda t: t.update(modelTopology={"config": {"layers": []}}),
            "topology lacks",
            id="layers",
        ),
        pytest.param(lambda t: t.update(modelTopology=3), "topology lacks", id="no table"),
        pytest.param(
            lambda t: t.update(weightsManifest=[{}]), "damaged weightsManifest", id="empty"
        ),
        pytest.param(lambda t: t.update(weightsManifest=3), "damaged weightsManifest", id="number"),
        pytest.param(
            lambda t: t["weightsManifest"][0]["weights"][0].update(shape=[-1, 7, 3, 4]),
            "model.json",
            id="negative shape",
        ),
        pytest.param(
            lambda t: t["weightsManifest"][0]["weights"][3].update(dtype="int32"),
            "bn_conv1/beta is int32",
            id="integers",
        ),
        pytest.param(
            lambda t: t["weightsManifest"][0]["weights"][0].update(quantization={"dtype": "uint8"}),
            "conv1/kernel is float32 or quantized",
            id="quantized",
        ),
        pytest.param(
            lambda t: t["weightsManifest"][0]["weights"][-1].update(shape=[7000]),
            "the shards end inside fc1000/bias",
            id="too long",
        ),
        pytest.param(
            lambda t: t["weightsManifest"][0]["weights"][0].update(name="other/kernel"),
            "not Keras' ResNet-50",
            id="another network",
        ),
        pytest.param(
            lambda t: t["weightsManifest"][0].update(paths=["../secret.bin"]),
            r"shard \.\./secret\.bin is missing",
            id="out of the folder",
        ),
    ],
)
def test_damage_is_named(model, edit, says):
    (model.parent.parent / "secret.bin").write_bytes(bytes(100_000))
    edited(model, edit)
    with pytest.raises(ModelError, match=says) as caught:
        read_checkpoint(model)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("text", ["{", "[]", "3", "\xff", "[" * 100_000])
def test_what_is_no_layers_model_is_refused(tmp_path, text):
    path = tmp_path / "model.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match="is not a TensorFlow"):
        read_checkpoint(path)


def test_a_shard_cut_short_is_named(model):
    last = model.parent / "group1-shard3of3.bin"
    last.write_bytes(last.read_bytes()[:-4])
    with pytest.raises(ModelError, match="the shards end inside fc1000/bias"):
        read_checkpoint(model)
