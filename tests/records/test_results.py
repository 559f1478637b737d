"""A record's tables are those that the analysis has in a clone."""

from pathlib import Path

from normlab.analysis.cells import Cells
from normlab.records.record import Record
from normlab.records.results import record_tables
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.strict import load_section


def test_runs_of_another_length_take_part_in_a_record_as_in_the_pipeline(repository: Path) -> None:
    """Preset paper-cpu trains the noise block for 3,000 of 15,000 updates: its cell was not found, C6 was "not run"."""
    record = Record(repository / "reports/published/paper-cpu")
    tables = record_tables(record)
    cells = Cells(tables.measurements, tables.theory, load_section(record.params, "analyze", AnalyzeSpec))
    noise = cells.vgg("noise")
    assert len(noise.seeds) == 3
    assert set(noise.horizons) == {3000}
    assert set(cells.vgg("batch").horizons) == {15_000}
    assert set(tables.histograms.loc[tables.histograms["norm_layer"] == "noise", "variant"]) == {""}
    assert set(tables.histograms["variant"]) == {"", "checkpoint_log_until=0,steps=1000"}  # of the learning rates
