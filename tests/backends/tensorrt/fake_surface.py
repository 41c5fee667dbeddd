"""Classes with exactly the members that a version of TensorRT's bindings has.

Read from ``tests/golden/tensorrt_api``. What a class does comes from another class, whose method
``_name`` is called for ``name`` with the arguments under their names; what it does not do is
refused loudly. Wrong names, numbers and types of arguments are refused as pybind11 would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[2] / "golden/tensorrt_api"
_CALL = re.compile(r"([\w.]+)\((.*)\) -> (.*)")
_VALUE = re.compile(r"([\w.]+) = (-?\d+)")
_PROPERTY = re.compile(r"([\w.]+) \[get(, set)?\]")
_REQUIRED = object()
_SEQUENCES = ("List[", "list[", "collections.abc.Sequence[")


@dataclass(frozen=True)
class Call:
    """One way to call a method."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    defaults: tuple[Any, ...]


@dataclass
class Members:
    """What a class has."""

    calls: dict[str, list[Call]] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)
    properties: dict[str, bool] = field(default_factory=dict)


@dataclass
class Surface:
    """What a version has."""

    version: str
    names: set[str] = field(default_factory=set)
    classes: dict[str, Members] = field(default_factory=dict)


def read_surface(version: str) -> Surface:
    """The surface of a version that ``tests/golden/tensorrt_api`` has a file of."""
    found = Surface(version)
    for line in (GOLDEN / f"{version}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("__version__"):
            found.version = line.split()[-1]
        elif "." not in line:
            found.names.add(line)
        elif match := _CALL.fullmatch(line):
            owner, _, name = match[1].rpartition(".")
            calls = found.classes.setdefault(owner, Members()).calls
            calls.setdefault(name, []).append(_call(match[2]))
        elif match := _VALUE.fullmatch(line):
            owner, _, name = match[1].rpartition(".")
            found.classes.setdefault(owner, Members()).values[name] = int(match[2])
        elif match := _PROPERTY.fullmatch(line):
            owner, _, name = match[1].rpartition(".")
            members = found.classes.setdefault(owner, Members())
            members.properties[name] = bool(match[2])
    return found


def _call(text: str) -> Call:
    parts = [part for part in re.split(r", (?![^\[]*\])", text) if part]
    names, kinds, defaults = [], [], []
    for part in parts:
        declared, _, default = part.partition(" = ")
        name, _, kind = declared.partition(": ")
        names.append(name)
        kinds.append(kind)
        defaults.append(default or _REQUIRED)
    return Call(tuple(names), tuple(kinds), tuple(defaults))


class Enumeration(type):
    """The class of pybind11's enumerations."""

    def __call__(cls, value: int) -> Any:
        for member in cls.__members__.values():
            if member.value == value:
                return member
        raise ValueError(f"{value} is not a valid {cls.__name__}")

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(f"{cls.__name__}.{name} cannot be set")


def make_enumeration(name: str, values: dict[str, int], more: dict[str, Any]) -> Any:
    """As pybind11's: equal within a class only, no arithmetic, ``int()`` gives the value."""

    def same(self: Any, other: Any) -> bool:
        return type(self) is type(other) and self.value == other.value

    members: dict[str, Any] = {}
    space = {
        "__slots__": ("name", "value"),
        "__int__": lambda self: self.value,
        "__index__": lambda self: self.value,
        "__hash__": lambda self: hash(self.value),
        "__eq__": same,
        "__ne__": lambda self, other: not same(self, other),
        "__repr__": lambda self: f"<{name}.{self.name}: {self.value}>",
        "__str__": lambda self: f"{name}.{self.name}",
        "__members__": members,
        **more,
    }
    made = Enumeration(name.rpartition(".")[2], (), space)
    for member, value in values.items():
        members[member] = object.__new__(made)
        members[member].name, members[member].value = member, value
        type.__setattr__(made, member, members[member])
    return made


class Strict(type):
    """The class of the other classes."""

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        if "__init__" not in cls._members.calls:
            raise TypeError(f"{cls.__name__}: No constructor defined!")
        made = super().__call__(*arguments, **named)
        if "_state" not in made.__dict__:
            message = "__init__() must be called when overriding __init__"
            raise TypeError(f"{cls._strict.__name__}.{message}")
        return made


class Thing(metaclass=Strict):
    """An object with the members of its surface only."""

    _members = Members()
    _strict: Any = None
    _trt: Any = None
    _kinds: dict[str, str] = {}
    """Types of the properties that are checked."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.__dict__["_state"] = {}
        self._init(**_bound(self._trt, self, "__init__", arguments, named))

    def _init(self, **given: Any) -> None:
        self.__dict__.update({f"_{name}": value for name, value in given.items()})

    @classmethod
    def made(cls, **state: Any) -> Any:
        """An object that only TensorRT makes."""
        thing = object.__new__(cls)
        thing.__dict__["_state"] = {}
        thing._start(**state)
        return thing

    def _start(self, **state: Any) -> None:
        self.__dict__.update({f"_{name}": value for name, value in state.items()})

    def __setattr__(self, name: str, value: Any) -> None:
        foreign = type(self) is not self._strict  # a class that Python derived has a __dict__
        if name in self._members.properties or name[0] == "_" or foreign:
            object.__setattr__(self, name, value)
        else:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __getattribute__(self, name: str) -> Any:
        if name == "made":
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return object.__getattribute__(self, name)


def make_class(trt: Any, name: str, members: Members, *behaviours: type) -> Any:
    """A class of ``members`` that does what ``behaviours`` do; the last may be its own base."""
    space: dict[str, Any] = {"_members": members, "_trt": trt}
    for method in members.calls:
        if method != "__init__":
            space[method] = _method(trt, name, method)
    for each, settable in members.properties.items():
        space[each] = _property(trt, name, each, settable)
    made = Strict(name, behaviours, space)
    made._strict = made
    return made


def _method(trt: Any, owner: str, name: str) -> Any:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        given = _bound(trt, self, name, arguments, named)
        does = getattr(self, f"_do{name}" if name.startswith("__") else f"_{name}", None)
        if does is None:
            raise NotImplementedError(f"the fake TensorRT does not do {owner}.{name}")
        return does(**given)

    method.__name__ = name
    return method


def _property(trt: Any, owner: str, name: str, settable: bool) -> property:
    def get(self: Any) -> Any:
        if name in self._state:
            return self._state[name]
        does = getattr(self, f"_get_{name}", None)
        if does is None:
            raise NotImplementedError(f"the fake TensorRT does not know {owner}.{name}")
        return does()

    def put(self: Any, value: Any) -> None:
        kind = self._kinds.get(name)
        if kind and not fits(trt, kind, value):
            raise TypeError(f"(): incompatible function arguments: {owner}.{name} = {value!r}")
        self._state[name] = value

    return property(get, put if settable else None)


def _bound(trt: Any, self: Any, name: str, arguments: Any, named: Any) -> dict[str, Any]:
    """Arguments by name, of the first way to call that they fit."""
    for call in self._members.calls[name]:
        if len(arguments) > len(call.names):
            continue
        given = dict(zip(call.names, arguments, strict=False))
        if set(named) & set(given) or set(named) - set(call.names):
            continue
        given |= named
        wanted = dict(zip(call.names, call.defaults, strict=True))
        if any(wanted[each] is _REQUIRED for each in set(wanted) - set(given)):
            continue
        kinds = dict(zip(call.names, call.kinds, strict=True))
        if all(fits(trt, kinds[each], value) for each, value in given.items()):
            return given
    shown = ", ".join([*map(repr, arguments), *(f"{k}={v!r}" for k, v in named.items())])
    raise TypeError(f"{name}(): incompatible function arguments. Invoked with: {shown}")


def fits(trt: Any, kind: str, value: Any) -> bool:  # noqa: PLR0911  one line a kind
    """Whether pybind11 would take ``value`` for an argument of C++ type ``kind``."""
    if kind in ("int", "typing.SupportsInt"):
        return hasattr(type(value), "__index__") and not isinstance(type(value), Enumeration)
    if kind in ("float", "typing.SupportsFloat"):
        return isinstance(value, float | int)
    if kind in ("str", "bool", "tuple", "list"):
        return isinstance(value, {"str": str, "bool": bool, "tuple": tuple, "list": list}[kind])
    if kind in ("buffer", "typing_extensions.Buffer"):
        return _is_buffer(value)
    if kind.startswith(_SEQUENCES):
        inner = kind.partition("[")[2][:-1]
        return hasattr(value, "__len__") and all(fits(trt, inner, each) for each in value)
    if kind == "Dims" and isinstance(value, tuple | list):
        return all(fits(trt, "int", each) for each in value)
    wanted = trt.__dict__.get(kind.rpartition("::")[2].partition(".")[0])
    if "." in kind and wanted is not None:
        wanted = getattr(wanted, kind.partition(".")[2], None)
    if not isinstance(wanted, type):
        return True
    return isinstance(value, wanted) or (value is None and not isinstance(wanted, Enumeration))


def _is_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return True
