"""That a changed model gives what it should: shown by its expression, and by running it beside the old one.

What runs, runs in a process of its own, and only where all of the file is the framework's own: a model file is data,
but what a framework makes of it may be code.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from finallayer.expr import Node
from finallayer.models.model import Edited, Model, bare_scores, head_of
from finallayer.models.refusals import NotDone
from finallayer.processes import command

#: A run that takes longer than this, in seconds, is given up.
LONGEST = 120
#: The most that the same operations may differ by, where a runtime does them in another order.
MOST_ULP = 16.0


Task = Mapping[str, Any]
Run = Callable[[Task], dict[str, Any]]


class Proof(NamedTuple):
    """How it was shown that the old output is softmax, or sigmoid, of the new one; or the new one of the old."""

    how: str
    max_ulp: float | None = None  # by how much, at the most, where it was run


def run_apart(task: Task) -> dict[str, Any]:
    """What a runtime finds in a process of its own; an error, in words, where it finds nothing."""
    runtime = task["runtime"]
    try:
        done = subprocess.run(
            command(f"finallayer.models.run_{runtime}"),
            input=json.dumps(task).encode(),
            capture_output=True,
            timeout=LONGEST,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            check=False,
        )
        found = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"error": f"{runtime} took longer than {LONGEST} s"}
    except (ValueError, IndexError, OSError):
        return {"error": f"{runtime} could not run it"}
    return found if isinstance(found, dict) else {"error": f"{runtime} could not run it"}


def prove(old: Model, new: Model, edited: Edited, output: str, run: Run = run_apart) -> Proof:
    """Compare an output of two files, of which one has a head that the other hasn't.

    ``run``: runs both. Raises :class:`NotDone` where they don't agree.
    """
    _agree(old.output(output).expression, new.output(output).expression)
    task = edited.task(old.path, new.path, output)
    if isinstance(task, str):
        return Proof(f"by expression: {task}")
    found = run(task)
    if "broken" in found:
        raise NotDone(f"the new file doesn't run where the old one does ({found['broken']}): please report this")
    if "error" in found:
        return Proof(f"by expression: {found['error']}")
    if not (found["max_ulp"] <= MOST_ULP or found.get("rounded")):
        raise NotDone(
            f"run beside the old file in {found['runtime']}, {output!r} differs by {found['max_ulp']:.3g} ulp: "
            "please report this"
        )
    exactly = "bit for bit" if found["max_ulp"] == 0 else f"within {found['max_ulp']:.3g} ulp{found.get('why', '')}"
    return Proof(f"run in {found['runtime']} on random inputs, and by expression: {exactly}", found["max_ulp"])


def _agree(old: Node | None, new: Node | None) -> None:
    """Whether one expression is a head of the other."""
    if old is not None and new is not None:
        for made, logits in ((old, new), (new, old)):
            head = head_of(made)
            if head is not None and bare_scores(head.args[0]) == bare_scores(logits):
                return
    raise NotDone("the new file's expression isn't that of the old one's logits: please report this")
