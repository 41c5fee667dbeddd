"""The table of an engine's layers, and the gate on their share in INT8."""

import pytest

from edgeresnet.cli.layers import gate, layers_json, print_layers
from edgeresnet.core.errors import GateError
from edgeresnet.core.layers import EngineLayer


def conv(name, precision="int8", *more):
    return EngineLayer(f"{name} + more", "convolution", precision, (name, *more), multiplies=True)


POOL = EngineLayer("pool", "pooling", "", ("maxpool",), multiplies=False)
MIXED = (conv("conv1", "int8", "relu"), POOL, *(conv(f"conv{i}") for i in range(2, 20)))
MIXED += (conv("conv20", "float16"),)


def test_the_table_is_short_and_names_what_fell_back(capsys):
    print_layers(MIXED, quantized={"conv20"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layers", "precision", "count"]
    assert [line.split() for line in lines[1:4]] == [
        ["convolution", "int8", "19"],
        ["convolution", "float16", "1"],
        ["pooling", "not", "told", "1"],
    ]
    assert lines[4:] == [
        "in INT8: 19 of 20 convolutions and matrix products (95.0 %)",
        "- quantized in the graph, yet these run in float16: 1 (conv20)",
    ]


def test_every_layer_is_listed_when_asked_for(capsys):
    print_layers(MIXED, every=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-len(MIXED)].split() == ["1", "conv1", "convolution", "int8", "relu"]
    assert lines[-1].split()[:4] == ["21", "conv20", "convolution", "float16"]


def test_a_runtime_that_tells_nothing_is_said_to(capsys):
    print_layers(())
    assert "does not tell" in capsys.readouterr().out


def test_an_object_of_json_has_every_field():
    assert layers_json([conv("conv1", "int8", "relu")]) == [
        {
            "name": "conv1 + more",
            "kind": "convolution",
            "precision": "int8",
            "nodes": ("conv1", "relu"),
            "multiplies": True,
        }
    ]


@pytest.mark.parametrize("least", [0.0, 0.9, 0.95])
def test_enough_in_int8_passes(least):
    gate(MIXED, least)


def test_too_little_in_int8_fails_and_names_the_layers():
    with pytest.raises(GateError, match=r"19 of 20 .*95\.0 %.* at least 95\.1 %") as caught:
        gate(MIXED, 0.951)
    assert "not in INT8: 1 (conv20)" in caught.value.what
    assert caught.value.exit_code == 5


def test_many_layers_that_fell_back_are_counted_not_all_named():
    layers = [conv(f"conv{i}", "float32") for i in range(53)]
    with pytest.raises(GateError, match=r"0 of 53 .*53 \(conv0, .*conv11 and 41 more\)"):
        gate(layers, 1.0)


def test_an_engine_that_is_not_known_to_be_int8_does_not_pass():
    with pytest.raises(GateError, match="is not known") as caught:
        gate((), 0.0)
    assert "OpenVINO and TensorRT" in caught.value.hint
    with pytest.raises(GateError, match=r"of unknown precision: 1 \(conv1\)"):
        gate((conv("conv1", ""),), 0.5)
