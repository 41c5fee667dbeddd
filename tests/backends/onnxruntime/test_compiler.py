import onnx
import pytest

from edgeresnet.backends.onnxruntime import ENTRY, TABLE, backend
from edgeresnet.backends.onnxruntime.compiler import write_body
from edgeresnet.backends.onnxruntime.host import HostTable
from edgeresnet.core.contract import PREFIX, read_graph
from edgeresnet.core.errors import ModelError
from edgeresnet.core.protocols import Mode
from edgeresnet.core.target import load_target


def body(path, tmp_path):
    write_body(read_graph(path), tmp_path / ENTRY)
    return onnx.load(str(tmp_path / ENTRY))


def quantizes(model):
    return sum(node.op_type == "QuantizeLinear" for node in model.graph.node)


def table(model):
    (prop,) = model.metadata_props
    assert prop.key == TABLE
    return HostTable.from_text(prop.value)


def test_the_normalisation_and_the_quantize_behind_it_move_to_the_host(sample_int8, tmp_path):
    model = body(sample_int8, tmp_path)
    kind = model.graph.input[0].type.tensor_type.elem_type
    assert kind == onnx.TensorProto.UINT8
    assert table(model).values.dtype == "uint8"
    assert not [node for node in model.graph.node if node.name.startswith(PREFIX)]
    assert quantizes(model) == quantizes(onnx.load(str(sample_int8))) - 1


def test_a_float_network_gets_float_planes(sample_graph, tmp_path):
    model = body(sample_graph, tmp_path)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert table(model).values.dtype == "float32"


def test_a_contract_graph_in_the_place_of_its_body_is_refused(sample_graph, tmp_path):
    target = load_target("generic-cpu")
    artifact = backend.compile(read_graph(sample_graph), target, tmp_path)
    artifact.path.write_bytes(sample_graph.read_bytes())
    with pytest.raises(ModelError, match="not one that this backend compiled"):
        backend.load(artifact, target, Mode.LATENCY, None).__enter__()
