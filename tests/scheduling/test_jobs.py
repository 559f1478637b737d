"""A job is as the command in a fresh process: its arguments, folder, environment, output and exit status."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.scheduling.pipelines import is_gone, wait_for

from normlab.scheduling.child import program
from normlab.scheduling.jobs import Ended, Job
from normlab.scheduling.local_jobs import LocalJobs

# what it finds out is the answer to: is this like `python -m seen a 'b c'`?
SEEN = """
import atexit, json, os, sys
print("said")
print("complained", file=sys.stderr)
loaded = "torch" in sys.modules
import torch
if __name__ == "__main__":
    atexit.register(lambda: open("at-exit", "w").close())
    json.dump({
        "arguments": sys.argv[1:], "name": os.path.basename(sys.argv[0]), "folder": os.getcwd(),
        "given": os.environ.get("GIVEN"), "threads": torch.get_num_threads(), "loaded": loaded,
        "server's threads": len(os.listdir(f"/proc/{os.getppid()}/task")), "group": os.getpgid(0) == os.getpid(),
        "cuda": torch.cuda.is_initialized(), "input": sys.stdin.read(),
    }, open("seen.json", "w"))
    sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python -m normlab.stages.train --seed 0", ["normlab.stages.train", "--seed", "0"]),
        ("python -m seen 'a b' --variant weight_decay=0.1,x=1", ["seen", "a b", "--variant", "weight_decay=0.1,x=1"]),
        ("python -m seen > log", None),
        ("python -m seen && rm x", None),
        ("python -m seen $HOME", None),
        ("python -m seen 'open", None),
        ("python -m", None),
        ("python seen.py", None),
        ("PYTHONHASHSEED=0 python -m seen", None),
    ],
)
def test_which_commands_need_no_shell(command: str, words: list[str] | None) -> None:
    assert program(command) == words


def _ended(jobs: LocalJobs, *started: Job) -> dict[str, Ended]:
    for job in started:
        jobs.start(job)
    found: dict[str, Ended] = {}
    limit = time.monotonic() + 100
    while jobs.running():
        assert time.monotonic() < limit
        found |= {ended.name: ended for ended in jobs.wait(10.0)}
    return found


@pytest.mark.pipeline
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads Linux's list of threads")
def test_a_job_is_as_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seen.py").write_text(SEEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("GIVEN", "before")
    jobs = LocalJobs(2, ["seen"])
    log = tmp_path / "logs" / "seen.log"
    job = Job("seen", ("python -m seen 3 'b c'",), str(tmp_path), {"GIVEN": "for it"}, log)
    shell = Job("shell", ("echo $GIVEN > made", "exit 7", "touch never"), str(tmp_path), log=tmp_path / "shell.log")
    ended = _ended(jobs, job, shell)
    assert (ended["seen"].status, ended["seen"].reason) == (3, "exit status 3")
    assert (ended["shell"].status, ended["shell"].reason) == (7, "exit status 7")
    assert (tmp_path / "made").read_text() == "before\n"
    assert not (tmp_path / "never").exists()
    assert sorted(log.read_text().split()) == ["complained", "said"]
    assert (tmp_path / "at-exit").exists()
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen == {
        "arguments": ["3", "b c"], "name": "seen.py", "folder": str(tmp_path), "given": "for it", "threads": 1,
        "loaded": True, "server's threads": 1, "group": True, "cuda": False, "input": "",
    }  # fmt: skip


@pytest.mark.pipeline
def test_stop_ends_what_a_job_has_started(tmp_path: Path) -> None:
    jobs = LocalJobs(2)
    stubborn = "trap '' TERM; sleep 100 & echo $! > sleeping; wait; sleep 100"
    jobs.start(Job("polite", ("sleep 100",), str(tmp_path), log=tmp_path / "log"))
    jobs.start(Job("stubborn", (stubborn,), str(tmp_path), log=tmp_path / "log"))
    sleeping = tmp_path / "sleeping"
    wait_for(lambda: sleeping.exists() and sleeping.read_text() != "")
    jobs.stop(grace=0.5)
    assert not jobs.running()
    wait_for(lambda: is_gone(int(sleeping.read_text())))


STARTER = """
from pathlib import Path
with open("imported", "a") as stream:
    stream.write(__name__ + "\\n")
if __name__ == "__main__":
    from normlab.scheduling.jobs import Job
    from normlab.scheduling.local_jobs import LocalJobs
    jobs = LocalJobs(1)
    jobs.start(Job("one", ("true",), "."))
    while jobs.running():
        assert not any(ended.status for ended in jobs.wait(10.0))
"""


@pytest.mark.pipeline
def test_a_job_does_not_load_the_program_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "starter.py").write_text(STARTER)
    subprocess.run([sys.executable, "-m", "starter"], cwd=tmp_path, check=True, timeout=100)
    assert (tmp_path / "imported").read_text().split() == ["__main__"]
