"""Kills at random moments of `make repro`, over every kind of stage: afterwards it ends with the same bytes.

`make faults` makes as many kills as NORMLAB_FAULTS says (50), drawn with NORMLAB_FAULTS_SEED. Each round begins with
a copy of a finished study that lacks what one stage made (or all stages, or the MLflow store), so that the kill falls
into this stage, into what begins or ends it, or into what follows. The programs of `make repro` are killed once or
twice, and then called again without anything done by hand in between.

NORMLAB_FAULTS_DONE=FOLDER keeps the finished studies there, for the next call: they take longer than some kills. They
have to be of this very package: while this runs nothing below src/ may change, for that would change pages and tables.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.faults.repositories import (
    FEW,
    build,
    build_changed,
    contents,
    forget,
    forget_all,
    make,
    programs,
    stages,
    start,
)

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
KILLS = int(os.environ.get("NORMLAB_FAULTS", "0"))
LIMIT = 7200.0  # seconds that a program may take on a machine that is busy with other things
KINDS = (
    "check", "data", "train", "probe", "measure", "assumptions", "reparametrization", "dln", "dln_scan", "theory",
    "analyze", "report", "index", "publish", "everything",
)  # fmt: skip
WAIT = re.compile(r"process (\d+) on \S+ is writing it; wait for it or end it")


def _group(number: int) -> Callable[[subprocess.Popen], None]:
    return lambda process: os.killpg(process.pid, number)


def _kill_a_job(process: subprocess.Popen) -> None:
    """One of the stages that run side by side; where none does, the program that would have started them."""
    jobs = []
    with contextlib.suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
        for child in below:
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(child.pid) == child.pid and child.ppid() != process.pid:
                    jobs.append(child.pid)
    if jobs:
        os.killpg(jobs[0], signal.SIGKILL)
    else:
        process.kill()


# stages at a time (1: plain `dvc repro`), and what is killed how
MODES: dict[str, tuple[int, Callable[[subprocess.Popen], None]]] = {
    "side by side: the group, KILL": (2, _group(signal.SIGKILL)),
    "dvc: dvc alone, KILL": (1, lambda process: process.kill()),
    "side by side: a stage, KILL": (2, _kill_a_job),
    "dvc: the group, KILL": (1, _group(signal.SIGKILL)),
    "side by side: the head alone, KILL": (2, lambda process: process.kill()),
    "dvc: the group, TERM": (1, _group(signal.SIGTERM)),
    "side by side: the group, INT": (2, _group(signal.SIGINT)),
    "dvc: the group, INT": (1, _group(signal.SIGINT)),
    "side by side: the group, TERM": (2, _group(signal.SIGTERM)),
}


class Study:
    """A finished study, its outputs, and how long the programs of `make repro` took lately, by the kind of stage."""

    def __init__(self, root: Path) -> None:
        self.root, self.contents, self.stages = root, contents(root), stages(root)
        self.took: dict[str, dict[str, float]] = {}

    def lacking(self, kind: str, folder: Path) -> Path:
        """A copy without what stages of a kind made: the first of them, or all stages, or the MLflow store."""
        root = Path(shutil.copytree(self.root, folder, symlinks=True))
        (root / "said").unlink()
        if kind == "publish":
            (root / "mlflow.db").unlink()
            shutil.rmtree(root / "mlruns")
        elif kind == "everything":
            forget_all(root)
        else:
            forget(root, [stage for stage in self.stages if stage.kind == kind][:1])
        return root


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """By kind of stage, the study that has such a stage."""
    folder = Path(os.environ.get("NORMLAB_FAULTS_DONE") or tmp_path_factory.mktemp("done"))
    if not (folder / "all").exists():
        build(folder / "all", LIMIT)
    if not (folder / "few").exists():
        build_changed(folder / "few", folder / "all", FEW, LIMIT)
    whole, few = Study(folder / "all"), Study(folder / "few")
    return {kind: few if kind == "measure" else whole for kind in KINDS}


def _make_and_kill(root: Path, mode: str, first: str, moment: float) -> str:
    """`make repro`, killed so many seconds after its program `first` began; what was killed, "" if all had ended."""
    jobs, kill = MODES[mode]
    end = None
    for call in programs(jobs):
        if call[0] == first:
            end = time.monotonic() + moment
        process = start(root, *call)
        try:
            process.wait(timeout=LIMIT if end is None else max(end - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            kill(process)
            process.wait(timeout=LIMIT)
            return call[0]
    return ""


def _make_again(root: Path, jobs: int, took: dict[str, float]) -> int:
    """`make repro`, and again while an orphan that it names is still writing; how often it had to be waited for."""
    for waited in range(5):
        said = make(root, jobs, LIMIT, took)
        if not said:
            return waited
        named = WAIT.search(said)
        assert named, said[-3000:]
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(int(named[1])).wait(timeout=LIMIT)
    raise AssertionError(said[-3000:])


def _round(study: Study, kind: str, mode: str, kills: int, draws: random.Random, folder: Path) -> Counter[str]:
    """Kill `make repro` up to so many times, let it end, and compare; what was killed, and how often it was waited."""
    root = study.lacking(kind, folder)
    found: Counter[str] = Counter()
    took = study.took.setdefault(kind, {"mend": 2.0, "expand": 2.0, "repro": 20.0, "publish": 5.0})
    for _ in range(kills):
        first = "publish" if kind == "publish" else draws.choice(["mend", "repro", "repro", "repro"])
        seconds = sum(each for _, each in list(took.items())[list(took).index(first) :])
        # the load changes: what it took lately is a guess, and some kills come too late
        killed = _make_and_kill(root, mode, first, draws.uniform(0.0, 1.0) * seconds)
        found[killed or "too late"] += 1
    found["waited"] += _make_again(root, MODES[mode][0], took)
    after = contents(root)
    assert sorted(after) == sorted(study.contents), (root / "said").read_text()[-3000:]
    assert [name for name, content in after.items() if content != study.contents[name]] == []
    leftovers = [path for path in root.rglob(".*.partial") if ".venv" not in path.parts]
    assert leftovers == []
    shutil.rmtree(root)
    return found


@pytest.mark.skipif(not KILLS, reason="half an hour: make faults")
def test_kills_over_every_kind_of_stage(studies: dict[str, Study], tmp_path: Path) -> None:
    seed = int(os.environ.get("NORMLAB_FAULTS_SEED", "0"))
    draws, number, done = random.Random(seed), seed, 0  # another seed begins with other kinds, too
    while done < KILLS:
        kind, mode = KINDS[number % len(KINDS)], list(MODES)[number % len(MODES)]
        kills = min(draws.choice([1, 1, 2]), KILLS - done)
        found = _round(studies[kind], kind, mode, kills, draws, tmp_path / f"round-{number}")
        done += sum(count for what, count in found.items() if what not in ("too late", "waited"))
        number += 1
        print(
            f"round {number - seed}: {kind}; {mode}: {dict(+found)}; {done} of {KILLS} kills, 0 different", flush=True
        )
    assert sorted({stage.kind for study in studies.values() for stage in study.stages}) == sorted(
        set(KINDS) - {"publish", "everything"}
    )
