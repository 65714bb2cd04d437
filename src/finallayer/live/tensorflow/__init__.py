"""TensorFlow: a loss is run once while every operation is watched, and what it changed is put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from finallayer.live.handing import by_name, minimised
from finallayer.live.observation import Observation
from finallayer.live.tensorflow.variables import untouched
from finallayer.live.tensorflow.watcher import Watcher


@contextmanager
def watching(
    loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[Callable[[Any], Observation]]:
    """Around a run of a loss on these arguments; gives what tells of it, once it has given its result."""
    watcher = Watcher()
    with untouched(), watcher.watching(), tf.GradientTape(watch_accessed_variables=False):
        for name, value in by_name(loss, args, kwargs).items():
            if tf.is_tensor(value):
                watcher.tensors.named(value, name)
        yield lambda given: watcher.observation(minimised(given, tf.Tensor))


def trace(loss: Callable[..., Any], args: Sequence[Any]) -> Observation:
    """Tell what a loss does as a graph of TensorFlow's."""
    watcher = Watcher()
    traced: list[Any] = []

    def graph(*args: Any) -> Any:
        for name, value in by_name(loss, args, {}).items():
            watcher.tensors.named(value, name)
        traced.append(loss(*args))
        here = tf.compat.v1.get_default_graph()
        return [[t if t.graph is here else None for t in one.tensors] for one in watcher.unmeasured]

    with untouched(), watcher.watching(), tf.GradientTape(watch_accessed_variables=False):
        values = tf.function(graph, autograph=False).get_concrete_function(*args)(*args)
        for measured, numbers in zip(watcher.unmeasured, values, strict=True):
            if None not in numbers:
                watcher.measuring.saw(*measured._replace(tensors=list(numbers)))
        return watcher.observation(minimised(traced[0], tf.Tensor))


def holds_arrays(*values: Any) -> bool:
    """Whether any tensor of this framework's is in these structures."""
    return any(tf.is_tensor(leaf) for leaf in tf.nest.flatten(values))
