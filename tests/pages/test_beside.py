"""The table of records beside each other."""

import json
from pathlib import Path

from tests.pages.study import claim

from normlab.pages.beside import beside_each_other
from normlab.pages.records import FOLDER, Record


def put(root: Path, name: str, *entries: dict, told: str = "") -> Record:
    folder = root / FOLDER / name
    (folder / "figures").mkdir(parents=True)
    (folder / "claims.json").write_text(json.dumps(entries))
    if told:
        (folder / f"figures/{told}.md").write_text("- Something.\n- Something else.")
    return Record(folder)


def test_a_question_has_a_row_where_another_record_has_a_number(tmp_path: Path, repository: Path) -> None:
    nothing = {"estimate": None, "interval": [None, None], "n_seeds": 0, "note": "", "verdict": "not run"}
    shown = put(tmp_path, "shown", claim(1, "01-training", "reproduced"), claim(9, "02-landscape", "undecided"))
    put(
        tmp_path,
        "second",
        claim(1, "01-training", "undecided", estimate=3.0),
        {**claim(9, "02-landscape", "-"), **nothing},
    )
    put(tmp_path, "third", {**claim(1, "01-training", "-"), **nothing}, told="lottery")
    put(tmp_path, "old", *json.loads((repository / FOLDER / "cifar10-jpeg-5000" / "claims.json").read_text()))
    page = "reports/published/{}/README.md".format
    assert "\n".join(beside_each_other(shown)).split("\n") == [
        "**The same question in each record**",
        "",
        f"|  | [`shown`]({page('shown')}) | [`second`]({page('second')}) |",
        "|---|---|---|",
        "| Does BatchNorm train faster? (ratio of steps) | 1.52 [1.4, ∞], n = 3: **reproduced** "
        "| 3 [1.4, ∞], n = 3: **undecided** |",
        "",
        "**Studies of their own**",
        "",
        f"- [One seed is a draw]({page('third')}#one-seed-is-a-draw): Something.",
        "",
    ]


def test_a_record_alone_is_beside_nothing(tmp_path: Path) -> None:
    assert beside_each_other(put(tmp_path, "shown", claim(1, "01-training", "reproduced"))) == []
