"""The README's chain of commands on the sample network, and what it must come to."""

import csv
import json
import math
import re

import av
import pytest

from edgeresnet.cli import main
from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.contract import read_graph
from edgeresnet.datasets.procedural import CLASSES, write_pictures

TARGETS = ("generic-cpu", "intel-cpu")
CALIBRATION, JUDGED = 192, 300
CALIBRATION_SEED = 21
FRAMES = 24
LEAST_AGREEMENT = 97.0  # INT8 against float, in percent of the pictures
FROM_ACCURACY = re.compile(rb'"edgeresnet\.accuracy"\s*:\s*("(?:[^"\\]|\\.)*")')


@pytest.fixture(scope="module")
def chain(sample_weights, tmp_path_factory):
    """The folder in which the commands ran, and what each of them reported."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    folder = tmp_path_factory.mktemp("readme")
    claimed = claim(sample_weights)
    write_pictures(folder / "train", CALIBRATION, seed=CALIBRATION_SEED)
    write_pictures(folder / "val", JUDGED, seed=claimed["seed"])  # the first of the 2000
    reports = {"claimed": claimed}

    def typed(name, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            lines = []
            patch.setattr("edgeresnet.cli.console.click.echo", keep(lines))
            assert main([*map(str, arguments), "--json"]) == 0
        (text,) = lines
        reports[name] = json.loads(text)

    typed("convert", "convert", sample_weights, "--images", "train", "-o", "r.onnx")
    typed("quantize", "quantize", "r.onnx", "--images", "train", "--eval", "val",
          "--target", "intel-cpu", "-o", "r.int8.onnx")  # fmt: skip
    for target in TARGETS:
        bundle = f"r.{target}.bundle"
        typed(f"compile {target}", "compile", "r.int8.onnx", "--target", target, "-o", bundle)
        typed(f"evaluate {target}", "evaluate", bundle, "--images", "val", "--reference", "r.onnx")
        typed(f"film {target}", "run", bundle, "--source", f"synthetic://160x120?count={FRAMES}",
              "--sink", f"video:{target}.mp4")  # fmt: skip
        typed(f"run {target}", "run", bundle, "--source", f"{target}.mp4",
              "--sink", f"video:{target}.again.mp4", "--sink", f"jsonl:{target}.jsonl",
              "--sink", f"csv:{target}.csv", "--sink", f"images:{target}.images")  # fmt: skip
    return folder, reports


def keep(lines):
    """Takes the place of ``click.echo``: what goes to standard output is kept."""
    return lambda text="", *, err=False, **_: None if err else lines.append(text)


def claim(weights):
    """What the training says of the network in the file's own metadata."""
    found = FROM_ACCURACY.search(weights.read_bytes()[: 1 << 20])
    return json.loads(json.loads(found[1]))


def frames_of(video):
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_the_network_is_as_right_as_its_training_says(chain):
    """300 of its 2000 pictures: four standard deviations of such a part."""
    _, reports = chain
    share, whole = reports["claimed"]["top1"] / 100, reports["claimed"]["pictures"]
    deviation = math.sqrt(share * (1 - share) / JUDGED * (whole - JUDGED) / (whole - 1))
    found = reports["evaluate intel-cpu"]["reference_top1"]["value"]
    assert found == pytest.approx(100 * share, abs=400 * deviation)
    assert reports["claimed"]["top1"] > 90  # a network that is worth quantizing


def test_the_preprocessing_was_proved_from_the_pictures(chain):
    _, reports = chain
    assert reports["convert"]["training_match"]["verdict"] == "matches"
    assert reports["quantize"]["training_match"] == "matches"


def test_int8_stays_inside_the_budget(chain):
    _, reports = chain
    accuracy = reports["quantize"]["accuracy"]
    assert accuracy["pictures"] == JUDGED
    assert reports["quantize"]["calibration"]["pictures"] == CALIBRATION
    assert reports["quantize"]["scheme"] == "u8-affine"


@pytest.mark.parametrize("target", TARGETS)
def test_the_engine_says_what_the_float_network_says(chain, target):
    _, reports = chain
    report = reports[f"evaluate {target}"]
    assert report["pictures"] == JUDGED
    assert report["agreement"]["value"] >= LEAST_AGREEMENT
    assert report["drop"]["value"] <= 1.0  # the budget, on the engine itself
    assert report["mapping"] == "names"


@pytest.mark.parametrize("target", TARGETS)
def test_the_bundle_carries_what_each_stage_found(chain, target):
    folder, reports = chain
    bundle = read_bundle(folder / f"r.{target}.bundle")
    evidence = bundle.manifest.evidence
    assert bundle.manifest.model == f"sha256:{read_graph(folder / 'r.int8.onnx').sha256}"
    assert bundle.labels.names == CLASSES
    assert evidence["accuracy"].items() >= reports["quantize"]["accuracy"].items()
    assert evidence["parity"] == reports["convert"]["parity"]
    assert evidence["training_match"]["verdict"] == "matches"
    assert evidence["calibration"]["pictures"] == CALIBRATION


@pytest.mark.parametrize("target", TARGETS)
def test_every_sink_has_every_frame(chain, target):
    folder, reports = chain
    for run in (f"film {target}", f"run {target}"):
        assert reports[run]["frames"] == {"captured": FRAMES, "inferred": FRAMES, "dropped": {}}
    assert frames_of(folder / f"{target}.mp4") == FRAMES
    assert frames_of(folder / f"{target}.again.mp4") == FRAMES
    lines = [json.loads(line) for line in (folder / f"{target}.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert len(list((folder / f"{target}.images").glob("*.jpg"))) == FRAMES
    with (folder / f"{target}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * FRAMES
    best = [row["name"] for row in rows if row["rank"] == "1"]
    assert best == [line["labels"][0]["name"] for line in lines]
    assert {line["model"] for line in lines} == {reports[f"run {target}"]["model"]}


def test_nothing_else_was_left_behind(chain):
    folder, _ = chain
    assert list(folder.rglob(".*")) == []
