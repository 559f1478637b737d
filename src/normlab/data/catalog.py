"""What is known of the CIFAR data sets, read from `cifar.yaml`: classes, official files, digests, mirrors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from normlab.data.download import Remote


@dataclass(frozen=True)
class Family:
    """One of the CIFAR data sets.

    Attributes:
        name: cifar10 or cifar100.
        title: as people write it.
        classes: names in label order.
        archives: layout (python or binary) to the official archive's checksum.
        label_key: of the labels in a batch of the python layout.
        label_bytes: before each image in the binary layout; the last of them is the label.
        python: split to file name to official MD5, of the python layout.
        binary: split to file names, of the binary layout.
        mirrors: tried in order; each is all the files of one copy.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    archives: Mapping[str, str]
    label_key: str
    label_bytes: int
    python: Mapping[str, Mapping[str, str]]
    binary: Mapping[str, tuple[str, ...]]
    mirrors: tuple[tuple[Remote, ...], ...]


def load_catalog() -> dict[str, Family]:
    """The known data sets by name."""
    raw = yaml.safe_load(Path(__file__).with_name("cifar.yaml").read_text(encoding="utf-8"))
    return {name: _family(name, entry) for name, entry in raw.items()}


def _family(name: str, entry: dict) -> Family:
    mirrors = tuple(
        tuple(
            Remote(url, *_name_and_checksums(name, url, mirror, position, entry))
            for position, url in enumerate(mirror["urls"])
        )
        for mirror in entry["mirrors"]
    )
    return Family(
        name=name,
        title=entry["title"],
        classes=tuple(entry["classes"]),
        archives=entry["archives"],
        label_key=entry["label_key"],
        label_bytes=entry["label_bytes"],
        python=entry["python"],
        binary={split: tuple(files) for split, files in entry["binary"].items()},
        mirrors=mirrors,
    )


def _name_and_checksums(name: str, url: str, mirror: dict, position: int, entry: dict) -> tuple[str, tuple[str, ...]]:
    # prefixed, so that files of the two data sets with equal names do not meet in the folder of downloads
    local = f"{name}-{mirror['layout']}-{Path(urlsplit(url).path).name}"
    if mirror["layout"] in entry["archives"]:
        return local, (entry["archives"][mirror["layout"]],)
    return local, tuple(mirror.get("checksums", [])[position : position + 1])
