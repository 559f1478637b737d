"""The rows of a cell by hand: which seed, step, layer and step size a number is written under, and in which order."""

import math

import torch

from normlab.specs.dln import DlnCell
from normlab.studies.deep_linear.rows import CellRows
from normlab.tables.rows import COLUMNS, KEYS

CELL = DlnCell("l1", 0.25, "affine=false")


def tensor(*values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def measured(rows: CellRows) -> list[tuple[object, ...]]:
    """Seed, probe, layer, step size (None for NaN), step, batch, quantity and value of every row."""
    frame = rows.frame()
    assert tuple(frame.columns) == COLUMNS
    assert frame.index.tolist() == list(range(len(frame)))
    columns = frame[["seed", "probe", "layer", "step_size", "step", "batch", "quantity", "value"]]
    return [
        tuple(None if isinstance(v, float) and math.isnan(v) else v for v in row)
        for row in columns.itertuples(index=False)
    ]


def test_a_number_a_seed_and_numbers_a_step_size() -> None:
    rows = CellRows(CELL, (8, 3))
    rows.add("p", 4, {"a": tensor(1.0, 2.0), "b": tensor(3.0, math.inf)}, layer="one")
    rows.add("w", 5, {"c": tensor([10.0, 11.0], [12.0, 13.0])}, step_sizes=tensor(0.5, 0.1))
    assert measured(rows) == [
        (8, "p", "one", None, 4, 0, "a", 1.0),
        (8, "p", "one", None, 4, 0, "b", 3.0),
        (8, "w", "", 0.5, 5, 0, "c", 10.0),
        (8, "w", "", 0.1, 5, 0, "c", 11.0),
        (3, "p", "one", None, 4, 0, "a", 2.0),
        (3, "p", "one", None, 4, 0, "b", math.inf),
        (3, "w", "", 0.5, 5, 0, "c", 12.0),
        (3, "w", "", 0.1, 5, 0, "c", 13.0),
    ]


def test_one_step_size_is_one_too() -> None:
    rows = CellRows(CELL, (8,))
    rows.add("w", 0, {"c": tensor([7.0])}, step_sizes=tensor(2.0))
    assert measured(rows) == [(8, "w", "", 2.0, 0, 0, "c", 7.0)]


def test_keys_are_those_of_the_cell_and_study_dln_unless_it_is_another() -> None:
    for given, study in (({}, "dln"), ({"study": "other"}, "other")):
        rows = CellRows(CELL, (8,), **given)
        rows.add("p", 0, {"a": tensor(1.0)})
        assert rows.frame()[list(KEYS)].iloc[0].tolist() == [study, "dln", "l1", 0.25, "affine=false", 8]
        assert rows.runs[0].keys == dict(zip(KEYS, [study, "dln", "l1", 0.25, "affine=false", 8], strict=True))


def test_rows_go_on_after_a_state() -> None:
    first, second = CellRows(CELL, (8, 3)), CellRows(CELL, (8, 3))
    first.add("p", 0, {"a": tensor(1.0, 2.0)})
    second.load_state_dict(first.state_dict())
    second.add("p", 1, {"a": tensor(3.0, 4.0)})
    assert [(row[0], row[4], row[-1]) for row in measured(second)] == [
        (8, 0, 1.0),
        (8, 1, 3.0),
        (3, 0, 2.0),
        (3, 1, 4.0),
    ]
