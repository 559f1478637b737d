"""Which pages have something to show: those of which the tables have a row."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from normlab.analysis.projection import PARTS

DEEP_LINEAR = ("dln", "dln_scan", "dln_lottery")
IDENTICAL = ("reparametrization",)
THEORY = "theory"


@dataclass(frozen=True)
class Rows:
    """Rows of the tables; of an empty column any value will do.

    Attributes:
        study: none means that of the compared network.
        probe: the measurement.
        norm_layer: the normalizer.
    """

    study: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    norm_layer: tuple[str, ...] = ()


SHOWN = {
    "01-training": Rows(probe=("history",)),
    "02-landscape": Rows(probe=("landscape",)),
    "03-covariate-shift": Rows(probe=("shift",)),
    "04-activations": Rows(probe=("activations",)),
    "05-normalizers": Rows(probe=("history",)),
    "06-deep-linear": Rows(study=DEEP_LINEAR),
    "07-theory": Rows(study=(*IDENTICAL, THEORY)),
    "09-projection": Rows(norm_layer=tuple(PARTS)),
}
"""What a page shows; one that is not named here rests on no results."""


def available(tables: Path, study: str, pages: Iterable[str]) -> tuple[str, ...]:
    """Those of `pages` that have something to show, in their order.

    Args:
        tables: the folder of `measurements.parquet`.
        study: the compared network's.
        pages: their names.
    """
    columns = ["study", "probe", "norm_layer"]
    kinds = pq.read_table(tables / "measurements.parquet", columns=columns).to_pandas().drop_duplicates()
    present = kinds.astype(str)
    theory = tables / "theory.parquet"
    if theory.is_file() and pq.read_metadata(theory).num_rows:
        present = pd.concat([present, pd.DataFrame([{"study": THEORY}])])
    return tuple(name for name in pages if name not in SHOWN or _any(present, SHOWN[name], study))


def _any(present: pd.DataFrame, rows: Rows, study: str) -> bool:
    wanted = {"study": rows.study or (study,), "probe": rows.probe, "norm_layer": rows.norm_layer}
    found = pd.Series(True, index=range(len(present)))
    for column, values in wanted.items():
        if values:
            found &= present[column].isin(values).to_numpy()
    return bool(found.any())
