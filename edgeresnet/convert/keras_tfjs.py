"""Keras' ResNet-50 saved as a TensorFlow.js layers model: ``model.json`` beside its shards."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeresnet.core.errors import ModelError
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Color, Preprocess
from edgeresnet.core.tensors import Array

KERAS_EPS, TORCH_EPS = 1.001e-5, 1e-5
CAFFE = Preprocess(color=Color.BGR, scale=1.0, mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0))
"""What ``keras.applications.resnet50.preprocess_input`` does ("caffe" mode)."""
_BLOCKS = (3, 4, 6, 3)
_DTYPES = {"float32": "<f4", "float16": "<f2"}


@dataclass(frozen=True)
class LayersModel:
    """Weights under torchvision's names, and what the topology says."""

    state: dict[str, Tensor]
    stride_in: str
    preprocess: Preprocess
    labels: Labels | None
    sha256: str


def read_layers_model(path: Path) -> LayersModel:
    """Read ``model.json`` and its shards; the stride's place is read from the topology."""
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
        manifest = model["weightsManifest"]
        layers = model["modelTopology"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is not a TensorFlow.js layers model: {error}",
            hint="it has the keys modelTopology and weightsManifest",
        ) from error
    try:
        arrays, digest = _read_shards(path, manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: damaged weightsManifest: {error}") from error
    naming = _old_names() if "conv1/kernel" in arrays else _new_names()
    state = _state(arrays, naming, path)
    return LayersModel(state, _stride_in(layers, naming, path), CAFFE, None, digest)


def _read_shards(path: Path, manifest: Any) -> tuple[dict[str, Array], str]:
    arrays: dict[str, Array] = {}
    digest = hashlib.sha256(path.read_bytes())
    for group in manifest:
        parts = []
        for name in group["paths"]:
            shard = path.parent / name
            if Path(name).name != name or not shard.is_file():
                raise ModelError(f"{path}: shard {name} is missing", hint="copy the whole folder")
            parts.append(shard.read_bytes())
        data = b"".join(parts)
        digest.update(data)
        offset = 0
        for entry in group["weights"]:
            dtype, count = _DTYPES.get(entry["dtype"]), math.prod(entry["shape"])
            if dtype is None or "quantization" in entry:
                raise ModelError(f"{path}: {entry['name']} is {entry['dtype']} or quantized")
            end = offset + count * np.dtype(dtype).itemsize
            if end > len(data):
                raise ModelError(
                    f"{path}: the shards end inside {entry['name']}", hint="copy them again"
                )
            values = np.frombuffer(data[offset:end], dtype).reshape(entry["shape"])
            arrays[entry["name"]] = values.astype(np.float32)
            offset = end
    return arrays, digest.hexdigest()


Naming = dict[str, tuple[str, str]]
"""torchvision's convolution and norm, ``conv|norm``, to Keras' layer names."""


def _old_names() -> Naming:
    """Keras before 2.2.5: ``res2a_branch2a``."""
    naming: Naming = {"conv1|bn1": ("conv1", "bn_conv1")}
    for stage, blocks in enumerate(_BLOCKS, start=1):
        for block in range(blocks):
            key, to = f"{stage + 1}{chr(97 + block)}_branch", f"layer{stage}.{block}"
            for i, branch in enumerate("abc", start=1):
                names = (f"res{key}2{branch}", f"bn{key}2{branch}")
                naming[f"{to}.conv{i}|{to}.bn{i}"] = names
            if block == 0:
                ends = f"{to}.downsample.0|{to}.downsample.1"
                naming[ends] = (f"res{key}1", f"bn{key}1")
    naming["fc|"] = ("fc1000", "")
    return naming


def _new_names() -> Naming:
    """Keras since 2.2.5: ``conv2_block1_1_conv``."""
    naming: Naming = {"conv1|bn1": ("conv1_conv", "conv1_bn")}
    for stage, blocks in enumerate(_BLOCKS, start=1):
        for block in range(blocks):
            key, to = f"conv{stage + 1}_block{block + 1}", f"layer{stage}.{block}"
            for i in (1, 2, 3):
                naming[f"{to}.conv{i}|{to}.bn{i}"] = (f"{key}_{i}_conv", f"{key}_{i}_bn")
            if block == 0:
                ends = f"{to}.downsample.0|{to}.downsample.1"
                naming[ends] = (f"{key}_0_conv", f"{key}_0_bn")
    naming["fc|"] = ("predictions", "")
    return naming


def _state(arrays: Mapping[str, Array], naming: Naming, path: Path) -> dict[str, Tensor]:
    """Our names; convolution biases go into the BatchNorm means, eps into variances."""

    def get(name: str) -> Array:
        if name not in arrays:
            raise ModelError(f"{path}: no weights {name!r}: this is not Keras' ResNet-50")
        return arrays[name].astype(np.float64)

    state: dict[str, Array] = {}
    for ends, (conv, norm) in naming.items():
        to_conv, to_norm = ends.split("|")
        kernel = get(f"{conv}/kernel")
        if not to_norm:
            state[f"{to_conv}.weight"], state[f"{to_conv}.bias"] = kernel.T, get(f"{conv}/bias")
            continue
        bias = get(f"{conv}/bias") if f"{conv}/bias" in arrays else 0.0
        state[f"{to_conv}.weight"] = kernel.transpose(3, 2, 0, 1)
        state[f"{to_norm}.weight"] = get(f"{norm}/gamma")
        state[f"{to_norm}.bias"] = get(f"{norm}/beta")
        state[f"{to_norm}.running_mean"] = get(f"{norm}/moving_mean") - bias
        state[f"{to_norm}.running_var"] = get(f"{norm}/moving_variance") + KERAS_EPS - TORCH_EPS
    return {
        k: torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)) for k, v in state.items()
    }


def _stride_in(topology: Any, naming: Naming, path: Path) -> str:
    """Which convolution of layer2's first block has stride 2."""
    try:
        config = topology.get("model_config", topology)["config"]
        strides = {
            layer["config"]["name"]: tuple(layer["config"].get("strides", (1, 1)))
            for layer in config["layers"]
        }
        first = strides[naming["layer2.0.conv1|layer2.0.bn1"][0]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: the topology lacks {error}") from error
    return "1x1" if first == (2, 2) else "3x3"
