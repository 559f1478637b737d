"""The list of what is known of CIFAR: complete, and in agreement with an independent copy of the digests."""

import importlib.util
from pathlib import Path

from normlab.data import textures
from normlab.data.catalog import load_catalog
from normlab.specs.data import SOURCES

CATALOG = load_catalog()


def test_digests_agree_with_those_of_torchvision():
    # its source is read, not imported, which would take ten seconds
    spec = importlib.util.find_spec("torchvision")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0], "datasets", "cifar.py").read_text()
    for family in CATALOG.values():
        assert f'tgz_md5 = "{family.archives["python"].removeprefix("md5:")}"' in source
        for files in family.python.values():
            for name, digest in files.items():
                assert f'["{name}", "{digest}"]' in source


def test_classes_are_unique_sorted_and_as_many_as_the_name_says():
    for name, count in (("cifar10", 10), ("cifar100", 100)):
        classes = CATALOG[name].classes
        assert len(set(classes)) == count == SOURCES[name].classes
        # so that image folders, sorted by name, get the official labels
        assert list(classes) == sorted(classes)


def test_settings_know_every_built_in_source():
    generated_or_unread = {"textures", "folder"}
    assert set(SOURCES) == {*CATALOG, *generated_or_unread}
    assert SOURCES["textures"].classes == len(textures.CLASSES)


def test_every_mirror_has_its_own_file_names_and_official_archives_their_digest():
    for name, family in CATALOG.items():
        official = 0
        for mirror in family.mirrors:
            assert len({remote.name for remote in mirror}) == len(mirror)
            for remote in mirror:
                assert remote.url.startswith("https://")
                assert remote.name.startswith(f"{name}-")
                if remote.url.endswith(("-python.tar.gz", "-binary.tar.gz")):
                    layout = "python" if "python" in remote.url else "binary"
                    assert remote.checksums == (family.archives[layout],)
                    official += 1
        assert official >= 3
        assert len(family.mirrors) > official
