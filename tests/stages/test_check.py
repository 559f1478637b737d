"""The first stage: nothing runs under settings that would fail later."""

import shutil
from pathlib import Path

import pytest

from normlab.specs.strict import InputError
from normlab.stages import check, expand

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The quick preset, expanded, with pages and sources as in the repository."""
    shutil.copyfile(ROOT / "presets/quick.yaml", tmp_path / "params.yaml")
    for name in ("src", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    expand.main(["--root", str(tmp_path)])
    return tmp_path


def _edit(root: Path, *changes: tuple[str, str]) -> None:
    path = root / "params.yaml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def _check(root: Path) -> str:
    """As `make repro` comes to it."""
    out = root / "data/checked"
    expand.main(["--root", str(root)])
    check.main(["--root", str(root), "--out", str(out)])
    return out.read_text()


def test_its_output_says_nothing_about_the_settings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = _check(root)
    assert "note: 2 seeds: every verdict on trainings will be undecided, they need 3 or more" in capsys.readouterr().err
    _edit(root, ("seed: [0, 1]\n", "seed: [0, 1, 2, 3, 4]\n"))
    with pytest.raises(InputError, match=r"^runs\.yaml: not what params\.yaml says now"):
        check.main(["--root", str(root)])
    assert _check(root) == first
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            [("steps: 200\n  test", "steps: 2000000000\n  test")],
            r"train\.steps \(vgg11-.*\): 2000000000 needs at least",
        ),
        (
            [("train_per_class: 500", "train_per_class: 1000000000")],
            r"data\.train_per_class: 1000000000 needs at least",
        ),
        ([("samples: 1000", "samples: 2000000000")], r"dln\.samples: 2000000000 needs at least"),
        (
            [("samples: [4, 16, 128]", "samples: [4, 10000000]")],
            r"theory\.samples: 10000000 needs at least .* of memory",
        ),
        (
            [("steps: 200\n  test", "steps: 2000000\n  test"), ("checkpoint_every: 100\n", "checkpoint_every: 1\n")],
            r"train\.checkpoint_every: the checkpoints of 14 runs need .* of disk",
        ),
        (
            [("    - 07-theory\n", "    - 07-theories\n")],
            r"report\.notebooks: there is no notebooks/07-theories\.ipynb",
        ),
        (  # an older file: DVC would stop at `analyze`, after all trainings
            [("dln_lottery: []  # of many seeds a few numbers each: presets/lottery.yaml\n", "")],
            r".*params\.yaml: the section dln_lottery is missing, which stages depend on",
        ),
        ([("width: 0.125", "width: 050")], r".*params\.yaml: train\.width: 050 is read in two ways"),
    ],
)
def test_what_would_fail_late_is_one_line_now(root: Path, changes: list[tuple[str, str]], message: str) -> None:
    _edit(root, *changes)
    with pytest.raises(InputError, match=f"^{message}") as caught:
        _check(root)
    assert "\n" not in str(caught.value)
    assert not (root / "data/checked").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def own(channels, size):\n    pass\n", r"my_layers:own: a normalizer is called with the number of channels"),
        ("def own(channels):\n    return 3\n", r"my_layers:own: expected a torch\.nn\.Module"),
        ("def other(channels):\n    pass\n", r"my_layers has no 'own'; it has: other"),
    ],
)
def test_a_part_that_cannot_be_used_is_refused(
    root: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "my_layers.py").write_text(text)
    monkeypatch.syspath_prepend(root)
    _edit(root, ("norm_layer: [none, batch, noisy_batch,", "norm_layer: [my_layers:own, none, batch, noisy_batch,"))
    with pytest.raises(InputError, match=message):
        _check(root)
