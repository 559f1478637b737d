"""What all stage programs share: one line for what went wrong, and outputs that appear whole or not at all."""

import fcntl
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType

from normlab.specs.strict import InputError

DEBUG = "NORMLAB_DEBUG"  # set to anything: tracebacks are shown; so does --debug on the command line of any program
ABANDONED_AFTER_SECONDS = 60.0  # a younger temporary folder may belong to a process that has not locked it yet


def run(main: Callable[[list[str] | None], None]) -> None:
    """Call `main` with the command line; what stands in `failure` becomes one line on stderr and an exit status.

    Any other exception is a fault of the program and keeps its traceback. With `--debug` or NORMLAB_DEBUG all do.
    SIGTERM ends the program in an orderly way, so that what it had begun to write is removed.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):  # a terminal that has no letter for × or … is shown an escape
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        main(arguments)
    except BaseException as error:
        known = failure(error)
        if known is None or _debugging():
            raise
        line, status = known
        print(line, file=sys.stderr)
        raise SystemExit(status) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def terminate(number: int, frame: FrameType | None) -> None:
    """A signal handler: the program ends as it does when it is done, and removes what it had begun to write."""
    raise SystemExit(128 + number)


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
    text = _printable(" ".join(str(error).split()))
    if isinstance(error, InputError):
        return f"error: {text}", 2
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    # torch has no class of its own for a CPU that is out of memory
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "allocate memory" in text:
        return f"error: out of memory: {text[:300] or 'the system gave no more'}", 1
    if isinstance(error, OSError):  # disk full, file-size limit, read-only folder, a file that vanished
        named = f"{_printable(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        return f"error: {named}{error.strerror or text}", 1
    return None


def _printable(text: str) -> str:
    """Names of files may hold anything: control characters, and bytes that are no text, are shown as escapes."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A private folder beside `path` to write into; it takes the place of `path` only if the block succeeds.

    What stood at `path` stays until then, and a failed or interrupted block leaves it untouched. No other process can
    write `path` meanwhile, and no other ever sees the private folder: a training whose pipeline was killed goes on as
    an orphan, and must neither be joined nor disturbed by the next one.

    Raises:
        InputError: a living process is writing `path`.
    """
    shown, path = path, path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _owned(path, shown):
        _clear_leftovers(path)
        own = f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}"
        partial, old = path.with_name(f"{own}.partial"), path.with_name(f"{own}.old.partial")
        partial.mkdir()
        try:
            yield partial
            if path.exists():  # moved aside, not removed: killed between the two renames, both versions are on disk
                os.replace(path, old)
            os.replace(partial, path)
        finally:
            _clear_leftovers(path)


@contextmanager
def _owned(path: Path, shown: Path) -> Iterator[None]:
    """Hold the lock of the output `path`, a file beside it that names its owner; the system frees it when we die."""
    lock = path.with_name(f".{path.name}.lock")
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise InputError(f"{shown}: {owner} is writing it; wait for it or end it, then try again") from None
        if _is_at(descriptor, lock):
            break
        os.close(descriptor)  # its owner finished and removed it between our two calls
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _clear_leftovers(path: Path) -> None:
    """Remove the private folders of the output `path`, whose lock we hold: our own, or of owners that were killed."""
    private = re.compile(rf"\.{re.escape(path.name)}\.\d+-[0-9a-f]{{8}}(\.old)?\.partial")
    found = sorted(entry for entry in path.parent.iterdir() if private.fullmatch(entry.name))
    for entry in found:
        if entry.name.endswith(".old.partial") and not path.exists():
            os.replace(entry, path)  # stopped between its two renames
        else:
            shutil.rmtree(entry, ignore_errors=True)


@contextmanager
def temporary_folder(prefix: str, within: Path | None = None) -> Iterator[Path]:
    """A temporary folder outside the project, gone after the block; those of killed processes are removed first.

    Args:
        prefix: starts the folder's name and tells our abandoned folders from everybody else's.
        within: the folder to make it in; by default the system's, which TMPDIR names.
    """
    import tempfile  # with what it needs, a tenth of a second of every program

    place = within or Path(tempfile.gettempdir())
    for entry in place.glob(f"{prefix}*"):
        _remove_abandoned(entry)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place) as name:
        descriptor = os.open(name, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield Path(name)
        finally:
            os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return  # another user's, or gone
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # its process lives
    else:
        found = os.fstat(descriptor)
        if found.st_uid == os.getuid() and time.time() - found.st_mtime > ABANDONED_AFTER_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
