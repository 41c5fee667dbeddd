"""The report page: what it shows, what it leaves out, and that nothing in it is trusted."""

import copy
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from edgeresnet.quantize.page.document import page
from edgeresnet.quantize.page.markup import Html, element, number, points, share
from edgeresnet.quantize.page.plots import Axis, histogram

VOID = {"meta", "img"}
HOSTILE = '<script>alert(1)</script>" onload="x" \' & ]]> \udcff\x00 https://evil.example/a.js'
INTERVAL = {"value": 98.4, "low": 96.0, "high": 99.4}
MINIMAL = {"schema": 1, "graph": "a.onnx", "scheme": "u8-affine"}
FULL = {
    "schema": 1,
    "graph": "out/r50.int8.onnx",
    "sha256": "ab" * 32,
    "scheme": "u8-affine",
    "target": "intel-cpu",
    "made_with": {"edgeresnet": "1.0"},
    "recipe": {"name": "default", "method": "percentile", "percentile": 99.99, "equalize": True},
    "calibration": {
        "pictures": 250,
        "seconds": 12.1,
        "list_sha256": "cd" * 32,
        "settled": True,
        "convergence": {
            "pictures": [8, 16, 32, 64, 128, 250],
            "change": [0.2, 0.1, 0.05, 0.02, 0.01, 0.0],
            "unsettled": ["layer4.1.relu"],
        },
    },
    "training_match": "matches",
    "notes": ["a seeded half of --images judges"],
    "accuracy": {
        "verdict": "inside",
        "metric": "top-1",
        "pictures": 250,
        "max_drop": 1.0,
        "drop": {"value": 0.4, "low": -0.6, "high": 1.4},
        "agreement": INTERVAL,
        "top1": {"float": INTERVAL, "int8": {"value": 98.0, "low": 95.5, "high": 99.1}},
        "note": "n too small, need about 1000",
    },
    "tensors": [
        {
            "name": f"layer{k}.relu",
            "read_by": ["conv1"],
            "low": 0.0,
            "high": 4.0,
            "range": [0.0, 3.0],
            "method": "lp",
            "clipped": k / 1000,
            "counts": [1000 // (b + 1) for b in range(64)],
        }
        for k in range(8)
    ],
    "layers": [
        {"name": "conv1", "op": "Conv", "precision": "int8", "snr_db": 44.0, "lost_db": 16.0},
        {
            "name": "layer1.conv1",
            "op": "Conv",
            "precision": "int8",
            "snr_db": 8.5,
            "lost_db": 12.0,
            "macs": 2_000_000,
            "channel_spread": 812.0,
        },
        {"name": "fc", "op": "Gemm", "precision": "float", "snr_db": 350.0, "lost_db": 0.0},
    ],
    "equalization": [
        {
            "group": "layer1.0.relu",
            "channels": 64,
            "layers": ["layer1.0.conv1", "layer1.0.conv2"],
            "spread_before": 812.0,
            "spread_after": 9.1,
        }
    ],
    "sensitivity": [{"layer": "layer1.conv1", "logit_error": 0.031, "macs_share": 0.02}],
    "budget": {
        "metric": "top-1",
        "max_drop": 1.0,
        "returned": ["layer1.conv1"],
        "steps": [
            {"returned": None, "layers": 0, "drop": 2.1, "float_share": 0.0},
            {"returned": "layer1.conv1", "layers": 1, "drop": 0.4, "float_share": 0.02},
            {"returned": None, "layers": 1, "drop": 0.6, "float_share": 0.01},
        ],
    },
    "flips": [
        {
            "file": "a.jpg",
            "float": {"label": "cat", "score": 0.51},
            "int8": {"label": "dog", "score": 0.5},
            "truth": truth,
            "jpeg": "/9j/4AAQSkZJRg==",
        }
        for truth in ("cat", "dog", "cow", None)
    ],
    "flips_total": 12,
    "advice": {
        "best": "int8",
        "reason": "INT8 is 2.40 times as fast as float32",
        "pictures": 48,
        "rounds": 31,
        "fingerprint": {"cpu": "Some CPU", "cores": 2, "packages": {"openvino": "2026.1"}},
        "alternatives": [
            {
                "name": name,
                "latency_ms": {"p50": 3.4, "p90": 4.0},
                "speedup": {"value": 1.0, "low": 1.0, "high": 1.0},
                "images_per_s": 1234.5,
                "size_mb": 25.6,
                "agreement": 100.0,
                "logit_error": None,
                "inside": True,
            }
            for name in ("float32", "int8")
        ],
    },
    "unreadable": {"broken.jpg": "not a picture"},
}
SEEN = {"label": "cat", "score": 0.71, "xyxy": [1.0, 2.0, 30.0, 40.0], "right": True}
WRONG = {"label": "dog", "score": 0.62, "xyxy": [3.0, 2.0, 30.0, 44.0], "right": False}
JPEG = "/9j/4AAQSkZJRg=="
DETECTOR = {
    **FULL,
    "task": "detect",
    "budget": {**FULL["budget"], "metric": "mAP@.5"},
    "accuracy": {
        "verdict": "inside",
        "metric": "mAP@.5",
        "pictures": 160,
        "max_drop": 1.0,
        "drop": {"value": 0.14, "low": -0.15, "high": 0.44},
        "agreement": INTERVAL,
        "boxes": 1248,
        "map": {"float": INTERVAL, "int8": INTERVAL},
        "map50": {"float": INTERVAL, "int8": {"value": 90.1, "low": 88.1, "high": 91.9}},
    },
    "flips": [
        {
            "file": f"{kind}.jpg",
            "changes": [{"kind": kind, "float": before, "int8": after}],
            "same": 3,
            "jpeg": JPEG,
        }
        for kind, before, after in (
            ("lost", SEEN, {**SEEN, "score": 0.38}),
            ("lost", WRONG, None),
            ("new", None, SEEN),
            ("new", {**WRONG, "score": 0.4}, WRONG),
            ("moved", SEEN, SEEN),
            ("renamed", SEEN, WRONG),
            ("renamed", WRONG, SEEN),
            ("lost", {**SEEN, "right": None}, None),
        )
    ],
    "flips_total": 31,
}
EMBEDDER = {
    **FULL,
    "task": "embed",
    "budget": {**FULL["budget"], "metric": "cosine with float"},
    "accuracy": {
        "verdict": "inside",
        "metric": "cosine with float",
        "pictures": 144,
        "max_drop": 1.0,
        "drop": {"value": 0.03, "low": 0.03, "high": 0.04},
        "agreement": {"value": 99.97, "low": 99.96, "high": 99.97},
    },
    "flips": [{"file": "a.jpg", "cosine": 0.98765, "jpeg": JPEG}],
    "flips_total": 144,
}
PARTS = {
    "flips": "flips",
    "tensors": "ranges",
    "equalization": "equalized",
    "budget": "budget",
    "advice": "worth",
}


class Read(HTMLParser):
    """Checks that tags are balanced, and gathers what a test asks for."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.ids, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value) for key, value in attrs]
        self.ids += [value for key, value in attrs if key == "id"]
        names = [key for key, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of {tag} twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def read(report):
    found = Read()
    found.feed(page(report))
    found.close()
    assert not found.open
    assert len(found.ids) == len(set(found.ids))
    return found


def shown(report):
    return " ".join("".join(read(report).text).split())


def changed(**parts):
    return {**copy.deepcopy(FULL), **parts}


def replaced(value, leaf):
    """The same nesting with every leaf made by ``leaf``."""
    if isinstance(value, dict):
        return {key: replaced(inner, leaf) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, leaf) for inner in value]
    return leaf(value)


def test_a_full_report_has_every_section_and_a_link_to_each():
    found = read(FULL)
    parts = ["flips", "layers", "ranges", "settled", "equalized", "budget", "worth", "made"]
    assert found.ids == ["verdict", *parts]
    assert [v for tag, k, v in found.attributes if k == "href"] == [f"#{part}" for part in parts]


def test_a_minimal_report_has_the_headline_and_how_it_was_made():
    assert read(MINIMAL).ids == ["verdict", "made"]
    assert "Not checked" in shown(MINIMAL)
    assert "--eval" in shown(MINIMAL)
    assert read({}).ids == ["verdict", "made"]


@pytest.mark.parametrize("key", PARTS)
@pytest.mark.parametrize("nothing", [None, "absent"])
def test_a_part_without_data_is_left_out(key, nothing):
    report = changed(**{key: None})
    if nothing == "absent":
        del report[key]
    assert PARTS[key] not in read(report).ids


def test_layers_and_settling_are_left_out_only_without_any_of_their_data():
    assert "layers" in read(changed(layers=None)).ids
    assert "layers" not in read(changed(layers=[], sensitivity=None)).ids
    only_verdict = changed(calibration={"pictures": 3, "settled": False})
    assert "had not settled" in shown(only_verdict)
    assert "settled" not in read(changed(calibration={"pictures": 3})).ids


def test_too_few_pictures_to_tell_whether_the_ranges_settled_is_said():
    convergence = {"pictures": [5], "change": [0.0], "unsettled": [], "settled": None}
    assert "too few pictures" in shown(changed(calibration={"convergence": convergence}))


def test_no_changed_label_is_said_where_pictures_were_judged():
    assert "Not one picture changed" in shown(changed(flips=[], flips_total=0))
    unchecked = changed(flips=[], accuracy={"verdict": "unchecked"})
    assert "flips" not in read(unchecked).ids


@pytest.mark.parametrize(
    ("verdict", "said"), [("inside", "Inside the budget"), ("outside", "Outside the budget")]
)
def test_the_verdict_is_said_and_a_bad_one_says_what_to_do(verdict, said):
    report = changed(accuracy={**FULL["accuracy"], "verdict": verdict})
    assert said in shown(report)
    assert ("See below where precision is lost" in shown(report)) == (verdict == "outside")


def test_the_headline_gives_drop_budget_and_accuracy():
    text = shown(FULL)
    assert "loses 0.40 points of top-1 against float, on 250 pictures; 1 allowed" in text
    assert "98.40 \u2192 98.00" in text
    assert "need about 1000" in text


def test_a_gain_is_no_loss():
    drop = {"value": -0.8, "low": -2.1, "high": 0.5}
    assert "0.80 points of top-1 better" in shown(
        changed(accuracy={**FULL["accuracy"], "drop": drop})
    )


def test_agreement_is_judged_where_there_are_no_classes():
    accuracy = {k: v for k, v in FULL["accuracy"].items() if k != "top1"}
    text = shown(changed(accuracy={**accuracy, "metric": "agreement with float"}))
    assert "points of agreement with float" in text
    assert "Top-1" not in text


def test_changed_pictures_tell_what_became_of_the_truth():
    text = shown(FULL)
    assert "4 of 12 shown: 1 became wrong, 1 became right, 1 wrong both times, 1 changed." in text
    assert "truth: cow" in text
    assert "cat \u2713" in text


def test_a_detectors_page_tells_of_boxes_and_map_and_of_no_label():
    text = shown(DETECTOR)
    assert "loses 0.14 points of mAP@.5 against float, on 160 pictures; 1 allowed" in text
    assert "mAP@[.5:.95], float \u2192 INT8" in text
    assert "98.40 \u2192 90.10" in text
    assert "Same boxes as float" in text
    assert "of 1,248 sure boxes" in text
    assert "Changed boxes" in text
    for word in ("label", "Label", "logit", "Top-1", "top-1"):
        assert word not in text


def test_changed_boxes_tell_what_became_of_the_truth():
    text = shown(DETECTOR)
    told = "1 missed, 1 false alarm, 1 became wrong, 1 lost, 1 moved, 1 became right, 1 found"
    assert f"8 of 31 shown: {told}, 1 false alarm gone." in text
    assert "cat 71 % \u2192 38 %" in text
    assert "dog 62 % \u2192 nothing" in text
    assert "cat nothing \u2192 71 %" in text
    assert "cat 71 % \u2192 dog 62 %" in text
    assert "3 boxes as before" in text
    assert read(DETECTOR).tags.count("img") == 8


def test_of_a_picture_with_many_changes_the_first_are_listed_and_the_others_counted():
    flip = {**DETECTOR["flips"][0], "changes": DETECTOR["flips"][0]["changes"] * 9}
    text = shown({**DETECTOR, "flips": [flip], "flips_total": 1})
    assert text.count("cat 71 % \u2192 38 %") == 6
    assert "and 3 more changes" in text
    assert "9 missed" in text


def test_no_changed_box_is_said():
    assert "Not one picture changed its boxes" in shown({**DETECTOR, "flips": []})


def test_an_embedders_page_tells_of_angles_and_of_no_label():
    text = shown(EMBEDDER)
    assert "points of cosine with float" in text
    assert "1 of 144 shown" in text
    assert "cosine 0.9877" in text
    assert "Turned vectors" in text
    for word in ("label", "logit", "Top-1", "top-1", "boxes"):
        assert word not in text


def test_what_nobody_could_judge_says_why():
    why = "neither float nor INT8 is sure of a box on any of 9 pictures"
    accuracy = {"verdict": "unchecked", "pictures": 9, "note": why}
    text = shown({**DETECTOR, "accuracy": accuracy})
    assert why in text
    assert "--annotations" in text
    assert "flips" not in read({**DETECTOR, "accuracy": accuracy}).ids


def test_a_thumbnail_that_is_not_base64_is_not_written():
    flips = [{**FULL["flips"][0], "jpeg": jpeg} for jpeg in ('" onerror="x', "", None)]
    found = read(changed(flips=flips))
    assert "img" not in found.tags
    assert "".join(found.text).count("no thumbnail") == 3


def test_the_worst_layer_is_named_with_its_reason():
    assert "layer1.conv1 with 8.5 dB. It also adds most: 12.0 dB" in shown(FULL)
    assert "812 times its weakest" in shown(FULL)
    good = [FULL["layers"][0], FULL["layers"][2]]
    assert "Nothing here needs mending" in shown(changed(layers=good))
    assert "as float" in shown(changed(layers=good))


def test_tensors_come_most_clipped_first_and_beyond_the_drawn_ones_in_a_table():
    text = shown(FULL)
    assert text.index("layer7.relu") < text.index("layer6.relu") < text.index("layer0.relu")
    many = [{**FULL["tensors"][0], "name": f"t{k}"} for k in range(130)]
    found = read(changed(tensors=many))
    drawn = [v for tag, k, v in found.attributes if (k, v) == ("class", "histogram")]
    assert len(drawn) == 120
    assert "The last 10, without drawing" in "".join(found.text)


def test_the_steps_of_the_budget_name_layers_and_mark_what_was_written():
    text = shown(FULL)
    assert "nothing: INT8 everywhere" in text
    assert "layer1.conv1 written" in text
    assert "fewer again: 1 in float" in text


def test_the_recipe_is_given_exactly():
    assert "99.99" in read(FULL).text
    assert "yes" in read(FULL).text


@pytest.mark.parametrize("full", [FULL, DETECTOR, EMBEDDER], ids=["label", "box", "vector"])
def test_all_text_is_escaped_wherever_it_comes_from(full):
    report = replaced(full, lambda v: HOSTILE if isinstance(v, str) else v)
    report["accuracy"]["verdict"] = "inside"
    report["task"] = full.get("task")
    report["recipe"] = report["made_with"] = {HOSTILE: HOSTILE}
    report["unreadable"] = {HOSTILE: HOSTILE}
    found = read(report)
    assert "script" not in found.tags
    assert not [key for _, key, _ in found.attributes if key.startswith("on")]
    assert "<script>alert(1)</script>" in "".join(found.text)
    assert "\x00" not in page(report)
    page(report).encode("utf-8")


@pytest.mark.parametrize("report", [FULL, DETECTOR, MINIMAL], ids=["full", "boxes", "minimal"])
def test_the_page_loads_nothing_and_forbids_itself_to(report):
    found = read(report)
    loads = [v for _, k, v in found.attributes if k in {"src", "srcset", "data", "action"}]
    assert all(value.startswith("data:image/jpeg;base64,") for value in loads)
    assert all(v.startswith("#") for _, k, v in found.attributes if k == "href")
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    text = page(report)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in "".join(v or "" for _, k, v in found.attributes)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, 10**400, None, 0, -1])
@pytest.mark.parametrize("full", [FULL, DETECTOR, EMBEDDER], ids=["label", "box", "vector"])
def test_any_number_anywhere_gives_a_page(full, value):
    is_number = (int, float)
    report = replaced(
        full, lambda v: value if isinstance(v, is_number) and not isinstance(v, bool) else v
    )
    found = read(report)
    drawn = [v for _, k, v in found.attributes if k in {"d", "style", "x", "y", "width", "height"}]
    assert not [v for v in drawn if re.search(r"nan|inf|e\+", v)]
    assert "nan" not in "".join(found.text).split()


@pytest.mark.parametrize("full", [FULL, DETECTOR, EMBEDDER], ids=["label", "box", "vector"])
def test_any_absent_value_gives_a_page(full):
    def paths(value, before=()):
        if isinstance(value, (dict, list)):
            keys = value if isinstance(value, dict) else range(len(value))
            for key in keys:
                yield (*before, key)
                yield from paths(value[key], (*before, key))

    small = copy.deepcopy(full)
    small["tensors"], small["flips"] = small["tensors"][:1], small["flips"][:1]
    small["tensors"][0]["counts"] = [1, 2]
    for path in paths(small):
        for absent in (True, False):
            report = copy.deepcopy(small)
            place = report
            for key in path[:-1]:
                place = place[key]
            if absent and isinstance(place, dict):
                del place[path[-1]]
            else:
                place[path[-1]] = None
            read(report)


def test_the_same_report_gives_the_same_page():
    assert page(FULL) == page(json.loads(json.dumps(FULL)))


def test_the_page_needs_nothing_heavy():
    code = (
        "import sys, edgeresnet.quantize.page.document\n"
        "assert not {'numpy', 'cv2', 'onnx', 'onnxruntime', 'jinja2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_text_is_escaped_where_an_element_is_born_and_markup_is_not_escaped_again():
    inner = element("b", "1 < 2")
    assert inner == "<b>1 &lt; 2</b>"
    assert element("p", inner, title='"') == '<p title="&quot;"><b>1 &lt; 2</b></p>'
    assert element("img", alt="a", src=None) == '<img alt="a">'
    assert isinstance(inner, Html)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (number(812.4), "812"),
        (number(12345.6), "12,346"),
        (number(0.03123), "0.0312"),
        (number(-0.0), "0"),
        (number(math.nan), "\u2013"),
        (number(True), "\u2013"),
        (points(99.996), "100.00"),
        (points(-0.001), "0.00"),
        (share(0.00001), "under 0.01 %"),
        (share(0.0123), "1.23 %"),
        (share(0.5), "50.0 %"),
        (share(0), "0 %"),
    ],
)
def test_numbers_are_written_for_people(told, said):
    assert told == said


def test_an_axis_keeps_to_its_ends_and_has_round_ticks():
    axis = Axis(-1.0, 3.0)
    assert [axis.at(v) for v in (-9, -1, 1, 3, 9)] == [0, 0, 50, 100, 100]
    assert axis.ticks() == [-1, 0, 1, 2, 3]
    assert Axis(8, 256, logarithmic=True).apart([8, 16, 250, 256]) == [256, 16, 8]
    assert Axis.around([2.0, 2.0]).at(2.0) == pytest.approx(50)


def test_a_histogram_marks_what_the_range_cuts():
    assert 'class="bars cut"' in histogram([5, 1, 1, 1], 0.0, 4.0, (0.0, 2.0))
    assert 'class="bars cut"' not in histogram([5, 1, 1, 1], 0.0, 4.0, (-4.0, 4.0))
    assert "path" not in histogram([], 0.0, 1.0, None)
