"""Strict loading of `params.yaml`: every section is a frozen dataclass, and nothing is guessed.

An unknown key, a missing key, a wrong type or an impossible value is an `InputError` of one line that names
the key, the value and what is accepted.
"""

import dataclasses
import re
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from normlab.specs.errors import InputError

S = TypeVar("S")


class _Yaml12Loader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, in which `1e-3` is a string and `no` a boolean; DVC reads 1.2. Both must agree."""


_Yaml12Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def load_params(path: str | Path) -> dict[str, Any]:
    """The whole parameter file as a mapping of section name to its raw value.

    Raises:
        InputError: the file is missing, is not YAML, or is not a mapping.
    """
    path = Path(path)
    try:
        params = yaml.load(path.read_text(encoding="utf-8"), Loader=_Yaml12Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a parameter file such as presets/quick.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
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
        cls: a dataclass whose fields are int, float, bool, str, Literal, a tuple of one of these, or a dataclass.
        raw: the mapping read from YAML.
        where: the key path, for messages.

    Raises:
        InputError: an unknown or missing key, a wrong type, or a value that `cls.__post_init__` refuses.
    """
    if not isinstance(raw, dict):
        raise InputError(f"{where}: expected a mapping, got {raw!r}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in raw:
        if key not in fields:
            raise InputError(f"{where}.{key}: unknown key; accepted: {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in raw:
            values[name] = _convert(raw[name], hints[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}.{name}: missing; expected {_describe(hints[name])}")
    return cls(**values)


def _convert(value: object, hint: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        if value in typing.get_args(hint) and not isinstance(value, bool):
            return value
    elif origin is tuple:
        if isinstance(value, list):
            item = typing.get_args(hint)[0]
            return tuple(_convert(entry, item, f"{where}[{i}]") for i, entry in enumerate(value))
    elif origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _convert(value, next(a for a in typing.get_args(hint) if a is not type(None)), where)
    elif dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif type(value) is hint:
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
