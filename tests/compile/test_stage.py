import hashlib
import json
import platform

import onnx
import pytest

import edgeresnet
from edgeresnet.backends import BACKENDS, get_backend
from edgeresnet.compile.stage import compile_graph
from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.contract import read_graph
from edgeresnet.core.errors import EdgeError, GateError, ModelError, ProfileError, UsageError
from edgeresnet.core.protocols import Mode
from edgeresnet.core.target import Scheme, load_target, target_names
from edgeresnet.flow.golden import TOLERANCE
from edgeresnet.flow.opening import open_bundle
from edgeresnet.testing import FakeBackend, plugged

ENGINE_FILES = {"generic-cpu": {"model.onnx"}, "intel-cpu": {"model.xml", "model.bin"}}
OTHER_MACHINE = "aarch64" if platform.machine() == "x86_64" else "x86_64"
FAKE_TARGET = """
description = "nothing"
backend = "fake"
device = "none"
scheme = "u8-affine"
memory_mb = 1
"""


@pytest.fixture(params=ENGINE_FILES)
def target(request):
    if request.param == "intel-cpu":
        pytest.importorskip("openvino", reason="openvino is not installed")
    return request.param


@pytest.fixture
def fake(tmp_path):
    """A backend with faults on demand, and the target that names it."""
    (tmp_path / "fake.toml").write_text(FAKE_TARGET)
    backend = FakeBackend()
    backend.target = str(tmp_path / "fake.toml")
    with plugged(BACKENDS, "fake", backend=backend):
        yield backend


def everything(folder):
    """All files below a folder with their bytes, hidden ones as well."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_bundle_holds_the_engine_its_golden_pictures_manifest_and_seal(
    sample_int8, compiled, target
):
    bundle = compiled(sample_int8, target)
    own = {"manifest.json", "manifest.sha256", "golden.npz"}
    assert {file.name for file in bundle.iterdir()} == own | ENGINE_FILES[target]
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert set(manifest["files"]) == {"golden.npz"} | ENGINE_FILES[target]
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest
    sealed = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert (bundle / "manifest.sha256").read_text() == f"{sealed}  manifest.json\n"


def test_the_manifest_tells_where_the_bundle_comes_from_and_what_was_proved(
    sample_int8, compiled, target
):
    graph, bundle = read_graph(sample_int8), read_bundle(compiled(sample_int8, target))
    manifest = bundle.manifest
    assert manifest.model == f"sha256:{graph.sha256}"
    assert manifest.schema_version == "1.2"
    assert manifest.target.name == target
    assert manifest.scheme is Scheme.U8_AFFINE
    assert manifest.preprocess == graph.preprocess
    assert bundle.labels == graph.labels
    assert manifest.made_with["edgeresnet"] == edgeresnet.__version__
    assert {"onnx", "onnxruntime", "numpy", "python"} <= set(manifest.made_with)
    assert set(manifest.evidence) == {"parity", "training_match", "calibration", "accuracy"}
    assert all("verdict" in found for found in manifest.evidence.values())
    assert manifest.golden.tolerance == TOLERANCE[Scheme.U8_AFFINE]
    assert 0 <= manifest.golden.at_compile < manifest.golden.tolerance


def test_the_golden_pictures_differ_and_so_do_their_labels(sample_graph, compiled):
    bundle = read_bundle(compiled(sample_graph, "generic-cpu"))
    pictures, logits = bundle.golden()
    assert pictures.shape == (bundle.manifest.golden.pictures, 128, 128, 3)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    assert len(set(logits.argmax(1).tolist())) > 1  # an engine stuck on one label would be seen


def test_compiling_again_gives_the_same_bytes(sample_int8, tmp_path):
    digests = {
        compile_graph(sample_int8, tmp_path / name, target="generic-cpu").bundle.digest
        for name in ("one", "two")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("name", target_names())
def test_the_sample_network_compiles_for_every_shipped_target(sample_graph, compiled, name):
    if name == "intel-cpu":
        pytest.importorskip("openvino", reason="openvino is not installed")
    assert read_bundle(compiled(sample_graph, name)).manifest.target.name == name


def test_what_the_user_should_know_is_said(unchecked_graph, tmp_path):
    other = FAKE_TARGET.replace('"fake"', '"onnxruntime"').replace(
        '"none"', '"CPUExecutionProvider"'
    )
    (tmp_path / "far.toml").write_text(f'{other}architecture = "{OTHER_MACHINE}"\n')
    report = compile_graph(unchecked_graph, tmp_path / "b", target=str(tmp_path / "far.toml"))
    assert any(OTHER_MACHINE in note for note in report.notes)
    assert any("never checked against the training" in note for note in report.notes)


def test_a_graph_in_another_scheme_than_the_targets_is_told(sample_int8, tmp_path):
    (tmp_path / "s8.toml").write_text(
        'description = "x"\nbackend = "onnxruntime"\ndevice = "CPUExecutionProvider"\n'
        'scheme = "s8-symmetric"\nmemory_mb = 1\n'
    )
    report = compile_graph(sample_int8, tmp_path / "b", target=str(tmp_path / "s8.toml"))
    assert any("quantize with --target s8" in note for note in report.notes)
    assert report.bundle.manifest.scheme is Scheme.U8_AFFINE


def test_a_target_that_is_nearly_right_is_suggested(sample_graph, tmp_path):
    with pytest.raises(ProfileError, match="no target named 'intel-cpus'") as caught:
        compile_graph(sample_graph, tmp_path / "b", target="intel-cpus")
    assert caught.value.hint == "did you mean 'intel-cpu'?"


@pytest.mark.parametrize("missing", ["parity", "training_match"])
def test_a_graph_without_its_evidence_is_refused(sample_graph, tmp_path, missing):
    model = onnx.load(str(sample_graph))
    (prop,) = (p for p in model.metadata_props if p.key == "edgeresnet.evidence")
    evidence = json.loads(prop.value)
    del evidence[missing]
    prop.value = json.dumps(evidence)
    onnx.save(model, str(tmp_path / "g.onnx"))
    with pytest.raises(ModelError, match=f"no {missing} evidence"):
        compile_graph(tmp_path / "g.onnx", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_what_is_there_is_replaced_only_with_force_and_then_wholly(
    sample_graph, sample_int8, tmp_path
):
    out = tmp_path / "b"
    first = compile_graph(sample_graph, out).bundle.digest
    with pytest.raises(UsageError, match="output exists"):
        compile_graph(sample_int8, out)
    assert read_bundle(out).digest == first
    second = compile_graph(sample_int8, out, force=True).bundle.digest
    assert read_bundle(out).digest == second != first
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_damaged_bundle_may_be_replaced_and_so_may_an_empty_folder(sample_graph, tmp_path):
    out = tmp_path / "b"
    compile_graph(sample_graph, out)
    (out / "model.onnx").write_text("broken")
    compile_graph(sample_graph, out, force=True)
    (tmp_path / "empty").mkdir()
    compile_graph(sample_graph, tmp_path / "empty", force=True)
    assert read_bundle(tmp_path / "empty").digest == read_bundle(out).digest


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("what", ["thesis", "web page", "file"])
def test_a_folder_that_is_no_bundle_is_never_overwritten(sample_graph, tmp_path, what, force):
    out = tmp_path / "precious"
    if what == "file":
        out.write_text("thesis")
    else:
        out.mkdir()
        name = "manifest.json" if what == "web page" else "thesis.tex"  # web pages have them too
        (out / name).write_text("{}")
    before = everything(tmp_path)
    with pytest.raises(UsageError, match="precious"):
        compile_graph(sample_graph, out, force=force)
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "error", [ModelError("unsupported"), OSError(28, "No space left"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("existing", [False, True])
def test_a_backend_that_fails_midway_leaves_all_as_it_was(
    sample_graph, tmp_path, fake, error, existing
):
    out = tmp_path / "b"
    if existing:
        compile_graph(sample_graph, out)
    before = everything(tmp_path)
    fake.compile_error = error
    with pytest.raises((EdgeError, KeyboardInterrupt)) as caught:
        compile_graph(sample_graph, out, target=fake.target, force=existing)
    assert caught.value is error or caught.value.__cause__ is error
    assert everything(tmp_path) == before
    assert not existing or read_bundle(out)


def test_an_engine_that_computes_something_else_never_becomes_a_bundle(
    sample_graph, tmp_path, fake
):
    before = everything(tmp_path)
    with pytest.raises(GateError, match=r"fake 1\.0 computes something else than ONNX Runtime"):
        compile_graph(sample_graph, tmp_path / "b", target=fake.target)
    assert everything(tmp_path) == before
    assert fake.open_engines == 0


def test_no_folder_for_the_output_is_told_before_the_work(sample_graph, tmp_path, fake):
    with pytest.raises(UsageError, match="no such folder"):
        compile_graph(sample_graph, tmp_path / "no/such/b", target=fake.target)
    assert fake.loads == []


def test_a_precision_is_written_into_the_bundle_and_proved(sample_graph, tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed")
    backend = get_backend("openvino")
    for name, options in backend.precisions(load_target("intel-cpu")).items():
        out = tmp_path / name
        report = compile_graph(sample_graph, out, target="intel-cpu", precision=name)
        assert report.bundle.manifest.target.options == dict(options)
        assert report.golden_error <= report.tolerance
        with open_bundle(out, Mode.LATENCY) as opened:
            assert opened.recompiled == 0


def test_a_precision_is_for_float_graphs(sample_int8, tmp_path):
    with pytest.raises(UsageError, match="is INT8"):
        compile_graph(sample_int8, tmp_path / "out", precision="float32")


def test_a_precision_that_is_not_here_is_refused(sample_graph, tmp_path):
    with pytest.raises(UsageError, match="float8") as caught:
        compile_graph(sample_graph, tmp_path / "out", precision="float8")
    assert "float32" in caught.value.hint
    assert not (tmp_path / "out").exists()
