"""convert: what goes in, what comes out, and what is refused without a trace."""

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.networks import ResNetSpec, build
from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import load_onnx, read_graph
from edgeresnet.core.errors import ModelError, ParityError, UsageError
from edgeresnet.core.tensors import IMAGE, LOGITS

SMALL = {"size": (64, 64)}


def small_network(**changes):
    """An eighth-width ResNet-50 with BatchNorm statistics that are not the defaults."""
    torch.manual_seed(3)
    spec = ResNetSpec("bottleneck", (1, 1, 1, 1), width=0.125, classes=10)
    network = build(ResNetSpec(**{**spec.__dict__, **changes})).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(small_network().state_dict(), path)
    return path


def same_logits(graph, network):
    """The graph gives the network's logits for a random picture, preprocessing included."""
    picture = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    got = open_model(graph.path)({IMAGE: picture})[LOGITS]
    with torch.no_grad():
        expected = network(torch.from_numpy(graph.preprocess.normalise(picture))).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda s: s, id="state dict"),
        pytest.param(lambda s: {"state_dict": s, "optimizer": {"lr": 0.1}, "epoch": 3}, id="ckpt"),
        pytest.param(lambda s: {"model": s}, id="model"),
        pytest.param(
            lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}}, id="parallel"
        ),
        pytest.param(lambda s: {f"_orig_mod.{k}": v for k, v in s.items()}, id="compiled"),
        pytest.param(lambda s: {k: v.half() for k, v in s.items()}, id="half"),
        pytest.param(
            lambda s: {k.replace("fc.", "fc.1."): v for k, v in s.items()}, id="dropout head"
        ),
    ],
)
def test_checkpoints_in_every_wrapping(tmp_path, wrap):
    network = small_network()
    path = tmp_path / "w.pt"
    torch.save(wrap(network.state_dict()), path)
    report = convert(path, tmp_path / "g.onnx", preprocess=SMALL)
    assert len(report.graph.labels) == 10
    if wrap(network.state_dict()).get("conv1.weight", torch.zeros(1)).dtype != torch.float16:
        same_logits(report.graph, network)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"stride_in": "1x1"}, id="v1"),
        pytest.param({"groups": 8, "width_per_group": 16}, id="resnext"),
        pytest.param({"se": True}, id="se"),
        pytest.param({"block": "basic"}, id="basic"),
    ],
)
def test_every_family_is_converted_equal(tmp_path, changes):
    network = small_network(**changes)
    path = tmp_path / "w.pth"
    torch.save(network.state_dict(), path)
    report = convert(
        path, tmp_path / "g.onnx", preprocess=SMALL, stride_in=changes.get("stride_in")
    )
    assert report.parity.holds
    same_logits(report.graph, network)


def test_one_file_with_everything_in_it(weights, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"n{i:08d} thing {i}" for i in range(10)))
    report = convert(weights, tmp_path / "g.onnx", preprocess=SMALL, classes=names, batch=2)
    graph = read_graph(report.graph.path)
    assert str(graph.inputs[0]) == "image: uint8[2x64x64x3]"
    assert graph.labels.names[3] == "thing 3"
    assert graph.labels.wordnet[3] == "n00000003"
    assert graph.preprocess.size == (64, 64)
    assert graph.evidence["training_match"]["verdict"] == "unchecked"
    assert sorted(p.name for p in tmp_path.glob("g.onnx*")) == ["g.onnx"]
    assert load_onnx(graph.path).opset_import[0].version == 17


def test_no_batchnorm_is_left_and_nodes_bear_their_modules_names(weights, tmp_path):
    convert(weights, tmp_path / "g.onnx", preprocess=SMALL)
    nodes = load_onnx(tmp_path / "g.onnx").graph.node
    assert not [n for n in nodes if n.op_type == "BatchNormalization"]
    assert {"conv1", "layer1.0.conv2", "layer2.0.downsample.0", "fc"} <= {n.name for n in nodes}


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("softmax", [False, True])
def test_an_onnx_file_of_another_tool(tmp_path, opset, softmax):
    network = small_network()
    module = torch.nn.Sequential(network, torch.nn.Softmax(1)).eval() if softmax else network
    path = tmp_path / "theirs.onnx"
    _export(module, path, opset)
    report = convert(path, tmp_path / "g.onnx")
    assert report.graph.preprocess.size == (64, 64)
    same_logits(report.graph, network)


def _export(module, path, opset):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, 64, 64),),
            str(path),
            opset_version=opset,
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
        )


def test_a_module_from_a_factory(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(
        "import torch\n"
        "def tiny():\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1),"
        " torch.nn.Flatten(), torch.nn.Linear(4, 5))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    report = convert("my_models:tiny", tmp_path / "g.onnx", preprocess=SMALL)
    assert len(report.graph.labels) == 5
    assert report.training_match == "not applicable"


class _Runs:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def _bad(kind, folder):
    path = folder / "bad.pth"
    state = small_network().state_dict()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "page":
        path.write_text("<!DOCTYPE html><html>404</html>")
    elif kind == "lfs":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    elif kind == "text":
        path.write_text("hello")
    elif kind == "truncated":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[:-20000])
    elif kind == "code":
        path.write_bytes(pickle.dumps(_Runs(folder / "ran")))
    elif kind == "module":
        torch.save(small_network(), path)
    elif kind == "number":
        torch.save({"epoch": 3}, path)
    elif kind == "nan":
        state["fc.weight"][0, 0] = float("nan")
        torch.save(state, path)
    elif kind == "missing key":
        del state["layer2.0.conv2.weight"]
        torch.save(state, path)
    elif kind == "extra key":
        torch.save({**state, "head.weight": torch.zeros(1)}, path)
    elif kind == "other network":
        torch.save(torch.nn.Linear(3, 4).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("none", UsageError, "no such file"),
        ("empty", UsageError, "is empty"),
        ("page", ModelError, "web page"),
        ("lfs", ModelError, "Git LFS"),
        ("text", ModelError, "neither a torch checkpoint"),
        ("truncated", ModelError, "not a whole checkpoint"),
        ("code", ModelError, "would execute code"),
        ("module", ModelError, "would execute code"),
        ("number", ModelError, "holds no weights"),
        ("nan", ModelError, r"fc\.weight holds values that are not finite"),
        ("missing key", ModelError, r"layer2\.0\.conv2"),
        ("extra key", ModelError, r"head\.weight"),
        ("other network", ModelError, "no ResNet that edgeresnet knows"),
    ],
)
def test_bad_weights_are_refused_by_name_and_leave_nothing(tmp_path, kind, error, says):
    path = _bad(kind, tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(error, match=says) as caught:
        convert(path, tmp_path / "g.onnx", preprocess=SMALL)
    assert "bad.pth" in caught.value.what
    assert len(str(caught.value).splitlines()) <= 2
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert not (tmp_path / "ran").exists()


def test_the_wrong_architecture_lists_keys(weights, tmp_path):
    with pytest.raises(ModelError, match=r"does not fit resnet18: .*unexpected.*misshapen"):
        convert(weights, tmp_path / "g.onnx", arch="resnet18", preprocess=SMALL)


def test_class_names_must_be_as_many_as_classes(weights, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("a\nb\n")
    with pytest.raises(UsageError, match="names 2 classes, the network has 10"):
        convert(weights, tmp_path / "g.onnx", preprocess=SMALL, classes=names)


def test_an_output_that_exists_is_kept_unless_forced(weights, tmp_path):
    out = tmp_path / "g.onnx"
    out.write_text("mine")
    with pytest.raises(UsageError, match="output exists"):
        convert(weights, out, preprocess=SMALL)
    assert out.read_text() == "mine"
    convert(weights, out, preprocess=SMALL, force=True)
    assert read_graph(out).task == "classify"


def test_parity_fails_and_names_the_first_layer_that_parts(weights, tmp_path, monkeypatch):
    from edgeresnet.convert import stage

    honest = stage.make_body

    def tampered(*args, **kwargs):
        body, statistics = honest(*args, **kwargs)
        for weight in body.body.graph.initializer:
            if weight.name == "layer2.0.conv2.weight":
                values = onnx.numpy_helper.to_array(weight).copy()
                values[0] += 1.0
                weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return body, statistics

    monkeypatch.setattr(stage, "make_body", tampered)
    with pytest.raises(ParityError, match=r"first apart at layer2\.0\.bn2"):
        convert(weights, tmp_path / "g.onnx", preprocess=SMALL)
    assert not (tmp_path / "g.onnx").exists()


@pytest.mark.parametrize("naming", ["old", "new"])
def test_keras_layers_model_gives_what_its_own_arithmetic_gives(tmp_path, naming):
    """First convolution, bias, norm with Keras' epsilon and BGR-minus-mean, done by hand."""
    from edgeresnet.convert.keras_tfjs import read_layers_model
    from edgeresnet.convert.networks import infer_spec

    arrays, first = _write_keras(tmp_path, naming)
    model = read_layers_model(tmp_path / "model.json")
    assert model.stride_in == "1x1"
    assert infer_spec({k: tuple(v.shape) for k, v in model.state.items()}).layers == (3, 4, 6, 3)
    conv, norm = first
    x = torch.rand(1, 3, 9, 9, dtype=torch.float64) * 255
    kernel = torch.from_numpy(arrays[f"{conv}/kernel"]).double().permute(3, 2, 0, 1)
    y = torch.nn.functional.conv2d(x, kernel, torch.from_numpy(arrays[f"{conv}/bias"]).double())
    shape = (1, -1, 1, 1)
    g, b, m, v = (
        torch.from_numpy(arrays[f"{norm}/{n}"]).double().reshape(shape)
        for n in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    expected = (y - m) / torch.sqrt(v + 1.001e-5) * g + b
    state = {k: t.double() for k, t in model.state.items()}
    got = torch.nn.functional.batch_norm(
        torch.nn.functional.conv2d(x, state["conv1.weight"]),
        state["bn1.running_mean"],
        state["bn1.running_var"],
        state["bn1.weight"],
        state["bn1.bias"],
        eps=1e-5,
    )
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-3)


def _write_keras(folder, naming):
    from edgeresnet.convert import keras_tfjs

    names = keras_tfjs._old_names() if naming == "old" else keras_tfjs._new_names()
    network = build(ResNetSpec("bottleneck", (3, 4, 6, 3), width=0.125, classes=7))
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    rng = np.random.default_rng(5)
    arrays = {}
    for ends, (conv, norm) in names.items():
        to_conv = ends.split("|")[0]
        shape = shapes[f"{to_conv}.weight"]
        arrays[f"{conv}/kernel"] = rng.normal(
            size=shape[::-1] if len(shape) == 2 else (*shape[2:], shape[1], shape[0])
        )
        arrays[f"{conv}/bias"] = rng.normal(size=shape[0])
        for part in ("gamma", "beta", "moving_mean", "moving_variance") if norm else ():
            arrays[f"{norm}/{part}"] = rng.random(shape[0]) + 0.1
    arrays = {k: v.astype(np.float32) for k, v in arrays.items()}
    data = b"".join(v.tobytes() for v in arrays.values())
    half = len(data) // 2 // 4 * 4
    (folder / "a.bin").write_bytes(data[:half])
    (folder / "b.bin").write_bytes(data[half:])
    weights = [{"name": k, "shape": v.shape, "dtype": "float32"} for k, v in arrays.items()]
    strided = names["layer2.0.conv1|layer2.0.bn1"][0]
    layers = [{"config": {"name": strided, "strides": [2, 2]}}]
    model = {
        "modelTopology": {"model_config": {"config": {"layers": layers}}},
        "weightsManifest": [{"paths": ["a.bin", "b.bin"], "weights": weights}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    return arrays, names["conv1|bn1"]


def test_a_missing_shard_is_named(tmp_path):
    _write_keras(tmp_path, "old")
    (tmp_path / "b.bin").unlink()
    with pytest.raises(ModelError, match=r"b\.bin is missing"):
        convert(tmp_path / "model.json", tmp_path / "g.onnx")
