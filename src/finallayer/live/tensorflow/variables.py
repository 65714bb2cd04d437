"""Leaves no trace: the variables that a run changes, and the generators of random numbers, are put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import context
from tensorflow.python.ops import gen_resource_variable_ops as of_variables

from finallayer.catalog.tensorflow_graph import READS
from finallayer.live.randomness import plain_generators
from finallayer.live.replacing import preceded

#: What runs an operation, and where it is told which one.
_RUNNERS = {"TFE_Py_FastPathExecute": 1, "TFE_Py_Execute": 2}


class _Saved:
    """The numbers of the variables that operations were about to change."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[Any, Any]] = {}
        self._reading = False

    def before(self, operation: Any, given: Any) -> None:
        """An operation is about to run on these."""
        name = operation.decode() if isinstance(operation, bytes) else operation
        if self._reading or name in READS:
            return
        for value in given:
            if isinstance(value, (list, tuple)):
                self.before(name, value)
            elif isinstance(value, tf.Tensor) and value.dtype == tf.resource and value._id not in self._values:
                self._values[value._id] = value, self._read(value)

    def _read(self, handle: Any) -> Any:
        self._reading = True
        try:  # what a handle is of may be no variable, or have no numbers yet
            return of_variables.read_variable_op(
                handle, tf.dtypes.as_dtype(handle._handle_data.shape_and_type[0].dtype)
            )
        except Exception:
            return None
        finally:
            self._reading = False

    def restore(self) -> None:
        """Put back what has changed."""
        self._reading = True
        for handle, value in self._values.values():
            if value is not None:
                with suppress(tf.errors.OpError):
                    of_variables.assign_variable_op(handle, value)


@contextmanager
def untouched() -> Iterator[None]:
    """Around a run, after which everything is as it was."""
    saved = _Saved()
    with ExitStack() as undo:
        undo.callback(saved.restore)
        for name, at in _RUNNERS.items():
            undo.enter_context(preceded(pywrap_tfe, name, partial(_saving, saved, at)))
        with plain_generators(), _seeds():
            yield


def _saving(saved: _Saved, at: int, *args: Any) -> None:
    saved.before(args[at], args[at + 1 :])


@contextmanager
def _seeds() -> Iterator[None]:
    """The seeds that operations get of the program's own go on where they were."""
    of_context = context.context()
    generator = getattr(of_context, "_rng", None)
    before = generator.getstate() if generator is not None else None
    try:
        yield
    finally:
        if before is not None:
            of_context._rng.setstate(before)
            of_context.clear_kernel_cache()  # an operation of a seed goes on where it was, while it is kept
