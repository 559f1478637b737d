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
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
