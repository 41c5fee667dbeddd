"""What each version of TensorRT's Python bindings offers, read from the bindings themselves.

The bindings are small wheels; the libraries they load (a gigabyte, and a GPU to start) are stood
in for by an empty one, compiled here: importing then works, and every class, signature and enum
value can be read. ``tests/golden/tensorrt_api`` keeps the result, which the tests' fake TensorRT
offers and nothing else. x86-64 only, as not all the wheels exist elsewhere.

    python tools/tensorrt_api.py --fetch FOLDER      the wheels, with pip, unpacked
    python tools/tensorrt_api.py --write FOLDER      the text files from them
    python tools/tensorrt_api.py --check FOLDER      exit 1 where they differ
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

GOLDEN = Path(__file__).parents[1] / "tests/golden/tensorrt_api"
RTX = "rtx-1.7.1"
WHEELS = {
    "8.6.1": "tensorrt-bindings==8.6.1",
    "10.3.0": "tensorrt-cu12-bindings==10.3.0",
    "10.13.3": "tensorrt-cu12-bindings==10.13.3.9",
    "10.16.1": "tensorrt-cu12-bindings==10.16.1.11",
    "11.0.0": "tensorrt-cu13-bindings==11.0.0.114",
    "11.4.0": "tensorrt-cu13-bindings==11.4.0.106",
    RTX: "tensorrt-rtx-cu13-bindings==1.7.1.116",
}
PYTHONS = ("3.11", "3.10")
"""What all of the wheels were made for; 8.6.1 goes no further."""
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (17, 28, 31, 35)]
CLASSES = (
    "APILanguage",
    "Builder",
    "BuilderFlag",
    "CalibrationAlgoType",
    "DataType",
    "DeviceType",
    "Dims",
    "EngineCapability",
    "EngineInspector",
    "ErrorCode",
    "ErrorCodeTRT",
    "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILayer",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProfiler",
    "IProgressMonitor",
    "ISerializationConfig",
    "ITensor",
    "ITimingCache",
    "LayerInformationFormat",
    "LayerType",
    "Logger",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "OnnxParserFlag",
    "ParserError",
    "PreviewFeature",
    "Profiler",
    "ProfilingVerbosity",
    "QuantizationFlag",
    "Runtime",
    "RuntimePlatform",
    "SerializationFlag",
    "TacticSource",
    "TempfileControlFlag",
    "TensorFormat",
    "TensorIOMode",
    "TensorLocation",
    "Weights",
    "ComputeCapability",
    "CudaGraphStrategy",
    "DynamicShapesKernelSpecializationStrategy",
    "EngineValidity",
    "IRuntimeCache",
    "IRuntimeConfig",
)
"""Those that a backend can have use for; of the others only the name is kept."""
STUBS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "getBuilderPluginRegistry",
    "initLibNvInferPlugins",
    "_ZN11nvuffparser15createUffParserEv",
    "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    "_ZN14nvcaffeparser117createCaffeParserEv",
    "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
)
"""The functions that any of the bindings wants to find when it is loaded."""
LIBRARIES = (
    *(
        f"lib{name}.so.{major}"
        for major in (8, 10, 11)
        for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser", "nvparsers")
    ),
    "libtensorrt_rtx.so.1",
    "libtensorrt_onnxparser_rtx.so.1",
)
_SPECIAL = ("__init__", "__len__", "__getitem__")
_MODULE = re.compile(r"tensorrt_(?:rtx_)?bindings\.tensorrt(?:_rtx)?\.")
_PACKAGE_MADE = {"attr", "ctypes", "os", "sys", "value", "warnings", "common_enter", "common_exit"}
"""Names that the package's own loading left behind."""


def interpreter() -> tuple[str, str]:
    """A Python that every wheel was made for, and its version; SystemExit where there is none."""
    asked = "import sys; print(*sys.version_info[:2], sep='.')"
    for version in PYTHONS:
        for python in (sys.executable, shutil.which(f"python{version}")):
            command = [python or "", "-c", asked]
            told = python and subprocess.run(command, capture_output=True, text=True, check=False)
            if told and told.stdout.strip() == version:
                return str(python), version
    raise SystemExit(f"error: TensorRT 8.6.1's bindings need Python {' or '.join(PYTHONS)}")


def fetch(folder: Path) -> None:
    """The bindings of every version, each unpacked in a folder of its name."""
    _, version = interpreter()
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    for name, requirement in WHEELS.items():
        if (folder / name).is_dir():
            continue
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", fresh]
            command += ["--implementation", "cp", "--python-version", version, *platforms]
            subprocess.run([*command, requirement], check=True)
            (wheel,) = Path(fresh).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(f"{fresh}/unpacked")
            Path(fresh, "unpacked").rename(folder / name)


def stub_libraries(folder: Path) -> None:
    """Libraries in which every function exists and answers nothing; needs a C compiler."""
    source = "\n".join(f"void *{name}(void) {{ return 0; }}" for name in STUBS)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("error: no C compiler, which the stand-in for TensorRT's libraries needs")
    first, *others = (folder / name for name in LIBRARIES)
    command = [compiler, "-shared", "-fPIC", "-w", "-x", "c", "-o", str(first), "-"]
    subprocess.run(command, input=source, text=True, check=True)
    for other in others:
        shutil.copy(first, other)


def read_all(folder: Path) -> dict[str, str]:
    """Version to its surface as text, each read in a process of its own."""
    python, _ = interpreter()
    found = {}
    with tempfile.TemporaryDirectory() as stubs:
        stub_libraries(Path(stubs))
        environment = {**os.environ, "LD_LIBRARY_PATH": stubs}
        for name in WHEELS:
            command = [python, "-I", __file__, "--read", str(folder / name)]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"error: {name} cannot be read: {done.stderr[-800:]}")
            found[name] = done.stdout
    return found


def surface(trt: ModuleType) -> list[str]:
    """One line for each name of the module and each member of the classes of interest."""
    lines = [f"__version__ = {trt.__version__}"]
    lines += sorted({name for name in dir(trt) if name[0] != "_"} - _PACKAGE_MADE)
    for name in CLASSES:
        if hasattr(trt, name):
            lines += members(name, getattr(trt, name))
    return lines


def members(path: str, owner: type) -> list[str]:
    """``A.b(c: int = 0) -> D`` of a method, ``A.b [get, set]`` of a property, ``A.B = 0``."""
    found, values = [], getattr(owner, "__members__", {})
    for name, value in sorted(values.items(), key=lambda item: (int(item[1]), item[0])):
        found.append(f"{path}.{name} = {int(value)}")
    names = set(dir(owner)) - set(dir(object)) - set(values) | {"__init__"}
    for name in sorted(names - {"__init__", "name", "value"} if values else names):
        useless = owner.__name__ == "INetworkDefinition" and name.startswith("add_")
        if (name[0] != "_" or name in _SPECIAL) and not useless:  # the parser makes our networks
            member = next(c.__dict__[name] for c in owner.__mro__ if name in c.__dict__)
            found += lines_of(f"{path}.{name}", name, member)
    return found


def lines_of(path: str, name: str, member: object) -> list[str]:
    """The lines of one member."""
    if type(member).__name__ == "instancemethod" or hasattr(member, "__func__"):
        return [f"{path.removesuffix(name)}{call}" for call in calls(name, member.__doc__ or "")]
    if isinstance(member, property):
        return [f"{path} [get{', set' if member.fset else ''}]"]
    if isinstance(member, type):
        return members(path, member)
    if hasattr(member, "__int__"):
        return [f"{path} = {int(member)}"]
    return [path] if name != "__init__" else []  # object's own: an instance cannot be made


def calls(name: str, text: str) -> list[str]:
    """Each way to call a method, from the signatures that pybind11 writes into its docstring."""
    pattern = rf"^(?:\d+\. )?({name}\(.*\) -> .*)$"
    found = []
    for line in re.findall(pattern, text, flags=re.MULTILINE):
        plain = re.sub(r"\(self: \w+(?:, )?", "(", _MODULE.sub("", line))
        plain = re.sub(r"<(\w+\.\w+): -?\d+>", r"\1", plain)
        plain = re.sub(r" at 0x[0-9a-f]+", "", plain)
        found.append(plain.replace("(self: handle)", "()"))
    return found or [f"{name}(*args, **kwargs)"]


def _read(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    rtx = (folder / "tensorrt_rtx_bindings").is_dir()
    module = __import__("tensorrt_rtx_bindings" if rtx else "tensorrt_bindings")
    print(*surface(module), sep="\n")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for action in ("fetch", "write", "check", "read"):
        parser.add_argument(f"--{action}", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    if asked.read:
        _read(asked.read)
    if asked.fetch:
        asked.fetch.mkdir(parents=True, exist_ok=True)
        fetch(asked.fetch)
    if asked.write:
        for name, text in read_all(asked.write).items():
            (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")
    differ = False
    for name, text in read_all(asked.check).items() if asked.check else ():
        kept = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
        differ |= kept != text
        two = (kept.splitlines(), text.splitlines(), f"kept {name}", f"read {name}")
        print(*difflib.unified_diff(*two, lineterm="", n=0), sep="\n", end="")
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
