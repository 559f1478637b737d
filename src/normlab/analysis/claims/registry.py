"""Which function measures which claim."""

from normlab.analysis.claims import causal, deep_linear, landscape, shift, smoothness, stability, theory, training
from normlab.analysis.parts import ClaimFunction

FUNCTIONS: dict[str, ClaimFunction] = {
    "C1": training.faster_and_better,
    "C2": training.wider_rates,
    "C3": stability.plain_as_stable,
    "C4": training.noisy_as_good,
    "C5": stability.noisy_less_stable,
    "C6": training.noise_stops_plain,
    "C7": shift.batch_does_not_reduce,
    "C8": deep_linear.plain_has_no_shift,
    "C9": landscape.loss_varies_less,
    "C10": landscape.gradient_more_predictive,
    "C11": smoothness.smoother,
    "C12": deep_linear.smoother_near_and_far,
    "C13": landscape.same_in_random_directions,
    "C14": training.lp_trains_as_batch,
    "C15": deep_linear.lp_ends_lower,
    "C16": landscape.lp_as_smooth,
    "C17": stability.lp_shifts_more,
    "C18": theory.theorem_4_1,
    "C19": theory.theorem_4_2,
    "C20": theory.theorem_4_4_and_c_1,
    "C21": theory.observation_4_3_and_lemma_4_5,
    "C22": theory.assumptions_hold,
    "C23": causal.smooth_is_fast,
    "C24": smoothness.rougher_at_start,
}
