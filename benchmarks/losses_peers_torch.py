"""PyTorch's own sample and error inputs for its losses and loss modules, run with ours in their place.

    python benchmarks/losses_peers_torch.py

Torch ships them (``torch.testing._internal``, which imports ``expecttest``). A sample's loss and gradient are compared
with torch's function in float64; an error input must raise torch's type. Prints a line for each function, module and
dtype, and every difference that docs/losses.md does not list; exits 1 if there is one.
"""

from __future__ import annotations

import collections
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from finallayer.losses import torch as ours

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
#: By design: docs/losses.md has the reasons.
KNOWN = ("a number where torch has NaN",)
#: Argument names of torch's that choose how it computes, not what.
_NOT_MATHS = ("options",)


class Outcome(NamedTuple):
    """A loss with the gradients of what is differentiated, or what was raised."""

    loss: torch.Tensor | None
    grads: list[torch.Tensor]
    error: Exception | None


def run(function: Callable[..., torch.Tensor], leaves: list[torch.Tensor], rest: Callable[..., Any]) -> Outcome:
    """``function`` of copies of ``leaves`` and of what ``rest`` makes for their dtype."""
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    try:
        args, kwargs = rest(leaves[0].dtype)
        loss = function(*leaves, *args, **kwargs)
        return Outcome(loss.detach(), list(torch.autograd.grad(loss.sum(), leaves)), None)
    except Exception as error:
        return Outcome(None, [], error)


def cast(value: Any, dtype: torch.dtype) -> Any:
    return value.detach().to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def difference(mine: Outcome, theirs: Outcome, exact: Outcome, dtype: torch.dtype, terms: int) -> str | None:
    """How ours differs from torch's, where it should not; ``terms`` are added up for an element (matrix products)."""
    if (mine.error is None) != (theirs.error is None):
        return f"ours: {mine.error!r:.100}, torch: {theirs.error!r:.100}"
    if mine.loss is None or theirs.loss is None or exact.loss is None:
        return None
    if mine.loss.shape != theirs.loss.shape or mine.loss.dtype != theirs.loss.dtype:
        return f"{mine.loss.shape} {mine.loss.dtype}, torch: {theirs.loss.shape} {theirs.loss.dtype}"
    eps = torch.finfo(dtype).eps * terms
    if dtype == torch.float64:  # torch's own, that it is compared with, is rounded as often
        eps *= 16
    for name, got, expected in zip(
        ("loss", *["gradient"] * 9), (mine.loss, *mine.grads), (exact.loss, *exact.grads), strict=False
    ):
        if expected.isnan().any() and not got.isnan().any():
            return KNOWN[0]
        size = float(expected.abs().nan_to_num(0).max()) if expected.numel() else 0.0
        size = max(size, 1.0) if dtype == torch.float64 else size
        if not torch.allclose(got.double(), expected, rtol=8 * eps, atol=4 * eps * size + 1e-30, equal_nan=True):
            return f"{name} off by {float((got.double() - expected).abs().max()):.2g}"
    return None


def functions() -> Iterator[tuple[str, Any, Callable[..., Any], int]]:
    """Torch's description of a function, ours, and how many of a sample's tensors are differentiated."""
    from torch.testing._internal.common_methods_invocations import op_db

    mine: dict[str, tuple[Callable[..., Any], int]] = {
        "nn.functional.cross_entropy": (ours.cross_entropy, 1),
        "nn.functional.binary_cross_entropy_with_logits": (ours.binary_cross_entropy_with_logits, 1),
        "nn.functional.linear_cross_entropy": (ours.linear_cross_entropy, 2),
    }
    for op in op_db:
        if op.name in mine:
            yield f"{op.name} {op.variant_test_name}".strip(), op, *mine[op.name]


def compare_functions(found: collections.Counter[tuple[str, str]]) -> None:
    for name, op, function, leaves in functions():
        for dtype in DTYPES:
            samples = list(op.sample_inputs("cpu", dtype, requires_grad=False))
            for sample in samples:
                tensors = [sample.input, *sample.args[: leaves - 1]]

                def rest(dtype: torch.dtype, sample: Any = sample, leaves: int = leaves) -> Any:
                    kwargs = {k: cast(v, dtype) for k, v in sample.kwargs.items()}
                    return [cast(a, dtype) for a in sample.args[leaves - 1 :]], kwargs

                def without_options(*args: Any, op: Any = op, **kwargs: Any) -> Any:
                    return op.op(*args, **{k: v for k, v in kwargs.items() if k not in _NOT_MATHS})

                wide = [t.double() for t in tensors]
                theirs = run(op.op if dtype == torch.float64 else without_options, tensors, rest)
                terms = 1 if leaves == 1 else 4 * max(sample.args[0].shape)
                told = difference(run(function, tensors, rest), theirs, run(without_options, wide, rest), dtype, terms)
                found[name, told or ""] += bool(told)
            print(f"{name}, {dtype}: {len(samples)} samples")
        for error_input in op.error_inputs("cpu") if op.error_inputs_func else ():
            sample = error_input.sample_input
            kwargs = {k: v for k, v in sample.kwargs.items() if k not in _NOT_MATHS}
            try:
                function(sample.input, *sample.args, **kwargs)
                told = f"accepted, torch: {error_input.error_type.__name__} {error_input.error_regex:.80}"
            except error_input.error_type:
                continue
            except Exception as error:
                told = f"{error!r:.100}, torch: {error_input.error_type.__name__}"
            found[name, told] += 1


def compare_modules(found: collections.Counter[tuple[str, str]]) -> None:
    from torch.testing._internal.common_modules import module_db

    names = ("CrossEntropyLoss", "BCEWithLogitsLoss", "LinearCrossEntropyLoss")
    for info in module_db:
        name = info.module_cls.__name__
        if name not in names or info.module_cls.__module__.startswith("finallayer"):
            continue
        for dtype in DTYPES:
            cases = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=False, training=True)
            for case in cases:
                made, given = case.constructor_input, case.forward_input
                modules = [c(*made.args, **made.kwargs) for c in (getattr(ours, name), info.module_cls)]
                modules[0].load_state_dict(modules[1].state_dict())
                wide = info.module_cls(*made.args, **made.kwargs)
                wide.load_state_dict(modules[1].state_dict())

                def rest(dtype: torch.dtype, given: Any = given) -> Any:
                    return [cast(a, dtype) for a in given.args[1:]], {
                        k: cast(v, dtype) for k, v in given.kwargs.items()
                    }

                leaf = given.args[0]
                mine, theirs = (run(m, [leaf], rest) for m in modules)
                exact = run(wide.double(), [leaf.double()], rest)
                terms = 64 if name.startswith("Linear") else 1
                told = difference(mine, theirs, exact, dtype, terms)
                found[name, told or ""] += bool(told)
            print(f"{name}, {dtype}: {len(cases)} inputs")


def main() -> int:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    compare_functions(found)
    compare_modules(found)
    found = collections.Counter({key: n for key, n in found.items() if n})
    for (name, told), n in sorted(found.items()):
        print(f"{name}: {n} x {told}{' (by design)' if told in KNOWN else ''}")
    new = sum(n for (_, told), n in found.items() if told not in KNOWN)
    print(f"differences: {sum(found.values())}, not by design: {new}")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
