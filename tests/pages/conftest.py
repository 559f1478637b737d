"""Results on disk, written once."""

import pytest
from tests.pages.study import write_results

from normlab.pages.results import Results


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the invented results are, by parameter."""
    return write_results(tmp_path_factory.mktemp("results"))


@pytest.fixture
def results(paths: dict[str, str]) -> Results:
    return Results.load(**paths)
