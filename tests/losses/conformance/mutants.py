"""Plants known mistakes in the losses that need no kernel, and prints those that go unseen.

``python -m tests.losses.conformance.mutants FRAMEWORK``.

Each mutant is a change of a module's source, run in place of the module, and judged on a few of the conformance cases
by the bounds that the losses themselves are held to. Set ``FINALLAYER_KERNEL=framework``, and Keras' backend to one
that has no losses of ours, or the kernel is what is judged.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest import mock

import numpy as np

from .cases import CASES, gradient_error, loss_error
from .frameworks import FRAMEWORKS, Framework

ULPS = 4.0
JUDGES = (
    "margins, 10 classes",
    "upstream",
    "ignored in the middle",
    "label smoothing",
    "distributions, one-hot",
    "exponentials below float32's",
    "targets' exponentials below float32's",
)
FORMULA = "finallayer.losses._xent_logits"
NUMPY, JAX = "finallayer.losses.numpy", "finallayer.losses.jax._cross_entropy"
JAX_OPERATIONS, JAX_DERIVATIVES = "finallayer.losses.jax._operations", "finallayer.losses.jax._derivatives"
KERAS, KERAS_ROWS = "finallayer.losses.keras._functions", "finallayer.losses.keras._rows"
TORCH_ROWS, TORCH_USUAL = "finallayer.losses.torch._framework", "finallayer.losses.torch._plain"
TORCH_RECORDED, TORCH_PLANS = "finallayer.losses.torch._recorded", "finallayer.losses.torch._plans"


class Mutant(NamedTuple):
    """What stands once in a module's source, and what takes its place."""

    name: str
    module: str
    old: str
    new: str


#: In the formula of a distribution, which NumPy, JAX and Keras share.
SOFT = (
    Mutant("no softmax term", FORMULA, "return parts.exps / (1 + parts.rest)", "return 0 * parts.exps"),
    Mutant("no -1 at the target", FORMULA, "return others / (1 + parts.rest)", "return -softmax(parts)"),
    Mutant("1 - softmax by subtraction", FORMULA, "return others / (1 + parts.rest)", "return 1 - softmax(parts)"),
    Mutant("sign flip", FORMULA, "trail=top - _float64(xp, z)", "trail=_float64(xp, z) - top"),
    Mutant("the maximum counted as another", FORMULA, "xp.where(holds_max, xp.zeros_like(z), exps)", "exps"),
    Mutant(
        "log of a sum that holds the 1", FORMULA, "return xp.log1p(parts.rest) +", "return xp.log(1 + parts.rest) +"
    ),
)
#: In the formula of a class, which JAX and Keras share.
HARD = (
    Mutant("no softmax term for a class", FORMULA, "elsewhere = exps * ", "elsewhere = 0 * exps * "),
    Mutant(
        "no -1 at the class",
        FORMULA,
        "upstream * row.others) / row.total",
        "-upstream * (row.total - row.others)) / row.total",
    ),
    Mutant(
        "log of a class's sum that holds the 1",
        FORMULA,
        "xp.log1p(row.rest) + row.trail",
        "xp.log(1 + row.rest) + row.trail",
    ),
    Mutant("the class counted as another", FORMULA, "xp.where(is_class, xp.zeros_like(z), exps)", "exps"),
    Mutant(
        "sign flip for a class",
        FORMULA,
        "trail = top - _float64(xp, logit)",
        "trail = _float64(xp, logit) - top",
    ),
    Mutant("an uncorrected exponential", FORMULA, "rounded + rounded * error", "rounded"),
)

MUTANTS = {
    "numpy": (
        *SOFT,
        Mutant(
            "zero gradient",
            FORMULA,
            "return others * softmax(parts) - q * complements(xp, parts)",
            "return 0 * softmax(parts)",
        ),
        Mutant("missing 1/N", NUMPY, "upstream = upstream / count if count", "upstream = upstream if count"),
        Mutant("another row's scale", NUMPY, "row_gradient * scale[block", "row_gradient * np.roll(scale, 1)[block"),
        Mutant(
            "ignore mask dropped",
            NUMPY,
            "np.where(rows.counted[block, None], row_gradient",
            "np.where(True, row_gradient",
        ),
        Mutant("log-sum-exp in float16", NUMPY, "xent.softmax_parts(np, z", "xent.softmax_parts(np, z.astype('f2')"),
    ),
    "jax": (
        *SOFT,
        *HARD,
        Mutant(
            "another row's scale",
            JAX_DERIVATIVES,
            "kept * first[..., None]",
            "kept * jnp.roll(first, 1)[..., None]",
        ),
        Mutant("ignore mask dropped", JAX, "loss if where is None else jnp.where(row_counts, loss, 0)", "loss"),
        Mutant(
            "upstream dropped",
            JAX_DERIVATIVES,
            "else _gradient(z, target, upstream, kept, terms)",
            "else _gradient(z, target, jnp.ones_like(upstream), kept, terms)",
        ),
        Mutant("kept for another scale", JAX_OPERATIONS, "z.shape[:-1], KEPT_SCALE, wide", "z.shape[:-1], 1.0, wide"),
        Mutant("smoothing dropped", JAX_OPERATIONS, "xent.smoothed(q, terms.label_smoothing)", "q"),
    ),
    "keras": (
        *SOFT,
        *HARD,
        Mutant("upstream dropped", KERAS_ROWS, "ops.cast(upstream, gradient.dtype) * gradient", "gradient"),
        Mutant("ignore mask dropped", KERAS, "set_keras_mask(loss, mask=counted)", "pass"),
    ),
    "torch": (
        Mutant(
            "zero gradient",
            TORCH_ROWS,
            "gradient = s.exps.mul_(push / s.total).scatter_(1, anchor, -push * s.rest)",
            "gradient = torch.zeros_like(s.exps)",
        ),
        Mutant("no softmax term", TORCH_ROWS, "s.exps.mul_(push / s.total)", "s.exps.mul_(0 * push / s.total)"),
        Mutant("no -1 at the target", TORCH_ROWS, "-push * s.rest)", "push * (1 - s.rest))"),
        Mutant("1 - softmax by subtraction", TORCH_ROWS, "others / total", "1 - anchor_exp / total"),
        Mutant("missing 1/N", TORCH_ROWS, "torch.where(total == 0, 0.0, 1 / total)", "torch.ones_like(total)"),
        Mutant("another row's scale", TORCH_ROWS, "push * wide(row_upstream)", "push * wide(row_upstream).roll(1)"),
        Mutant("sign flip", TORCH_ROWS, "s.exps.mul_(push / s.total)", "s.exps.mul_(-push / s.total)"),
        Mutant("log1p in bfloat16", TORCH_ROWS, "-torch.log1p(-s.rest)", "-torch.log1p(-s.rest.bfloat16())"),
        Mutant(
            "ignore mask dropped",
            TORCH_ROWS,
            "return wide(target != terms.ignore_index)",
            "return torch.ones_like(wide(target))",
        ),
        Mutant("target counted as another", TORCH_ROWS, "exps.scatter_(1, anchor, 0.0)", "pass"),
        Mutant("smoothing's mass dropped", TORCH_ROWS, "gradient.sub_(mass.others.mul_(push))", "pass"),
        Mutant("smoothing's gap dropped", TORCH_ROWS, "row_loss, row_loss + gap)", "row_loss, row_loss)"),
        Mutant("smoothing at the target", TORCH_ROWS, "mass.rest - mass.total * s.rest", "-mass.total * s.rest"),
        Mutant(
            "zero gradient of a usual call",
            TORCH_USUAL,
            "exps.mul_(factor.to(exps.dtype) if walk.is_moderate else factor)",
            "exps.zero_()",
        ),
        Mutant("no -1 at a usual call's target", TORCH_USUAL, "others.neg().to(exps.dtype)", "0.0"),
        Mutant(
            "a usual call's target counted twice",
            TORCH_USUAL,
            "torch.sum(exps.scatter_(1, at, 0.0), 1,",
            "torch.sum(exps, 1,",
        ),
        Mutant("a confident row's log", TORCH_USUAL, "ratios.log1p_()", "ratios.add_(1).log_()"),
        Mutant("float32 out of its range", TORCH_USUAL, "if not _is_in_range(walk, part, found, ratios):", "if False:"),
        Mutant("a lost row in float32", TORCH_USUAL, "return lost_nothing or (", "return True or ("),
        Mutant("1/N missing in a usual call", TORCH_USUAL, "each = upstream / counted", "each = upstream"),
        Mutant(
            "another row's scale in a usual call",
            TORCH_USUAL,
            "row_upstream.double().unsqueeze(1) * each",
            "row_upstream.double().roll(1, -1).unsqueeze(1) * each",
        ),
        Mutant(
            "ignore mask dropped in a usual call",
            TORCH_USUAL,
            "counts = (~ignored).double().unsqueeze(1)",
            "counts = torch.ones_like(at).double()",
        ),
        Mutant("a usual call's smoothing dropped", TORCH_USUAL, ".sub_(push * walk.smooth)", ""),
        Mutant(
            "a usual call's smoothing at the target",
            TORCH_USUAL,
            ".add_(push * (walk.smooth * (walk.classes - 1)))",
            "",
        ),
        Mutant("a usual call's smoothing in the loss", TORCH_USUAL, "losses.add_(found.gap)", "losses"),
        Mutant("a confident row recorded", TORCH_RECORDED, "amax().item() < _MOST_LOG:", "amax().item() < 1:"),
        Mutant("recorded in float32", TORCH_RECORDED, "1, dtype=torch.float64)", "1, dtype=torch.float32)"),
        Mutant(
            "recorded without smoothing", TORCH_RECORDED, "terms.reduction, terms.label_smoothing", "terms.reduction"
        ),
    ),
}


def run_in(module: ModuleType, source: str) -> None:
    exec(compile(source, str(module.__file__), "exec"), module.__dict__)
    importlib.reload(sys.modules[str(module.__package__)])  # which holds the module's functions by name


def is_noticed(framework: Framework) -> bool:
    """Whether a loss, a gradient, a mean or its gradient is further off than the losses may be."""
    for case in CASES:
        if case.name in JUDGES:
            result = framework.run(case)
            share = np.full(len(case.logits), 1 / case.counted.sum())
            mean = np.sum(np.asarray(result.loss), dtype=float) * share[0]
            if (
                loss_error(case, np.asarray(result.loss)) > ULPS
                or gradient_error(case, np.asarray(result.gradient)) > ULPS
                or gradient_error(case, np.asarray(result.mean_gradient), upstream=share) > ULPS + 1
                or not np.allclose(result.mean, mean, rtol=1e-6)
            ):
                return True
    return False


@contextmanager
def serving(module: str) -> Iterator[None]:
    """While calls in torch are left to ``module``: recorded where few logits are, or walked as usual, or neither."""
    with ExitStack() as patches:
        if module in (TORCH_ROWS, TORCH_USUAL):
            recorded, plans = (importlib.import_module(m) for m in (TORCH_RECORDED, TORCH_PLANS))
            patches.enter_context(mock.patch.object(recorded, "recorder", lambda *_: None))
            patches.enter_context(mock.patch.object(plans, "_plans", type(plans._plans)()))
        if module == TORCH_ROWS:
            patches.enter_context(mock.patch.object(importlib.import_module(TORCH_USUAL), "serves", lambda *_: False))
        yield


def is_noticed_serving(framework: Framework, module: str) -> bool:
    """`is_noticed`, by the way that the module is reached."""
    with serving(module):
        return is_noticed(framework)


def main(name: str) -> None:
    """Prints JSON: what was noticed, by mutant; ``none`` is the loss as it is."""
    if name == "keras":
        import tensorflow

        tensorflow.config.run_functions_eagerly(True)  # compiling takes longer than all that is computed here
    noticed = {"none": is_noticed(FRAMEWORKS[name]())}
    for mutant in MUTANTS[name]:
        module = importlib.import_module(mutant.module)
        source = Path(str(module.__file__)).read_text("utf-8")
        assert source.count(mutant.old) == 1, f"{mutant.name}: {mutant.old!r} must stand once in {mutant.module}"
        run_in(module, source.replace(mutant.old, mutant.new))
        noticed[mutant.name] = is_noticed_serving(FRAMEWORKS[name](), mutant.module)
        run_in(module, source)
    print(json.dumps(noticed))


if __name__ == "__main__":
    main(sys.argv[1])
