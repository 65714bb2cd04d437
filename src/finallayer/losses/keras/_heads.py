"""Which operation made a tensor, on each Keras backend: how a loss notices that it is handed probabilities.

Backends keep a tensor's history while they trace (TensorFlow, JAX) or record (torch) a training step, so
looking back costs a compiled step nothing. Where there is no history, the numbers themselves are looked at.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

PROBABILITIES = ("softmax", "sigmoid")
_FEWEST = 8  # numbers from which on it is no accident that they are distributions


def check_head(y_pred: Any, loss: str) -> None:
    """Refuse predictions that softmax or sigmoid made, for the ``loss`` of this name, and warn of what looks so.

    Raises:
        ValueError: if the backend says that they were made so.
    """
    operation = probability_operation(y_pred)
    if operation is not None:
        raise ValueError(
            f"{loss} takes logits, but the model's output is made by {operation}. Remove that activation from the "
            f"model's last layer (activation=None), and apply {operation} to predictions where probabilities are "
            "wanted."
        )
    values = _values_without_history(y_pred)
    if values is not None and _look_like_probabilities(values):
        warnings.warn(
            f"{loss} takes logits, but each row of the predictions lies in [0, 1] and sums to 1, as softmax's do. "
            "Remove softmax from the model's last layer (activation=None).",
            stacklevel=4,
        )


def probability_operation(tensor: Any) -> str | None:
    """``"softmax"`` or ``"sigmoid"`` if that made ``tensor`` (casts and reshapes aside), else None."""
    operations = _HISTORIES.get(keras.backend.backend(), lambda _: iter(()))(tensor)
    made_by = next((name for name in operations if name not in _KEEP_VALUES), None)
    if made_by is None and hasattr(tensor, "_keras_logits"):  # left by Keras' activations, also where nothing is traced
        return " or ".join(PROBABILITIES)
    return made_by if made_by in PROBABILITIES else None


def _values_without_history(tensor: Any) -> Any:
    """Predictions that are known, and of which the backend does not record what made them; else None."""
    match keras.backend.backend():
        case _ if isinstance(tensor, np.ndarray):
            is_known = True
        case "tensorflow":
            is_known = hasattr(tensor, "numpy")
        case "torch":
            is_known = getattr(tensor, "grad_fn", None) is None and getattr(tensor, "is_cpu", False)
        case _:
            while hasattr(tensor, "primal"):
                tensor = tensor.primal
            is_known = not type(tensor).__name__.endswith("Tracer")
    return ops.convert_to_numpy(tensor) if is_known and hasattr(tensor, "shape") else None


def _look_like_probabilities(values: Any) -> bool:
    """Whether rows are distributions; of too few numbers, nothing is said."""
    if values.ndim < 2 or values.shape[-1] < 2 or values.size < _FEWEST:
        return False
    values = values.astype("float64")
    return bool((values >= 0).all() and (values <= 1).all() and (abs(values.sum(-1) - 1) < 1e-2).all())


def _tensorflow_history(tensor: Any) -> Iterator[str]:
    operation = getattr(tensor, "op", None)
    while operation is not None:
        yield operation.type.lower()
        operation = operation.inputs[0].op if len(operation.inputs) else None


def _torch_history(tensor: Any) -> Iterator[str]:
    node = getattr(tensor, "grad_fn", None)
    while node is not None:
        yield node.name().removesuffix("0").removesuffix("Backward").lower()
        node = node.next_functions[0][0] if node.next_functions else None


def _jax_history(tensor: Any) -> Iterator[str]:
    # A tracer's equation is no public API: without these attributes there is no history.
    tensor, equation = _jax_equation(tensor)
    while equation is not None:
        yield ("softmax" if _is_jax_softmax(equation) else _JAX_NAMES.get(name := str(equation.primitive), name))
        _, equation = _jax_equation(equation.in_tracers[0])


def _jax_equation(tracer: Any) -> tuple[Any, Any]:
    while hasattr(tracer, "primal"):  # the value that a derivative's tracer stands for
        tracer = tracer.primal
    return tracer, getattr(tracer, "parent", None)


def _is_jax_softmax(equation: Any) -> bool:
    """Whether it is ``exp(...) / sum(...)``, which is what softmax is traced to."""
    if str(equation.primitive) != "div":
        return False
    numerator, denominator = (_made_by(tracer) for tracer in equation.in_tracers)
    return numerator == "exp" and denominator == "reduce_sum"


def _made_by(tracer: Any) -> str | None:
    _, equation = _jax_equation(tracer)
    while equation is not None and str(equation.primitive) in _KEEP_VALUES:
        _, equation = _jax_equation(equation.in_tracers[0])
    return None if equation is None else str(equation.primitive)


_HISTORIES: dict[str, Callable[[Any], Iterator[str]]] = {
    "jax": _jax_history,
    "tensorflow": _tensorflow_history,
    "torch": _torch_history,
}
_JAX_NAMES = {"logistic": "sigmoid"}
_KEEP_VALUES = frozenset(
    {
        *("cast", "identity", "reshape", "squeeze", "expanddims", "transpose", "stopgradient"),  # TensorFlow
        *(
            "tocopy",
            "_tocopy",
            "view",
            "unsafeview",
            "reshapealias",
            "unsqueeze",
            "permute",
            "clone",
            "t",
        ),  # torch
        *("convert_element_type", "broadcast_in_dim", "copy", "expand_dims", "stop_gradient"),  # JAX
    }
)
