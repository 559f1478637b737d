import numpy as np
import pandas as pd
from tests.figures import runs

from normlab.pages.per_seed import at_rate, over_layers, per_seed, steps_per_seed, up_to_rate
from normlab.pages.results import Results


def test_one_number_a_run(results: Results) -> None:
    walks = at_rate(results.measurements("vgg", probe="landscape"))
    late = per_seed(walks, "effective_beta", after=0.7)
    assert late.loc[1, "none"] == np.mean([runs.effective_beta("none", 0.1, 1, step) for step in (50, 60)])
    first = per_seed(walks, "effective_beta", until=0.0)
    assert first.loc[2, "batch"] == runs.effective_beta("batch", 0.1, 2, 0)
    tests = at_rate(results.measurements("vgg", probe="test"))
    last = per_seed(tests, "test_accuracy", reduce="last")
    assert last.loc[0, "none"] == 0.9 * runs.accuracy("none", 0.1, 0, 60)


def test_layers_leave_the_first_out_and_step_0(results: Results) -> None:
    shift = at_rate(results.measurements("vgg", probe="shift"))
    assert over_layers(shift, "l2").loc[0, "none"] == 0.5 * np.median([2, 3, 4, 5, 6, 7, 8])
    assert over_layers(shift, "cosine", skip_first=False).loc[0, "none"] == 0.9


def test_probed_steps_count_for_the_steps_they_stand_for() -> None:
    # steps 1, 2, 3 stand for one step each (or half of it), 13 and 23 for ten: half of the weight is reached at 13
    values = {0: 9.0, 1: 1.0, 2: 2.0, 3: 3.0, 13: 4.0, 23: 5.0}
    rows = [("none", 0, step, "loss_range", np.nan, value) for step, value in values.items()]
    frame = pd.DataFrame(rows, columns=["norm_layer", "seed", "step", "quantity", "step_size", "value"])
    assert per_seed(frame, "loss_range").loc[0, "none"] == 4.0
    assert per_seed(frame, "loss_range", until=0.0).loc[0, "none"] == 9.0
    assert per_seed(frame, "gone").empty


def test_step_sizes_up_to_the_rate(results: Results) -> None:
    walks = at_rate(results.measurements("vgg", probe="landscape"))
    near = up_to_rate(walks, "gradient_distance")
    assert len(near) == 4 * 3 * len(runs.PROBED)  # normalizers × seeds × steps
    # sizes 0.25, 0.5 and 1 of the rate: the third is the greatest, three times the roughness
    assert per_seed(near, "gradient_distance").loc[0, "none"] == 9.0


def test_overflow_of_a_walk_is_infinite_and_other_gaps_are_left_out() -> None:
    rows = [("none", 0, step, "beta_like", np.nan, np.nan if step else 1.0) for step in range(4)]
    frame = pd.DataFrame(rows, columns=["norm_layer", "seed", "step", "quantity", "step_size", "value"])
    assert per_seed(frame.assign(probe="landscape"), "beta_like").loc[0, "none"] == np.inf
    assert np.isnan(per_seed(frame.assign(probe="activations"), "beta_like").loc[0, "none"])


def test_steps_to_an_accuracy_by_seed(results: Results) -> None:
    table = steps_per_seed(at_rate(results.measurements("vgg", probe="history")), 0.99, 1)
    assert np.isinf(table["none"]).all()
    assert list(table.index) == [0, 1, 2]
