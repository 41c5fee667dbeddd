"""An embedder on the command line, where nothing is said of labels that it does not give."""

import json

import pytest

from edgeresnet.datasets.procedural import CLASSES, write_pictures

CLASS_WORDS = ("label", "top-1", "classes", "class ")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three of each class, in class folders."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, 3 * len(CLASSES), seed=71)
    return folder


@pytest.fixture(scope="module")
def graph(sample_weights, tmp_path_factory):
    from edgeresnet.convert.stage import convert

    out = tmp_path_factory.mktemp("embed") / "features.onnx"
    convert(sample_weights, out, task="embed")
    return out


@pytest.fixture(scope="module")
def int8(graph, few_pictures):
    from edgeresnet.quantize.stage import quantize

    quantize(graph, graph.with_name("int8.onnx"), images=few_pictures, force=True)
    return graph.with_name("int8.onnx")


def test_convert_says_how_long_the_vector_is(edgeresnet, sample_weights, tmp_path):
    told = edgeresnet("convert", sample_weights, "--task", "embed", "-o", tmp_path / "g.onnx")
    assert told.code == 0, told.err
    assert any(line.split() == ["features", "512"] for line in told.out.splitlines())
    assert "classes" not in told.out


def test_quantize_judges_by_the_angle(edgeresnet, graph, int8, pictures, tmp_path):
    told = edgeresnet(
        *("quantize", graph, "--scheme", "s8-symmetric", "--eval", pictures),
        *("-o", tmp_path / "s8.onnx", "--report", tmp_path / "page.html"),
    )
    assert told.code == 0, told.err
    assert "cosine with float" in told.out
    assert "points of cosine with float lost" in told.out
    assert not [word for word in CLASS_WORDS if word in told.out]
    page = json.loads((tmp_path / "page.json").read_text())
    assert page["task"] == "embed"
    assert 90 < page["accuracy"]["agreement"]["value"] <= 100
    assert page["flips_total"] == len(list(pictures.rglob("*.jpg")))


def test_a_budget_of_angles_that_is_too_small_exits_with_5(
    edgeresnet, graph, int8, pictures, tmp_path
):
    told = edgeresnet(
        *("quantize", graph, "--scheme", "s8-symmetric", "--eval", pictures),
        *("--max-drop", "0.0001", "-o", tmp_path / "s8.onnx"),
    )
    assert told.code == 5
    assert "points of cosine with float" in told.error[0]
    assert not (tmp_path / "s8.onnx").exists()


def test_a_class_map_is_refused(edgeresnet, graph, int8, pictures, tmp_path):
    told = edgeresnet(
        *("quantize", graph, "--scheme", "s8-symmetric", "--eval", pictures),
        *("--class-map", "map.csv", "-o", tmp_path / "x.onnx"),
    )
    assert told.code == 2
    assert "is to embed and has no classes" in told.error[0]


def test_evaluate_tells_of_neighbours_and_angles(edgeresnet, graph, int8, pictures):
    told = edgeresnet("evaluate", int8, "--images", pictures, "--reference", graph)
    assert told.code == 0, told.err
    assert "nearest picture of the same class" in told.out
    assert "cosine with the reference" in told.out
    assert "top-1" not in told.out
    data = edgeresnet("evaluate", int8, "--images", pictures, "--json").json
    assert data["nearest"]["value"] > 50  # of 24 classes: chance is 3 %
    assert "cosine" not in data


def test_inspect_tells_of_no_labels(edgeresnet, int8):
    told = edgeresnet("inspect", int8)
    assert any(line.split() == ["task", "embed"] for line in told.out.splitlines())
    assert "labels" not in told.out


def test_a_run_writes_vectors(edgeresnet, compiled, graph, pictures):
    bundle = compiled(graph, "generic-cpu")
    told = edgeresnet("run", bundle, "--source", pictures, "--frames", 2, "--sink", "jsonl:-")
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert [len(line["embedding"]) for line in lines] == [512, 512]
    assert not {"labels", "boxes"} & set(lines[0])
