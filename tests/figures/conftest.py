"""Invented tables, made once for all figure tests."""

import pandas as pd
import pytest
from tests.analysis.synthetic import SPEC
from tests.figures import runs

from normlab.analysis.cells import Cells
from normlab.tables.frames import as_categories


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """Measurements of the studies vgg and dln."""
    return runs.measurements(kinds=("none", "batch", "noisy_batch", "l1"))


@pytest.fixture
def vgg(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["study"] == "vgg"]


@pytest.fixture
def one_rate(vgg: pd.DataFrame) -> pd.DataFrame:
    return vgg[vgg["learning_rate"] == 0.1]


@pytest.fixture
def dln(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["study"] == "dln"]


@pytest.fixture(scope="session")
def cells(table: pd.DataFrame) -> Cells:
    """The cells of both studies."""
    return Cells(as_categories(table), pd.DataFrame(), SPEC)


@pytest.fixture(scope="session")
def histograms() -> pd.DataFrame:
    return runs.histograms(kinds=("none", "batch", "noisy_batch", "l1"))
