"""Schemes, recipes and nodes are asked for by names that exist."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from edgeresnet.core.errors import ModelError, ProfileError, UsageError
from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.plan import (
    check_float_nodes,
    check_operators,
    recipe_of,
    scheme_of,
    weight_bits_of,
)


def test_the_target_gives_the_scheme_and_the_option_goes_before_it(tmp_path):
    target = tmp_path / "orin.toml"
    target.write_text(
        'description = "x"\nbackend = "tensorrt"\ndevice = "cuda:0"\n'
        'scheme = "s8-symmetric"\nmemory_mb = 100\n'
    )
    assert scheme_of(None, None) is Scheme.U8_AFFINE
    assert scheme_of("intel-cpu", None) is Scheme.U8_AFFINE
    assert scheme_of(str(target), None) is Scheme.S8_SYMMETRIC
    assert scheme_of(str(target), "u8-affine") is Scheme.U8_AFFINE


def test_a_target_that_runs_floats_has_nothing_to_quantize_for(tmp_path):
    target = tmp_path / "float.toml"
    target.write_text(
        'description = "x"\nbackend = "onnxruntime"\ndevice = "x"\n'
        'scheme = "float"\nmemory_mb = 100\n'
    )
    for arguments in ((str(target), None), (None, "float")):
        with pytest.raises(UsageError, match="nothing to quantize"):
            scheme_of(*arguments)
    assert scheme_of(str(target), "s8-symmetric") is Scheme.S8_SYMMETRIC


def test_names_that_nothing_answers_to_get_a_suggestion():
    with pytest.raises(UsageError, match="--scheme: no 'u8-afine'") as caught:
        scheme_of(None, "u8-afine")
    assert caught.value.hint == "did you mean 'u8-affine'?"
    with pytest.raises(UsageError, match="--method: no 'min-max'") as caught:
        recipe_of("default", None, "min-max")
    assert caught.value.hint == "did you mean 'minmax'?"
    with pytest.raises(ProfileError, match="no target named 'intel-gpu'") as caught:
        scheme_of("intel-gpu", None)
    assert caught.value.hint == "did you mean 'intel-cpu'?"
    with pytest.raises(ProfileError, match="no recipe named 'percentil'") as caught:
        recipe_of("percentil", None, None)
    assert caught.value.hint == "did you mean 'percentile'?"


def test_options_go_before_the_recipe():
    assert recipe_of("default", None, None).method is Method.LP
    changed = recipe_of("default", 7, "percentile")
    assert (changed.samples, changed.method) == (7, Method.PERCENTILE)
    with pytest.raises(UsageError, match="--samples 0"):
        recipe_of("default", 0, None)


@pytest.mark.parametrize("method", Method)
def test_every_method_can_be_asked_for_by_its_name(method):
    assert recipe_of("default", None, method.value).method is method


def test_weights_have_eight_bits_where_the_target_does_not_say_seven(tmp_path):
    old = tmp_path / "old.toml"
    old.write_text(
        'description = "x"\nbackend = "onnxruntime"\ndevice = "x"\n'
        'scheme = "u8-affine"\nmemory_mb = 100\nweight_bits = 7\n'
    )
    assert weight_bits_of(None) == weight_bits_of("intel-cpu") == 8
    assert weight_bits_of(str(old)) == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("percentile = 101", "percentile"),
        ("percentile = 50", "percentile"),
        ("samples = 0", "samples"),
        ("seed = -1", "seed"),
        ("max_drop = -0.1", "max_drop"),
        ("max_drop = nan", "max_drop"),
        ('method = "histogram"', "method"),
        ("power = 0.5", "power"),
        ('equalize = "maybe"', "equalize"),
        ('bias_correction = "maybe"', "bias_correction"),
        ("sample = 3", "did you mean 'samples'"),
        ('name = "x"', "unknown key 'name'"),
    ],
)
def test_a_wrong_recipe_is_refused_by_its_key(tmp_path, text, says):
    file = tmp_path / "mine.toml"
    file.write_text(f'description = "x"\n{text}\n')
    with pytest.raises(ProfileError, match="recipe mine: ") as caught:
        recipe_of(str(file), None, None)
    assert says in str(caught.value)


def test_a_node_left_in_float_must_exist():
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="layer1.0.conv2")]
    model = helper.make_model(helper.make_graph(nodes, "g", [value], []))
    recipe = Recipe(name="mine", description="", float_nodes=("layer1.0.conv2",))
    check_float_nodes(recipe, model)
    wrong = Recipe(name="mine", description="", float_nodes=("layer1.0.con2",))
    with pytest.raises(UsageError, match=r"mine: float_nodes: .* 'layer1\.0\.con2'") as caught:
        check_float_nodes(wrong, model)
    assert caught.value.hint == "did you mean 'layer1.0.conv2'?"


def test_what_the_target_has_no_engine_for_is_refused_and_fine_elsewhere():
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nodes = [helper.make_node("RoiAlign", ["x", "b", "i"], ["y"], name="pool")]
    model = helper.make_model(helper.make_graph(nodes, "g", [value], []))
    for target in (None, "intel-cpu", "generic-cpu"):
        check_operators(target, model, Path("g.onnx"))
    with pytest.raises(ModelError, match=r"g\.onnx: pool: RoiAlign") as caught:
        check_operators("jetson-orin-nano-8gb", model, Path("g.onnx"))
    assert "--target intel-cpu" in caught.value.hint
