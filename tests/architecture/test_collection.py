"""Each worker of pytest-xdist collects the tests for itself: all have to find the same ones in the same order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_collections_name_the_same_tests(repository: Path, request: pytest.FixtureRequest) -> None:
    # The other collection is made later than the one of these tests, in another process and with another order of sets,
    # so that an id made of the time, of a hash, of an address or of a random number differs.
    program = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    listing = subprocess.run(program, cwd=repository, env=environment, capture_output=True, text=True, check=True)
    other = [line for line in listing.stdout.splitlines() if "::" in line]
    assert len(other) > 1000, "the listing is not that of this project"
    here = [item.nodeid for item in request.session.items]
    chosen = set(here)  # it may be a part of the tests that runs, file by file in the order of the command line
    assert _by_file([name for name in other if name in chosen]) == _by_file(here)
    assert len(here) < len(other) or here == other


def _by_file(names: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition("::")[0], []).append(name)
    return found
