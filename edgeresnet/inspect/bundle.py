"""What a bundle holds, once every byte of it was checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeresnet.core.bundle import Bundle, read_bundle


@dataclass(frozen=True)
class BundleReport:
    """A verified bundle, and how large its files are."""

    bundle: Bundle
    sizes: dict[str, int]
    """File to its size in bytes."""

    def as_json(self) -> dict[str, Any]:
        """For scripts: the manifest's entries, with sizes, and labels only counted."""
        manifest = self.bundle.manifest
        files = {
            name: {"sha256": digest, "bytes": self.sizes[name]}
            for name, digest in manifest.files.items()
        }
        return {
            "kind": "bundle",
            "folder": str(self.bundle.folder),
            "digest": self.bundle.digest,
            "verified": True,
            **manifest.model_dump(mode="json", exclude={"labels", "files"}),
            "labels": len(self.bundle.labels),
            "files": files,
        }


def inspect_bundle(folder: Path | str) -> BundleReport:
    """Read a bundle; a file changed, missing or added is an error. No engine is loaded."""
    bundle = read_bundle(Path(folder))
    sizes = {name: (bundle.folder / name).stat().st_size for name in bundle.manifest.files}
    return BundleReport(bundle, sizes)
