"""The contract graph: uint8 NHWC BGR in, logits out, everything else in the metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.core.artifacts import Evidence, Graph
from edgeresnet.core.errors import MissingBackendError, ModelError
from edgeresnet.core.files import existing_file, sha256_file, whole_file
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Color, Preprocess, as_json, from_json
from edgeresnet.core.schema import read_json
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE, LOGITS, TensorSpec

if TYPE_CHECKING:
    import onnx

PREFIX = "normalise."
"""Names of the nodes that hold colour order, mean, std and layout start so."""
DECODE = "decode."
"""Names of a detector's nodes behind its heads' maps start so: they count in pixels and places,
so they are computed in float32 whatever the rest is."""
NORMALISED = "normalised"
"""The float32 NCHW tensor that those nodes hand to the network itself, the body."""
OPSET = 17
_KEY = "edgeresnet."
_SCHEMA = "1"


def onnx_package() -> Any:
    """The ``onnx`` package, or the error that says how to get it."""
    try:
        import onnx
    except ImportError as error:
        raise MissingBackendError(
            "the onnx package is needed on the host", hint="pip install 'edgeresnet[quantize]'"
        ) from error
    return onnx


def load_onnx(path: Path) -> onnx.ModelProto:
    """Parse and check an ONNX file; weights beside it are taken in when they lie in its folder."""
    onnx = onnx_package()
    existing_file(path, "graph")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, checker and external-data errors share no base
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"{path} is not a whole ONNX file: {reason[0][:160] if reason else 'cannot parse'}",
            hint="edgeresnet convert makes one from weights",
        ) from error
    return model  # type: ignore[no-any-return]


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of its own, to be changed in place."""
    copied = type(model)()
    copied.CopyFrom(model)
    return copied


def batch_of(model: onnx.ModelProto) -> int:
    """Pictures per run of a contract graph."""
    return int(model.graph.input[0].type.tensor_type.shape.dim[0].dim_value) or 1


def expose(model: onnx.ModelProto, tensors: Iterable[str]) -> onnx.ModelProto:
    """A copy that also gives the float ``tensors`` as outputs, those it gives already apart."""
    onnx = onnx_package()
    exposed = copy_of(model)
    given = {value.name for value in exposed.graph.output}
    exposed.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in tensors
        if name not in given
    )
    return exposed


def read_metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Our entries in the file's metadata, their prefix taken off."""
    return {
        p.key.removeprefix(_KEY): p.value for p in model.metadata_props if p.key.startswith(_KEY)
    }


def write_metadata(model: onnx.ModelProto, entries: Mapping[str, str]) -> None:
    """Set our entries in the file's metadata; others stay."""
    for key, value in entries.items():
        for prop in model.metadata_props:
            if prop.key == _KEY + key:
                prop.value = value
                break
        else:
            prop = model.metadata_props.add()
            prop.key, prop.value = _KEY + key, value


def describe(
    model: onnx.ModelProto,
    *,
    task: str,
    scheme: Scheme,
    preprocess: Preprocess,
    labels: Labels,
    evidence: Evidence,
) -> None:
    """Write what a :class:`Graph` says about itself into the file's metadata."""
    entries = {
        "schema": _SCHEMA,
        "task": task,
        "scheme": scheme.value,
        "preprocess": as_json(preprocess),
        "labels": labels.to_json(),
        "evidence": json.dumps(evidence, sort_keys=True),
    }
    write_metadata(model, entries)


def read_graph(path: Path) -> Graph:
    """Read a contract graph that ``convert`` or ``quantize`` wrote."""
    return graph_of(load_onnx(path), path)


def graph_of(model: onnx.ModelProto, path: Path) -> Graph:
    """The :class:`Graph` that an already parsed file describes."""
    metadata = read_metadata(model)
    if "schema" not in metadata:
        raise ModelError(
            f"{path} is an ONNX file, but not one that edgeresnet wrote",
            hint=f"edgeresnet convert {path} takes it in",
        )
    if metadata["schema"] != _SCHEMA:
        raise ModelError(
            f"{path}: graph schema {metadata['schema']}, this edgeresnet reads {_SCHEMA}",
            hint="convert the weights again with this edgeresnet",
        )
    try:
        graph = Graph(
            path=path,
            sha256=sha256_file(path),
            task=metadata["task"],
            scheme=Scheme(metadata["scheme"]),
            preprocess=from_json(metadata["preprocess"], f"{path}: preprocess"),
            labels=Labels.from_json(metadata["labels"]),
            inputs=tensor_specs(model.graph.input),
            outputs=tensor_specs(model.graph.output),
            evidence=read_json(metadata["evidence"], f"{path}: evidence", ModelError),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: damaged metadata: {error}") from error
    _check_labels(graph)
    return graph


def _check_labels(graph: Graph) -> None:
    for output in graph.outputs:
        classes = output.shape[-1] if output.name == LOGITS and output.shape else None
        if classes is not None and len(graph.labels) not in (0, classes):
            raise ModelError(
                f"{graph.path} has {len(graph.labels)} labels for {classes} outputs",
                hint="convert the weights again, with --classes FILE of one name an output",
            )


def save_onnx(model: onnx.ModelProto, path: Path) -> Graph:
    """Check and write one self-contained file; it appears whole or not at all."""
    onnx = onnx_package()
    onnx.checker.check_model(model)
    with whole_file(path) as temporary:
        onnx.save(model, str(temporary))
    return graph_of(model, path)


def tensor_specs(values: Any) -> tuple[TensorSpec, ...]:
    """What a graph's ``input`` or ``output`` says of each tensor."""
    onnx = onnx_package()
    return tuple(
        TensorSpec(
            v.name,
            onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type).name,
            tuple(
                d.dim_value if d.HasField("dim_value") else None
                for d in v.type.tensor_type.shape.dim
            ),
        )
        for v in values
    )


def prepend_normalisation(model: onnx.ModelProto, preprocess: Preprocess, batch: int) -> None:
    """Turn a body (float32 NCHW in) into a contract graph, in place.

    Transpose and channel order on uint8, then Cast, Mul and Add in float32.
    """
    onnx = onnx_package()
    graph = model.graph
    (body_input,) = graph.input
    _rename_tensor(graph, body_input.name, NORMALISED)
    height, width = preprocess.size
    factor, offset = preprocess.affine()
    step = -1 if preprocess.color is Color.RGB else 1
    constants = {
        "factor": factor[::step].reshape(1, 3, 1, 1),
        "offset": offset[::step].reshape(1, 3, 1, 1),
    }
    if preprocess.color is Color.RGB:
        constants["order"] = np.array([2, 1, 0], np.int64)
    make = onnx.helper.make_node
    planes = f"{PREFIX}planes"
    steps = [make("Transpose", [IMAGE], [planes], name=f"{PREFIX}Transpose", perm=[0, 3, 1, 2])]
    if preprocess.color is Color.RGB:
        ordered = f"{PREFIX}ordered"
        inputs = [planes, f"{PREFIX}order"]
        steps.append(make("Gather", inputs, [ordered], name=f"{PREFIX}Gather", axis=1))
        planes = ordered
    steps += [
        make("Cast", [planes], [f"{PREFIX}float"], name=f"{PREFIX}Cast", to=1),
        make(
            "Mul",
            [f"{PREFIX}float", f"{PREFIX}factor"],
            [f"{PREFIX}scaled"],
            name=f"{PREFIX}Mul",
        ),
        make("Add", [f"{PREFIX}scaled", f"{PREFIX}offset"], [NORMALISED], name=f"{PREFIX}Add"),
    ]
    for name, value in constants.items():
        graph.initializer.append(
            onnx.numpy_helper.from_array(np.ascontiguousarray(value), PREFIX + name)
        )
    nodes = [*steps, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    image = onnx.helper.make_tensor_value_info(
        IMAGE, onnx.TensorProto.UINT8, [batch, height, width, 3]
    )
    graph.input.append(image)


def body_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a contract graph without its normalisation: float32 NCHW ``normalised`` in."""
    onnx = onnx_package()
    body = copy_of(model)
    graph = body.graph
    dims = graph.input[0].type.tensor_type.shape.dim
    batch, height, width, channels = (d.dim_value for d in dims)
    kept = [node for node in graph.node if not node.name.startswith(PREFIX)]
    weights = [w for w in graph.initializer if not w.name.startswith(PREFIX)]
    for field, values in ((graph.node, kept), (graph.initializer, weights)):
        del field[:]
        field.extend(values)
    del graph.input[:]
    shape = [batch, channels, height, width]
    graph.input.append(
        onnx.helper.make_tensor_value_info(NORMALISED, onnx.TensorProto.FLOAT, shape)
    )
    return body


def _rename_tensor(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new


def rename_output(model: onnx.ModelProto, new: str = LOGITS) -> None:
    """Give the only output its contract name, in place."""
    _rename_tensor(model.graph, model.graph.output[0].name, new)
