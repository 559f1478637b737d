"""dvc.lock read fast: what DVC recorded of each stage when it last ran.

DVC reads the file with ruamel's round-trip loader, 0.7 s for 6,000 lines; PyYAML on libyaml takes 0.1 s. The two have
to agree: DVC writes YAML 1.2, where `1e-06` is a number, and PyYAML by itself reads 1.1, where it is text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from normlab.specs.strict import InputError

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times as fast, where libyaml is installed


class LockLoader(Loader):
    """Reads the scalars of YAML 1.2, in the spellings that DVC writes."""

    tags: ClassVar[dict[str, str]] = {}

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """The tag of a node; that of a plain scalar is worked out once: a file has the same ones thousands of times."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, implicit)
        if value not in self.tags:
            self.tags[value] = super().resolve(kind, value, implicit)
        return self.tags[value]


LockLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.endswith((":null", ":str"))]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.inf|\.nan",
        "-+0123456789.",
    ),
):
    LockLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


@dataclass(frozen=True)
class Recorded:
    """A stage as it last ran.

    Attributes:
        cmd: its command.
        deps: path → MD5 of what it read; of a folder it ends with ".dir".
        params: key of params.yaml → value it ran with.
        outs: path → MD5 of what it wrote.
        sizes: path → bytes of each output.
    """

    cmd: str
    deps: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    outs: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


def read_lock(path: Path) -> dict[str, Recorded]:
    """Every stage that the file names, such as `train@vgg11-batch-0.1-0`; none where there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    try:
        stages = yaml.load(path.read_bytes(), LockLoader)["stages"] or {}
        return {name: recorded(entry) for name, entry in stages.items()}
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a dvc.lock; `python -m normlab.stages.mend` puts it right") from None


def recorded(entry: Mapping[str, Any]) -> Recorded:
    """A stage from its entry, of dvc.lock or of the run cache."""
    deps, outs = entry.get("deps", ()), entry.get("outs", ())
    return Recorded(
        cmd=" ".join(entry["cmd"].split()),  # DVC may wrap the line where it is long
        deps={dep["path"]: dep["md5"] for dep in deps},
        params=entry.get("params", {}).get("params.yaml", {}),
        outs={out["path"]: out["md5"] for out in outs},
        sizes={out["path"]: out.get("size", 0) for out in outs},
    )
