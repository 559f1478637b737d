import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.analysis.synthetic import Kind, training_run

from normlab.specs.strict import InputError
from normlab.tables.frames import EVERY, combine, load_histograms, load_measurements, select, write_table
from normlab.tables.rows import Rows

FRAME = combine([training_run("none", 0.1, 0, Kind(rough=math.inf)), training_run("batch", 0.1, 1, Kind())])


def test_select_by_equality_membership_and_rounded_floats() -> None:
    found = select(FRAME, probe="landscape", quantity=["beta", "loss"], step=100, norm_layer="none", step_size=0.1)
    assert list(found["quantity"]) == ["loss", "beta"]
    assert len(select(FRAME, learning_rate=0.1 * (1 + 1e-9))) == len(FRAME)
    assert len(select(FRAME, learning_rate=0.1001)) == 0


def test_select_rows_without_a_step_size() -> None:
    found = select(FRAME, probe="landscape", quantity="loss", step=0, seed=1, step_size=None)
    assert len(found) == 1
    both = select(FRAME, probe="landscape", quantity="loss", step=0, seed=1, step_size=[None, 0.2])
    assert len(both) == 2


def test_select_refuses_an_unknown_column() -> None:
    with pytest.raises(ValueError, match="unknown column 'normalizer'; there are: study"):
        select(FRAME, normalizer="batch")


def test_tables_come_back_as_written_with_inf_and_nan(tmp_path: Path) -> None:
    write_table(FRAME, tmp_path / "tables" / "measurements.parquet")
    again = load_measurements(tmp_path / "tables" / "measurements.parquet")
    pd.testing.assert_frame_equal(again, FRAME, check_categorical=False)
    assert np.isinf(select(again, norm_layer="none", quantity="loss_range")["value"]).all()
    assert again["step_size"].isna().any()


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(FRAME, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    write_table(FRAME.drop(columns="layer"), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: expected the columns study, .*layer"):
        load_measurements(tmp_path / "t.parquet")
    for column, values, said in (
        ("value", "x", "expected numbers, got "),
        ("layer", 1.0, "expected text, got float64"),
    ):
        FRAME.assign(**{column: values}).to_parquet(tmp_path / "kinds.parquet")
        with pytest.raises(InputError, match=rf"kinds\.parquet: column {column}: {said}"):
            load_measurements(tmp_path / "kinds.parquet")
    with pytest.raises(InputError, match="no such file"):
        load_histograms(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(InputError, match="not a readable parquet file") as caught:
        load_measurements(tmp_path / "text.parquet")
    assert "\n" not in str(caught.value)


def test_runs_with_the_shared_settings_on_training_s_own_batch_unless_said_otherwise() -> None:
    keys = {"study": "vgg", "network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 0}
    plain, other = Rows(keys), Rows({**keys, "variant": "weight_decay=0.0004"})
    for rows, value in ((plain, 1.0), (other, 3.0)):
        rows.add("landscape", 0, {"loss": value})
        rows.add("landscape", 0, {"loss": value + 1}, batch=1)
    table = combine([plain.frame(), other.frame()])
    assert select(table, quantity="loss")["value"].tolist() == [1.0]
    assert select(table, batch=1)["value"].tolist() == [2.0]
    assert select(table, batch=[0, 1], variant="weight_decay=0.0004")["value"].tolist() == [3.0, 4.0]
    assert select(table, batch=EVERY, variant=EVERY)["value"].tolist() == [1.0, 2.0, 3.0, 4.0]
