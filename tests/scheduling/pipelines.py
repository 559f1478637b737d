"""Small pipelines of shell commands, and the programs that run them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

# `ran` lists what was run, in no output; a stage `slow` waits until there is a file `quick`
DVC = """
stages:
  number: {cmd: echo number >> ran && cp number.txt number, deps: [number.txt], outs: [number]}
  part:
    foreach: [a, b, c, d]
    do:
      cmd: echo ${item} >> ran && mkdir -p parts/${item} && echo ${item} | cat number - > parts/${item}/text
      deps: [number]
      outs: ["parts/${item}"]
  slow:
    cmd: echo $$ >> pids && echo begun && (test -e quick || sleep 60) && cp number slow
    deps: [number]
    outs: [slow]
  other: {cmd: "echo other >> ran && wc -c < number > other", deps: [number], outs: [other]}
  last:
    cmd: echo last >> ran && cat parts/*/text slow > last && cp last last.json
    deps: [parts, slow]
    outs: [last]
    metrics: [last.json: {cache: false}]
"""


def environment() -> dict[str, str]:
    """That of this process, with its python first."""
    return os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def repository(root: Path, pipeline: str = DVC) -> Path:
    """A repository of that pipeline, nothing of which has run; its slow stage is quick."""
    root.mkdir(exist_ok=True)
    (root / "dvc.yaml").write_text(pipeline)
    (root / "number.txt").write_text("5\n")
    (root / "quick").touch()
    (root / ".gitignore").write_text("/parts/\n")  # else DVC writes one there, in the order of its stages
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True)
    return root


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """DVC itself."""
    return _done(root, "dvc", *arguments)


def repro(root: Path, jobs: int = 2, *more: str) -> subprocess.CompletedProcess[str]:
    """What `make repro JOBS=…` runs."""
    return _done(root, "normlab.stages.repro", "--jobs", str(jobs), *more)


def begin(root: Path, jobs: int = 2, *more: str) -> subprocess.Popen[str]:
    """The same, not waited for, as a group of processes of its own."""
    command = [sys.executable, "-m", "normlab.stages.repro", "--jobs", str(jobs), *more]
    return subprocess.Popen(
        command, cwd=root, env=environment(), start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ran(root: Path) -> list[str]:
    """The stages that ran so far, in the order of their names."""
    path = root / "ran"
    return sorted(path.read_text().split()) if path.exists() else []


def _done(root: Path, *program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *program]
    return subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until it is so; a failure where it takes longer."""
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, also if nobody has asked for its status yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it may end between two looks
        return True
