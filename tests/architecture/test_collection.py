"""Each worker of pytest-xdist collects the tests for itself: all have to find the same ones in the same order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_collections_name_the_same_tests(repository: Path):
    # One after the other: the second runs seconds later, with another order of sets, so that an id made of the time,
    # of a hash or of a random number differs.
    def collected(hash_seed: str) -> list[str]:
        program = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        listing = subprocess.run(program, cwd=repository, env=environment, capture_output=True, text=True, check=True)
        return [line for line in listing.stdout.splitlines() if "::" in line]

    first, second = collected("1"), collected("2")
    assert len(first) > 1000, "the listing is not that of this project"
    assert first == second
