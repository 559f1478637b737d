"""What was measured, in one sentence made of a record's settings."""

from typing import Any

import pytest

from normlab.pages.records import scale

BLOCK = {"network": ["vgg11"], "norm_layer": ["none", "batch"], "learning_rate": [0.1, 0.01], "seed": [0]}


def settings(*blocks: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {
        "data": {"title": "CIFAR-10", "counts": {"train": 45_000}},
        "grid": list(blocks),
        "train": {"width": 0.25, "batch_size": 128, "steps": 3000},
        "dln": {"steps": 10, "seeds": [0]},
        **further,
    }


NETWORKS = (
    "CIFAR-10, 45,000 training images; vgg11 at 0.25 of its width, batch 128, 3,000 updates, learning rate 0.1, 0.01, "
)


def test_blocks_that_differ_in_their_seeds_alone_are_one() -> None:
    others = [BLOCK | {"seed": [1]}, BLOCK | {"seed": [2, 1]}]
    assert scale(settings(BLOCK, *others)) == f"{NETWORKS}3 seeds; deep linear: 10 updates, 1 seed."
    l1 = {"norm_layer": ["l1"], "steps": 600}
    assert f"{NETWORKS}2 seeds (ℓ1 1 seed, 600 updates);" in scale(settings(BLOCK, others[0], BLOCK | l1))
    assert f"{NETWORKS}1 seed (ℓ1 2 seeds);" in scale(
        settings(BLOCK, *(BLOCK | {"norm_layer": ["l1"], "seed": [seed]} for seed in (0, 1)))
    )


@pytest.mark.parametrize(
    ("studies", "said"), [(["training"], False), (["training", "dln"], True), (["dln_lottery"], False)]
)
def test_a_deep_linear_study_that_takes_no_part_is_not_named(studies: list[str], said: bool) -> None:
    assert ("deep linear: 10 updates" in scale(settings(BLOCK, analyze={"studies": studies}))) is said
