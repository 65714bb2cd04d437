"""Runs two ``.keras`` files side by side in Keras, in a process of its own: ``proving.prove`` starts it."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy as np

from finallayer.models.ulps import answer, most_ulp, side_by_side, sizes


def main() -> None:
    """Answer one task."""
    answer(run)


def run(task: dict[str, Any]) -> dict[str, Any]:
    """What running both files of a task shows."""
    with contextlib.redirect_stdout(sys.stderr):
        import keras

        def given(path: str) -> Any:
            model = keras.saving.load_model(path, compile=False)
            return _output(task, model(_inputs(model), training=False))

        full, plain = side_by_side(task, given)
        made = getattr(keras.ops, task["head"])(keras.ops.cast(plain, full.dtype), **task["how"])
        apart = most_ulp(*map(keras.ops.convert_to_numpy, (full, made)))
    return {"runtime": f"Keras {keras.__version__} on {keras.backend.backend()}", "max_ulp": apart}


def _inputs(model: Any) -> Any:
    import keras

    random = np.random.default_rng(0)

    def numbers(tensor: Any) -> Any:
        shape, whole = sizes(tensor.shape), "int" in str(tensor.dtype)
        made = random.integers(0, 2, size=shape) if whole else random.normal(size=shape)
        return keras.ops.convert_to_tensor(made.astype(str(tensor.dtype)))

    return keras.tree.map_structure(numbers, model._inputs_struct if hasattr(model, "_inputs_struct") else model.inputs)


def _output(task: dict[str, Any], given: Any) -> Any:
    if isinstance(given, dict):
        return given[task["output"]]
    return given[task["number"]] if isinstance(given, (list, tuple)) else given
