"""The paper's statements about one normalized unit, as printed and as corrected, with their assumptions checked.

| function | in the paper | as printed | corrected |
|---|---|---|---|
| `theorem_4_1` | gradient at the outputs | false (1/sqrt(m)) | equality with 1/m |
| `theorem_4_2` | curvature along it | (a) true; (b) lacks two conditions | (a) equality |
| `observation_4_3` | same function, same minima | minima: false without a bias | true with a bias column |
| `theorem_4_4` | largest gradient in the weights | terms of different dimension | equality |
| `lemma_4_5` | distance to the nearest optimum | true | equality |
| `theorem_c_1` | largest curvature in the weights | maximization step false | equality at X = lam I |

`normlab.theory.normalization` defines the notation. All tensors are float64; sigma has no eps and divides by m.
"""

from normlab.theory.curvature import Theorem42, TheoremC1, theorem_4_2, theorem_c_1
from normlab.theory.gradient import Theorem41, Theorem44, theorem_4_1, theorem_4_4
from normlab.theory.normalization import Statement, normalized_gradient, normalized_hessian
from normlab.theory.optima import Lemma45, Observation43, lemma_4_5, observation_4_3

__all__ = [
    "Lemma45",
    "Observation43",
    "Statement",
    "Theorem41",
    "Theorem42",
    "Theorem44",
    "TheoremC1",
    "lemma_4_5",
    "normalized_gradient",
    "normalized_hessian",
    "observation_4_3",
    "theorem_4_1",
    "theorem_4_2",
    "theorem_4_4",
    "theorem_c_1",
]
