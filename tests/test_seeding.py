"""Streams are functions of seed and name, and of nothing else."""

import torch

from normlab.seeding import derive, generator, seed_all, set_deterministic


def test_streams_repeat_and_differ_by_seed_and_name() -> None:
    assert derive(0, "batches", 1) == derive(0, "batches", 1)
    assert len({derive(seed, name, 0) for seed in range(50) for name in ("batches", "noise")}) == 100
    assert 0 <= derive(3, "init") < 2**63
    # the names are separated: ("a", 11) is not ("a1", 1)
    assert derive(0, "a", 11) != derive(0, "a1", 1)


def test_a_generator_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    torch.rand(5, generator=generator(0, "probe"))
    assert torch.equal(torch.rand(3), expected)


def test_seed_all_starts_the_global_stream() -> None:
    seed_all(4, "noise", 2)
    first = torch.rand(3)
    seed_all(4, "noise", 2)
    assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.rand(3, generator=generator(4, "noise", 2)), first)


def test_deterministic_computing_has_one_thread() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        set_deterministic()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
