"""`make plan`: in a fresh clone, for any parameter file, with a line where the disk is too small."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from normlab.scheduling import plan
from normlab.scheduling.pipeline import Stage, read_stages
from normlab.scheduling.stage_costs import StageCost
from normlab.scheduling.staleness import Judged
from normlab.specs.strict import InputError
from normlab.stages import plan as program

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fresh clone has: no outputs, no cache. All tests use one, so that the machine is measured once."""
    tmp_path = tmp_path_factory.mktemp("clone")
    for name in ("src", "notebooks", "parts", "presets", "dvc.yaml", "dvc.lock", "params.yaml", ".dvcignore"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def row(text: str, name: str) -> list[str]:
    return re.split(r"\s{2,}", next(line for line in text.splitlines() if line.startswith(name)))


def test_a_fresh_clone_runs_everything(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in clone.iterdir())
    program.main(["--root", str(clone), "--jobs", "2"])
    said = capsys.readouterr().out
    total = row(said, "in all")
    entries = yaml.safe_load((ROOT / "runs.yaml").read_text())
    count = str(len(read_stages(ROOT / "dvc.yaml", entries)))
    assert total[1:5] == [count, "0", "0", count]
    assert row(said, "vgg11: training, probes")[1:5] == ["24", "0", "0", "24"]
    assert re.search(r"about .* one after the other, .* with 2 side by side\ndisk: .* free\n", said)
    assert sorted(path.name for path in clone.iterdir()) == sorted([*before, "scratch"])


def test_another_parameter_file_changes_nothing_here(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        (ROOT / "presets/quick.yaml")
        .read_text()
        .replace("norm_layer: [none, batch, noisy_batch, noise, l1]", "norm_layer: [none, l2]")
    )
    program.main(["--root", str(clone), "--params", str(other)])
    said = capsys.readouterr().out
    assert "measure" not in said
    assert row(said, "vgg11: training, probes")[4] == "12"
    assert not (clone / "runs.yaml").exists()


def test_a_disk_that_is_too_small_is_one_line(clone: Path, tmp_path: Path) -> None:
    """Checkpoints of nearly the whole disk: more than what is free of it, and less than `check_limits` refuses."""
    wanted = 0.95 * shutil.disk_usage(clone).total / 14 / 590_000  # bytes of a checkpoint of the widest of 14 runs
    text = (ROOT / "presets/quick.yaml").read_text().replace("steps: 200\n", f"steps: {int(wanted) // 100 * 100}\n", 1)
    text = (
        text.replace("checkpoint_every: 100\n", "checkpoint_every: 1\n")
        .replace("[200]", "[100]")
        .replace("[0, 200]", "[0, 100]")
    )
    (tmp_path / "large.yaml").write_text(text)
    with pytest.raises(InputError, match=r"^the disk is too small: .* GB needed, .* GB free$"):
        program.main(["--root", str(clone), "--params", str(tmp_path / "large.yaml")])


def entry(name: str, fate: str, seconds: float, disk: float, deps: tuple[str, ...] = ()) -> plan.Entry:
    stage = Stage(name, "x", deps, (), (name,))
    return plan.Entry(Judged(stage, (), fate), "study", StageCost(seconds, 1e9, disk))  # type: ignore[arg-type]


def test_time_and_disk_are_summed() -> None:
    entries = [entry("a", "there", 0, 0), entry("b", "runs", 100, 5e9, ("a",)), entry("c", "follows", 50, 1e9, ("b",)),
               entry("d", "restored", 0, 2e9)]  # fmt: skip
    assert plan.side_by_side(entries, 8) == 150  # c waits for b
    assert plan.side_by_side([*entries, entry("e", "runs", 400, 0)], 2) == 400
    assert plan.side_by_side([*entries, entry("e", "runs", 120, 0)], 1) == 270
    assert plan.needed_disk(entries, 2) == 2 * 6e9 + 2e9  # what is restored is in the cache already
    assert plan.needed_disk(entries, 1) == 6e9
    assert row("\n".join(plan.table(entries)), "in all") == ["in all", "4", "1", "1", "2", "2 min", "1.0 GB", "8.0 GB"]


def test_amounts_are_readable() -> None:
    assert [plan.duration(seconds) for seconds in (0, 5, 119, 150, 3 * 3600, 100 * 3600)] == [
        "-",
        "5 s",
        "119 s",
        "2 min",
        "3 h",
        "4 days",
    ]
    assert [plan.size(count) for count in (0, 5e5, 2.5e9)] == ["-", "0 MB", "2.5 GB"]


def test_the_cache_is_where_dvc_keeps_it(tmp_path: Path) -> None:
    assert plan.cache_folder(tmp_path) == tmp_path / ".dvc/cache"
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n[cache]\n    dir = ../shared\n")
    assert plan.cache_folder(tmp_path).resolve() == tmp_path / "shared"
    (tmp_path / ".dvc/config.local").write_text("[cache]\n    dir = /elsewhere\n")
    assert plan.cache_folder(tmp_path) == Path("/elsewhere")
    assert plan.copies(tmp_path) in (1, 2)
