"""The losses that a program minimises, of whichever framework: each is told where its gradient is first asked for.

A framework is watched from the moment on at which the program has loaded it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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


@contextmanager
def losses_told(tell: Tell) -> Iterator[None]:
    """Around a program, of which each loss that it minimises is told once for each place at which it does."""
    with ExitStack() as undo:

        def watch(framework: str) -> None:
            around: AbstractContextManager[None] = import_module(_FRONTS[framework]).around(tell)
            undo.enter_context(around)

        undo.enter_context(when_loaded(_FRONTS, watch))
        yield
