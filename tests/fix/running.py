"""A generated program run before and after its fix: what its readers see, and the gradient of its loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch


class Ran(NamedTuple):
    """What one run showed."""

    shown: list[torch.Tensor]
    gradient: torch.Tensor
    loss: float


def run(text: str, binary: bool, seed: int) -> Ran:
    """Run a program's ``run`` on random rows with the weights of a seed, in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(seed)
        names: dict[str, Any] = {"__name__": "generated"}
        exec(compile(text, "generated", "exec"), names)
        x = torch.randn(5, 4)
        y = torch.randint(0, 2, (5, 1)).double() if binary else torch.randint(0, 3, (5,))
        loss, shown = names["run"](x, y)
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in names["model"].parameters()])
    finally:
        torch.set_default_dtype(torch.float32)
    flat = [torch.as_tensor(s).detach().double().flatten() for s in shown]
    return Ran(flat, gradient, loss.item())


def difference(before: str, after: str, binary: bool, seed: int = 0) -> str:
    """Why a fix is wrong; empty where every reader sees what it saw, and the loss is the true cross-entropy."""
    old, new = run(before, binary, seed), run(after, binary, seed)
    if len(old.shown) != len(new.shown):
        return "another number of values"
    for a, b in zip(old.shown, new.shown, strict=True):
        if a.shape != b.shape or not torch.allclose(a, b, rtol=0, atol=1e-9):
            return f"a reader sees {b.tolist()} and not {a.tolist()}"
    right = run(_meant(before), binary, seed)
    same = torch.allclose(new.gradient, right.gradient, rtol=1e-9, atol=1e-12) and abs(new.loss - right.loss) < 1e-9
    return "" if same else "the loss isn't the cross-entropy of the logits"


def _meant(before: str) -> str:
    """The program with another loss and no readers: the cross-entropy by hand, of the probabilities that it had."""
    reduction = "sum" if "reduction='sum'" in before else "mean"
    return before.split("def run(x, y):")[0] + (
        "def run(x, y):\n    p = model(x)\n"
        "    terms = -(y * p.log() + (1 - y) * (1 - p).log()) if y.dtype.is_floating_point else "
        "-p.gather(1, y[:, None])[:, 0].log()\n"
        f"    return terms.{reduction}(), []\n"
    )
