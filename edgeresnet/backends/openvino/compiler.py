"""The part of compiling that needs the onnx package, so only the host imports it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import body_of, load_onnx
from edgeresnet.core.errors import DeviceError, ModelError
from edgeresnet.core.preprocess import Color, Preprocess
from edgeresnet.core.tensors import IMAGE


def write_ir(graph: Graph, out: Path) -> None:
    """Write ``out`` (``.xml``, weights beside it): uint8 NHWC BGR in, as the contract says.

    The graph's own normalisation is replaced by OpenVINO's, which it fuses with the first layer;
    the plain nodes cost 1 to 2 ms on a ResNet-50.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "body.onnx"
        body = body_of(load_onnx(graph.path))
        onnx.save(body, str(path))
        try:
            with _logging_left_alone():
                model = ov.convert_model(str(path))
        except Exception as error:  # front-end errors share no public base
            reason = str(error).strip().splitlines()
            raise ModelError(
                f"OpenVINO cannot import {graph.path}: {reason[-1][:200] if reason else error}"
            ) from error
        _name_last_nodes(model, body)
        model = _with_normalisation(model, graph.preprocess)
        model.inputs[0].set_names({IMAGE})
        for port, spec in zip(model.outputs, graph.outputs, strict=True):
            port.set_names({spec.name})
        try:
            ov.save_model(model, str(out), compress_to_fp16=False)
        except RuntimeError as error:
            raise DeviceError(
                f"OpenVINO cannot write {out.name}: {str(error).strip().splitlines()[-1][:120]}",
                hint="is the disk full?",
            ) from error


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """A failed import leaves the root logger at ERROR, which would silence our own warnings."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def _name_last_nodes(model: ov.Model, body: onnx.ModelProto) -> None:
    """Give the nodes at the outputs their own names back; the import calls them by the output."""
    producer = {output: node.name for node in body.graph.node for output in node.output}
    for port in model.outputs:
        last = port.get_node().input_value(0).get_node()
        if last.get_friendly_name() in producer:
            last.set_friendly_name(producer[last.get_friendly_name()])


def _with_normalisation(model: ov.Model, preprocess: Preprocess) -> ov.Model:
    steps = PrePostProcessor(model)
    image = steps.input()
    image.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    image.tensor().set_color_format(ColorFormat.BGR)
    image.model().set_layout(ov.Layout("NCHW"))
    chain = image.preprocess().convert_element_type(ov.Type.f32)
    if preprocess.color is Color.RGB:
        chain = chain.convert_color(ColorFormat.RGB)
    mean = [m / preprocess.scale for m in preprocess.mean]
    std = [s / preprocess.scale for s in preprocess.std]
    chain.mean(mean).scale(std)
    return steps.build()
