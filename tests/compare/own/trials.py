"""Trials made up for tests: what is measured is chosen, so what must follow from it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finallayer.compare.own.answer import conclude
from finallayer.compare.own.arms import AS_IS, FIXED
from finallayer.compare.own.measured import Outcome

SETTINGS: dict[str, Any] = {
    "script": "train.py",
    "against": None,
    "arguments": [],
    "mended": [{"rule": "FL101", "name": "double-softmax", "path": "train.py", "number": 1}],
    "diff": ["--- train.py", "+++ train.py", "@@ -1 +1 @@", "-net = <Softmax>", "+net = Linear"],
    "seeds": 4,
    "metric": None,
    "lower_is_better": False,
    "engine": "local",
    "digest": "0" * 64,
}


def epoch(number: int, **measured: Any) -> dict[str, Any]:
    """An epoch of a healthy training, but for what is said."""
    healthy = {"steps": 10, "samples": 320, "train_accuracy": 0.5, "silenced": 0.0, "true_loss": 1.0, "margin_p50": 0.1}
    return {"epoch": number, **healthy, **measured}


def cell(*epochs: dict[str, Any], metric: Sequence[float | None] = (), **more: Any) -> dict[str, Any]:
    """What a run answers."""
    audit = {"expressions": ["nll(...)"], "findings": ["FL101"], "safe_margin": 16.1, "dtype": "float32"}
    given = {"seconds": 1.5, "metric": list(metric), "of": "epoch", "audit": audit, "notes": [], "versions": {}}
    return given | {"epochs": list(epochs)} | more


def trial(as_is: Sequence[dict[str, Any]], fixed: Sequence[dict[str, Any]], **settings: Any) -> Outcome:
    """The outcome of a trial, concluded; a cell a seed."""
    cells = {(arm, s): c for arm, some in ((AS_IS, as_is), (FIXED, fixed)) for s, c in enumerate(some)}
    made = Outcome(
        SETTINGS | {"seeds": len(as_is)} | settings, {"python": "3", "platform": "p", "cpus": 2}, cells=cells
    )
    made.verdict = conclude(made)
    return made


def logged(values: Sequence[float], name: str = "val_accuracy", **measured: Any) -> list[dict[str, Any]]:
    """Runs that end with these values in their logs."""
    return [cell(epoch(1), epoch(2, logged={name: value}, **measured)) for value in values]
