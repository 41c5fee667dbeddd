"""Checks edgeresnet's ResNets against torchvision's own definitions, same weights, same inputs.

Needs torch and pip's index, not an installed torchvision: its wheel is downloaded to a temporary
folder and only torchvision/models/resnet.py is run, its imports stubbed. Prints one line a network;
exits 1 when one differs by more than 1e-5 of its largest logit.
"""

import argparse
import enum
import importlib.util
import subprocess
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edgeresnet.convert.networks import ARCHITECTURES, build, infer_spec

TOLERANCE = 1e-5


def download(requirement: str, folder: Path) -> Path:
    """The wheel that pip picks for requirement, without its dependencies."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, requirement, "--dest", str(folder)], check=True)
    return next(folder.glob("torchvision-*.whl"))


class _NoWeights(enum.Enum):
    """Stands for torchvision's WeightsEnum where no weights are ever asked for."""

    @classmethod
    def verify(cls, weights: None) -> None:
        """Lets no weights pass."""


def load_definitions(wheel: Path, folder: Path) -> types.ModuleType:
    """torchvision/models/resnet.py, unpacked to folder, as a module without its siblings."""
    with zipfile.ZipFile(wheel) as archive:
        source = archive.extract("torchvision/models/resnet.py", folder)
    stubs: dict[str, dict[str, Any]] = {
        "torchvision": {"__path__": []},
        "torchvision.models": {"__path__": []},
        "torchvision.transforms": {"__path__": []},
        "torchvision.transforms._presets": {"ImageClassification": dict},
        "torchvision.utils": {"_log_api_usage_once": lambda _: None},
        "torchvision.models._api": {
            "register_model": _undecorated,
            "Weights": types.SimpleNamespace,
            "WeightsEnum": _NoWeights,
        },
        "torchvision.models._meta": {"_IMAGENET_CATEGORIES": []},
        "torchvision.models._utils": {
            "_ovewrite_named_param": dict.__setitem__,
            "handle_legacy_interface": _undecorated,
        },
    }
    for name, members in stubs.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(members)
    found = importlib.util.spec_from_file_location("torchvision.models.resnet", source)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _undecorated(*_: object, **__: object) -> Callable[[Any], Any]:
    return lambda function: function


def randomise(network: torch.nn.Module, seed: int) -> None:
    """Gives BatchNorm statistics and gains that are not 0 and 1, so that swapped ones show."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.4, 0.8),
                (module.bias.data, -0.2, 0.2),
                (module.running_mean, -0.1, 0.1),
                (module.running_var, 0.8, 1.2),
            ):
                assert tensor is not None
                tensor.uniform_(low, high, generator=generator)


def compare(name: str, definitions: types.ModuleType, size: int) -> float:
    """Largest difference of the logits, relative to the largest logit."""
    spec = ARCHITECTURES[name]
    theirs = getattr(definitions, name)(weights=None).eval()
    randomise(theirs, seed=1)
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    if infer_spec(shapes) != spec:
        raise ValueError(f"{name}: spec read as {infer_spec(shapes)}")
    ours = build(spec).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        a, b = ours(x), theirs(x)
    return float((a - b).abs().max() / b.abs().max())


def main() -> int:
    """Compares every network that both define."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torchvision", default="torchvision", help="what pip is asked for")
    parser.add_argument("--size", type=int, default=224, help="side of the input in pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(options.torchvision, Path(folder))
        definitions = load_definitions(wheel, Path(folder))
    agreed = True
    for name in ARCHITECTURES:
        if not hasattr(definitions, name):
            print(f"{name:<18} not in {wheel.name.split('-py3')[0]}")
            continue
        difference = compare(name, definitions, options.size)
        agreed = agreed and difference <= TOLERANCE
        print(f"{name:<18} largest relative difference {difference:.1e}", flush=True)
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
