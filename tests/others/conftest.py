"""Tests with other people's libraries, in an environment of their own: `make test-others`.

Elsewhere the libraries are missing, and nothing is collected here.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore_glob = [] if find_spec("lightning") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))  # other libraries' warnings are shown, not errors
