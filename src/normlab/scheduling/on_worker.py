"""What a Dask worker does for one stage. Its functions are sent to it: it needs the locked packages, not this package.

A worker never runs a stage in its own process. It clones the commit once, into its own folder, and starts the program
`normlab.stages.worker` of the clone, which follows it into death.
"""

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

SAME = ("torch", "numpy", "pandas", "dvc")  # packages whose version decides numbers and files
ASKED_EVERY = 1.0  # seconds between two looks whether the result is still wanted


def versions() -> dict[str, str]:
    """The versions that have to be the same on all machines; builds of torch (cpu, cuda) may differ."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: version(name).partition("+")[0] for name in SAME}}


def check_versions(worker: str, wanted: Mapping[str, str]) -> None:
    """Refuse a worker whose packages would make other numbers than those of the head.

    Raises:
        RuntimeError: with what is different.
    """
    here = versions()
    other = [f"{name} {here[name]}, not {version}" for name, version in wanted.items() if here[name] != version]
    if other:
        raise RuntimeError(f"worker {worker} has {', '.join(other)}: install the head's requirements.lock there")


def run_stage(task: dict[str, Any]) -> dict[str, Any]:
    """Run one stage in this worker's clone.

    Args:
        task: `stage`, its name; `upstream`, the lock entries of the stages that it needs; `commit`; `sources`, where it
            can be cloned from; `remote`, name and address of the shared storage; `versions` of the head.

    Returns:
        `status`, `seconds`, the stage's `entry` for dvc.lock, and its `log`.

    Raises:
        RuntimeError: this worker cannot run it, and why.
    """
    from distributed import get_worker

    worker = get_worker()
    check_versions(worker.address, task["versions"])
    clone = Path(worker.local_directory) / f"normlab-{task['commit'][:12]}"
    if not clone.exists():
        clone_into(clone, task["sources"], task["commit"], task["remote"])
    key = worker.get_current_task()
    return run_program(clone, task, lambda: _is_wanted(worker, key))


def clone_into(clone: Path, sources: Sequence[str], commit: str, remote: Sequence[str]) -> None:
    """Clone the commit from the first source that has it; the clone's DVC uses the shared remote.

    Raises:
        RuntimeError: no source has the commit.
    """
    partial, said = clone.with_name(f"{clone.name}.partial"), ""
    for source in sources:
        shutil.rmtree(partial, ignore_errors=True)
        done = _quiet(["git", "clone", "--quiet", "--no-checkout", source, str(partial)])
        if not done.returncode:
            done = _quiet(["git", "-C", str(partial), "checkout", "--quiet", "--detach", commit])
        if not done.returncode:
            name, address = remote
            set_remote = ["remote", "add", "--quiet", "--local", "--default", "--force", name, address]
            _quiet([sys.executable, "-m", "dvc", *set_remote], cwd=partial).check_returncode()
            partial.rename(clone)
            return
        said += f"; {source}: {' '.join(done.stderr.split())}"
    raise RuntimeError(f"worker on {platform.node()}: commit {commit[:12]} can be cloned from nowhere{said}")


def run_program(clone: Path, task: dict[str, Any], is_wanted: Callable[[], bool]) -> dict[str, Any]:
    """Run the program `worker` of a clone; ended where the result is not wanted any more."""
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([str(clone / "src"), os.environ.get("PYTHONPATH", "")]),
    }
    begun = time.monotonic()
    command = [sys.executable, "-m", "normlab.stages.worker"]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with subprocess.Popen(
            command, cwd=clone, env=environment, text=True, stdin=subprocess.PIPE, stdout=out, stderr=err,
            start_new_session=True,
        ) as program:  # fmt: skip
            assert program.stdin
            program.stdin.write(json.dumps(task) + "\n")
            program.stdin.flush()  # and left open: the program ends when it is closed, as it is when this process dies
            while program.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    program.wait(timeout=ASKED_EVERY)
                if program.poll() is None and not is_wanted():
                    program.terminate()
                    program.wait()
        out.seek(0)
        err.seek(0)
        try:
            answer = json.loads(out.read())
        except ValueError:
            answer = {"status": program.returncode or 1, "entry": None, "log": err.read()[-10_000:]}
    return {**answer, "seconds": time.monotonic() - begun}


def _is_wanted(worker: Any, key: Any) -> bool:
    """Whether the scheduler still waits for the result: not after the head has gone or given it up."""
    state = worker.state.tasks.get(key)
    return state is not None and state.state != "cancelled"


def _quiet(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
