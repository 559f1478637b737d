"""A pipeline that is killed at random moments ends with the bytes of one that never was, without repair by hand.

The short part, one kill over the first two stages, runs with all tests; `make faults` runs the whole: one of each mode
over four stages, damaged files, a full disk, two at once. The many kills are in `test_every_stage.py`.
"""

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
WHOLE = "NORMLAB_FAULTS" in os.environ
WAIT = 14_400 if WHOLE else 900  # seconds at most for a whole run; `make faults` may have the machine's last place
whole = pytest.mark.skipif(not WHOLE, reason="minutes: make faults")
PARAMS = """
data: {source: textures, seed: 0, train_per_class: 20, test_per_class: 5}
train: {width: 0.0625, batch_size: 16, steps: 30, test_every: 10, checkpoint_every: 5}
probe: {step_sizes: [0.5, 1.0], distances: [0.1], units: 4}
theory: {cases: 2, samples: [4, 16], seeds: [0, 1]}
"""
# the programs of the study as its dvc.yaml calls them, without the dependencies on source files that lie elsewhere
DVC = """
stages:
  data: {cmd: python -m normlab.stages.data --out data/prepared, params: [data], outs: [data/prepared]}
  train:
    cmd: >-
      python -m normlab.stages.train --network vgg11 --norm-layer noisy_batch --learning-rate 0.1 --seed 0
      --out models/runs/a
    params: [train]
    deps: [data/prepared]
    outs: [models/runs/a]
"""
LATER = """
  probe:
    cmd: python -m normlab.stages.probe --run models/runs/a --out data/probes/a
    params: [probe]
    deps: [data/prepared, models/runs/a]
    outs: [data/probes/a]
  theory: {cmd: python -m normlab.stages.theory --out data/theory, params: [theory], outs: [data/theory]}
"""
OUTPUTS = ("data/prepared", "models/runs/a", *(("data/probes/a", "data/theory") if WHOLE else ()))


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def _repository(root: Path) -> Path:
    root.mkdir()
    (root / "params.yaml").write_text(PARAMS)
    (root / "dvc.yaml").write_text(DVC + (LATER if WHOLE else ""))
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=root, check=True)
    return root


def _repro(root: Path, limit: Callable[[], None] | None = None, jobs: int = 2) -> subprocess.Popen:
    """What `make repro` starts with, as a group of processes of its own; one job is plain `dvc repro`."""
    subprocess.run([sys.executable, "-m", "normlab.stages.mend"], cwd=root, env=_environment(), check=True)
    with (root / "said").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "normlab.stages.repro", "--jobs", str(jobs)], cwd=root, env=_environment(),
            start_new_session=True, preexec_fn=limit, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip


def _contents(root: Path) -> dict[str, bytes]:
    files = [path for out in OUTPUTS for path in sorted((root / out).rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in [root / "dvc.lock", *files]}


def _group(number: int) -> Callable[[subprocess.Popen], None]:
    return lambda process: os.killpg(process.pid, number)


def _kill_a_job(process: subprocess.Popen) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
        jobs = [child for child in below if os.getpgid(child.pid) == child.pid and child.ppid() != process.pid]
        for job in jobs[:1]:
            os.killpg(job.pid, signal.SIGKILL)


MODES: dict[str, Callable[[subprocess.Popen], None]] = {
    "the group, KILL": _group(signal.SIGKILL),
    "the head alone, KILL": lambda process: process.kill(),
    "a job, KILL": _kill_a_job,  # the others go on, and the whole fails
    "the group, INT": _group(signal.SIGINT),
    "the group, TERM": _group(signal.SIGTERM),
}


@dataclass(frozen=True)
class Reference:
    """A run that nothing disturbed: where it lies, its outputs, and how many seconds it took."""

    root: Path
    contents: dict[str, bytes]
    seconds: float


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    root = _repository(tmp_path_factory.mktemp("reference") / "repository")
    begun = time.monotonic()
    assert _repro(root, jobs=1).wait(timeout=WAIT) == 0, (root / "said").read_text()
    return Reference(root, _contents(root), time.monotonic() - begun)


def _ends_as(root: Path, expected: dict[str, bytes]) -> None:
    assert _repro(root).wait(timeout=WAIT) == 0, (root / "said").read_text()[-3000:]
    found = _contents(root)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


def test_kills_at_random_moments_change_nothing(reference: Reference, tmp_path: Path) -> None:
    draws = random.Random(int(os.environ.get("NORMLAB_FAULTS_SEED", "0")))
    root, cut, modes = _repository(tmp_path / "repository"), 0, list(MODES) if WHOLE else [*MODES][:1]
    for mode in modes:
        process = _repro(root)
        try:
            process.wait(timeout=draws.uniform(0.05, 0.6) * reference.seconds)
        except subprocess.TimeoutExpired:
            MODES[mode](process)
            cut += 1
            process.wait(timeout=WAIT)
    print(f"{cut} of {len(modes)} kills found a pipeline at work")
    _ends_as(root, reference.contents)


def _little_space() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def _full_disk(root: Path) -> None:
    (root / "data").mkdir(exist_ok=True)
    shutil.rmtree(root / "data/prepared")
    shutil.rmtree(root / ".dvc/cache")
    assert _repro(root, _little_space).wait(timeout=300) != 0


DAMAGES: dict[str, Callable[[Path], object]] = {
    "dvc.lock is cut": lambda root: (root / "dvc.lock").write_bytes((root / "dvc.lock").read_bytes()[:-25]),
    "rwlock is cut": lambda root: (root / ".dvc/tmp/rwlock").write_text('{"wri'),
    "a checkpoint is cut": lambda root: _cut(root / "models/runs/a/checkpoints/step-000010.pt"),
    "a file of the cache is damaged": lambda root: _spoil_cache(root, listings=False),
    "a listing of the cache is damaged": lambda root: _spoil_cache(root, listings=True),
    "the cache is gone": lambda root: shutil.rmtree(root / ".dvc/cache"),
    "an output is gone": lambda root: shutil.rmtree(root / "data/probes/a"),
    "the disk is full": _full_disk,
}  # fmt: skip


def _cut(path: Path) -> None:
    content = path.read_bytes()[:1000]
    path.unlink()  # it may be a link into the cache
    path.write_bytes(content)


def _spoil_cache(root: Path, listings: bool) -> None:
    """Other bytes in all files of DVC's cache, or in all listings, as a failing disk makes them; an output is gone."""
    shutil.rmtree(root / "models/runs/a")
    for path in (root / ".dvc/cache/files/md5").glob("*/*"):
        if (path.suffix == ".dir") == listings:
            found, content = path.stat(), path.read_bytes()
            path.chmod(0o644)
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
            path.chmod(found.st_mode)


@whole
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_put_right(damage: str, tmp_path: Path, reference: Reference) -> None:
    root = Path(shutil.copytree(reference.root, tmp_path / "repository", symlinks=True))
    DAMAGES[damage](root)
    _ends_as(root, reference.contents)


@whole
def test_two_at_once(reference: Reference, tmp_path: Path) -> None:
    root = _repository(tmp_path / "repository")
    first = _repro(root)
    time.sleep(0.3 * reference.seconds)
    second = _repro(root)
    assert first.wait(timeout=WAIT) == 0 or second.wait(timeout=WAIT) == 0, (root / "said").read_text()[-3000:]
    second.wait(timeout=WAIT)
    _ends_as(root, reference.contents)


@whole
def test_two_workers_of_a_scheduler(reference: Reference, tmp_path: Path) -> None:
    from distributed import LocalCluster

    root = _repository(tmp_path / "repository")
    (root / ".gitignore").write_text("/data/\n/models/\n/logs/\n/scratch/\n/said\n")
    for command in (
        [sys.executable, "-m", "dvc", "remote", "add", "--local", "--default", "shared", str(tmp_path / "storage")],
        ["git", "add", "--all"],
        ["git", "commit", "--quiet", "--message", "all"],
    ):
        subprocess.run(command, cwd=root, check=True)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        local_directory=str(tmp_path / "workers"),
    ) as cluster:  # fmt: skip
        command = [sys.executable, "-m", "normlab.stages.repro", "--scheduler", cluster.scheduler_address]
        done = subprocess.run(command, cwd=root, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _contents(root) == reference.contents
