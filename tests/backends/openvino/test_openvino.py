import onnx
import pytest
from onnx import TensorProto, helper

from edgeresnet.backends import get_backend
from edgeresnet.core.contract import read_graph
from edgeresnet.core.errors import ModelError
from edgeresnet.core.protocols import Mode
from edgeresnet.core.target import load_target

pytest.importorskip("openvino", reason="openvino is not installed")
TARGET = load_target("intel-cpu")


def test_the_device_reads_openvinos_own_format_and_never_onnx(sample_int8, tmp_path):
    artifact = get_backend("openvino").compile(read_graph(sample_int8), TARGET, tmp_path)
    assert artifact.entry == "model.xml"
    assert {file.name for file in tmp_path.iterdir()} == {"model.xml", "model.bin"}
    assert artifact.normalisation == "engine"


def test_computation_outside_int8_is_float32_and_a_target_may_say_otherwise(sample_graph, tmp_path):
    backend = get_backend("openvino")
    artifact = backend.compile(read_graph(sample_graph), TARGET, tmp_path)
    for options, kind in (({}, "f32"), ({"INFERENCE_PRECISION_HINT": "bf16"}, "bf16")):
        target = TARGET.model_copy(update={"options": options})
        with backend.load(artifact, target, Mode.LATENCY, None) as engine:
            found = engine.compiled.get_property("INFERENCE_PRECISION_HINT")
        assert found.get_type_name() == kind


def test_what_openvino_cannot_import_is_a_model_error(sample_graph, tmp_path):
    model = onnx.load(str(sample_graph))
    node = helper.make_node("NoSuchOperator", ["logits"], ["more"], domain="nowhere")
    model.graph.node.append(node)
    model.opset_import.append(helper.make_opsetid("nowhere", 1))
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1, 24]))
    path = tmp_path / "strange.onnx"
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=r"cannot import .*strange\.onnx"):
        get_backend("openvino").compile(read_graph(path), TARGET, tmp_path)
