"""The fake TensorRT from a plan to results: runtime, engine, context, inspector."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import threading
from typing import Any

import numpy as np
import onnx
import onnxruntime
from fake_parts import (
    MAGIC,
    NUMPY,
    ProcessDiedError,
    dtype_of,
    host_memory,
    inputs_of,
    log,
    output_shape,
    shape_of,
)
from fake_surface import Thing

_ALIGNED = 256

_DETAILED = "DETAILED"

_ABSORBED = ("QuantizeLinear", "DequantizeLinear", "Constant")

_LAYERS = {
    "Conv": ("CaskConvolution", "Convolution"),
    "Gemm": ("gemm", "MatrixMultiply"),
    "MatMul": ("gemm", "MatrixMultiply"),
    "MaxPool": ("CaskPooling", "Pooling"),
    "GlobalAveragePool": ("CaskPooling", "Pooling"),
    "Add": ("PointWiseV2", "PointWise"),
    "Mul": ("PointWiseV2", "PointWise"),
    "Relu": ("PointWiseV2", "PointWise"),
    "Transpose": ("Shuffle", "Shuffle"),
    "Flatten": ("NoOp", "NoOp"),
    "Cast": ("Reformat", "Reformat"),
}

_TACTICS = {
    "INT8": "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_nchw_vect_c_32kcrs",
    "FP16": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc",
    "FP32": "sm80_xmma_fprop_implicit_gemm_f32f32_f32f32_f32_nhwckrsc_nhwc",
}

_TYPES = {"INT8": "Int8", "FP16": "Half", "FP32": "Float"}


class RuntimeThing(Thing):
    """Runtime."""

    def _init(self, logger: Any) -> None:
        self._logger = logger
        if self._trt.fake.blind:
            if self._trt.fake.major < 10:
                raise ProcessDiedError("Runtime without CUDA")
            log(self._trt, logger, "ERROR", "CUDA initialization failure with error: 35")

    def _deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        fake, given = self._trt.fake, bytes(serialized_engine)
        body = given[len(MAGIC) + 32 :]
        whole = given[: len(MAGIC)] == MAGIC
        whole = whole and hashlib.sha256(body).digest() == given[len(MAGIC) : len(MAGIC) + 32]
        if not whole:
            return self._refuse(
                "Error Code 1: Serialization (Serialization assertion "
                "magicTagRead == kMAGIC_TAG failed. Magic tag does not match)"
            )
        size = 4 + int.from_bytes(body[:4], "little")
        head = json.loads(body[4:size])
        if head["version"] != fake.version:
            return self._refuse(
                "The engine plan file is not compatible with this version of "
                f"TensorRT, expecting library version {fake.version} got "
                f"{head['version']}, please rebuild."
            )
        if (head["capability"], head["device"]) != (fake.capability, fake.device):
            return self._refuse(
                "The engine plan file is generated on an incompatible device, "
                f"expecting compute {fake.capability} got compute "
                f"{head['capability']}, please rebuild."
            )
        if fake.faults.deserialize_fails or fake.blind:
            return self._refuse("Error Code 2: Internal Error (engine cannot be loaded)")
        model = onnx.load_from_string(body[size:])
        return self._trt.ICudaEngine.made(head=head, model=model, plan=given, logger=self._logger)

    def _refuse(self, text: str) -> None:
        log(self._trt, self._logger, "ERROR", f"IRuntime::deserializeCudaEngine: {text}")


class Engine(Thing):
    """ICudaEngine."""

    def _start(self, **state: Any) -> None:
        super()._start(**state)
        self._ins = {value.name: value for value in inputs_of(self._model)}
        self._outs = {value.name: value for value in self._model.graph.output}
        self._contexts = 0
        self._lock = threading.Lock()
        self._session: Any = None

    def _computing(self) -> Any:
        with self._lock:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = options.inter_op_num_threads = 1
                options.log_severity_level = 3
                options.add_session_config_entry("session.disable_quant_qdq", "1")  # fuses wrongly
                self._session = onnxruntime.InferenceSession(
                    self._model.SerializeToString(), options, ["CPUExecutionProvider"]
                )
            return self._session

    def _value(self, name: str) -> Any:
        return self._ins.get(name) or self._outs.get(name)

    def _get_num_io_tensors(self) -> int:
        return len(self._ins) + len(self._outs)

    def _get_tensor_name(self, index: int) -> str:
        return [*self._ins, *self._outs][index]

    def _get_tensor_mode(self, name: str) -> Any:
        modes = self._trt.TensorIOMode
        return (
            modes.INPUT if name in self._ins else modes.OUTPUT if name in self._outs else modes.NONE
        )

    def _get_tensor_shape(self, name: str) -> Any:
        return self._trt.Dims(list(shape_of(self._value(name))))

    def _get_tensor_dtype(self, name: str) -> Any:
        return dtype_of(self._trt, self._value(name))

    def _get_tensor_location(self, name: str) -> Any:
        return self._trt.TensorLocation.DEVICE

    def _get_tensor_profile_shape(self, name: str, profile_index: int) -> Any:
        profiles = self._head["profiles"]
        shapes = profiles[profile_index].get(name) if profiles else None
        shapes = shapes or [shape_of(self._value(name))] * 3
        return [self._trt.Dims(list(shape)) for shape in shapes]

    def _get_num_layers(self) -> int:
        return len(self._model.graph.node)

    def _get_num_optimization_profiles(self) -> int:
        return max(1, len(self._head["profiles"]))

    def _get_device_memory_size(self) -> int:
        return 1 << 20

    _get_device_memory_size_v2 = _get_device_memory_size

    def _get_name(self) -> str:
        return self._model.graph.name

    def _get_has_implicit_batch_dimension(self) -> bool:
        return False

    def _get_profiling_verbosity(self) -> Any:
        return getattr(self._trt.ProfilingVerbosity, self._head["verbosity"])

    def _serialize(self) -> Any:
        return host_memory(self._trt, self._plan)

    def _create_engine_inspector(self) -> Any:
        return self._trt.EngineInspector.made(engine=self)

    def _create_execution_context(self, **_: Any) -> Any:
        if self._trt.fake.faults.context_fails:
            log(
                self._trt,
                self._logger,
                "ERROR",
                "IExecutionContext creation: Error Code 2: "
                "OutOfMemory (Requested size was 11534336 bytes.)",
            )
            return None
        made = self._trt.IExecutionContext.made(owner=self, number=self._contexts)
        self._contexts += 1
        self._trt.fake.contexts.add(made)
        return made


class ExecutionContext(Thing):
    """IExecutionContext."""

    def _start(self, owner: Any, number: int) -> None:
        self._owner, self._number = owner, number
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._warm = False
        for name, value in owner._ins.items():
            if -1 not in shape_of(value):
                self._shapes[name] = shape_of(value)

    def _get_engine(self) -> Any:
        return self._owner

    def _get_name(self) -> str:
        return ""

    def _set_input_shape(self, name: str, shape: Any) -> bool:
        shape = tuple(shape)
        if name not in self._owner._ins:
            return self._fault(f"IExecutionContext::setInputShape: no input {name}")
        least, _, most = (tuple(each) for each in self._owner._get_tensor_profile_shape(name, 0))
        fit = len(shape) == len(least)
        if not fit or any(not a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            return self._fault(
                f"IExecutionContext::setInputShape: Error Code 3: {shape} is not "
                f"within the profile's {least} to {most} of {name}"
            )
        self._warm &= self._shapes.get(name) == shape
        self._shapes[name] = shape
        return True

    def _get_tensor_shape(self, name: str) -> Any:
        if name in self._shapes:
            return self._trt.Dims(list(self._shapes[name]))
        shape = shape_of(self._owner._value(name))
        if name in self._owner._outs and not self._missing():
            shape = output_shape(self._owner._model, self._shapes, name)
        return self._trt.Dims(list(shape))

    def _missing(self) -> list[str]:
        return [name for name in self._owner._ins if name not in self._shapes]

    def _infer_shapes(self) -> list[str]:
        return self._missing()

    def _get_all_binding_shapes_specified(self) -> bool:
        return not self._missing()

    def _set_tensor_address(self, name: str, memory: int) -> bool:
        if self._owner._value(name) is None:
            return self._fault(f"IExecutionContext::setTensorAddress: no tensor {name}")
        self._addresses[name] = memory
        return True

    def _get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def _set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        return profile_index < self._owner.num_optimization_profiles

    def _fault(self, text: str) -> bool:
        log(self._trt, self._owner._logger, "ERROR", text)
        return False

    def _sizes(self) -> dict[str, int]:
        found = {}
        for name in (*self._owner._ins, *self._owner._outs):
            kind = NUMPY[dtype_of(self._trt, self._owner._value(name)).name]
            count = math.prod(tuple(self._get_tensor_shape(name)))
            found[name] = int(np.dtype(kind).itemsize * count)
        return found

    def _execute_async_v3(self, stream_handle: int) -> bool:
        fake = self._trt.fake
        cuda, faults = fake.cuda, fake.faults
        if faults.execute_raises:
            raise RuntimeError(faults.execute_raises)
        if faults.execute_fails:
            return self._fault(
                "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime "
                "(an illegal memory access was encountered)"
            )
        if self._missing():
            return self._fault(f"enqueueV3: Error Code 3: shape of {self._missing()[0]} not set")
        for name, size in self._sizes().items():
            address = self._addresses.get(name, 0)
            if not address:
                return self._fault(f"enqueueV3: Error Code 3: Address is not set for {name}")
            if address % _ALIGNED or (cuda is not None and not cuda.reachable(address, size)):
                return self._fault(f"enqueueV3: Error Code 1: Cuda Runtime: address of {name}")
        work = self._work(dict(self._addresses), dict(self._shapes))
        if cuda is None:
            work()
        elif cuda.capturing(stream_handle) and not self._warm:  # lazy loading cannot be captured
            cuda.break_capture(stream_handle)
            return self._fault(
                "enqueueV3: Error Code 1: operation not permitted when stream is capturing"
            )
        else:
            cuda.enqueue(stream_handle, work)
        self._warm = True
        return True

    def _work(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> Any:
        def work() -> None:
            fake, owner = self._trt.fake, self._owner
            feeds = {}
            for name, value in owner._ins.items():
                kind = np.dtype(NUMPY[dtype_of(self._trt, value).name])
                size = math.prod(shapes[name]) * kind.itemsize
                raw = ctypes.string_at(addresses[name], size)
                feeds[name] = np.frombuffer(raw, kind).reshape(shapes[name])
            results = owner._computing().run(list(owner._outs), feeds)
            wrong = fake.faults.wrong
            if fake.faults.wrong_contexts and self._number not in fake.faults.wrong_contexts:
                wrong = 0
            for name, result in zip(owner._outs, results, strict=True):
                error = wrong * np.arange(result.shape[-1])  # else softmax would not see it
                given = np.ascontiguousarray((result + error).astype(result.dtype))
                if fake.faults.spoils is not None:
                    given = np.ascontiguousarray(fake.faults.spoils(name, given), given.dtype)
                ctypes.memmove(addresses[name], given.ctypes.data, given.nbytes)
            fake.runs += 1

        return work


class Inspector(Thing):
    """EngineInspector: a convolution takes the Add and the ReLU behind it in, as the real one."""

    def _get_engine_information(self, format: Any) -> str:  # noqa: A002
        layers = [self._of(nodes) for nodes in self._fused()]
        if format.name == "ONELINE":
            return "\n".join(str(layer) for layer in layers)
        ends = [*self._engine._ins, *self._engine._outs]
        key = "I/O Tensors" if self._trt.fake.major >= 11 else "Bindings"
        return json.dumps({"Layers": layers, key: ends})

    def _get_layer_information(self, layer_index: int, format: Any) -> str:  # noqa: A002
        return json.dumps(self._of(self._fused()[layer_index]))

    def _fused(self) -> list[list[Any]]:
        nodes = self._engine._model.graph.node
        readers: dict[str, list[Any]] = {}
        for node in nodes:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        found, taken = [], set()
        for node in sorted(nodes, key=lambda node: node.op_type != "Conv"):
            if node.op_type in _ABSORBED or node.name in taken:
                continue
            group = [node]
            while node.op_type == "Conv":
                after = readers.get(group[-1].output[0], [])
                if len(after) != 1 or after[0].op_type not in ("Add", "Relu"):
                    break
                if after[0].name in taken:
                    break
                group.append(after[0])
                taken.add(after[0].name)
            found.append(group)
        order = {node.name: at for at, node in enumerate(nodes)}
        return sorted(found, key=lambda group: order[group[0].name])

    def _of(self, nodes: list[Any]) -> Any:
        name = " + ".join(node.name for node in nodes)
        if self._engine._head["verbosity"] != _DETAILED:
            return name
        node, precision = nodes[0], self._precision(nodes[0])
        kind = _LAYERS.get(node.op_type, ("kgen", "Kgen"))
        found = {
            "Name": name,
            "LayerType": kind[0],
            "Inputs": [self._tensor(node.input[0], precision)] if node.input else [],
            "Outputs": [self._tensor(nodes[-1].output[0], precision)],
            "ParameterType": kind[1],
            "TacticValue": "0x0000000000000000",
        }
        if kind[1] in ("Convolution", "MatrixMultiply"):
            found["TacticName"] = _TACTICS[precision]
            found["Weights"] = {"Type": _TYPES[precision], "Count": 1}
        if self._trt.fake.major >= 10:
            found["StreamId"] = 0
            found["Metadata"] = "\x1e".join(f"[ONNX Layer: {each.name}]" for each in nodes)
        return found

    def _precision(self, node: Any) -> str:
        graph = self._engine._model.graph
        producer = {name: each for each in graph.node for name in each.output}
        first = producer.get(node.input[0]) if node.input else None
        left = node.name in self._trt.fake.faults.float_layers
        if not left and first is not None and first.op_type == "DequantizeLinear":
            return "INT8"
        halves = any(each.data_type == onnx.TensorProto.FLOAT16 for each in graph.initializer)
        return "FP16" if halves or "FP16" in self._engine._head["flags"] else "FP32"

    def _tensor(self, name: str, precision: str) -> dict[str, Any]:
        if self._trt.fake.major >= 11:
            parts = {"Format": "Row major linear", "Datatype": _TYPES[precision]}
        else:
            parts = {"Format/Datatype": f"Row major linear {precision} format"}
        return {"Name": name, "Location": "Device", "Dimensions": [1], **parts}
