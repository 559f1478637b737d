"""YAML read as DVC reads it, and refused where readers of YAML 1.1 and 1.2 would disagree.

DVC reads YAML 1.2, most other tools (and PyYAML by itself) 1.1: `050` is 50 or 40, `1:20` text or 80, `1e-3` a number
or text, `no` text or false.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from normlab.specs.errors import InputError


class _Loader(yaml.SafeLoader):
    """PyYAML with the scalars of YAML 1.2; a key may stand once."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text.lstrip("+-").startswith(("0o", "0x")) else int(text)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float", ":int"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def load_yaml(path: str | Path, *, unambiguous: bool = False) -> Any:
    """The content of a YAML 1.2 file.

    Args:
        path: the file.
        unambiguous: refuse what YAML 1.1 reads otherwise.

    Raises:
        InputError: the file is missing or not YAML; a value of it is ambiguous.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        if unambiguous:
            for where, value in _ambiguous(yaml.compose(text, Loader=_Loader), ""):
                raise InputError(
                    f"{path}: {where}: {value} is read in two ways, by YAML 1.1 and 1.2; write numbers "
                    "like 50, 0.001 or 1.0e-3, and put text in quotes"
                )
        return yaml.load(text, Loader=_Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a parameter file such as presets/quick.yaml") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2026-13-45 is a ValueError
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def load_scalar(text: str) -> Any:
    """The value that `text` has where it stands alone in a file.

    Raises:
        InputError: it is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{text!r}: not valid YAML: {' '.join(str(error).split())}") from None


def _ambiguous(node: yaml.Node | None, where: str) -> Iterator[tuple[str, str]]:
    """The place and text of every plain scalar that the two versions resolve or read differently."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = f"{where}.{key.value}" if where else str(key.value)
            yield from _ambiguous(key, place)
            yield from _ambiguous(value, place)
    elif isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield from _ambiguous(entry, f"{where}[{index}]")
    elif isinstance(node, yaml.ScalarNode) and node.style is None:
        older = yaml.SafeLoader("").resolve(yaml.ScalarNode, node.value, (True, False))
        octal = node.tag.endswith(":int") and re.fullmatch(r"[-+]?0[0-9]+", node.value)
        underscored = (
            re.fullmatch(r"[-+.0-9][-+.0-9_eE]*", node.value) and "_" in node.value
        )  # DVC's reader: ._1 is 0.1
        if older != node.tag or octal or underscored:
            yield where, node.value
