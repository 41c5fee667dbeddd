import onnx
import pytest
from onnx import TensorProto, helper

from edgeresnet.backends import get_backend
from edgeresnet.core.contract import read_graph
from edgeresnet.core.errors import DeviceError, ModelError
from edgeresnet.core.protocols import Mode
from edgeresnet.core.target import load_target

pytest.importorskip("openvino", reason="openvino is not installed")
PRECISION = "INFERENCE_PRECISION_HINT"
TARGET = load_target("intel-cpu")


def test_the_device_reads_openvinos_own_format_and_never_onnx(sample_int8, tmp_path):
    artifact = get_backend("openvino").compile(read_graph(sample_int8), TARGET, tmp_path)
    assert artifact.entry == "model.xml"
    assert {file.name for file in tmp_path.iterdir()} == {"model.xml", "model.bin"}
    assert artifact.normalisation == "engine"


def test_computation_outside_int8_is_float32_and_a_target_may_say_otherwise(sample_graph, tmp_path):
    backend = get_backend("openvino")
    artifact = backend.compile(read_graph(sample_graph), TARGET, tmp_path)
    halves = list(backend.precisions(TARGET).values())[1:]
    for options, kind in (({}, "f32"), *((half, half[PRECISION]) for half in halves)):
        target = TARGET.model_copy(update={"options": options})
        with backend.load(artifact, target, Mode.LATENCY, None) as engine:
            found = engine.compiled.get_property("INFERENCE_PRECISION_HINT")
        assert found.get_type_name() == kind


def test_a_precision_that_the_processor_lacks_is_an_error_and_no_fallback(sample_graph, tmp_path):
    backend = get_backend("openvino")
    has = {options[PRECISION] for options in backend.precisions(TARGET).values()}
    lacks = sorted({"bf16", "f16"} - has)
    if not lacks:
        pytest.skip("this processor has both half precisions")
    artifact = backend.compile(read_graph(sample_graph), TARGET, tmp_path)
    target = TARGET.with_options({PRECISION: lacks[0]})
    with (
        pytest.raises(DeviceError, match=f"computes in .*, not in {lacks[0]}"),
        backend.load(artifact, target, Mode.LATENCY, None),
    ):
        pass


def test_a_device_put_together_of_others_has_float32_and_loads(sample_graph, tmp_path):
    backend = get_backend("openvino")
    target = TARGET.model_copy(update={"device": "AUTO:CPU"})
    assert backend.precisions(target) == {"float32": {PRECISION: "f32"}}
    artifact = backend.compile(read_graph(sample_graph), target, tmp_path)
    with backend.load(artifact, target, Mode.LATENCY, None) as engine:
        assert engine.parallel >= 1


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
