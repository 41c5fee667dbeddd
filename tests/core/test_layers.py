"""Shares, sentences and names, from layers made by hand."""

import pytest

from edgeresnet.core.layers import (
    EngineLayer,
    fallen,
    findings,
    int8_share,
    is_product,
    principal,
    summary,
)


def conv(name, precision="int8", *more):
    return EngineLayer(name, "convolution", precision, (name, *more), multiplies=True)


def step(name, kind, precision, *nodes):
    return EngineLayer(name, kind, precision, nodes, multiplies=False)


CLEAN = (
    step("quantize images", "reformat", "float32"),
    conv("conv1"),
    step("maxpool", "pooling", "int8", "maxpool"),
    conv("layer1.0.conv3", "int8", "layer1.0.Add", "layer1.0.relu_2"),
    step("avgpool", "pooling", "float16", "avgpool"),
    conv("fc"),
)


def test_an_engine_that_is_int8_throughout_has_nothing_to_tell():
    assert int8_share(CLEAN) == 1.0
    assert fallen(CLEAN) == ()
    assert findings(CLEAN) == ()
    assert findings(CLEAN, {"conv1", "fc"}) == ()


def test_the_share_counts_products_only_and_not_those_of_unknown_precision():
    layers = (*CLEAN, conv("a", "float16"), conv("b", ""), step("add", "elementwise", "float32"))
    assert int8_share(layers) == pytest.approx(3 / 5)
    assert [layer.name for layer in fallen(layers)] == ["a", "b"]


def test_nothing_that_multiplies_is_a_share_of_none():
    assert int8_share(()) == 0.0
    assert int8_share((step("copy", "reformat", "int8"),)) == 0.0


def test_what_fell_back_is_told_from_what_the_graph_leaves_in_float():
    layers = (conv("conv1"), conv("fell", "float16"), conv("left", "float16"), conv("fc"))
    assert findings(layers, {"conv1", "fell", "fc"}) == (
        "quantized in the graph, yet these run in float16: 1 (fell)",
        "left in float by the graph, these run in float16: 1 (left)",
    )


def test_without_the_graphs_facts_a_quantized_weight_among_the_nodes_tells_as_much():
    layers = (conv("fell", "float32", "fell.weight.Dequantize"), conv("either", "float32"))
    assert findings(layers) == (
        "quantized in the graph, yet these run in float32: 1 (fell)",
        "convolutions and matrix products that run in float32: 1 (either)",
    )


def test_a_precision_that_is_not_told_is_said_to_be_so():
    assert findings((conv("myelin", ""),)) == (
        "convolutions and matrix products that do not tell their precision: 1 (myelin)",
    )


def test_reformats_count_between_int8_layers_only():
    def copy(name, precision):
        return step(name, "reformat", precision)

    layers = (
        copy("in", "float32"),
        conv("a"),
        copy("layout", "int8"),
        conv("b"),
        copy("back and forth", "float16"),
        conv("c"),
        copy("out", "int8"),
    )
    assert findings(layers) == (
        "between INT8 layers, only changing the layout: 1 (layout)",
        "between INT8 layers, converting from or to float: 1 (back and forth)",
    )


def test_an_add_of_its_own_is_named_and_the_normalisations_is_not():
    layers = (
        step("in", "elementwise", "float32", "normalise.Mul", "normalise.Add"),
        conv("conv1"),
        step("kernel", "elementwise", "float16", "layer1.0.Add", "layer1.0.relu_2"),
        step("other", "elementwise", "float16", "/layer2/layer2.0/Add_1"),
        step("mul", "elementwise", "float16", "layer2.0.se.Mul"),
        conv("fc"),
    )
    assert findings(layers) == (
        "Adds that are not fused into a convolution: 2 (layer1.0.Add, /layer2/layer2.0/Add_1)",
    )


def test_a_sentence_names_a_few_and_counts_the_rest():
    (told,) = findings([conv(f"conv{i}", "float32") for i in range(9)])
    assert "9 (conv0, " in told
    assert told.endswith("conv5 and 3 more)")


def test_the_summary_is_in_the_order_of_kinds_int8_first():
    layers = (conv("a", "float32"), conv("b"), step("c", "reformat", ""), conv("d"))
    assert summary(layers) == (
        ("convolution", "int8", 2),
        ("convolution", "float32", 1),
        ("reformat", "", 1),
    )


@pytest.mark.parametrize(
    ("nodes", "shown"),
    [
        (("layer1.0.conv1.weight.Dequantize", "layer1.0.conv1", "x.relu"), "layer1.0.conv1"),
        (("x.relu_2.Quantize", "layer1.0.Add", "layer1.0.conv3"), "layer1.0.conv3"),
        (("stem.weight.Dequantize", "images.Quantize", "stem"), "stem"),
        (("only.Quantize",), "engine's own name"),
        ((), "engine's own name"),
    ],
)
def test_a_fused_layer_is_called_by_the_node_that_does_the_work(nodes, shown):
    layer = EngineLayer("engine's own name", "convolution", "int8", nodes, multiplies=True)
    assert principal(layer) == shown


@pytest.mark.parametrize(
    ("node", "product"),
    [
        ("conv1", True),
        ("layer1.0.downsample.0", True),
        ("/layer1/layer1.0/conv1/Conv", True),
        ("Conv_34", True),
        ("MatMul_3", True),
        ("fc", True),
        ("layer1.0.relu_2", False),
        ("layer1.0.Add", False),
        ("layer1.0.conv1.weight.Dequantize", False),
        ("convert_to_float.Cast", False),
    ],
)
def test_products_are_known_by_their_names(node, product):
    assert is_product(node) is product


def test_a_product_of_any_name_is_known_by_its_int8_weights():
    assert not is_product("stem.0")
    assert is_product("stem.0", {"stem.0.weight.Dequantize"})


@pytest.mark.parametrize(("kind", "precision"), [("conv", "int8"), ("convolution", "INT8")])
def test_a_layer_of_another_kind_or_precision_cannot_be_made(kind, precision):
    with pytest.raises(ValueError, match="no "):
        EngineLayer("a", kind, precision, (), multiplies=True)
