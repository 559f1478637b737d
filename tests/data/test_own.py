"""A data set of one's own by a dotted path: the example, and what is refused in one line."""

from pathlib import Path

import numpy as np
import pytest

from normlab.data.sources import prepare
from normlab.specs.data import DataSpec
from normlab.specs.strict import InputError

WRONG = """
import numpy as np

IMAGES, LABELS = np.zeros((4, 3, 32, 32), np.uint8), np.arange(4) % 2


def nothing(): ...
def floats(): return (IMAGES / 255, LABELS), (IMAGES, LABELS)
def sizes(): return (IMAGES[:, :, :28], LABELS), (IMAGES, LABELS)
def labels(): return (IMAGES, LABELS[:3]), (IMAGES, LABELS)
def missing(): return (IMAGES, LABELS), (IMAGES, 0 * LABELS)
def unnamed(): return (IMAGES, LABELS), (IMAGES, LABELS), ("one",)
def fails(): raise OSError("no\\nluck")
def needs(more): ...
"""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_wrong.py").write_text(WRONG)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(repository)


def test_the_example_is_prepared_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    spec = DataSpec("examples.data:stripes", seed=3, train_per_class=5, test_per_class=2)
    manifest = prepare(spec, tmp_path / "out", downloads=tmp_path, environ={"NORMLAB_DATA": "/nowhere"})
    assert manifest["title"] == manifest["source"] == "examples.data:stripes"
    assert manifest["classes"] == ["horizontal", "vertical"]
    assert manifest["counts"] == {"train": 10, "test": 4}
    assert manifest["settings"] == {"train_per_class": 5, "test_per_class": 2, "seed": 3}
    images = np.load(tmp_path / "out/train_images.npy")
    assert (images.dtype, images.shape) == (np.uint8, (10, 3, 32, 32))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_wrong:nothing", r"expected \(train, test\) or \(train, test, class names\).*got NoneType"),
        ("own_wrong:floats", r"train: expected images uint8 \(N, 3, 32, 32\) with values 0 … 255, got float64"),
        ("own_wrong:sizes", r"train: expected images uint8 .* got uint8 \(4, 3, 28, 32\)"),
        ("own_wrong:labels", r"train: expected 4 labels, whole numbers from 0, got int64 \(3,\)"),
        ("own_wrong:missing", r"test: every one of the 2 classes needs images.*\[4, 0\]"),
        ("own_wrong:unnamed", r"train: every one of the 1 classes"),
        ("own_wrong:fails", r"data.source 'own_wrong:fails': OSError: no luck"),
        ("own_wrong:needs", r"TypeError: .*missing 1 required positional argument: 'more'"),
        ("own_wrong:absent", r"data.source: 'own_wrong:absent': own_wrong has no 'absent'; it has:"),
        ("own_wrng:floats", r"data.source: 'own_wrng:floats': there is no module 'own_wrng'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        prepare(DataSpec(name), tmp_path, downloads=tmp_path, environ={})
    assert "\n" not in str(caught.value)
