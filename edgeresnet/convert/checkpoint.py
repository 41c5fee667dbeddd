"""Read trained weights from any of the files that people have."""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeresnet.convert.keras_tfjs import read_layers_model
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.files import existing_file, sha256_file
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess, from_json

_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
_LARGEST_ANCHOR = 1024
_DETECTOR = re.compile(r"((?:.+?\.)?)backbone\.body\.")
_PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "encoder.", "backbone.")


@dataclass(frozen=True)
class Checkpoint:
    """Weights by name, and what the file says about the network beside them."""

    path: Path
    sha256: str
    state: Mapping[str, Tensor]
    stride_in: str | None = None
    preprocess: Preprocess | None = None
    labels: Labels | None = None
    notes: tuple[str, ...] = field(default=())
    smallest_anchor: int | None = None
    """Of a RetinaNet: the side of its smallest anchor, where it is not torchvision's 32 pixels."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape."""
        return {name: tuple(tensor.shape) for name, tensor in self.state.items()}


def read_checkpoint(path: Path) -> Checkpoint:
    """Read ``.pth``/``.pt`` (state dict or training checkpoint), ``.safetensors`` or Keras' JSON.

    Nothing in the file is executed: a pickle that needs more than tensors and plain containers is
    refused.
    """
    existing_file(path, "weights")
    with path.open("rb") as file:
        head = file.read(512)
    _refuse_lookalikes(path, head)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix == ".json":
        layers = read_layers_model(path)
        return Checkpoint(
            path, layers.sha256, layers.state, layers.stride_in, layers.preprocess, layers.labels
        )
    return _pickle(path)


def _refuse_lookalikes(path: Path, head: bytes) -> None:
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ModelError(
            f"{path} is a web page, not weights", hint="download the file itself, not its page"
        )
    if text.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a Git LFS pointer, not weights", hint="run: git lfs pull")

    if path.suffix not in (".safetensors", ".json") and not head.startswith((b"PK", b"\x80")):
        raise ModelError(
            f"{path} is neither a torch checkpoint, safetensors, model.json nor ONNX",
            hint="torch.save(model.state_dict(), 'weights.pth') writes a checkpoint",
        )


def _safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a whole safetensors file: {error}", hint="copy or download it again"
        ) from error
    prefix = "edgeresnet."
    own = {k.removeprefix(prefix): v for k, v in metadata.items() if k.startswith(prefix)}
    if own.get("stride_in") not in (None, "1x1", "3x3"):
        raise ModelError(f"{path}: {prefix}stride_in is {own['stride_in']!r}, not 1x1 or 3x3")
    return Checkpoint(
        path,
        sha256_file(path),
        unwrap(state, path),
        own.get("stride_in"),
        from_json(own["preprocess"], f"{path}: preprocess") if "preprocess" in own else None,
        _labels(own["labels"], path) if "labels" in own else None,
        smallest_anchor=_side(own["smallest_anchor"], path) if "smallest_anchor" in own else None,
    )


def _side(text: str, path: Path) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _LARGEST_ANCHOR:
        raise ModelError(f"{path}: edgeresnet.smallest_anchor is {text!r}, not a side in pixels")
    return int(text)


def _labels(text: str, path: Path) -> Labels:
    try:
        return Labels(tuple(map(str, json.loads(text))))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: damaged labels: {error}") from error


def _pickle(path: Path) -> Checkpoint:
    if any(name.endswith("constants.pkl") for name in _names_in_zip(path)):
        raise ModelError(
            f"{path} is a TorchScript archive, not weights",
            hint="torch.save(torch.jit.load(path).state_dict(), 'weights.pth')",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused_pickle(path, str(error)) from error
    except Exception as error:  # torch and pickle raise anything on a damaged file
        reason = str(error).splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path} is not a whole checkpoint: {reason[0][:160]}",
            hint="copy or download it again; .pth, .pt, .safetensors, model.json, .onnx are read",
        ) from error
    return Checkpoint(path, sha256_file(path), unwrap(loaded, path))


def _refused_pickle(path: Path, reason: str) -> ModelError:
    plain = "Unsupported operand" in reason and not _names_in_zip(path)  # not by torch.save
    if plain or any(word in reason for word in ("GLOBAL", "unrecognized function", "new object")):
        found = re.search(r"GLOBAL (\S+)", reason)
        what = f" ({found.group(1)})" if found else ""
        return ModelError(
            f"{path} is a pickle that would execute code{what}, refused",
            hint="save only the weights: torch.save(model.state_dict(), 'weights.pth')",
        )
    return ModelError(
        f"{path} is not a checkpoint: {reason.splitlines()[0][:120]}",
        hint=".pth, .pt, .safetensors, model.json and .onnx are read",
    )


def _names_in_zip(path: Path) -> list[str]:
    """What a zip archive holds; nothing for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return []


def unwrap(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside a training checkpoint, its wrapper's prefixes taken off."""
    for _ in range(4):
        if not isinstance(loaded, Mapping):
            break
        inner = next((loaded[k] for k in _WRAPPERS if isinstance(loaded.get(k), Mapping)), None)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, Mapping):
        raise ModelError(
            f"{path} holds a {type(loaded).__name__}, not a state dict",
            hint="save only the weights: torch.save(model.state_dict(), 'weights.pth')",
        )
    state = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
    if not state:
        keys = ", ".join(map(str, list(loaded)[:5]))
        raise ModelError(f"{path} holds no weights: its keys are {keys or 'none'}")
    for _ in range(4):
        prefix = next((p for p in _PREFIXES if all(k.startswith(p) for k in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    state = _plain_head(_plain_detector(state))
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _plain_detector(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A detector's own names, of those that lie under the prefix of its backbone.

    What else a trainer has kept beside it is left for the key check.
    """
    prefixes = [found[1] for key in state if (found := _DETECTOR.match(key))]
    if not prefixes or "" in prefixes:
        return state
    return {key.removeprefix(prefixes[0]): value for key, value in state.items()}


def _plain_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """``fc.1.weight`` to ``fc.weight``: a linear layer behind a Dropout, as fine-tuning leaves it.

    Dropout does nothing outside training; a head of several layers is left for the key check.
    """
    head = [key for key in state if key.startswith("fc.") and key.count(".") == 2]
    if len(head) != 2 or len({key.split(".")[1] for key in head}) != 1:
        return state
    return {f"fc.{k.split('.')[2]}" if k in head else k: v for k, v in state.items()}


def read_factory(name: str) -> torch.nn.Module:
    """Build ``package.module:factory``; the factory takes no arguments and returns a module."""
    import importlib
    import sys

    module_name, _, factory_name = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
        factory = getattr(module, factory_name)
    except Exception as error:  # whatever someone else's code raises
        raise UsageError(
            f"weights: cannot import {name}: {error}",
            hint="package.module:factory, importable from the current folder",
        ) from error
    try:
        built = factory()
    except Exception as error:  # whatever someone else's code raises
        raise UsageError(
            f"weights: {name}() failed: {type(error).__name__}: {error}",
            hint="a factory takes no arguments and returns the network, its weights loaded",
        ) from error
    if not isinstance(built, torch.nn.Module):
        raise UsageError(f"weights: {name}() returned a {type(built).__name__}, not an nn.Module")
    return built.eval()
