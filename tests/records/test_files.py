"""The files of a record: nothing but the precision of values is lost."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from normlab.records.files import (
    read_histograms,
    read_measurements,
    same_table,
    write_histograms,
    write_measurements,
)
from normlab.specs.strict import InputError
from normlab.tables.frames import HISTOGRAM_COLUMNS, select
from normlab.tables.rows import COLUMNS, KEYS, Rows

RUN = {"study": "vgg", "network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 3}


def measured() -> pd.DataFrame:
    rows = Rows(RUN)
    for step in (0, 1, 10):
        rows.add("landscape", step, {"loss": 1 / 3, "beta": math.inf}, step_size=0.1)
        for layer in ("features.norm10", "features.norm2"):  # the network's order, not the alphabet's
            rows.add("activations", step, {"wasserstein": math.nan}, layer=layer, batch=step % 2)
    return rows.frame()


def test_rows_come_back_in_single_precision(tmp_path: Path) -> None:
    frame = measured()
    write_measurements(frame, tmp_path / "m.parquet")
    found = read_measurements(tmp_path / "m.parquet")
    assert tuple(found.columns) == COLUMNS
    assert list(dict.fromkeys(found["layer"])) == ["", "features.norm10", "features.norm2"]
    keys = [name for name in COLUMNS if name != "value"]
    expected = frame.sort_values(keys).reset_index(drop=True)
    pd.testing.assert_frame_equal(
        found.sort_values(keys).reset_index(drop=True).astype({"value": "float32"}),
        expected.astype({"value": "float32"}),
        check_dtype=False,
    )
    assert len(select(found, step_size=0.1)) == 6


def test_values_beyond_single_precision_are_infinite(tmp_path: Path) -> None:
    rows = Rows(RUN)
    rows.add("landscape", 0, {"loss": 1e300, "grad_norm": -1e300})
    write_measurements(rows.frame(), tmp_path / "m.parquet")
    assert read_measurements(tmp_path / "m.parquet")["value"].tolist() == [math.inf, -math.inf]


def test_the_same_rows_are_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    frame = measured()
    write_measurements(frame, tmp_path / "a.parquet")
    write_measurements(frame, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert same_table(tmp_path / "a.parquet", tmp_path / "b.parquet")  # NaN and inf among the values
    write_measurements(frame.assign(value=1.0), tmp_path / "b.parquet")
    assert not same_table(tmp_path / "a.parquet", tmp_path / "b.parquet")


def histogram(edges: np.ndarray, counts: list[float], step: int = 0) -> pd.DataFrame:
    bins = pd.DataFrame({"left": edges[:-1], "right": edges[1:], "count": counts})
    named = {**RUN, "variant": "", "layer": "features.norm2", "unit": 7, "step": step}
    return bins.assign(**named)[list(HISTOGRAM_COLUMNS)]


def test_histograms_come_back_bin_by_bin(tmp_path: Path) -> None:
    frame = pd.concat(
        [histogram(np.linspace(-1.5, 2.0, 5), [1.0, 0.0, 3.0, 2.0]), histogram(np.linspace(0, 1, 3), [4.0, 5.0], 10)]
    )
    write_histograms(frame, tmp_path / "h.parquet")
    found = read_histograms(tmp_path / "h.parquet")
    pd.testing.assert_frame_equal(found[list(HISTOGRAM_COLUMNS)], frame.reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize(
    ("edges", "counts"), [(np.array([0.0, 1.0, 3.0]), [1.0, 1.0]), (np.linspace(0, 1, 3), [0.5, 1.0])]
)
def test_a_histogram_that_would_lose_something_is_refused(tmp_path: Path, edges: np.ndarray, counts: list) -> None:
    with pytest.raises(ValueError, match="expected equally wide bins and whole counts"):
        write_histograms(histogram(edges, counts), tmp_path / "h.parquet")


def test_no_histograms_are_a_table_too(tmp_path: Path) -> None:
    empty = pd.DataFrame(columns=[*KEYS, "layer", "unit", "step", "left", "right", "count"])
    write_histograms(empty, tmp_path / "h.parquet")
    assert list(read_histograms(tmp_path / "h.parquet").columns) == list(HISTOGRAM_COLUMNS)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"m\.parquet: not a readable parquet file"):
        read_measurements(tmp_path / "m.parquet")
