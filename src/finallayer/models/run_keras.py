"""Runs two ``.keras`` files side by side in Keras, in a process of its own: ``proving.prove`` starts it."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy as np

from finallayer.models.ulps import answer, broken_after, most_ulp

#: Sizes of axes that the file leaves open: of the first, and of others.
_BATCH, _ELSEWHERE = 3, 8


def main() -> None:
    """Answer one task."""
    answer(run)


def run(task: dict[str, Any]) -> dict[str, Any]:
    """What running both files of a task shows."""
    with contextlib.redirect_stdout(sys.stderr):
        import keras

        runs: dict[str, Any] = {}
        for which in ("with_head", "without") if task["strips"] else ("without", "with_head"):
            with broken_after(runs):
                model = keras.saving.load_model(task[which], compile=False)
                runs[which] = _output(task, model(_inputs(model), training=False))
        full, plain = runs["with_head"], runs["without"]
        made = getattr(keras.ops, task["head"])(keras.ops.cast(plain, full.dtype), **task["how"])
        apart = most_ulp(*map(keras.ops.convert_to_numpy, (full, made)))
    return {"runtime": f"Keras {keras.__version__} on {keras.backend.backend()}", "max_ulp": apart}


def _inputs(model: Any) -> Any:
    import keras

    random = np.random.default_rng(0)

    def numbers(tensor: Any) -> Any:
        shape = [n or (_ELSEWHERE if axis else _BATCH) for axis, n in enumerate(tensor.shape)]
        whole = "int" in str(tensor.dtype)
        made = random.integers(0, 2, size=shape) if whole else random.normal(size=shape)
        return keras.ops.convert_to_tensor(made.astype(str(tensor.dtype)))

    return keras.tree.map_structure(numbers, model._inputs_struct if hasattr(model, "_inputs_struct") else model.inputs)


def _output(task: dict[str, Any], given: Any) -> Any:
    if isinstance(given, dict):
        return given[task["output"]]
    return given[task["number"]] if isinstance(given, (list, tuple)) else given
