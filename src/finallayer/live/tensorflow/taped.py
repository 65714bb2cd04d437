"""The TensorFlow losses of a program that trains: each is told where a tape is first asked for its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from finallayer.expr import Origin
from finallayer.live.observation import Observation
from finallayer.live.replacing import preceded
from finallayer.live.tensorflow.watcher import Watcher


@contextmanager
def around(tell: Callable[[Observation], None]) -> Iterator[None]:
    """Around a program: each loss that its tapes differentiate is told, once for each place."""
    watcher = Watcher()
    told: set[Origin | None] = set()

    def before(_tape: Any, target: Any, *_: Any, **__: Any) -> None:
        place = watcher.place()
        if place in told:
            watcher.begin()  # the program goes round
        else:
            told.add(place)
            losses = [t for t in tf.nest.flatten(target) if tf.is_tensor(t)]
            tell(watcher.observation(losses))

    with watcher.watching(), preceded(tf.GradientTape, "gradient", before):
        yield
