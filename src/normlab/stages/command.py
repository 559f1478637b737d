"""What all stage programs share: one line for what went wrong, and outputs that appear whole or not at all."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from normlab.specs.strict import InputError

DEBUG = "NORMLAB_DEBUG"  # set to anything: tracebacks are shown; so does --debug on the command line of any program


def run(main: Callable[[list[str] | None], None]) -> None:
    """Call `main` with the command line; what stands in `failure` becomes one line on stderr and an exit status.

    Any other exception is a fault of the program and keeps its traceback. With `--debug` or NORMLAB_DEBUG all do.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        main(arguments)
    except BaseException as error:
        known = failure(error)
        if known is None or _debugging():
            raise
        line, status = known
        print(line, file=sys.stderr)
        raise SystemExit(status) from None


def interrupted_while_importing(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An exception hook for the time before `run` is reached: Ctrl-C is one line, all else as ever."""
    if isinstance(error, KeyboardInterrupt) and not _debugging():
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _debugging() -> bool:
    return bool(os.environ.get(DEBUG)) or "--debug" in sys.argv[1:]


def failure(error: BaseException) -> tuple[str, int] | None:
    """One line and the exit status for bad input (2), the machine's refusal (1) or Ctrl-C (130); None for the rest."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return f"error: {text}", 2
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    # torch has no class of its own for a CPU that is out of memory
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "allocate memory" in text:
        return f"error: out of memory: {text[:300] or 'the system gave no more'}", 1
    if isinstance(error, OSError):  # disk full, file-size limit, read-only folder, a file that vanished
        named = f"{error.filename}: " if error.filename else ""
        return f"error: {named}{error.strerror or text}", 1
    return None


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` to write into; it takes the place of `path` only if the block succeeds.

    What stood at `path` stays until then, and a failed or interrupted block leaves it untouched.
    """
    path = path.resolve()
    partial, old = path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.old.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():  # moved aside, not removed: killed between the two renames, both versions are on disk
            shutil.rmtree(old, ignore_errors=True)
            os.replace(path, old)
        os.replace(partial, path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
