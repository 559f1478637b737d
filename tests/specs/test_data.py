"""The `data` section: what is accepted, and how anything else is refused."""

import pytest

from normlab.specs.data import DataSpec
from normlab.specs.strict import InputError, build


def test_the_smallest_sections():
    assert build(DataSpec, {"source": "cifar10"}, "data").train_per_class == 0
    spec = build(DataSpec, {"source": "textures", "train_per_class": 5, "test_per_class": 1}, "data")
    assert spec == DataSpec("textures", train_per_class=5, test_per_class=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"source": "mnist"},
            r"data\.source: expected one of cifar10, cifar100, folder, textures, or a path .*, got 'mnist'",
        ),
        ({"size": 3}, r"data\.size: unknown key; accepted: source, seed"),
        ({"seed": -1}, r"data\.seed: must be at least 0, got -1"),
        ({"train_per_class": 0}, r"data\.train_per_class: must be at least 1, got 0"),
        ({"train_per_class": 1.5}, r"data\.train_per_class: expected a whole number, got 1\.5"),
        ({"path": "x"}, r"data\.path: must be empty, textures are generated, got 'x'"),
        ({"source": "cifar10", "test_per_class": -1}, r"data\.test_per_class: must be at least 0, got -1"),
        ({"held_out": -1}, r"data\.held_out: must be at least 0, got -1"),
        ({"sha256": "abc"}, r"data\.sha256: must be empty or 64 hexadecimal digits, got 'abc'"),
        ({"mirrors": ["ftp://x"]}, r"data\.mirrors\[0\]: must start with http:// or https://, got 'ftp://x'"),
    ],
)
def test_impossible_values_are_named(change: dict, message: str):
    good = {"source": "textures", "train_per_class": 5, "test_per_class": 1}
    with pytest.raises(InputError, match=message):
        build(DataSpec, good | change, "data")


def test_what_is_known_of_the_training_images_before_they_are_read():
    def images(**section):
        return build(DataSpec, section, "data").train_images

    assert images(source="cifar100") == 50_000
    assert images(source="cifar10", train_per_class=100, held_out=50) == 950
    assert images(source="textures", train_per_class=7000, test_per_class=1) == 70_000
    assert images(source="folder", train_per_class=7) is None  # of how many classes, only its files say
    own = build(DataSpec, {"source": "somewhere:photos", "train_per_class": 7}, "data")
    assert (own.train_images, own.num_classes) == (None, None)
