"""The quantize stage: budget, disjoint pictures, and what it refuses."""

import shutil

import onnx
import pytest
from onnx import helper

from edgeresnet.compile.stage import compile_graph
from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import load_onnx, read_graph
from edgeresnet.core.errors import ModelError, ParityError, UsageError
from edgeresnet.core.target import Scheme
from edgeresnet.datasets.procedural import write_pictures
from edgeresnet.quantize import stage
from edgeresnet.quantize.gate import judge
from edgeresnet.quantize.stage import quantize


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Calibration and gate pictures: 24 and 48, drawn with different seeds."""
    folder = tmp_path_factory.mktemp("sets")
    write_pictures(folder / "calibration", 24, seed=41)
    write_pictures(folder / "gate", 48, seed=42)
    return folder / "calibration", folder / "gate"


@pytest.mark.parametrize("scheme", ["u8-affine", "s8-symmetric"])
@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_the_sample_network_stays_right(sample_graph, sets, tmp_path, scheme, method):
    """48 pictures: a right INT8 network changes at most a few labels, a wrong one most of them."""
    out = tmp_path / "int8.onnx"
    report = quantize(
        sample_graph,
        out,
        images=sets[0],
        eval_images=sets[1],
        scheme=scheme,
        method=method,
        max_drop=5,
    )
    assert report.gate.agreement.value >= 90
    assert read_graph(out).scheme is Scheme(scheme)
    assert read_graph(out).evidence["calibration"]["pictures"] == 24


def test_what_the_target_cannot_build_is_refused_before_a_picture_is_read(sample_graph, tmp_path):
    model = load_onnx(sample_graph)
    source = model.graph.node[-2].output[0]
    model.graph.node.append(helper.make_node("RoiAlign", [source] * 3, ["cut"], name="cut"))
    onnx.save(model, str(tmp_path / "cut.onnx"))
    with pytest.raises(ModelError, match="cut: RoiAlign, of which no engine"):
        quantize(
            tmp_path / "cut.onnx",
            tmp_path / "x.onnx",
            images=tmp_path / "absent",
            target="jetson-orin-nano-8gb",
        )


def test_pictures_that_calibrate_may_not_judge(sample_graph, sets, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(sets[1], both)
    stray = next(sets[0].rglob("*.jpg"))
    shutil.copy(stray, next(both.iterdir()) / "copy-under-another-name.jpg")
    with pytest.raises(UsageError, match="1 pictures are in --images too"):
        quantize(sample_graph, tmp_path / "x.onnx", images=sets[0], eval_images=both)


def test_without_eval_the_pictures_are_split_and_it_is_said(sample_graph, sets, tmp_path):
    report = quantize(sample_graph, tmp_path / "x.onnx", images=sets[1], max_drop=10)
    assert report.calibration_pictures == report.gate.pictures == 24
    assert any("no --eval" in note for note in report.notes)


def test_copies_of_a_picture_count_once(sample_graph, sets, tmp_path):
    twice = tmp_path / "twice"
    shutil.copytree(sets[0], twice)
    for path in list(twice.rglob("*.jpg"))[:7]:
        shutil.copy(path, path.with_name(f"again-{path.name}"))
    report = quantize(sample_graph, tmp_path / "x.onnx", images=twice, max_drop=20)
    assert report.calibration_pictures + report.gate.pictures == 24
    assert any("7 pictures" in note for note in report.notes)


def test_unreadable_pictures_are_named_and_skipped(sample_graph, sets, tmp_path):
    some = tmp_path / "some"
    shutil.copytree(sets[0], some)
    broken = next(some.iterdir()) / "broken.jpg"
    broken.write_bytes(b"<html>no picture</html>")
    report = quantize(
        sample_graph, tmp_path / "x.onnx", images=some, eval_images=sets[1], max_drop=20
    )
    assert list(report.unreadable) == [broken]
    assert report.calibration_pictures == 24


def test_pictures_without_classes_are_judged_by_agreement(sample_graph, sets, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sets[1].rglob("*.jpg"):
        shutil.copy(path, flat / path.name)
    report = quantize(sample_graph, tmp_path / "x.onnx", images=sets[0], eval_images=flat)
    assert report.gate.top1 is None
    assert report.gate.metric == "agreement with float"


def test_what_is_quantized_is_not_quantized_again(sample_int8, sets, tmp_path):
    with pytest.raises(UsageError, match="already quantized"):
        quantize(sample_int8, tmp_path / "x.onnx", images=sets[0])


def test_an_unchecked_graph_is_checked_with_the_calibration_pictures(
    sample_weights, sets, tmp_path
):
    wrong = tmp_path / "wrong.onnx"
    convert(sample_weights, wrong, stride_in="1x1")
    with pytest.raises(ParityError, match="stride in 3x3") as caught:
        quantize(wrong, tmp_path / "x.onnx", images=sets[0], eval_images=sets[1])
    assert "--stride-in 3x3" in caught.value.hint
    assert not (tmp_path / "x.onnx").exists()


def test_the_point_estimate_decides_and_a_wide_interval_is_said(rng):
    logits = rng.normal(size=(50, 4)).astype("float32")
    worse = logits.copy()
    worse[0] = -worse[0]
    truth = logits.argmax(1).tolist()
    gate = judge(logits, worse, truth, max_drop=2.5)
    assert gate.drop.value == pytest.approx(2.0)
    assert gate.passed
    assert "n too small" in gate.as_evidence()["note"]
    assert not judge(logits, worse, truth, max_drop=1.5).passed


def test_the_number_of_jobs_changes_nothing(small_graph, spots, tmp_path):
    written = []
    for jobs in (1, 3):
        graph = shutil.copy(small_graph, tmp_path / f"own{jobs}.onnx")  # nothing is kept beside it
        how = {"images": spots[0], "eval_images": spots[1], "max_drop": 100}
        quantize(graph, tmp_path / f"out{jobs}.onnx", jobs=jobs, **how)
        written.append((tmp_path / f"out{jobs}.onnx").read_bytes())
    assert written[0] == written[1]


def test_auto_probes_with_the_pictures_that_are_readable(small_graph, spots, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "_PROBE_PICTURES", 2)
    some = tmp_path / "some"
    some.mkdir()
    for i, path in enumerate(sorted(spots[0].iterdir())[:12]):
        if i:
            (some / path.name).write_bytes(b"torn %d" % i)
        else:
            shutil.copy(path, some)
    report = quantize(
        small_graph,
        tmp_path / "out.onnx",
        images=some,
        eval_images=spots[1],
        method="auto",
        max_drop=100,
    )
    assert (report.calibration_pictures, len(report.unreadable)) == (1, 11)
    assert report.emitter.methods


def test_a_graph_that_was_never_judged_can_be_compiled_and_the_bundle_tells(
    small_graph, spots, tmp_path
):
    pictures = {"images": spots[0], "eval_images": spots[1], "max_drop": 100}
    quantize(small_graph, tmp_path / "a.onnx", scheme="s8-symmetric", **pictures)
    quantize(small_graph, tmp_path / "b.onnx", target="generic-cpu")
    manifest = compile_graph(tmp_path / "b.onnx", tmp_path / "b.bundle").bundle.manifest
    assert manifest.evidence["accuracy"]["verdict"] == "unchecked"
    assert manifest.evidence["calibration"]["pictures"] == 24


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"advice": True}, "--advise needs pictures"),
        ({"method": "auto"}, "--method auto reads the pictures again"),
    ],
)
def test_what_needs_pictures_says_so_before_the_work(
    small_graph, spots, tmp_path, how, says, monkeypatch
):
    def begun(*_args, **_options):
        raise AssertionError("the work began")

    monkeypatch.setattr(stage, "calibration_for", begun)
    with pytest.raises(UsageError, match=says) as caught:
        quantize(small_graph, tmp_path / "out.onnx", **how)
    assert "pass --images" in caught.value.hint


def test_over_budget_layers_return_to_float_and_the_graph_tells_which(small_graph, spots, tmp_path):
    out = tmp_path / "out.onnx"
    pictures = {"images": spots[0], "eval_images": spots[1]}
    report = quantize(small_graph, out, recipe="minmax", max_drop=4.5, **pictures)
    assert report.budgeted.steps[0].drop > 4.5 >= report.gate.drop.value
    accuracy = read_graph(out).evidence["accuracy"]
    assert accuracy["verdict"] == "inside"
    assert accuracy["float_layers"] == list(report.budgeted.returned) != []
