"""The process of one job: a group of its own, its own log, and an end when the process that started it ends."""

import atexit
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait

from normlab.scheduling.jobs import Job

FOR_A_SHELL = re.compile(r"[$;&|<>`()*?~#{}\[\]!\\\n]")  # what only a shell understands


def run(job: Job) -> None:
    """Run the commands of `job` in this process, which was made for it.

    `python -m MODULE …` is run here, where what it imports is loaded already; all else by a shell, as DVC does it.

    Raises:
        SystemExit: a command failed.
    """
    os.setsid()
    _follow_the_parent()
    _speak_into(job)
    os.chdir(job.folder)
    os.environ.clear()
    os.environ.update(job.environment)
    try:
        for command in job.commands:
            words = program(command)
            if words is None:
                _run_shell(command)
            else:
                _run_module(words)
    finally:
        atexit._run_exitfuncs()  # a forked process ends without


def _run_shell(command: str) -> None:
    done = subprocess.run([os.environ.get("SHELL") or "/bin/sh", "-c", command], check=False)
    if done.returncode:
        raise SystemExit(done.returncode % 256)


def program(command: str) -> list[str] | None:
    """The module and arguments of a command `python -m MODULE …`, None for any other."""
    if FOR_A_SHELL.search(command):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    return words[2:] if words[:2] == ["python", "-m"] and len(words) > 2 else None


def _run_module(words: list[str]) -> None:
    sys.argv = list(words)  # runpy puts the file's name first
    sys.modules.pop(words[0], None)  # loaded as a module before, it is run as a program now
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise


def _follow_the_parent() -> None:
    """End with all that was started here as soon as the process that wants the result is gone."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os.killpg(0, signal.SIGKILL)


def _speak_into(job: Job) -> None:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
