"""Tests in forked processes, each from one that has made the heavy imports already: for `mutants.py`.

Runs in the project's environment, in the root of the tree whose tests it runs. Each line of its input is a call in
JSON, each line of its output the answer:

    {"files": […], "first": […], "only": whether no others, "seconds": n, "record": path or null}
    {"status": of pytest, negative where a signal ended it, "seconds": of the processor}

`first` are tests (pytest's node ids) to begin with: the first failure ends a call, so that the order decides what a
mutant costs. A call that records writes for each test its seconds and the functions below src/ that it entered.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import numpy  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest  # not Hypothesis: pytest has to rewrite it
import scipy.stats  # noqa: F401
import torch  # noqa: F401

SOURCES = f"{Path.cwd() / 'src'}{os.sep}"


class Recorder:
    """Which functions each test enters, and how long it takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.entered: dict[str, set[tuple[str, int]]] = {}
        self.shared: dict[str, set[tuple[str, int]]] = {}  # by file: what fixtures entered, whose values tests share
        self.now: set[tuple[str, int]] = set()

    def _enter(self, frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename.startswith(SOURCES):
            self.now.add((os.path.relpath(frame.f_code.co_filename), frame.f_code.co_firstlineno))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.now = self.entered[item.nodeid] = set()
        begun = time.process_time()
        sys.settrace(self._enter)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.seconds[item.nodeid] = time.process_time() - begun

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self.now = self.shared.setdefault(item.nodeid.partition("::")[0], set())
        try:
            return (yield)
        finally:
            self.now = self.entered[item.nodeid]

    def write(self, path: Path) -> None:
        """Node id to seconds and functions (file, first line), fixtures' among them."""
        found = {
            name: {"seconds": self.seconds[name], "entered": sorted(own | self.shared[name.partition("::")[0]])}
            for name, own in self.entered.items()
        }
        path.write_text(json.dumps(found), "utf-8")


class Order:
    """Some tests before all others, or they alone; a file at a time, since tests of a file share fixtures."""

    def __init__(self, first: list[str], only: bool) -> None:
        self.rank, self.only = {name: number for number, name in enumerate(first)}, only

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.rank.get(item.nodeid, len(self.rank)))
        if self.only:
            items[:] = [item for item in items if item.nodeid in self.rank]


def answer(files: list[str], first: list[str], only: bool, record: str | None) -> int:
    """What pytest says of these files; it prints nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    recorder = Recorder()
    # what is compiled without a mutant is there for all mutants: Python compiles a file that has changed since anew
    sys.dont_write_bytecode = record is None
    plugins = [Order(first, only), *([recorder] if record else [])]
    status = pytest.main(["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--tb=no", *files], plugins)
    if record and not status:
        recorder.write(Path(record))
    return int(status)


def main() -> None:
    """Answer calls until the input ends."""
    for line in sys.stdin:
        call = json.loads(line)
        child = os.fork()
        if not child:
            # a hard limit that is as low would be SIGKILL, which says nothing of the processor
            resource.setrlimit(resource.RLIMIT_CPU, (call["seconds"], call["seconds"] + 5))
            os._exit(answer(call["files"], call["first"], call["only"], call["record"]))
        _, status, usage = os.wait4(child, 0)
        used = usage.ru_utime + usage.ru_stime
        print(json.dumps({"status": os.waitstatus_to_exitcode(status), "seconds": used}), flush=True)


if __name__ == "__main__":
    main()
