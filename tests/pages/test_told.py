"""Sentences for people: both numbers, how they compare, how sure that is."""

from dataclasses import replace

from tests.analysis.synthetic import SPEC, Kind, study

from normlab.analysis.catalog import Quantity, named
from normlab.pages.told import told

STEPS, TEST = (named(1)[name] for name in ("steps_to_90_percent", "final_test_accuracy"))
TEXT = "to 90 % {over} needs {a}, {under} {b}"


def said(none: Kind, batch: Kind, quantity: Quantity = STEPS, seeds: int = 5, text: str = TEXT, **how: bool) -> str:
    cells = study({("none", 0.1): none, ("batch", 0.1): batch}, seeds=seeds).compared()
    return told(quantity, cells, SPEC, text, **how)


def test_both_numbers_their_ratio_and_its_interval_are_in_the_sentence() -> None:
    text = said(Kind(reach=[2001, 2101, 2201, 2301, 2401]), Kind(reach=1001))
    start = "To 90 % the plain network needs 2,201 [2,001 – 2,401] updates, BatchNorm 1,001 updates: "
    assert text.startswith(f"{start}2.2 times as much [")
    assert text.endswith("] with the plain network, more in 5 of 5 seeds.")


def test_what_the_interval_leaves_open_is_said() -> None:
    text = said(Kind(reach=[2001, 6001, 6201, 6401, 6601]), Kind(reach=3001))
    assert text.endswith("more in 4 of 5 seeds; the interval leaves open which has more.")
    assert said(Kind(reach=[6001, 6101]), Kind(reach=2001), seeds=2).endswith(
        "3.02 times as much with the plain network, more in 2 of 2 seeds, which are too few to decide."
    )


def test_a_network_that_never_gets_there_is_said_in_words() -> None:
    text = said(Kind(final=0.1), Kind(reach=4001))
    assert "the plain network needs more updates than were made, BatchNorm 4,001 updates: more in 5 of 5 seeds" in text
    assert "∞" not in text
    assert said(Kind(final=0.1), Kind(final=0.1)).endswith(": neither can be compared in any seed.")
    some = said(Kind(reach=[2001, 1e9], final=[1.0, 0.1]), Kind(reach=1001), seeds=2)
    assert "2,001 updates (in 1 of 2 seeds)" in some


def test_differences_and_percent() -> None:
    cosine = replace(TEST, signed=True)
    text = said(Kind(test=[0.9, 0.8, 0.7, 0.8, 0.9]), Kind(test=0.1), cosine, text="{a} and {b}", percent=True)
    assert text.startswith("80 [70 – 90] % and 10 %: a difference of 0.7 [")
    assert text.endswith("] with the plain network, higher in 5 of 5 seeds.")
    equal = said(Kind(test=0.5), Kind(test=0.5), cosine, text="{a}")
    assert "equal in 5 seeds" in equal


def test_nothing_is_said_of_what_was_not_run() -> None:
    cells = study({("none", 0.1): Kind()}, seeds=2).compared()
    assert told(STEPS, cells, SPEC, TEXT) == ""


def test_ratios_are_paired_by_seed_and_the_level_is_that_of_the_analysis() -> None:
    none, batch = Kind(reach=[2001, 6001, 8001]), Kind(reach=[1001, 2001, 4001])
    assert ": 2 times as much" in said(none, batch, seeds=3)
    cells = study(
        {("none", 0.1): Kind(reach=[2001, 2501, 6201, 6401, 6601]), ("batch", 0.1): Kind(reach=3001)}, seeds=5
    )
    wide, narrow = (
        told(STEPS, cells.compared(), replace(SPEC, confidence=level), "{a}").partition("[")[2] for level in (0.99, 0.9)
    )
    assert wide != narrow
