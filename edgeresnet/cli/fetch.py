"""``edgeresnet fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, shared
from edgeresnet.core.errors import UsageError


@click.command(epilog="Examples:  edgeresnet fetch --list   |   edgeresnet fetch resnet50-v1")
@click.argument("name", required=False)
@click.option("-o", "--out", type=PATH, help="Output. [the published file name]")
@click.option("--list", "as_list", is_flag=True, help="List the weights there are.")
@shared
def command(
    name: str | None,
    *,
    out: Path | None,
    as_list: bool,
    as_json: bool,
    quiet: bool,
    force: bool,
    **_: Any,
) -> None:
    """Download the official weights NAME, their digest checked.

    Torchvision's ResNets, trained on ImageNet-1k. -v1 and -v2 are two ways of training (without
    either: the newest); the stride is in the 3x3 convolution in all of them. An interrupted
    download goes on where it stopped.
    """
    if as_list:
        _list(as_json=as_json)
        return
    if name is None:
        raise UsageError("fetch: no name given", hint="edgeresnet fetch --list shows them")
    from edgeresnet.core.files import check_output, sha256_file
    from edgeresnet.core.preprocess import Preprocess
    from edgeresnet.fetch import catalog
    from edgeresnet.fetch.download import download

    weights = catalog.find_weights(name)
    out = out or Path(weights.file)
    url = f"{catalog.BASE_URL}/{weights.file}"
    digest = sha256_file(out) if out.is_file() else ""
    downloaded = not digest.startswith(weights.sha256_prefix)
    if downloaded:
        check_output(out, force=force)
        with progress_bar(quiet=quiet) as progress:
            digest = download(url, out, weights.sha256_prefix, progress=progress)
    if as_json:
        print_json(
            {
                "name": weights.name,
                "arch": weights.arch,
                "file": str(out),
                "sha256": digest,
                "url": url,
                "downloaded": downloaded,
                "top1": weights.top1,
                "preprocess": weights.preprocess.model_dump(mode="json"),
            }
        )
        return
    rows = [
        ("network", f"{weights.arch}, {weights.top1:.1f} % top-1 as published"),
        ("file", f"{out}{'' if downloaded else ' (was already here)'}"),
        ("sha256", digest),
    ]
    print_table("", ("what", "found"), rows)
    option = "" if weights.preprocess == Preprocess() else f" --resize {weights.resize}"
    say(f"next: edgeresnet convert {out}{option} -o {weights.arch}.onnx", quiet=quiet)


def _list(*, as_json: bool) -> None:
    from edgeresnet.fetch.catalog import BASE_URL, WEIGHTS

    if as_json:
        listed = [
            {
                "name": weights.name,
                "arch": weights.arch,
                "top1": weights.top1,
                "size_mb": weights.size_mb,
                "url": f"{BASE_URL}/{weights.file}",
                "sha256_prefix": weights.sha256_prefix,
                "preprocess": weights.preprocess.model_dump(mode="json"),
            }
            for weights in WEIGHTS.values()
        ]
        print_json({"weights": listed})
        return
    rows = [
        (w.name, w.arch, f"{w.top1:.1f}", w.resize, f"{w.size_mb:.0f}") for w in WEIGHTS.values()
    ]
    print_table("", ("name", "network", "top-1 %", "resize", "MB"), rows)
