"""Views come from the seed, figures from known logits, tables from the report, legs cost alone."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the comparison needs onnx")
pytest.importorskip("onnxruntime", reason="the comparison needs ONNX Runtime")
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from peers import environment, figures, legs, measure, subgraphs, tables, views  # noqa: E402

from edgeresnet.core.errors import UsageError  # noqa: E402
from edgeresnet.core.preprocess import Preprocess  # noqa: E402

FAILS = "raise SystemExit('no memory')"
SMALL = Preprocess(size=(20, 24), resize=28)


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, shape in zip(paths, ((60, 40, 3), (30, 90, 3), (8, 9, 3)), strict=True):
        cv2.imwrite(str(path), rng.integers(0, 256, shape, np.uint8))
    return paths


def draw(out, pictures, count=11, seed=3, videos=()):
    return views.write_views(
        out,
        SMALL,
        cropped=pictures[:2],
        whole=pictures[2:],
        videos=videos,
        count=count,
        seed=seed,
    )


def test_views_are_the_same_for_the_same_seed_and_others_for_another(pictures, tmp_path):
    first, again, other = (
        draw(tmp_path / f"{i}.npy", pictures, seed=seed) for i, seed in enumerate((3, 3, 4))
    )
    assert first.pixels.shape == (11, 20, 24, 3)
    assert first.pixels.dtype == np.uint8
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    assert np.array_equal(np.load(tmp_path / "0.npy"), first.pixels)


def test_views_know_their_source_and_every_picture_gives_one(pictures, tmp_path):
    assert np.bincount(draw(tmp_path / "a.npy", pictures).sources).tolist() == [1, 5, 5]
    assert np.bincount(draw(tmp_path / "b.npy", pictures, count=0).sources).tolist() == [1, 1, 1]


def test_a_video_gives_at_most_so_many_frames_and_an_empty_one_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 32))
    for shade in range(0, 240, 10):
        writer.write(np.full((32, 32, 3), shade, np.uint8))
    writer.release()
    monkeypatch.setattr(views, "FRAMES", 6)
    shades = [float(frame.mean()) for frame in views.frames_of(path)]
    assert shades == pytest.approx([0, 40, 80, 120, 160, 200], abs=4)
    with pytest.raises(UsageError, match="no frames"):
        views.frames_of(tmp_path / "none.avi")


def test_the_same_logits_up_to_a_constant_are_without_error():
    logits = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
    found = figures.fidelity(logits, logits + np.float32(2), np.arange(6))
    assert found.error == pytest.approx(0, abs=1e-6)
    assert found.pooled_error == pytest.approx(0, abs=1e-6)
    assert found.divergence == pytest.approx(0, abs=1e-9)
    assert found.agreement == figures.Estimate(100.0, 0.0)


def test_figures_of_known_logits():
    exact = np.array([[1, -1], [3, -3]], np.float32)
    rounded = np.array([[-1, 1], [3, -3]], np.float32)
    found = figures.fidelity(exact, rounded, np.arange(2))
    assert found.error == pytest.approx((2 + 0) / 2)
    assert found.pooled_error == pytest.approx(2 / np.sqrt(10))
    share = 1 / (1 + np.exp(-2))  # softmax of (1, -1); swapped logits differ by 2 in log odds
    assert found.divergence == pytest.approx((2 * share - 1) * 2 / 2)
    assert found.agreement == figures.Estimate(50.0, pytest.approx(50.0))


def test_an_error_bar_counts_sources_and_not_views():
    hits = np.random.default_rng(2).random(200) < 0.8
    plain = figures.percent(hits, np.arange(200))
    assert plain.error == pytest.approx(100 * hits.std(ddof=1) / np.sqrt(200))
    repeated = figures.percent(np.repeat(hits, 25), np.repeat(np.arange(200), 25))
    assert repeated == figures.Estimate(pytest.approx(plain.value), pytest.approx(plain.error))
    assert figures.percent(hits, np.zeros(200, np.int64)).error is None


def test_ours_and_theirs_are_compared_view_by_view():
    exact = np.eye(4, dtype=np.float32)
    wrong = np.roll(exact, 1, axis=1)
    assert figures.more_agreement(exact, exact, wrong, np.arange(4)).value == 100
    assert figures.more_agreement(exact, wrong, wrong, np.arange(4)) == figures.Estimate(0.0, 0.0)


REPORT = {
    "settings": {
        "samples": 64,
        "views": 600,
        "sources": 380,
        "labelled": 250,
        "layer_pictures": 12,
        "presets": ["nncf MIXED"],
    },
    "calibration": [
        {"name": "ours u8-affine", "seconds": 32.13, "peak_mb": 1254.6},
        {"name": "nncf MIXED", "seconds": 23.9, "peak_mb": 518, "quantizer_seconds": 22.1},
    ],
    "models": [
        {
            "name": "ours u8-affine",
            "runtime": "OpenVINO",
            "error": 0.0551,
            "pooled_error": 0.0574,
            "divergence": 0.01097,
            "agreement": {"value": 97.83, "error": 0.7},
            "more_agreement": {"nncf MIXED": {"value": -0.17, "error": None}},
            "ms": 5.013,
            "top1": 91.2,
            "drop": {"value": 0.4, "low": -1.16, "high": 1.95},
        }
    ],
    "float": {"runtime": "OpenVINO", "ms": 42.0, "top1": 91.6},
    "runtimes": [{"name": "ours u8-affine", "agreement": {"value": 95.5, "error": 1.36}}],
    "layers": [
        {"layer": n, "kind": k, "apart": 0.1, "moved": 0, "before": 0, "in_block": g, "grown": g}
        for n, k, g in (("a", "Conv", 0.01), ("b", "Add", 0.03))
    ],
}


def test_the_tables_say_what_the_report_says():
    calibration, fidelity, runtimes, accuracy, layers = tables.tables(
        json.loads(json.dumps(REPORT))
    )
    assert calibration[2][0] == ("ours u8-affine", "32.1", "", "1255")
    assert calibration[2][1] == ("nncf MIXED", "23.9", "22.1", "518")
    assert fidelity[1][-1] == "- nncf MIXED"
    assert fidelity[2][0][2:] == ("0.0551", "0.0574", "0.01097", "97.83 ± 0.70", "-0.17")
    assert runtimes[2] == [("ours u8-affine", "95.50 ± 1.36")]
    assert [row[2:] for row in accuracy[2]] == [
        ("91.60", "", "42.00"),
        ("91.20", "0.40 (-1.16 to 1.95)", "5.01"),
    ]
    assert [row[0] for row in layers[2]] == ["b", "a"]
    for _, head, rows in tables.tables(REPORT):
        assert all(len(row) == len(head) for row in rows)


def test_a_report_without_layers_or_labels_has_its_tables():
    unlabelled = {k: v for k, v in REPORT["models"][0].items() if k not in {"top1", "drop"}}
    report = {**REPORT, "layers": [], "models": [unlabelled], "float": {"runtime": "", "ms": 1.0}}
    assert len(tables.tables(report)) == 4


@pytest.mark.parametrize(
    ("text", "label", "options"),
    [
        ("fine=--method percentile", "fine", ("--method", "percentile")),
        ("--method percentile", "--method percentile", ("--method", "percentile")),
        ("--recipe=own.toml", "--recipe=own.toml", ("--recipe=own.toml",)),
    ],
)
def test_a_variant_of_ours_has_a_label_and_options(text, label, options):
    assert legs.variant(text) == (label, options)


def test_ours_runs_in_both_schemes_unless_the_options_name_one():
    inputs = legs.Inputs(Path("x"), 64, *(Path("x") for _ in range(3)))
    assert [leg.scheme for leg in legs.our_legs(inputs, "", ())] == ["u8-affine", "s8-symmetric"]
    (one,) = legs.our_legs(inputs, "fine", ("--scheme", "u8-affine"))
    assert one.name == "ours fine"
    assert one.scheme == "u8-affine"
    assert one.command.count("--scheme") == 1
    (named,) = legs.our_legs(inputs, "jetson", ("--target=orin",))
    assert named.scheme == ""
    assert named.ours


def test_a_cost_is_that_of_the_command_and_not_of_its_parent(tmp_path):
    large = np.ones(60_000_000)  # 480 MB here, which a child must not be charged with
    out = tmp_path / "cost.json"
    small = [sys.executable, "-I", "-S", measure.__file__, str(out)]
    for code, status in (("pass", 0), ("raise SystemExit(3)", 1)):
        done = subprocess.run(
            [*small, sys.executable, "-I", "-S", "-c", code], check=False, timeout=60
        )
        assert done.returncode == status
        cost = json.loads(out.read_text())
        assert 0 < cost["peak_mb"] < large.nbytes / 1e6
        assert cost["seconds"] > 0


def test_a_leg_that_fails_says_why(tmp_path):
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"")
    leg = legs.Leg("bad", (sys.executable, "-c", FAILS), tmp_path / "x")
    with pytest.raises(legs.LegError, match="no memory"):
        legs.run_leg(leg, graph, tmp_path)


def test_a_leg_finds_nothing_beside_its_graph_that_another_kept_there(tmp_path):
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"weights")
    (tmp_path / "graph.kept").touch()
    code = (
        "import pathlib, sys; graph = pathlib.Path(sys.argv[1]); "
        "assert [p.name for p in graph.parent.iterdir()] == ['graph.onnx']; "
        "pathlib.Path(sys.argv[2]).write_bytes(graph.read_bytes()); print('{\"toy\": 1}')"
    )
    out = tmp_path / "out"
    leg = legs.Leg("toy", (sys.executable, "-c", code, legs.GRAPH, str(out)), out)
    assert legs.run_leg(leg, graph, tmp_path)["toy"] == 1
    assert out.read_bytes() == b"weights"


def test_the_peers_get_our_pins_with_their_markers():
    text = 'numpy==2.4.6; python_version >= "3.11"\nnumpydoc==1\nonnx==1.23.2\nrich==15.0.0\n'
    assert environment.pins(text) == tuple(text.splitlines()[i] for i in (0, 2))


def residual():
    """A Q/DQ fragment: x is rounded, doubled by a Relu'd Add, and rounded again."""
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        make("QuantizeLinear", ["x", "s", "z"], ["x.q"], "Qx"),
        make("DequantizeLinear", ["x.q", "s", "z"], ["x.d"], "Dx"),
        make("Add", ["x.d", "x.d"], ["sum"], "sum"),
        make("Relu", ["sum"], ["r"], "relu"),
        make("QuantizeLinear", ["r", "s", "z"], ["r.q"], "Qr"),
        make("DequantizeLinear", ["r.q", "s", "z"], ["r.d"], "Dr"),
        make("Add", ["r.d", "x.d"], ["logits"], "last"),
    ]
    kind, shape = onnx.TensorProto.FLOAT, (1, 2)
    constants = [
        onnx.numpy_helper.from_array(np.float32(0.5), "s"),
        onnx.numpy_helper.from_array(np.uint8(0), "z"),
    ]
    ends = ([value("x", kind, shape)], [value("logits", kind, shape)])
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", *ends, constants))


def test_a_layer_ends_behind_its_rounding():
    model = residual()
    first, last = (node for node in model.graph.node if node.op_type == "Add")
    assert subgraphs.rounded(model, first) == subgraphs.End("r.d", "r")
    assert subgraphs.rounded(model, last) == subgraphs.End("logits", "logits")
    makers = {output: node for node in model.graph.node for output in node.output}
    assert subgraphs.nearest(last, makers, {"x.d", "r.d"}) == {"x.d", "r.d"}
    assert subgraphs.nearest(last, makers, {"x"}) == {"x"}


def test_a_part_of_a_graph_holds_what_it_needs_and_no_more():
    values = np.zeros((5, 2), np.float32)
    part = subgraphs.cut(residual(), {"r": values}, "r.d")
    assert [node.name for node in part.graph.node] == ["Qr", "Dr"]
    assert [value.name for value in part.graph.input] == ["r"]
    assert [value.name for value in part.graph.output] == ["r.d"]
    whole = subgraphs.exposed(residual(), ["r.d", "logits"])
    assert [value.name for value in whole.graph.output] == ["logits", "r.d"]
