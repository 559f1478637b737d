"""What a stage program says when something is in its way: one line, an exit status, and a traceback only if asked."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from normlab.specs.strict import InputError
from normlab.stages.command import failure

PARAMS = "data: {source: textures, seed: 0, train_per_class: 200, test_per_class: 20}\n"


LITTLE_SPACE = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def program(stage: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"normlab.stages.{stage}", *arguments]


def start(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InputError("train.width: must be above 0,\n got 0"), ("error: train.width: must be above 0, got 0", 2)),
        (KeyboardInterrupt(), ("interrupted", 130)),
        (OSError(28, "No space left on device", "x/y"), ("error: x/y: No space left on device", 1)),
        (OSError("1000 requested and 12 written"), ("error: 1000 requested and 12 written", 1)),
        (MemoryError(), ("error: out of memory: the system gave no more", 1)),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            (
                "error: out of memory: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
                1,
            ),
        ),
        (KeyError("loss"), None),
        (SystemExit(2), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_known_failures_have_a_line_and_others_keep_their_traceback(error: BaseException, expected: object) -> None:
    assert failure(error) == expected


@pytest.mark.pipeline
@pytest.mark.parametrize(("arguments", "environment"), [(["--debug"], {}), ([], {"NORMLAB_DEBUG": "1"})])
def test_the_traceback_is_there_for_who_asks(tmp_path: Path, arguments: list[str], environment: dict) -> None:
    assert start(program("data"), tmp_path).stderr.count("\n") == 1
    done = start(program("data", *arguments), tmp_path, **environment)
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "InputError: params.yaml: no such file" in done.stderr


@pytest.fixture
def prepared(tmp_path: Path) -> dict[Path, bytes]:
    """The outputs of an earlier run in `data/prepared`, which nothing that fails may touch."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    assert start(program("data"), tmp_path).returncode == 0
    return {path: path.read_bytes() for path in (tmp_path / "data/prepared").iterdir()}


def unchanged(prepared: dict[Path, bytes]) -> bool:
    folder = next(iter(prepared)).parent
    return {path: path.read_bytes() for path in folder.iterdir()} == prepared


@pytest.mark.pipeline
def test_a_full_disk_is_one_line_and_the_old_outputs_stay(tmp_path: Path, prepared: dict[Path, bytes]) -> None:
    # the limit on a file's size makes write() fail as a full disk does, and needs no file system of its own
    done = start([sys.executable, "-c", LITTLE_SPACE, *program("data")[1:]], tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert unchanged(prepared)


@pytest.mark.pipeline
@pytest.mark.parametrize("out", ["params.yaml/prepared", "sealed/prepared"])
def test_a_folder_that_takes_nothing_is_one_line(tmp_path: Path, prepared: dict[Path, bytes], out: str) -> None:
    (tmp_path / "sealed").mkdir(mode=0o555)
    if out.startswith("sealed") and os.access(tmp_path / "sealed", os.W_OK):
        pytest.skip("this user may write anywhere")
    done = start(program("data", "--out", out), tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / out.partition('/')[0]}")
    assert done.stderr.count("\n") == 1, done.stderr
    assert unchanged(prepared)


INTERRUPTED_AT = """
import importlib.abc, os, runpy, signal, sys
class Trap(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Trap())
sys.argv[0] = "-m"  # as Python itself has it while it looks for the program
runpy.run_module("normlab.stages.data", run_name="__main__")
"""


@pytest.mark.pipeline
@pytest.mark.parametrize("module", ["normlab.data.sources", "numpy"])
def test_ctrl_c_while_the_program_is_imported_is_one_line(tmp_path: Path, module: str) -> None:
    done = start([sys.executable, "-c", INTERRUPTED_AT, module], tmp_path)
    assert done.returncode in (1, 130, -signal.SIGINT)
    assert done.stderr == "interrupted\n"


@pytest.mark.pipeline
def test_ctrl_c_at_work_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS.replace("200", "20000"))
    process = subprocess.Popen(program("data"), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("data/.prepared.*.partial")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "interrupted\n"
    assert not list(tmp_path.glob("data/.prepared*"))
