"""The reduction of the data to their moments."""

import math

import pytest
import torch

from normlab.seeding import generator
from normlab.studies.deep_linear.problem import draw_data, draw_problem, draw_weights, reduce_data

SEEDS = (0, 4)


def test_samples_are_white_and_restore_the_data():
    x, teacher = draw_data(SEEDS, 3, 12)
    problem = reduce_data(SEEDS, x, teacher)
    white = problem.samples[:, :3]
    identity = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    # roundoff of a Cholesky factor and a triangular solve of a well-conditioned 3x3 matrix
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(white @ white.mT / 12, identity, **close)
    torch.testing.assert_close(white.sum(-1), torch.zeros(2, 3, dtype=torch.float64), **close)
    torch.testing.assert_close(problem.inputs @ problem.samples, x.mT, **close)
    torch.testing.assert_close(problem.targets @ problem.samples, teacher @ x.mT, **close)
    assert problem.n_samples == 12


def test_a_seed_draws_the_same_alone_and_in_company():
    together, alone = draw_problem((0, 4), 3, 12), draw_problem((4,), 3, 12)
    assert torch.equal(together.inputs[1], alone.inputs[0])
    assert torch.equal(together.targets[1], alone.targets[0])
    assert torch.equal(draw_weights((0, 4), 2, 3)[1], draw_weights((4,), 2, 3)[0])
    assert not torch.equal(together.inputs[0], together.inputs[1])


def test_draws_have_the_papers_distributions():
    x, teacher = draw_data(range(20), 10, 1000)
    weights = draw_weights(range(20), 25, 10)
    # six standard errors: 1/sqrt(2e5) for the mean of x, sqrt(2/2000) for the variance of 2000 teacher entries
    assert abs(x.mean()) < 6 * 2e5**-0.5
    assert abs(teacher.var() - 1) < 6 * (2 / 2000) ** 0.5
    bound = (6 / 20) ** 0.5
    assert weights.abs().max() < bound
    # variance of U(-a, a) is a^2/3 = 1/10; its standard error over 50,000 entries is sqrt(4/45) a^2 / sqrt(5e4)
    assert abs(weights.square().mean() - 0.1) < 6 * (4 / 45) ** 0.5 * 0.3 / 5e4**0.5


def test_draws_are_those_of_the_streams_named_for_them():
    """All entries in one go, samples by rows; weights matrix by matrix."""
    x, teacher = draw_data(SEEDS, 2, 5)
    weights = draw_weights(SEEDS, 3, 2)
    bound = math.sqrt(6 / (2 + 2))
    for place, seed in enumerate(SEEDS):
        drawn = torch.randn(10, dtype=torch.float64, generator=generator(seed, "dln-inputs")).tolist()
        assert x[place].tolist() == [drawn[2 * n : 2 * n + 2] for n in range(5)]
        drawn = torch.randn(4, dtype=torch.float64, generator=generator(seed, "dln-teacher")).tolist()
        assert teacher[place].tolist() == [drawn[:2], drawn[2:]]
        drawn = torch.rand(12, dtype=torch.float64, generator=generator(seed, "init")).tolist()
        # from (0, 1) to (-a, a): two roundings
        assert weights[place].flatten().tolist() == pytest.approx([bound * (2 * u - 1) for u in drawn], rel=1e-14)
        assert weights[place].shape == (3, 2, 2)
    # of one feature and two samples there is a problem
    problem = draw_problem(SEEDS, 1, 2)
    assert (problem.seeds, problem.n_samples, problem.inputs.shape) == (SEEDS, 2, (2, 1, 2))


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match=r"^samples: expected more than the 3 features, got 3$"):
        draw_problem((0,), 3, 3)
