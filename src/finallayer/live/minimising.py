"""The losses that a program minimises, of whichever framework: each is told where its gradient is first asked for.

A framework is watched from the moment on at which the program has loaded it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from importlib import import_module

from finallayer.live.observation import Observation
from finallayer.loading import when_loaded

Tell = Callable[[Observation], None]
#: framework -> the module that tells of its losses: ``around(tell)`` is a context
_FRONTS = {
    "torch": "finallayer.live.torch.backward",
    "jax": "finallayer.live.differentiated",
    "tensorflow": "finallayer.live.tensorflow.taped",
}


def losses_told(tell: Tell) -> AbstractContextManager[None]:
    """Around a program, of which each loss that it minimises is told once for each place at which it does."""

    def watch(framework: str, undo: ExitStack) -> None:
        undo.enter_context(import_module(_FRONTS[framework]).around(tell))

    return when_loaded(_FRONTS, watch)
