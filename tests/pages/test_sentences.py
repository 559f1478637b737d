import numpy as np
import pandas as pd

from normlab.pages import sentences
from normlab.pages.results import Results


def frame(values: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(values)


def test_ratios_are_paired_by_seed() -> None:
    table = frame({"none": [2.0, 30.0, 4.0], "batch": [1.0, 10.0, 2.0]})
    assert sentences.ratio_sentence("Width", table) == (
        "Width: none (plain) ÷ BatchNorm = 2 [2 – 3], larger for none (plain) in 3 of 3 seeds."
    )


def test_the_sentence_follows_the_numbers() -> None:
    less = frame({"none": [1.0, 1.0, 4.0], "batch": [2.0, 3.0, 2.0]})
    assert "= 0.5 [0.333 – 2], smaller for none (plain) in 2 of 3 seeds" in sentences.ratio_sentence("W", less)
    same = frame({"none": [1.0, 1.05], "batch": [1.0, 1.0]})
    assert "about equal." in sentences.ratio_sentence("W", same)
    one = frame({"none": [3.0], "batch": [1.0]})
    assert "larger for none (plain) in one seed." in sentences.ratio_sentence("W", one)


def test_infinite_and_undefined_ratios_are_said() -> None:
    never = frame({"none": [np.inf, np.inf], "batch": [100.0, 50.0]})
    assert "= ∞, larger for none (plain) in 2 of 2 seeds" in sentences.ratio_sentence("Steps", never)
    neither = frame({"none": [np.inf], "batch": [np.inf]})
    assert sentences.ratio_sentence("Steps", neither) == (
        "Steps: no ratio is defined; ∞ for none (plain) and ∞ for BatchNorm."
    )
    assert "were not both measured" in sentences.ratio_sentence("Steps", frame({"none": [1.0]}))
    mixed = frame({"none": [4.0, np.inf], "batch": [2.0, np.inf]})
    assert "undefined for 1 more" in sentences.ratio_sentence("Steps", mixed)


def test_signed_values_are_compared_by_difference() -> None:
    table = frame({"none": [0.9, 0.8], "batch": [-0.5, -0.4]})
    assert sentences.difference_sentence("Cosine", table) == (
        "Cosine: BatchNorm − none (plain) = -1.3 [-1.4 – -1.2], lower for BatchNorm."
    )


def test_tables_have_a_column_a_normalizer_and_a_dash_for_what_is_missing() -> None:
    found = sentences.comparison({"a": frame({"none": [1.0], "batch": [2.0]}), "b": frame({"batch": [3.0]})})
    assert found.plain.splitlines() == [" | none (plain) | BatchNorm", "a | 1 | 2", "b | – | 3"]
    ratios = sentences.ratio_table({"a": frame({"l1": [1.0], "batch": [2.0]})}, ["none", "l1"])
    assert ratios.plain.splitlines() == ["÷ BatchNorm | ℓ1", "a | 0.5"]


def test_what_a_page_rests_on_is_read_from_the_table(results: Results) -> None:
    text = sentences.about(results, "vgg", results.measurements("vgg")).plain
    assert "NOT the official CIFAR data (digest 0123456789abcdef)" in text
    assert "Learning rates: 0.1, 0.5; 3 seeds a cell; steps 0 to 60." in text
    assert "not part of this preset" in sentences.about(results, "resnet", results.measurements("resnet")).plain


def test_caveats_are_found_in_the_runs(results: Results) -> None:
    table = results.measurements("vgg", probe="history")
    text = sentences.caveats(results, "vgg", table, "One more.").plain
    assert "3 seeds a cell: fewer than the 5" in text
    assert "are not the official CIFAR data" in text
    assert "Runs end at step 59; the paper's end at 15000." in text
    assert "Non-finite" not in text
    assert text.endswith("- One more.")
    broken = table.assign(value=table["value"].where(table["step"] < 50, np.nan))
    assert "Non-finite" in sentences.caveats(results, "vgg", broken).plain


def test_the_smoothing_is_named() -> None:
    assert "last 20 steps" in sentences.smoothing(20)
    assert "raw" in sentences.smoothing(20)
    assert sentences.smoothing(1) == "No smoothing."


def test_theory_sentences_count_cases() -> None:
    rows = [("theorem_4_1", "holds_printed", 0, 0.0, 40), ("theorem_4_1", "holds_corrected", 0, 1.0, 40)]
    found = pd.DataFrame(rows, columns=["statement", "quantity", "step", "share", "cases"])
    assert sentences.theory_sentences(found) == [
        "Theorem 4.1: true as printed in 0.0 % of 40 cases, as corrected in 100.0 %."
    ]


def test_who_has_fitted_the_training_data_is_said() -> None:
    steps = frame({"none": [np.inf, np.inf, 900.0], "batch": [400.0, 500.0, 450.0]})
    said = sentences.fitted_sentence(steps, 0.99)
    assert said.startswith("Train accuracy is at least 99 % for BatchNorm from step 450 on (medians over seeds)")
    assert sentences.fitted_sentence(steps[["none"]], 0.99) == ""
