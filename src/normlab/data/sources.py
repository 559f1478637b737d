"""Getting a data set: generated, from a local folder or archive, or downloaded from a list of mirrors."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from normlab.data import textures
from normlab.data.catalog import Family, load_catalog
from normlab.data.download import Remote, TransferError, fetch, file_digest, has_checksum
from normlab.data.held_out import choose_held_out, hold_out
from normlab.data.layouts import Dataset, Split, read_dataset
from normlab.data.manifest import describe, write_dataset
from normlab.data.own import load_own
from normlab.specs.data import DataSpec
from normlab.specs.strict import InputError

VARIABLE = "NORMLAB_DATA"


def prepare(
    spec: DataSpec,
    folder: Path,
    *,
    downloads: Path,
    environ: Mapping[str, str] = os.environ,
    catalog: Mapping[str, Family] | None = None,
) -> dict[str, Any]:
    """Get the data set of `spec` and write its arrays and manifest into `folder`.

    Args:
        spec: the `data` section.
        folder: an existing empty folder.
        downloads: where archives are received and kept.
        environ: NORMLAB_DATA in it replaces `spec.path`, except for the generated source.
        catalog: of the CIFAR data sets; by default the built-in one.

    Returns:
        the manifest; where images are held out, `held_out` has their positions in the training split (after the cap);
        `notes`, if there are any, say what was passed over or resampled.

    Raises:
        InputError: the data cannot be had, or cannot be used.
    """
    catalog = catalog or load_catalog()
    dataset = _cap(_obtain(spec, downloads, environ, catalog), spec)
    settings = {"train_per_class": spec.train_per_class, "test_per_class": spec.test_per_class}
    if spec.source == "textures" or spec.held_out or ":" in spec.source:
        settings["seed"] = spec.seed
    apart = choose_held_out(dataset.train[1], len(dataset.classes), spec.held_out, spec.seed)
    dataset = hold_out(dataset, apart)
    manifest = describe(dataset, _title(spec, dataset, catalog), spec.source, settings)
    if spec.held_out:
        manifest["held_out"] = apart.tolist()
    if dataset.notes:
        manifest["notes"] = list(dataset.notes)
    write_dataset(folder, dataset, manifest)
    return manifest


def _obtain(spec: DataSpec, downloads: Path, environ: Mapping[str, str], catalog: Mapping[str, Family]) -> Dataset:
    if spec.source == "textures":
        train = textures.generate("train", spec.train_per_class, spec.seed)
        test = textures.generate("test", spec.test_per_class, spec.seed)
        return Dataset(train, test, textures.CLASSES, "generated")
    if ":" in spec.source:
        return load_own(spec)
    local = environ.get(VARIABLE) or spec.path
    family = catalog.get(spec.source)
    if local:
        return _read_local(Path(local).expanduser(), family, spec.sha256, spec.other_sizes == "resize")
    if spec.sha256:
        raise InputError(f"data.sha256: is for a local archive, but neither data.path nor {VARIABLE} names one")
    if family is None:
        raise InputError(f"data.path: source 'folder' needs a folder or archive, here or in {VARIABLE}")
    return _download(family, spec.mirrors, downloads)


def _read_local(path: Path, family: Family | None, sha256: str, resize: bool) -> Dataset:
    if sha256:
        if not path.is_file():
            raise InputError(f"data.sha256: {path} is not an archive file, so it has no checksum")
        if (found := file_digest(path, "sha256")) != sha256:
            raise InputError(f"data.sha256: {path} has wrong checksum {found}, expected {sha256}")
    dataset = read_dataset([path], family, resize)
    if len(dataset.classes) < 2:  # a data set all the same, so reading it is no error
        raise InputError(f"{path}: expected at least two classes, got {', '.join(dataset.classes)} alone")
    if family is not None and path.is_file() and has_checksum(path, tuple(family.archives.values())):
        dataset = replace(dataset, official=True)
    return dataset


def _download(family: Family, addresses: tuple[str, ...], downloads: Path) -> Dataset:
    """The data set from the first mirror that delivers it whole."""
    accepted = tuple(family.archives.values())
    own = [(Remote(url, f"{family.name}-{Path(urlsplit(url).path).name}", accepted),) for url in addresses]
    mirrors = [*own, *family.mirrors]
    failures = []
    for mirror in mirrors:
        try:
            files = [fetch(remote, downloads) for remote in mirror]
            dataset = read_dataset(files, family)
        except TransferError as error:
            failures.append(str(error))
        except InputError as error:  # a mirror without known digests that serves something else
            failures.append(str(error))
            for remote in mirror:
                (downloads / remote.name).unlink(missing_ok=True)
        else:
            verified = all(set(remote.checksums) & set(accepted) for remote in mirror)
            return replace(dataset, official=verified or dataset.official)
    raise InputError(
        f"data.source: {family.title} could not be downloaded from any of {len(mirrors)} mirrors "
        f"(first: {failures[0] if failures else 'none known'}); set {VARIABLE} or data.path to a local archive or "
        "folder, or use generated images, which need no download: make repro PRESET=quick"
    )


def _cap(dataset: Dataset, spec: DataSpec) -> Dataset:
    """The first images of each class only, in stored order, where the settings ask for fewer than there are."""

    def first(split: Split, cap: int) -> Split:
        images, labels = split
        if cap == 0 or np.bincount(labels).max() <= cap:
            return split
        kept = np.sort(np.concatenate([np.flatnonzero(labels == c)[:cap] for c in range(len(dataset.classes))]))
        return images[kept], labels[kept]

    return replace(
        dataset, train=first(dataset.train, spec.train_per_class), test=first(dataset.test, spec.test_per_class)
    )


def _title(spec: DataSpec, dataset: Dataset, catalog: Mapping[str, Family]) -> str:
    """What results on this data set have to call it."""
    if spec.source == "textures":
        return "generated textures"
    if ":" in spec.source:
        return spec.source
    family = next((f for f in catalog.values() if f.classes == dataset.classes), None)
    if family is None:
        return "image folder"
    if dataset.official:
        return family.title
    return f"{family.title} ({'JPEG' if dataset.jpeg else 'unofficial'} copy)"
