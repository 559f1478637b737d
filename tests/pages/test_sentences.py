import numpy as np
import pandas as pd

from normlab.pages import sentences
from normlab.pages.results import Results


def test_what_a_page_rests_on_is_read_from_the_table(results: Results) -> None:
    text = sentences.about(results, "vgg", results.measurements("vgg")).plain
    assert "NOT the official CIFAR data (digest 0123456789abcdef)" in text
    assert "Learning rates: 0.1, 0.5; 3 seeds a cell; steps 0 to 60." in text
    assert "was not run" in sentences.about(results, "resnet", results.measurements("resnet")).plain


def test_caveats_are_found_in_the_runs(results: Results) -> None:
    table = results.measurements("vgg", probe="history")
    text = sentences.caveats(results, "vgg", table, "One more.").plain
    assert "seeds a cell: fewer" not in text  # three of them can decide
    one = table[table["seed"] == 0]
    assert "1 seed a cell: fewer than the 3" in sentences.caveats(results, "vgg", one, "One more.").plain
    some = table[(table["norm_layer"] == "none") | (table["seed"] == 0)]
    assert "1 seed a cell (of BatchNorm, noisy BatchNorm, ℓ1): few" in sentences.caveats(results, "vgg", some).plain
    assert "are not the official CIFAR data" in text
    assert "Runs end at step 59; the paper's end at 15,000." in text
    assert "Non-finite" not in text
    assert text.endswith("- One more.")
    broken = table.assign(value=table["value"].where(table["step"] < 50, np.nan))
    assert "Non-finite" in sentences.caveats(results, "vgg", broken).plain


def test_networks_that_show_too_little_are_named() -> None:
    rows = [("vgg11", "mean_abs_change"), ("my:net", "normalized_layers"), ("my:vit", "not_applicable")]
    frame = pd.DataFrame(rows, columns=["network", "quantity"])
    theory = pd.DataFrame({"network": ["my:vit", "vgg11"], "quantity": ["producer_known", "usable"]})
    assert sentences.unmeasured(frame, theory) == (
        "Not measured on my:net: no normalized layer is seen there. Not measured on my:vit: it has no normalized "
        "layers in which BatchNorm could stand. Not measured on my:vit: no normalizer stands right behind a "
        "convolution or linear layer."
    )
    assert sentences.unmeasured(frame[:1], pd.DataFrame()) == ""


def test_the_smoothing_is_named() -> None:
    assert "last 20 steps" in sentences.smoothing(20)
    assert "raw" in sentences.smoothing(20)
    assert sentences.smoothing(1) == "No smoothing."


def test_theory_sentences_count_counterexamples_and_give_no_rates() -> None:
    rows = [("theorem_4_1", "holds_printed", 40, 39.0), ("theorem_4_1", "holds_corrected", 40, 0.0)]
    found = pd.DataFrame(rows, columns=["statement", "quantity", "cases", "failures"])
    said = sentences.theory_sentences(found)
    assert said == [
        "Theorem 4.1: as printed false in 39 of 40 random cases; as corrected no counterexample in 40 random cases."
    ]
    assert "was not run" in sentences.theory_sentences(found[:0])[0]
