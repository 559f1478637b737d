"""Strict loading of `params.yaml`: every section is a frozen dataclass, and nothing is guessed.

An unknown key, a missing key, a wrong type or an impossible value is an `InputError` of one line that names
the key, the value and what is accepted.
"""

import dataclasses
import sys
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from normlab.specs.errors import InputError
from normlab.specs.yaml12 import load_yaml

S = TypeVar("S")
LARGEST = 2**31 - 1  # seeds and steps stand in tables as whole numbers of 32 bits


def load_params(path: str | Path) -> dict[str, Any]:
    """The whole parameter file as a mapping of section name to its raw value.

    Raises:
        InputError: the file is missing, is not YAML, is not a mapping, or has a value that YAML 1.1 and 1.2 read in two
            ways.
    """
    params = load_yaml(path, unambiguous=True)
    if not isinstance(params, dict):
        raise InputError(f"{path}: expected a mapping of sections, got {type(params).__name__}")
    return params


def load_section(path: str | Path, name: str, cls: type[S]) -> S:
    """Section `name` of the parameter file at `path` as an instance of the frozen dataclass `cls`.

    Raises:
        InputError: the section is missing or does not fit `cls`.
    """
    params = load_params(path)
    if name not in params:
        raise InputError(f"{path}: section '{name}' is missing; there are: {', '.join(map(str, params)) or 'none'}")
    return build(cls, params[name], name)


def build(cls: type[S], raw: object, where: str) -> S:
    """An instance of the dataclass `cls` from the mapping `raw`, each field checked against its annotation.

    Args:
        cls: a dataclass whose fields are int, float, bool, str, Literal, a tuple of one of these, or a dataclass. One
            that has a class method `read(raw, where)` is made by it.
        raw: the mapping read from YAML.
        where: the key path, for messages.

    Raises:
        InputError: an unknown or missing key, a wrong type, or a value that `cls.__post_init__` refuses.
    """
    read = getattr(cls, "read", None)
    if read is not None:
        return typing.cast(S, read(raw, where))
    if not isinstance(raw, dict):
        raise InputError(f"{where}: expected a mapping, got {raw!r}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in raw:
        if key not in fields:
            raise InputError(f"{join(where, key)}: unknown key; accepted: {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in raw:
            values[name] = convert(raw[name], hints[name], join(where, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{join(where, name)}: missing; expected {_describe(hints[name])}")
    return cls(**values)


def join(where: str, key: object) -> str:
    """The path of `key` in what stands at `where`: "train.steps", or "train" at the top of a file."""
    return f"{where}.{key}" if where else str(key)


def convert(value: object, hint: Any, where: str) -> Any:
    """`value` as the type `hint` of a field (see `build`): nothing is guessed, but a whole number is a number.

    Raises:
        InputError: it is something else.
    """
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        if value in typing.get_args(hint) and not isinstance(value, bool):
            return value
    elif origin is tuple:
        if isinstance(value, list):
            item = typing.get_args(hint)[0]
            return tuple(convert(entry, item, f"{where}[{i}]") for i, entry in enumerate(value))
    elif origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return convert(value, next(a for a in typing.get_args(hint) if a is not type(None)), where)
    elif dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    elif hint is float:
        if isinstance(value, float) or (type(value) is int and abs(value) <= sys.float_info.max):
            return float(value)
    elif type(value) is hint:
        largest = isinstance(value, int) and abs(value) > LARGEST
        require(not largest, where, f"expected a whole number of at most {LARGEST:,}", value)
        return value
    raise InputError(f"{where}: expected {_describe(hint)}, got {value!r}")


def _describe(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if origin is tuple:
        return f"a list, each entry {_describe(typing.get_args(hint)[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if a is type(None) else _describe(a) for a in typing.get_args(hint))
    if dataclasses.is_dataclass(hint):
        return "a mapping"
    names = {
        int: "a whole number",
        float: "a number (written like 1.0e-3)",
        bool: "true or false",
        str: "a string",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def require(condition: bool, where: str, accepted: str, got: object) -> None:
    """Raise `InputError` naming the key, what is accepted and the value, unless `condition` holds."""
    if not condition:
        raise InputError(f"{where}: {accepted}, got {got!r}")
