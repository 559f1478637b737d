"""What the next reproduction will do, found without DVC's walk, is what DVC says and does."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from normlab.scheduling.digests import Cache, Digests
from normlab.scheduling.lock_reader import read_lock
from normlab.scheduling.pipeline import read_stages
from normlab.scheduling.staleness import Judged, judge
from normlab.specs.strict import load_params

pytestmark = pytest.mark.pipeline


def judged(root: Path) -> dict[str, Judged]:
    entries = root / "runs.yaml"
    stages = read_stages(root / "dvc.yaml", yaml.safe_load(entries.read_text()) if entries.exists() else {})
    lock, params, digests = read_lock(root / "dvc.lock"), load_params(root / "params.yaml"), Digests(root)
    known = {"data/checked": str(digests.digest("data/checked"))}
    found = judge(stages, params, lock, digests, Cache(root / ".dvc/cache"), known)
    digests.save()
    return {each.stage.name: each for each in found}


def dvc_status(root: Path) -> dict[str, set[str]]:
    """Stage → what DVC says has changed of it."""
    found: dict[str, set[str]] = {}
    with contextlib.chdir(root), Repo() as repo:
        for stage, entries in repo.status().items():
            found[stage] = {"cmd"} if "changed command" in entries else set()
            for entry in entries:
                for kind in entry.values() if isinstance(entry, dict) else ():
                    for path, change in kind.items():
                        found[stage] |= set(change) if isinstance(change, dict) else {path}
    return found


@pytest.fixture(scope="module")
def quick(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick preset after a reproduction, as far as DVC can tell: every output is there, with some content."""
    root = tmp_path_factory.mktemp("quick")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if name.startswith(("src/", "parts/", "notebooks/", "params", "runs", "dvc.yaml", ".dvcignore")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repository / name, root / name, follow_symlinks=False)
    for stage in read_stages(root / "dvc.yaml", yaml.safe_load((root / "runs.yaml").read_text())).values():
        for out in stage.outs:
            is_file = out == "data/checked" or out.endswith((".json", ".html"))
            inner = root / out / ("" if is_file else "checkpoints/step.pt")
            inner.parent.mkdir(parents=True, exist_ok=True)
            inner.write_text(f"{stage.name} {out}")
    (root / "data/prepared/manifest.json").write_text("{}")
    Repo.init(str(root), no_scm=True).close()
    with contextlib.chdir(root), Repo() as repo:
        repo.commit(force=True)
    return root


def test_the_quick_preset_is_judged_as_dvc_status_does(quick: Path) -> None:
    assert dvc_status(quick) == {}
    assert {n: (each.fate, each.changes) for n, each in judged(quick).items() if each.fate != "there"} == {}

    normalizer, params = quick / "src/normlab/nn/normalizers/l1.py", quick / "params.yaml"
    normalizer.write_text(f"{normalizer.read_text()}\n# changed\n")
    params.write_text(params.read_text().replace("cases: 30", "cases: 31"))
    shutil.rmtree(quick / "data/probes/vgg11-batch-0.1-1")  # its content is in the cache
    (quick / "data/probes/vgg11-batch-0.1-0/checkpoints/step.pt").write_text("damaged")
    (quick / "models/runs/vgg11-none-0.5-0/more.txt").write_text("more")
    page = read_lock(quick / "dvc.lock")["index"].outs["reports/html/index.html"]
    kept = quick / ".dvc/cache/files/md5" / page[:2] / page[2:]
    kept.chmod(0o644)
    kept.unlink()  # lost from the cache, with the output in place
    found = judged(quick)
    assert {name: set(each.changes) for name, each in found.items() if each.changes} == dvc_status(quick)
    fates = {name: each.fate for name, each in found.items() if each.fate != "there"}
    repeated = [f"{stage}@vgg11-l1-0.1-{seed}" for stage in ("train", "probe") for seed in (0, 1)]
    own = dict.fromkeys((*repeated, "theory", "check", "index"), "runs")
    restored = dict.fromkeys(
        ("probe@vgg11-batch-0.1-0", "probe@vgg11-batch-0.1-1", "train@vgg11-none-0.5-0"), "restored"
    )
    assert {name: fate for name, fate in fates.items() if fate != "follows"} == own | restored
    followed = {name for name, fate in fates.items() if fate == "follows"}
    assert followed == {"analyze", *(name for name in found if name.startswith("report@"))}


PIPELINE = """
stages:
  first: {cmd: "mkdir one && date +%N > one/x", params: [a], deps: [source], outs: [one]}
  again: {cmd: "cp -r one two && date +%N >> ran", params: [b.c], deps: [one], outs: [two]}
  both: {cmd: "cat one/x two/x > three", deps: [one/x, two], outs: [three]}
"""


def repro(root: Path) -> None:
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=root, check=True, capture_output=True)


def test_what_the_run_cache_restores_is_known_beforehand(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "source").write_text("s")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    for value, fates in (("1.0e-6", ["runs"] * 3), ("2", ["runs", "follows", "follows"])):
        (tmp_path / "params.yaml").write_text(f"a: {{rate: {value}, kept: true}}\nb: {{c: 1}}\n")
        assert [each.fate for each in judged(tmp_path).values()] == fates
        repro(tmp_path)
        assert {each.fate for each in judged(tmp_path).values()} == {"there"}
    (tmp_path / "params.yaml").write_text("a: {rate: 1.0e-6, kept: true}\nb: {c: 1}\n")
    shutil.rmtree(tmp_path / "two")
    assert {each.fate for each in judged(tmp_path).values()} == {"restored"}
    before = (tmp_path / "ran").read_text()
    repro(tmp_path)
    assert (tmp_path / "ran").read_text() == before
    assert {each.fate for each in judged(tmp_path).values()} == {"there"}

    # a stage that is to write one thing more than when it last ran
    (tmp_path / "dvc.yaml").write_text(PIPELINE.replace("outs: [two]", "outs: [two, four]"))
    found = {name: set(each.changes) for name, each in judged(tmp_path).items() if each.changes}
    assert found == dvc_status(tmp_path) == {"again": {"four"}}
    assert judged(tmp_path)["again"].fate == "runs"
