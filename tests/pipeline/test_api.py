"""The five names of Python, as the README uses them."""

import subprocess
import sys

import pytest

import edgeresnet
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.predictions import Classification

FOLDERS_FIRST = """
import sys
import edgeresnet.convert.stage, edgeresnet.convert
import edgeresnet.quantize, edgeresnet.evaluate.stage, edgeresnet.run.model, edgeresnet.compile
from edgeresnet.quantize import stage
import edgeresnet
from edgeresnet import compile_graph, convert, evaluate, quantize
from edgeresnet import open as open_bundle

weights, images, folder = sys.argv[1:]
convert(weights, f"{folder}/g.onnx", images=images)
assert edgeresnet.convert is convert and edgeresnet.open is open_bundle
quantize(f"{folder}/g.onnx", f"{folder}/g.int8.onnx", images=images, max_drop=100)
compile_graph(f"{folder}/g.int8.onnx", f"{folder}/g.bundle")
print(evaluate(f"{folder}/g.bundle", images=images).top1.value)
with edgeresnet.open(f"{folder}/g.bundle") as model:
    print(model.bundle.manifest.target.name)
"""


def test_the_chain_of_the_readme_works_although_the_folders_were_imported_first(
    sample_weights, few_pictures, tmp_path
):
    arguments = [str(sample_weights), str(few_pictures), str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FOLDERS_FIRST, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    top1, target = done.stdout.split()
    assert float(top1) > 80
    assert target == "generic-cpu"


def test_names_that_are_not_there_are_attribute_errors():
    with pytest.raises(AttributeError):
        edgeresnet.nosuch  # noqa: B018
    assert set(edgeresnet.__all__) <= set(dir(edgeresnet))


def test_importing_the_package_imports_no_stage():
    code = "import edgeresnet, sys; print(*(m for m in sys.modules if m.startswith('edgeresnet.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_path_as_text_a_path_and_pixels_are_all_pictures(sample_bundle, drawn_pictures):
    file = max(drawn_pictures.rglob("*.jpg"))
    with edgeresnet.open(str(sample_bundle)) as model:
        said = [model.predict(given) for given in (file, str(file), read_picture(file))]
    assert isinstance(said[0], Classification)
    assert said[0] == said[1] == said[2]
    assert 0 < said[0].best.score <= 1
