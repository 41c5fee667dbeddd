"""Compares edgeresnet's INT8 with NNCF's and ONNX Runtime's: same pictures, same machine, one run.

Each quantizer calibrates in a process of its own; then every result is run over the same views,
which need no labels, and over the labelled pictures of --eval. Prints tables and writes
compare.json to --work. About 25 minutes for a ResNet-50 and 5000 views on two cores; the peers
live in an environment of their own, which the first run makes.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from peers import environment, judging, legs
from peers.layers import partings
from peers.progress import told
from peers.tables import tables
from peers.views import Views, write_views

from edgeresnet.cli.console import print_table
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import read_graph
from edgeresnet.core.errors import EdgeError, UsageError
from edgeresnet.datasets.pictures import (
    Entry,
    Listing,
    Unreadable,
    choose,
    digest,
    fitted,
    list_pictures,
)
from edgeresnet.metrics.fingerprint import fingerprint

SEED = 3
GATE_PICTURES = 8
LAYER_PICTURES = 12


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("graph", type=Path, help="float contract graph, as convert writes it")
    add("--images", type=Path, required=True, help="calibration pictures: folder or CSV")
    add("--eval", type=Path, required=True, help="judging pictures: folder or CSV")
    add("--video", type=Path, action="extend", nargs="+", default=[], help="more views")
    add("--pictures", type=Path, action="extend", nargs="+", default=[], help="more views: folders")
    add("--views", type=int, default=5000, help="at least so many unlabelled views [5000]")
    add("--samples", type=int, default=256, help="calibration pictures [256]")
    add("--work", type=Path, default=Path("carry/compare"), help="folder for everything written")
    add("--rounds", type=int, default=60, help="of the latency measurement [60]")
    add("--layers", action="store_true", help="where ONNX Runtime and OpenVINO part, by layer")
    add("--peer-python", type=Path, help="interpreter that has the peers, instead of making one")
    add(
        "--ours",
        action="append",
        default=[],
        metavar="[LABEL=]OPTIONS",
        help='a variant of ours beside the plain one: --ours "percentile=--method percentile"',
    )
    return parser.parse_args()


def calibration_inputs(options: argparse.Namespace, graph: Graph, gate: Listing) -> legs.Inputs:
    """Choose the calibration pictures once, for everybody, and write them in both forms."""
    judging = {digest(entry.path) for entry in gate.entries}
    unique: dict[str, Entry] = {}
    for entry in list_pictures(options.images, "--images").entries:
        unique.setdefault(digest(entry.path), entry)
    if shared := judging & set(unique):
        raise UsageError(f"{len(shared)} pictures of --images are in --eval too")
    unreadable = Unreadable({})
    chosen = choose(list(unique.values()), options.samples, SEED)
    read = list(fitted(chosen, graph.preprocess, unreadable))
    unreadable.raise_if_all(len(read), "--images")
    listing, few, arrays = (options.work / n for n in ("images.csv", "gate.csv", "images.npy"))
    np.save(arrays, np.stack([pixels for _, pixels in read]))
    write_listing(listing, [entry for entry, _ in read])
    write_listing(few, choose(gate.entries, GATE_PICTURES, SEED))
    models = options.work / "models"
    models.mkdir(exist_ok=True)
    return legs.Inputs(listing, len(read), few, arrays, models)


def write_listing(path: Path, entries: Iterable[Entry]) -> None:
    """A CSV of pictures without classes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file"])
        table.writerows([str(entry.path.resolve())] for entry in entries)


def draw(options: argparse.Namespace, graph: Graph, gate: Listing) -> Views:
    """The views, in the working folder."""
    told("views")
    others = [list_pictures(folder, "--pictures").entries for folder in options.pictures]
    return write_views(
        options.work / "views.npy",
        graph.preprocess,
        cropped=[entry.path for entry in gate.entries],
        whole=[entry.path for entries in others for entry in entries],
        videos=options.video,
        count=options.views,
        seed=SEED,
    )


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything; the report is JSON."""
    logs = options.work / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    graph = read_graph(options.graph)
    if graph.batch != 1:
        raise UsageError(f"{options.graph} takes {graph.batch} pictures a run, 1 is compared")
    gate = list_pictures(options.eval, "--eval")
    python = options.peer_python or environment.prepare(options.work / "peers")
    inputs = calibration_inputs(options, graph, gate)
    variants = [("", ()), *map(legs.variant, options.ours)]
    made = [leg for label, extra in variants for leg in legs.our_legs(inputs, label, extra)]
    made += legs.peer_legs(inputs, python)
    costs = []
    for leg in made:
        told(f"calibrate: {leg.name}")
        costs.append(legs.run_leg(leg, options.graph, logs))
    views = draw(options, graph, gate)
    judged = judging.float_judgement(graph, gate, views)
    outcomes = judging.run_all(made, judged)
    times = judging.latencies(graph.path, outcomes, views.pixels, options.rounds)
    found: list[dict[str, Any]] = []
    if options.layers:
        told("layers")
        plain = next(leg for leg in made if leg.scheme == "u8-affine")
        some = np.linspace(0, len(views.pixels) - 1, LAYER_PICTURES).astype(int)
        found = [parting.as_json() for parting in partings(plain.result, views.pixels[some])]
    return {
        "machine": fingerprint(),
        "settings": {
            "graph": str(options.graph),
            "sha256": graph.sha256,
            "samples": inputs.samples,
            "views": len(views.pixels),
            "sources": len(np.unique(views.sources)),
            "labelled": len(judged.truth),
            "layer_pictures": LAYER_PICTURES,
            "presets": legs.PRESETS,
            "seed": SEED,
        },
        "calibration": costs,
        **judging.figures(outcomes, judged, times),
        "layers": found,
    }


def main() -> int:
    """Compares, prints, writes."""
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        report = compare(options)
    except (EdgeError, legs.LegError) as error:
        print(error, file=sys.stderr)
        return 1
    out = options.work / "compare.json"
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for title, head, rows in tables(report):
        print_table(title, head, rows)
    print(f"\nwritten: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
