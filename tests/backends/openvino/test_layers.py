"""What really ran, asked of OpenVINO itself."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest

from edgeresnet.backends import get_backend
from edgeresnet.core.contract import read_graph
from edgeresnet.core.layers import fallen, findings, int8_share
from edgeresnet.core.protocols import Mode
from edgeresnet.core.target import load_target
from edgeresnet.core.tensors import IMAGE

pytest.importorskip("openvino", reason="openvino is not installed")
TARGET = load_target("intel-cpu")
LEFT = ("conv1", "layer2.1.conv2", "fc")
RECIPE = 'description = "some in float"\nfloat_nodes = ["conv1", "layer2.1.conv2", "fc"]\n'


@pytest.fixture
def layers_of(tmp_path):
    """Compiles a graph and gives the layers of its engine."""

    def layers(graph, options=None):
        backend = get_backend("openvino")
        target = TARGET.model_copy(update={"options": options or {}})
        artifact = backend.compile(read_graph(graph), target, tmp_path)
        with backend.load(artifact, target, Mode.LATENCY, None) as engine:
            return engine.layers

    return layers


def products(graph):
    """Names of the graph's convolutions and linear layers, in order."""
    nodes = onnx.load(str(graph)).graph.node
    return [node.name for node in nodes if node.op_type in ("Conv", "Gemm")]


def test_every_product_of_an_int8_graph_runs_in_int8_with_its_add(sample_int8, layers_of):
    layers = layers_of(sample_int8)
    held = [layer for layer in layers if layer.multiplies]
    assert int8_share(layers) == 1.0
    assert Counter(layer.kind for layer in held) == {"convolution": 53, "matmul": 1}
    covered = [node for layer in held for node in layer.nodes]
    assert set(products(sample_int8)) <= set(covered)
    assert sum(node.endswith(".Add") for node in covered) == 16
    assert not [told for told in findings(layers) if "float32" in told or "Adds" in told]


def test_exactly_what_a_recipe_leaves_in_float_runs_in_float(
    sample_graph, drawn_pictures, layers_of, tmp_path
):
    from edgeresnet.quantize.stage import quantize

    recipe, out = tmp_path / "mixed.toml", tmp_path / "mixed.onnx"
    recipe.write_text(RECIPE)
    quantize(sample_graph, out, images=drawn_pictures, recipe=str(recipe), max_drop=10)
    layers = layers_of(out)
    fell = fallen(layers)
    assert {layer.precision for layer in fell} == {"float32"}
    assert len(fell) == len(LEFT)
    assert all(name in layer.nodes for name, layer in zip(LEFT, fell, strict=True))
    assert int8_share(layers) == pytest.approx(51 / 54)
    (told,) = [
        told for told in findings(layers, set(products(out)) - set(LEFT)) if "run in" in told
    ]
    assert told == f"left in float by the graph, these run in float32: 3 ({', '.join(LEFT)})"


def test_a_float_graph_runs_in_the_precision_that_its_target_asks_for(sample_graph, layers_of):
    for name, options in get_backend("openvino").precisions(TARGET).items():
        layers = layers_of(sample_graph, dict(options))
        assert int8_share(layers) == 0.0
        assert {layer.precision for layer in layers if layer.multiplies} == {name}
        assert sum(layer.multiplies for layer in layers) == 54


def test_what_is_computed_from_constants_alone_is_no_layer(sample_graph, layers_of):
    *_, options = get_backend("openvino").precisions(TARGET).values()
    layers = layers_of(sample_graph, dict(options))
    assert not {layer.kind for layer in layers} - {
        "convolution",
        "matmul",
        "pooling",
        "elementwise",
        "reformat",
        "other",
    }
    assert sum(layer.kind in ("reformat", "other") for layer in layers) < 10  # 54 have a bias


def test_a_run_never_asks_for_the_layers(sample_graph, tmp_path):
    class Watched:
        asked = 0

        def __init__(self, compiled):
            self._compiled = compiled

        def get_runtime_model(self):
            Watched.asked += 1
            return self._compiled.get_runtime_model()

        def __getattr__(self, name):
            return getattr(self._compiled, name)

    backend = get_backend("openvino")
    artifact = backend.compile(read_graph(sample_graph), TARGET, tmp_path)
    with backend.load(artifact, TARGET, Mode.LATENCY, None) as engine:
        watched = replace(engine, compiled=Watched(engine.compiled))
        (spec,) = watched.inputs
        watched.session().infer({IMAGE: np.zeros(spec.shape, spec.dtype)})
        assert Watched.asked == 0
        assert watched.layers
        assert watched.layers is watched.layers
        assert Watched.asked == 1
