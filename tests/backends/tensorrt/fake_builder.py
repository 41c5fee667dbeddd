"""The fake TensorRT from an ONNX file to a plan: parser, network, configuration, builder."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import onnx
from fake_parts import (
    MAGIC,
    TIMING,
    Fake,
    ProcessDiedError,
    dtype_of,
    host_memory,
    inputs_of,
    log,
    shape_of,
)
from fake_surface import Thing

_STEPS, _INNER_STEPS = 4, 20


class Logger(Thing):
    _kinds = {"min_severity": "ILogger.Severity"}

    def _get_min_severity(self) -> Any:
        return self.__dict__.get("_min_severity", self._trt.Logger.WARNING)

    def _log(self, severity: Any, msg: str) -> None:
        if int(severity) <= int(self.min_severity):
            sys.stderr.write(f"[TRT] [{severity.name[0]}] {msg}\n")


class Parser(Thing):
    """OnnxParser."""

    def _init(self, network: Any, logger: Any) -> None:
        self._network, self._logger, self._errors = network, logger, []
        self._on: set[int] = set()

    def _parse_from_file(self, model: str) -> bool:
        try:
            parsed = onnx.load(model)
        except Exception:  # noqa: BLE001  whatever is wrong with it
            name = self._trt.ErrorCode.MODEL_DESERIALIZE_FAILED
            return self._refuse(-1, f"Failed to parse ONNX model from file: {model}!", name)
        return self._take(parsed)

    def _parse(self, model: Any, path: Any = None) -> bool:
        try:
            parsed = onnx.load_from_string(bytes(model))
        except Exception:  # noqa: BLE001
            name = self._trt.ErrorCode.MODEL_DESERIALIZE_FAILED
            return self._refuse(-1, "Failed to parse the ONNX model.", name)
        return self._take(parsed)

    def _take(self, model: onnx.ModelProto) -> bool:
        self._nodes = list(model.graph.node)
        fake, creation = self._trt.fake, self._trt.NetworkDefinitionCreationFlag.__members__
        explicit = creation.get("EXPLICIT_BATCH")
        if fake.major < 10 and not self._network._bits & 1 << int(explicit):
            return self._refuse(
                -1,
                "This version of the ONNX parser only supports TensorRT "
                "INetworkDefinitions with an explicit batch dimension.",
            )
        for number, reason in (*fake.faults.parse_errors, *_refused(model)):
            self._refuse(number, reason)
        if self._errors:
            return False
        self._network._model = model
        return True

    def _refuse(self, number: int, reason: str, code: Any = None) -> bool:
        code = code or self._trt.ErrorCode.UNSUPPORTED_NODE
        node = self._nodes[number] if number >= 0 else None
        made = self._trt.ParserError.made(number=number, reason=reason, error=code, at=node)
        self._errors.append(made)
        log(self._trt, self._logger, "ERROR", f"ModelImporter.cpp:948: ERROR: {reason}")
        return False

    def _get_num_errors(self) -> int:
        return len(self._errors)

    def _get_error(self, index: int) -> Any:
        return self._errors[index]

    def _clear_errors(self) -> None:
        self._errors.clear()

    def _set_flag(self, flag: Any) -> None:
        if flag.name == "ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA":
            raise ProcessDiedError(f"{flag.name} off the DLA")
        self._on.add(int(flag))

    def _clear_flag(self, flag: Any) -> None:
        self._on.discard(int(flag))

    def _get_flag(self, flag: Any) -> bool:
        return int(flag) in self._on


class Refusal(Thing):
    """ParserError."""

    def _code(self) -> Any:
        return self._error

    def _desc(self) -> str:
        return self._reason

    def _file(self) -> str:
        return "ModelImporter.cpp"

    def _func(self) -> str:
        return "parseNode"

    def _line(self) -> int:
        return 948

    def _node(self) -> int:
        return self._number

    def _node_name(self) -> str:
        return self._at.name if self._at is not None else ""

    def _node_operator(self) -> str:
        return self._at.op_type if self._at is not None else ""

    def _local_function_stack(self) -> list[str]:
        return []

    def _local_function_stack_size(self) -> int:
        return 0


def _refused(model: onnx.ModelProto) -> list[tuple[int, str]]:
    """What every parser refuses of Q/DQ graphs."""
    tables = {each.name: each for each in model.graph.initializer}
    found = []
    for number, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx"):
            found.append((number, f"Plugin not found, are the plugin name {node.op_type} correct?"))
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        source = tables.get(node.input[0])
        if source is not None and source.data_type == onnx.TensorProto.INT32:
            reason = "input has type Int32 but must have type FP8, FP4, Int4, Int8, or UInt8"
            found.append((number, reason))
        zero = tables.get(node.input[2]) if len(node.input) > 2 else None
        if zero is not None and onnx.numpy_helper.to_array(zero).astype(np.int64).any():
            reason = "Assertion failed: shiftIsAllZeros(zeroPoint): Non-zero zero point is not"
            found.append((number, f"{reason} supported."))
    return found


class Network(Thing):
    """INetworkDefinition."""

    _model: Any = None

    def _io(self, values: Any) -> list[Any]:
        return [self._trt.ITensor.made(value=value) for value in values]

    def _inputs(self) -> list[Any]:
        return self._io(inputs_of(self._model)) if self._model else []

    def _outputs(self) -> list[Any]:
        return self._io(self._model.graph.output) if self._model else []

    def _get_num_inputs(self) -> int:
        return len(self._inputs())

    def _get_num_outputs(self) -> int:
        return len(self._outputs())

    def _get_num_layers(self) -> int:
        return len(self._model.graph.node) if self._model else 0

    def _get_input(self, index: int) -> Any:
        return self._inputs()[index] if 0 <= index < self.num_inputs else None

    def _get_output(self, index: int) -> Any:
        return self._outputs()[index] if 0 <= index < self.num_outputs else None

    def _get_layer(self, index: int) -> Any:
        return self._trt.ILayer.made(node=self._model.graph.node[index])

    def _get_name(self) -> str:
        return "Unnamed Network 0"

    def _get_flags(self) -> int:
        return self._bits

    def _get_flag(self, flag: Any) -> bool:
        return bool(self._bits & 1 << int(flag))

    def _get_has_implicit_batch_dimension(self) -> bool:
        explicit = self._trt.NetworkDefinitionCreationFlag.__members__.get("EXPLICIT_BATCH")
        return self._trt.fake.major < 10 and not self._bits & 1 << int(explicit)


class Layer(Thing):
    def _get_name(self) -> str:
        return self._node.name


class Tensor(Thing):
    def _get_name(self) -> str:
        return self._value.name

    def _get_shape(self) -> Any:
        return self._trt.Dims(list(shape_of(self._value)))

    def _get_dtype(self) -> Any:
        return dtype_of(self._trt, self._value)


class Dims(Thing):
    def _init(self, shape: Any = ()) -> None:
        self._shape = tuple(int(each) for each in shape)

    def _do__len__(self) -> int:
        return len(self._shape)

    def _do__getitem__(self, arg0: Any) -> Any:
        return self._shape[arg0]

    def __iter__(self) -> Any:  # pybind11's goes by __getitem__
        return iter(self._shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple | list):  # not even another Dims
            raise TypeError("__eq__(): incompatible function arguments.")
        return self._shape == tuple(other)

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self._shape)


class Profile(Thing):
    """IOptimizationProfile."""

    def _set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002
        self.__dict__.setdefault("_shapes", {})[input] = tuple(map(tuple, (min, opt, max)))

    def _get_shape(self, input: str) -> Any:  # noqa: A002
        shapes = self.__dict__.get("_shapes", {}).get(input, ())
        return [self._trt.Dims(list(shape)) for shape in shapes]


class TimingCache(Thing):
    """ITimingCache."""

    def _serialize(self) -> Any:
        return host_memory(self._trt, TIMING + _mark(self._trt.fake) + b"." * self._entries)

    def _reset(self) -> bool:
        self._entries = 0
        return True


def _mark(fake: Fake) -> bytes:
    return f"{fake.version}|{fake.device}|".encode()


class Config(Thing):
    """IBuilderConfig."""

    _kinds = {
        "profiling_verbosity": "ProfilingVerbosity",
        "builder_optimization_level": "int",
        "progress_monitor": "IProgressMonitor",
        "hardware_compatibility_level": "HardwareCompatibilityLevel",
        "default_device_type": "DeviceType",
        "engine_capability": "EngineCapability",
        "avg_timing_iterations": "int",
        "max_aux_streams": "int",
        "flags": "int",
    }

    def _start(self) -> None:
        self._on: set[str] = set()
        self._pools: dict[str, int] = {}
        self._profiles: list[Any] = []
        self._cache: Any = None
        self._sources = 0
        trt, defaults = self._trt, {}
        for member in trt.TacticSource.__members__.values():
            self._sources |= 1 << int(member)
        defaults["profiling_verbosity"] = trt.ProfilingVerbosity.LAYER_NAMES_ONLY
        defaults["builder_optimization_level"] = 3
        defaults["progress_monitor"] = None
        defaults["avg_timing_iterations"] = 1
        self._state.update(defaults)

    def _get_flags(self) -> int:
        members = self._trt.BuilderFlag.__members__
        return sum(1 << int(members[name]) for name in self._on)

    def _set_flag(self, flag: Any) -> None:
        self._on.add(flag.name)

    def _clear_flag(self, flag: Any) -> None:
        self._on.discard(flag.name)

    def _get_flag(self, flag: Any) -> bool:
        return flag.name in self._on

    def _set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        if pool_size < 0:
            raise TypeError("set_memory_pool_limit(): incompatible function arguments.")
        self._pools[pool.name] = pool_size

    def _get_memory_pool_limit(self, pool: Any) -> int:
        return self._pools.get(pool.name, 0)

    def _set_tactic_sources(self, tactic_sources: int) -> bool:
        self._sources = tactic_sources
        return True

    def _get_tactic_sources(self) -> int:
        return self._sources

    def _set_preview_feature(self, feature: Any, enable: bool) -> None:
        pass

    def _create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        given = bytes(serialized_timing_cache)
        mark = TIMING + _mark(self._trt.fake)
        entries = len(given) - len(mark) if given.startswith(mark) else 0
        fits_here = not given or given.startswith(mark)
        return self._trt.ITimingCache.made(entries=entries, fits_here=fits_here)

    def _set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        refused = self._trt.fake.faults.timing_cache_refused
        if refused or not (cache._fits_here or ignore_mismatch):
            return False
        self._cache = cache
        return True

    def _get_timing_cache(self) -> Any:
        return self._cache

    def _add_optimization_profile(self, profile: Any) -> int:
        shapes = profile.__dict__.get("_shapes", {})
        for least, best, most in shapes.values():
            triples = list(zip(least, best, most, strict=True))
            if any(not 0 <= a <= b <= c for a, b, c in triples):
                return -1
        self._profiles.append(shapes)
        return len(self._profiles) - 1

    def _get_num_optimization_profiles(self) -> int:
        return len(self._profiles)


class BuilderThing(Thing):
    """Builder."""

    def _init(self, logger: Any) -> None:
        self._logger = logger
        if self._trt.fake.blind and not self._trt.fake.rtx:  # RTX builds without a GPU
            log(self._trt, logger, "ERROR", "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def _create_network(self, flags: int = 0) -> Any:
        return self._trt.INetworkDefinition.made(bits=flags)

    def _create_builder_config(self) -> Any:
        return self._trt.IBuilderConfig.made()

    def _create_optimization_profile(self) -> Any:
        return self._trt.IOptimizationProfile.made()

    def _get_num_DLA_cores(self) -> int:  # noqa: N802
        return 0

    def _get_platform_has_fast_int8(self) -> bool:
        return True

    def _get_platform_has_fast_fp16(self) -> bool:
        return True

    def _is_network_supported(self, network: Any, config: Any) -> bool:
        return True

    def _build_serialized_network(self, network: Any, config: Any) -> Any:
        trt, fake = self._trt, self._trt.fake
        strong = is_strong(trt, network)
        fake.builds.append(
            {
                "flags": frozenset(config._on),
                "strongly_typed": strong,
                "pools": dict(config._pools),
                "profiles": list(config._profiles),
                "verbosity": config.profiling_verbosity.name,
                "level": config.builder_optimization_level,
                "timing": config._cache._entries if config._cache else None,
                "sources": config._sources,
                "monitored": config._state["progress_monitor"] is not None,
            }
        )
        problem = fake.faults.build_error or self._problem(network, config, strong)
        if problem:
            return self._give_up(problem)
        if not self._work(config):
            return self._give_up(
                "IBuilder::buildSerializedNetwork: Error Code 7: BuildCanceled "
                "(Build canceled by user In next)"
            )
        if fake.faults.build_out_of_memory:
            self._give_up(
                "[virtualMemoryBuffer.cpp::resizePhysical::145] Error Code 2: "
                "OutOfMemory (Requested size was 268435456 bytes.)"
            )
            return self._give_up(
                "[optimizer.cpp::computeCosts::4164] Error Code 10: Internal "
                "Error (Could not find any implementation for node "
                f"{network._model.graph.node[0].name}.)"
            )
        if config._cache is not None:
            config._cache._entries += 1
        head = {
            "version": fake.version,
            "device": fake.device,
            "capability": fake.capability,
            "profiles": config._profiles,
            "verbosity": config.profiling_verbosity.name,
            "flags": sorted(config._on),
        }
        return host_memory(trt, plan_of(head, network._model.SerializeToString()))

    def _problem(self, network: Any, config: Any, strong: bool) -> str:
        if network._model is None:
            return "Error Code 4: Internal Error (Network must have at least one output)"
        kinds = {node.op_type for node in network._model.graph.node}
        narrow = config._on & {"FP16", "INT8", "BF16", "FP8"}
        if strong and narrow:
            return (
                f"IBuilder::buildSerializedNetwork: Error Code 3: API Usage Error (Flag "
                f"{min(narrow)} cannot be set in a strongly typed network)"
            )
        if not strong and "QuantizeLinear" in kinds and "INT8" not in config._on:
            return "Error Code 4: API Usage Error (Q/DQ layers need the builder flag INT8)"
        for value in inputs_of(network._model):
            if -1 in shape_of(value) and not any(value.name in p for p in config._profiles):
                return (
                    "Error Code 4: API Usage Error (Network has dynamic or shape inputs, but "
                    "no optimization profile has been defined.)"
                )
        return ""

    def _give_up(self, text: str) -> None:
        log(self._trt, self._logger, "ERROR", text)

    def _work(self, config: Any) -> bool:
        """The steps of a build, told to the monitor, the inner phase from another thread."""
        monitor, faults = config._state["progress_monitor"], self._trt.fake.faults
        going, outer = True, "Building engine"

        def told(step: Any, *arguments: Any) -> Any:
            try:
                return step(*arguments)
            except BaseException as error:  # noqa: BLE001  as pybind11 does, which cancels
                sys.stderr.write(f"[ERROR] Exception caught in {step.__name__}(): {error!r}\n")
                return False

        if monitor is not None:
            told(monitor.phase_start, outer, None, _STEPS + 1)  # the last is never told
        for step in range(_STEPS):
            if faults.build_kills and step == _STEPS // 2:
                os.kill(os.getpid(), signal.SIGKILL)
            if monitor is not None:
                answers: list[Any] = []
                inner = threading.Thread(target=self._inner, args=(monitor, outer, told, answers))
                inner.start()
                inner.join()
                going = answers[0] and told(monitor.step_complete, outer, step)
            else:
                time.sleep(faults.build_s / _STEPS)
            if not going:
                break
        if monitor is not None:
            told(monitor.phase_finish, outer)
        return going

    def _inner(self, monitor: Any, outer: str, told: Any, answers: list[Any]) -> None:
        """Where the minutes pass."""
        seconds = self._trt.fake.faults.build_s / _STEPS
        told(monitor.phase_start, "Timing graph nodes", outer, _INNER_STEPS)
        for step in range(_INNER_STEPS):
            time.sleep(seconds / _INNER_STEPS)
            answers[:] = [told(monitor.step_complete, "Timing graph nodes", step)]
            if not answers[0]:
                break
        told(monitor.phase_finish, "Timing graph nodes")


def is_strong(trt: Any, network: Any) -> bool:
    """Whether types are the graph's own."""
    member = trt.NetworkDefinitionCreationFlag.__members__.get("STRONGLY_TYPED")
    asked = member is not None and bool(network._bits & 1 << int(member))
    return asked or trt.fake.major >= 11


def plan_of(head: dict[str, Any], model: bytes) -> bytes:
    """Bytes of a plan."""
    text = json.dumps(head, sort_keys=True).encode()
    body = len(text).to_bytes(4, "little") + text + model
    return MAGIC + hashlib.sha256(body).digest() + body
