"""How many gradients the stages compute: the unit that their time is predicted in.

A gradient is one forward and one backward pass on a training batch, which an update costs too. A forward pass alone is
a third of it, a Hessian-vector product about three times as much.
"""

from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.dln import DlnSpec
from normlab.specs.probe import ProbeSpec
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.training import RunSpec
from normlab.studies.checkpoints.walks import EIGENVALUE_PRODUCTS

FORWARD, PRODUCT = 1 / 3, 3.0  # in gradients
FLOAT64 = 2.0  # a pass in float64, in passes in float32
TRACKS = 3  # of activations, each looked at before and after the step


def of_training(run: RunSpec, tested_images: int) -> float:
    """The updates, and the tests on `tested_images` (three variants of a network with noise)."""
    train = run.train
    tests = len(range(0, train.steps, train.test_every)) + 1
    variants = 3 if run.norm_layer in ("noise", "noisy_batch") else 1
    return train.steps + FORWARD * tests * variants * tested_images / train.batch_size


def of_probes(run: RunSpec, spec: ProbeSpec, layers: int) -> float:
    """All checkpoints of the schedule (`normlab.studies.checkpoints`), for a network of `layers` weight layers."""
    steps = run.train.checkpoint_steps
    dear = [step for index, step in enumerate(steps) if index % spec.control_every == 0 or step == run.train.steps]
    shift = 1 + (layers - 1) * 2 / 3 + FORWARD  # backward only down to the layer
    every = spec.batches * _walk(len(spec.step_sizes) + len(spec.extra_step_sizes)) + shift
    every += 2 * TRACKS * FORWARD + 1  # activations, and the update between them
    eigenvalues = sum(step in spec.eigenvalue_at for step in steps)
    return len(steps) * every + len(dear) * _controls(run, spec, shift) + eigenvalues * EIGENVALUE_PRODUCTS * PRODUCT


def _controls(run: RunSpec, spec: ProbeSpec, shift: float) -> float:
    sizes = len(spec.step_sizes) + len(spec.extra_step_sizes)
    penalized = _walk(sizes) if run.train.weight_decay or spec.penalty else 0.0  # of another loss, with its own start
    points = sizes * spec.random_directions + len(spec.distances)  # of walks that share the start of the first one
    points += len(spec.relative_steps) * (1 + spec.random_directions)
    curvature = spec.batches * (1 + PRODUCT) if spec.curvature else 0.0
    return penalized + points + (spec.batches - 1) * shift + curvature


def _walk(sizes: int) -> float:
    """The step's own gradient, one a step size, and a look whether the base point kept its loss."""
    return sizes + 1 + FORWARD


def of_assumptions(spec: AssumptionsSpec, layers: int) -> float:
    """For every step one pass with a graph, and for every unit two products through the layers behind it."""
    units = (min(spec.layers, layers) if spec.layers else layers) * spec.units
    return FLOAT64 * len(spec.steps) * (1 + units * PRODUCT / 2)


def of_reparametrization(spec: ReparametrizationSpec) -> float:
    """For every step, of two networks or three, a walk, perhaps one with equal distances, and a product."""
    walks = _walk(len(spec.step_sizes)) + (_walk(len(spec.distances)) if spec.distances else 0.0)
    return FLOAT64 * len(spec.steps) * (2 + spec.learned_affine) * (walks + 1 + PRODUCT)


def of_deep_linear(spec: DlnSpec) -> float:
    """A cell: descent, walks, shift, curvature and eigenvalues, in gradients of all seeds."""
    sizes = len(spec.step_sizes) + len(spec.extra_step_sizes)
    probed, dear, sharp = (
        spec.steps // every + 1 for every in (spec.probe_every, spec.control_every, spec.sharpness_every)
    )
    each = sizes + len(spec.shift_layers) + PRODUCT + 2
    return (
        spec.steps
        + probed * each
        + dear * (sizes + len(spec.distances) + len(spec.relative_steps))
        + sharp * spec.eigenvalue_products * PRODUCT
    )
