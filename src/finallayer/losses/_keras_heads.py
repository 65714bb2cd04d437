"""Which operation made a tensor, on each Keras backend: how a loss notices that it is handed probabilities.

Backends keep a tensor's history while they trace (TensorFlow, JAX) or record (torch) a training step, so
looking back costs the step itself nothing. Where there is no history, there is no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras

PROBABILITIES = ("softmax", "sigmoid")


def probability_operation(tensor: Any) -> str | None:
    """``"softmax"`` or ``"sigmoid"`` if that made ``tensor`` (casts and reshapes aside), else None."""
    operations = _HISTORIES.get(keras.backend.backend(), lambda _: iter(()))(tensor)
    made_by = next((name for name in operations if name not in _KEEP_VALUES), None)
    return made_by if made_by in PROBABILITIES else None


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
