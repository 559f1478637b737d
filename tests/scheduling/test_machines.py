"""Stages on the workers of a Dask scheduler leave the files of `dvc repro`, also when a worker or the head is lost."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dask.config
import psutil
import pytest
from tests.scheduling.pipelines import DVC, begin, dvc, is_gone, ran, repository, repro, wait_for

from normlab.scheduling import machines, on_worker
from normlab.scheduling.machines import checked_address, committed
from normlab.specs.strict import InputError

# the stages of a worker run in its clone: what they leave beside their outputs is where RAN says
SLOW = "echo $$ >> $RAN.pids && echo begun && (test -e $RAN.quick"
STAGES = DVC.replace("last", "analyze").replace(">> ran", ">> $RAN").replace("analyze.json", "last.json")
STAGES = STAGES.replace("echo $$ >> pids && echo begun && (test -e quick", SLOW).replace("[a, b, c, d]", "[a, b]")
ALL = ["a", "analyze", "b", "number", "other"]


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:8786", "tls://login1.example:8786"]
)
def test_addresses_that_are_safe(address: str) -> None:
    assert checked_address(address) == address


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://10.0.0.1:8786", "is not encrypted, and Dask runs whatever connects to it"),
        ("tcp://login1:8786", "is not encrypted"),
        ("tcp://localhost.example:8786", "is not encrypted"),
        ("tcp://0.0.0.0:8786", "is not encrypted"),
        ("login1:8786", "expected tls://HOST:PORT"),
        ("tls://login1", "expected tls://HOST:PORT"),
        ("tls://login1:99999", "expected tls://HOST:PORT"),
        ("inproc://x:1", "expected tls://HOST:PORT"),
        ("tcp://127.0.0.1:8786;rm", "expected tls://HOST:PORT"),
    ],
)
def test_addresses_that_are_refused(address: str, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)):
        checked_address(address)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose pipeline is committed."""
    folder = tmp_path_factory.mktemp("machines")
    root = repository(folder / "repository", STAGES)
    (root / "params.yaml").write_text("train: {device: cpu}\n")
    (root / ".gitignore").write_text("/parts/\n/number\n/slow\n/other\n/analyze\n/logs/\n")
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", "all"], cwd=root, check=True)
    return root


@pytest.fixture
def root(fresh: Path, tmp_path: Path) -> Path:
    copy = shutil.copytree(fresh, tmp_path / "repository")
    dvc(copy, "remote", "add", "--local", "--default", "--force", "shared", str(tmp_path / "storage"))
    return copy


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Two workers with a thread each, on the loopback."""
    from distributed import LocalCluster

    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        local_directory=str(tmp_path / "workers"),
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def _slow_stage(tmp_path: Path) -> int:
    """The process of the slow stage, once all that does not wait for it has run."""
    pids = tmp_path / "ran.pids"
    wait_for(lambda: pids.exists() and pids.read_text() != "" and len(set(ran(tmp_path))) == len(ALL) - 1, 120)
    return int(pids.read_text().split()[-1])


@pytest.mark.pipeline
@pytest.mark.slow
def test_a_worker_is_lost_and_the_files_are_those_of_dvc_repro(root: Path, scheduler: str, tmp_path: Path) -> None:
    expected = shutil.copytree(root, tmp_path / "expected")
    process = begin(root, 1, "--scheduler", scheduler)
    stage = _slow_stage(tmp_path)
    worker = next(one for one in psutil.Process(stage).parents() if "spawn_main" in " ".join(one.cmdline()))
    worker.kill()
    wait_for(lambda: is_gone(stage))
    (tmp_path / "ran.quick").touch()
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "6 stages ran" in out
    assert len((tmp_path / "ran.pids").read_text().split()) == 2, "once on each worker"
    assert ran(tmp_path) == ALL
    assert "begun" in (root / "logs/stages/slow.log").read_text()
    assert dvc(expected, "repro").returncode == 0
    assert (root / "dvc.lock").read_text() == (expected / "dvc.lock").read_text()
    assert "up to date" in dvc(root, "status").stdout


@pytest.mark.pipeline
@pytest.mark.slow
def test_ctrl_c_ends_what_runs_on_workers_and_what_they_made_is_kept(
    root: Path, scheduler: str, tmp_path: Path
) -> None:
    process = begin(root, 1, "--scheduler", scheduler)
    stage = _slow_stage(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    wait_for(lambda: is_gone(stage))
    shutil.rmtree(root / ".dvc/cache")  # as on another machine
    (root / "dvc.lock").unlink(missing_ok=True)
    (root / "number.txt").write_text("6\n")
    changed = repro(root, 1, "--scheduler", scheduler)
    assert changed.returncode == 2
    assert "these are not in it: number.txt; commit them" in changed.stderr
    subprocess.run(["git", "checkout", "--quiet", "number.txt"], cwd=root, check=True)
    (tmp_path / "ran.quick").touch()
    done = repro(root, 1, "--scheduler", scheduler)
    assert "2 stages ran, 4 came from the cache" in done.stdout, done.stderr
    assert ran(tmp_path) == ALL


def test_workers_need_a_remote_and_a_commit(root: Path) -> None:
    assert re.fullmatch("[0-9a-f]{40}", committed(root))
    (root / "dvc.lock").write_text("schema: '2.0'\n")  # a result
    committed(root)
    (root / "new.py").touch()
    with pytest.raises(InputError, match=r"workers clone the last commit, and these are not in it: new\.py; "):
        committed(root)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "ANSWERS_WITHIN", 0.5)
    with pytest.raises(InputError, match=r"SCHEDULER: no connection to tcp://127\.0\.0\.1:1: "):  # noqa: SIM117
        with machines.connected("tcp://127.0.0.1:1"):
            pass


def test_an_encrypted_scheduler_is_reached_with_its_certificates_alone() -> None:
    from distributed import LocalCluster
    from distributed.security import Security

    security = Security.temporary()
    certificates = {
        "distributed.comm.tls.ca-file": security.tls_ca_file,
        "distributed.comm.tls.client.cert": security.tls_client_cert,
        "distributed.comm.tls.client.key": security.tls_client_key,
    }
    with LocalCluster(
        n_workers=0, protocol="tls://", security=security, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        with pytest.raises(InputError, match="SCHEDULER: no connection to tls://"), machines.connected(address):
            pass
        with dask.config.set(certificates), machines.connected(address) as client:
            assert client.scheduler_info()["address"] == address


def test_other_packages_are_refused() -> None:
    on_worker.check_versions("w", on_worker.versions())
    with pytest.raises(
        RuntimeError, match=r"worker w has torch [\d.]+, not 1\.0: install the head's requirements\.lock"
    ):
        on_worker.check_versions("w", {**on_worker.versions(), "torch": "1.0"})


def test_a_commit_that_nobody_has_is_named(root: Path, tmp_path: Path) -> None:
    commit = committed(root)
    with pytest.raises(RuntimeError, match=f"commit {'0' * 12} can be cloned from nowhere; .*nothing.*; .*"):
        on_worker.clone_into(tmp_path / "one", [str(tmp_path / "nothing"), str(root)], "0" * 40, ("shared", "there"))
    on_worker.clone_into(tmp_path / "two", [str(tmp_path / "nothing"), str(root)], commit, ("shared", str(tmp_path)))
    assert (tmp_path / "two/dvc.yaml").read_text() == STAGES
    assert committed(tmp_path / "two") == commit
