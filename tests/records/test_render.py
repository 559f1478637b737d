"""A record rendered from its tables: the README that GitHub shows, the figures, the verdicts."""

import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.architecture.imports import SOURCE

from normlab.analysis.rules import load_claims
from normlab.pages.found import DIFFERENCES, FOUND, reasons, scale_differences
from normlab.pages.record_page import PICTURES
from normlab.pages.record_runs import frozen_sentence, unfinished
from normlab.pages.records import Record
from normlab.pages.results import Results
from normlab.records.drawings import DRAWINGS
from normlab.records.render import RENDERED
from normlab.specs.strict import InputError
from normlab.stages import record, site

pytestmark = pytest.mark.pipeline
ROOT = SOURCE.parent
GROWING = shutil.ignore_patterns("paper-*", "projection", "lottery")  # records of the repository that have tables


@pytest.fixture(scope="module")
def repository(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a record that is not finished."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "reports/published", root / "reports/published", ignore=GROWING)
    record.main(["tiny", "--root", str(root), "--freeze"])
    record.main(["tiny", "--root", str(root), "--add", str(clone)])
    return root


def rendered(folder: Path) -> dict[str, bytes]:
    parts = [folder / name for name in RENDERED]
    found = [path for part in parts for path in ([part] if part.is_file() else sorted(part.iterdir()))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_page_says_what_is_here_and_what_is_missing(repository: Path) -> None:
    folder = repository / "reports/published/tiny"
    text = (folder / "README.md").read_text()
    assert "**Not finished yet: 4 of 8 planned pieces of work are done** (" in text
    here = r"Finished: vgg11 none \(plain\) at 0\.1 \(\d of \d seeds?\); vgg11 BatchNorm at 0\.1 \(1 of 2 seeds\); "
    assert re.search(here + r"the deep linear network \(1 of 2 pieces\)", text)
    assert "| vgg11 | batch | 0.1 |  | 1 of 2 |" in text
    assert "<summary>4 missing</summary>\n\n`runs/vgg11-batch-0.1-1`, `dln/none-1e-06`, " in text
    assert (
        "Rules of the claims, stored before the first run (`frozen.json`): unchanged since; analysis code: un" in text
    )
    ids = {claim["id"] for claim in json.loads((folder / "claims.json").read_text())}
    assert ids == {claim.id for claim in load_claims()}
    assert all(f"### {name}\n" in text for name in ids)
    assert all(f"| [{name}](#{name.lower()}) |" in text for name in ids)
    assert 150 < len(text.partition("\n## ")[0].split()) < 600  # the answer: about half a page


def test_two_short_pages_say_what_was_found_and_where_the_paper_differs(repository: Path) -> None:
    folder = repository / "reports/published/tiny"
    found, differs = ((folder / name).read_text() for name in (FOUND, DIFFERENCES))
    assert "**Not finished yet: 4 of 8" in found
    assert len(found.split()) < 700  # two screens
    assert "0.0625 of the width, 6 updates of 15,000, 50 training images of 50,000" in differs
    entries = {claim["id"]: claim for claim in json.loads((folder / "claims.json").read_text())}
    for name, entry in entries.items():
        rows = [line for line in differs.splitlines() if line.startswith(f"| [{name}](")]
        measured = entry["n_seeds"] > 0 and (entry["estimate"] is not None or bool(entry["note"]))
        assert (f"[{name}](README.md#{name.lower()})" in found.rpartition("**Nothing measured here**")[2]) != measured
        shown = measured and entry["verdict"] not in ("reproduced", "not run") and entry["group"] != "own"
        assert len(rows) == shown, name
        if shown:
            assert f"**{entry['verdict']}**" in rows[0]
            assert not rows[0].endswith("| not known |")


def test_what_was_not_measured_is_named_and_folded_away(repository: Path) -> None:
    """Questions without a number are one line; claims without one stand in a part of the page that is closed."""
    record = Record(repository / "reports/published/tiny")
    text = (record.folder / "README.md").read_text()
    measured = {one.id for one in record.standings if one.measured}
    assert measured
    assert "C15" not in measured
    open_part, _, closed = text.partition("<details><summary>Nothing measured here: ")
    assert closed.startswith(f"{len(record.standings) - len(measured)} of {len(record.standings)} claims</summary>")
    for one in record.standings:
        part = open_part if one.id in measured else closed
        assert f"### {one.id}\n" in part
        assert f"| [{one.id}](#{one.id.lower()}) |" in part
    answered, _, rest = text.partition("\n## ")[0].partition("\n- Nothing measured here: ")
    assert "Do other normalizers do the same? ([C14](#c14))" in rest
    assert "Do other normalizers do the same?" not in answered
    assert "**Are the theorems true as printed?**" in answered


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"verdict": "not reproduced here", "artefacts": {"own_rates": "fails"}}, ["artefact", "scale"]),
        ({"verdict": "not reproduced here", "artefacts": {"own_rates": "holds"}}, ["scale"]),
        ({"verdict": "undecided", "reason": "1 of 3 seeds"}, ["seed"]),
        (
            {
                "verdict": "direction only",
                "reason": "[1.2, 1.7] is above 1; whether it is at least 1.5 is open",
                "parts": [{"role": "check", "verdict": "fails"}, {"role": "primary", "verdict": "undecided"}],
            },
            ["seed"],
        ),
        ({"verdict": "direction only", "parts": [{"role": "primary", "verdict": "fails"}]}, ["scale"]),
        ({"verdict": "undecided", "reason": "[1.2, 1.7] decides nothing (holds if at least 1.5)"}, ["seed"]),
        ({"verdict": "undecided", "reason": "1,500 of 6,000 steps"}, ["scale"]),  # more seeds would not help
        ({"verdict": "undecided", "reason": "8 of 13 normalized layers"}, ["scale"]),
        ({"verdict": "erratum", "artefacts": {"corrected": "fails"}}, ["definition"]),
        ({"verdict": "contradicted by the paper's own data"}, ["definition"]),
    ],
)
def test_reasons_are_what_is_known_of_a_claim(entry: dict, expected: list[str]) -> None:
    assert [reason.partition(":")[0] for reason in reasons(entry, smaller=True)] == expected


def test_the_deep_linear_network_of_the_paper_s_size_is_not_smaller_for_lack_of_images() -> None:
    settings = {
        "train": {"width": 0.25, "steps": 15_000},
        "data": {"counts": {"train": 45_000}},
        "dln": {"depth": 25, "steps": 10_000, "samples": 1_000},
    }
    found = scale_differences(settings)
    assert found == {"empirical": ["0.25 of the width", "45,000 training images of 50,000"], "deep linear": []}
    assert scale_differences({}) == {}
    settings["dln"]["depth"] = 5
    assert scale_differences(settings)["deep linear"] == ["5 layers of 25"]


def test_a_curve_that_the_paper_has_not_does_not_pass() -> None:
    """C6, C13 and C17 are made in words alone."""
    entry = {"verdict": "not reproduced here", "artefacts": {}, "paper": {"passes": None}}
    assert reasons(entry, smaller=True) == ["scale: our setting is smaller"]
    entry["paper"] = {"passes": True}
    assert reasons(entry, smaller=True) == ["scale: the paper's curve passes, our setting is smaller"]


def test_a_check_that_fails_is_named_as_the_tables_name_it() -> None:
    """What was `halved_none, limit does not hold` told a reader nothing."""
    parts = [{"name": name, "quantity": f"ratio {name}"} for name in ("own", "near", "far")]
    entry = {"verdict": "not reproduced here", "parts": parts, "artefacts": {"near": "fails", "own": "holds"}}
    assert reasons(entry, smaller=False) == ["artefact: “ratio near” fails"]
    entry["artefacts"]["far"] = "fails"
    assert reasons(entry, smaller=False) == ["artefact: “ratio near” and “ratio far” fail"]


def test_links_lead_to_files_that_git_has(repository: Path) -> None:
    folder = repository / "reports/published/tiny"
    text = (folder / "README.md").read_text()
    targets = set(re.findall(r"\]\(([^)#]+)\)", text))
    assert len(targets) > 10
    for target in targets - {"../README.md"}:
        assert (folder / target).exists() or (ROOT / target.removeprefix("../../../")).is_file(), target
    assert {path.name for path in (folder / "figures").iterdir()} == set(re.findall(r"\(figures/([^)]+)\)", text))
    assert {f"figures/{name}.svg" for name in DRAWINGS} <= set(PICTURES)
    shown = {path.stem for path in (folder / "figures").iterdir()}
    assert shown == {"training", "landscape", "shift", "deep-linear", "deep-linear-landscape"}


def test_pages_read_a_record_and_the_older_ones_side_by_side(repository: Path, tmp_path: Path) -> None:
    found = {record.name: record for record in site.readable(repository, tmp_path)}
    assert set(found) == {"tiny", "cifar10-jpeg", "cifar10-jpeg-5000"}
    assert found["cifar10-jpeg"].tables is None
    assert unfinished(found["tiny"]).startswith("Not finished yet: 4 of 8 planned pieces of work are done. Finished: ")
    assert unfinished(found["cifar10-jpeg"]) == ""
    results = Results.load(**found["tiny"].paths)
    assert set(results.measurements("vgg")["norm_layer"]) == {"none", "batch"}
    assert results.manifest["counts"]["held_out"] == 10
    assert results.params["train"]["steps"] == 6


def test_rendering_again_gives_the_same_bytes_from_the_tables_alone(repository: Path) -> None:
    folder = repository / "reports/published/tiny"
    before = rendered(folder)
    for name in RENDERED:
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    record.main(["tiny", "--root", str(repository)])
    assert rendered(folder) == before
    assert f"[{FOUND}]({FOUND})" in (folder / "README.md").read_text()


def test_a_changed_rule_is_named(repository: Path) -> None:
    folder = repository / "reports/published/tiny"
    before = (folder / "frozen.json").read_text()
    changed = json.loads(before)
    changed["rules"]["C9"] = "0"
    (folder / "frozen.json").write_text(json.dumps(changed))
    assert "(`frozen.json`): changed since: C9;" in frozen_sentence(Record(folder))
    (folder / "frozen.json").write_text(before)


def test_files_that_the_manifest_does_not_list_or_has_otherwise_are_named(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "reports", tmp_path / "reports")
    folder = tmp_path / "reports/published/tiny"
    place = next(place for place in json.loads((folder / "manifest.json").read_text())["finished"] if "dln" in place)
    table = folder / place / "measurements.parquet"
    kept = table.read_bytes()
    message = rf"{place}: not the files that manifest\.json lists for it: .* \(git checkout -- "

    def refused() -> None:
        with pytest.raises(InputError, match=message) as caught:
            record.main(["tiny", "--root", str(tmp_path)])
        assert "\n" not in str(caught.value)

    table.unlink()
    refused()
    pd.read_parquet(io.BytesIO(kept)).assign(value="x").to_parquet(table)
    refused()
    table.write_bytes(kept)
    (folder / place / "more.parquet").write_bytes(kept)
    refused()
    shutil.rmtree(folder / place)
    refused()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.json", "[]", "manifest.json: expected an object, got list"),
        ("settings.json", '"x"', "settings.json: expected an object, got str"),
        ("claims.json", "{}", "claims.json: expected a list, got dict"),
        ("manifest.json", "{", "manifest.json: not JSON"),
    ],
)
def test_a_file_of_another_kind_of_json_is_one_line(
    repository: Path, tmp_path: Path, name: str, content: str, message: str
) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(repository / "reports/published/tiny", folder)
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(message)):
        _ = (Record(folder).manifest, Record(folder).settings, Record(folder).entries)


def test_records_without_tables_and_bad_names_are_one_line(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"name: expected lower-case letters"):
        record.main(["../x", "--root", str(tmp_path)])
    with pytest.raises(InputError, match=r"params\.yaml: no such file; add finished runs with --add FOLDER first"):
        record.main(["cifar10-jpeg", "--root", str(repository)])
    with pytest.raises(InputError, match=r"params\.yaml: no such file"):
        record.main(["tiny", "--root", str(repository), "--add", str(tmp_path / "nowhere")])
