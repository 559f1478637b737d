"""What all stage programs share: one line for bad input, and outputs that appear whole or not at all."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from normlab.specs.strict import InputError


def run(main: Callable[[list[str] | None], None]) -> None:
    """Call `main` with the command line; an `InputError` becomes one line on stderr and exit status 2."""
    try:
        main(None)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


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
