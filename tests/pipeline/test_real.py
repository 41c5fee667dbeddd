"""A ResNet-50 trained on ImageNet, on real pictures: the claims that the sample cannot carry."""

import csv
import math
from pathlib import Path

import pytest

from edgeresnet.compile.stage import compile_graph
from edgeresnet.convert.stage import convert
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.preprocess import fit
from edgeresnet.core.protocols import Mode
from edgeresnet.core.tensors import LOGITS
from edgeresnet.evaluate.stage import evaluate
from edgeresnet.flow.golden import batch_feeds
from edgeresnet.flow.opening import open_bundle
from edgeresnet.quantize.stage import quantize

pytestmark = pytest.mark.slow
JUDGED, CALIBRATION = 120, 32
ALL = 500
TOP1, AGREEMENT = 91.0, 97.8  # on all 500, measured with torch and with ONNX Runtime's quantizer
LOADS, SESSIONS, LOOKED_AT = 8, 2, 4


def deviations(count, percent):
    """Points within which a part of the 500 pictures lies: four standard deviations."""
    share = percent / 100
    return 400 * math.sqrt(share * (1 - share) / count * (ALL - count) / (ALL - 1))


@pytest.fixture(scope="module")
def pictures(shared, tmp_path_factory):
    """CSV files of pictures to calibrate with and, others, to judge by."""
    origin, folder = shared / "data/imagenet-sample", tmp_path_factory.mktemp("pictures")
    with (origin / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ALL
    judged = rows[::4][:JUDGED]
    chosen = {"judged": judged, "gate": judged[::5], "calibration": rows[1::8][:CALIBRATION]}
    for name, part in chosen.items():
        lines = [f"{origin / 'images' / row['file']},{row['class_index']}" for row in part]
        (folder / f"{name}.csv").write_text("\n".join(["file,class_index", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def made(real_network, pictures, tmp_path_factory):
    """Float graph, the report of its quantization, and the INT8 bundle for OpenVINO."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    folder = tmp_path_factory.mktemp("real")
    convert(real_network, folder / "r.onnx", stride_in="1x1")
    report = quantize(
        folder / "r.onnx",
        folder / "r.int8.onnx",
        images=pictures / "calibration.csv",
        eval_images=pictures / "gate.csv",
        target="intel-cpu",
        max_drop=100,  # judged below, on the engine
    )
    compile_graph(folder / "r.int8.onnx", folder / "r.bundle", target="intel-cpu")
    return folder / "r.onnx", report, folder / "r.bundle"


def test_float_and_int8_are_as_right_as_was_measured_before(made, pictures):
    graph, _, bundle = made
    report = evaluate(bundle, images=pictures / "judged.csv", reference=graph)
    assert report.pictures == JUDGED
    assert report.reference_top1.value == pytest.approx(TOP1, abs=deviations(JUDGED, TOP1))
    assert report.agreement.value >= AGREEMENT - deviations(JUDGED, AGREEMENT)


def test_the_pictures_that_calibrate_confirm_the_preprocessing(made):
    _, report, _ = made
    assert report.training_match == "matches"
    assert report.calibration_pictures == CALIBRATION


def test_loaded_again_and_again_every_session_gives_the_same_labels(made, pictures):
    """OpenVINO 2026.4.1 compiles such graphs wrongly at random unless they came by its own IR."""
    _, _, bundle = made
    with (pictures / "judged.csv").open(encoding="utf-8") as file:
        files = [Path(row["file"]) for row in csv.DictReader(file)][:LOOKED_AT]
    seen = set()
    for _ in range(LOADS):
        with open_bundle(bundle, Mode.THROUGHPUT, sessions=SESSIONS, use_cache=False) as opened:
            preprocess = opened.bundle.manifest.preprocess
            fitted = [fit(read_picture(file), preprocess) for file in files]
            for session in opened.sessions:
                outputs = [session.infer(batch_feeds(p, 1))[LOGITS][0].argmax() for p in fitted]
                seen.add(tuple(map(int, outputs)))
    assert len(seen) == 1
