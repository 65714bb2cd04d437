"""The losses of a program that trains: each is told where its backward pass is called for the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from finallayer.expr import Origin
from finallayer.live.observation import Observation
from finallayer.live.replacing import preceded
from finallayer.live.torch import graph
from finallayer.live.torch.following import tensors_in
from finallayer.live.torch.observer import Observer


@contextmanager
def around(tell: Callable[[Observation], None]) -> Iterator[None]:
    """Around a program: each loss that it minimises is told, once for each place at which it does."""
    with _Losses(tell).around():
        yield


class _Losses:
    def __init__(self, tell: Callable[[Observation], None]) -> None:
        self._tell = tell
        self._observer = Observer()
        self._told: set[Origin | None] = set()

    @contextmanager
    def around(self) -> Iterator[None]:
        """Around the program, which changes what it likes."""
        with ExitStack() as undo:
            undo.enter_context(torch.compiler.set_stance("force_eager"))
            undo.enter_context(preceded(torch.autograd, "_engine_run_backward", self._before_backward))
            undo.enter_context(self._observer.watching(restoring=False))
            yield

    def _before_backward(self, roots: Any, *_: Any, **__: Any) -> None:
        place = self._observer.stack.place()
        if place in self._told:
            self._observer.idle = True  # the program goes round; of what is new from here on, the graph is read
            return
        self._told.add(place)
        for observation in self._observations(tensors_in(roots)):
            self._tell(observation)

    def _observations(self, losses: Iterable[torch.Tensor]) -> Iterator[Observation]:
        if self._observer.idle:
            yield from (graph.read(loss, self._observer.stack) for loss in losses)
            return
        yield self._observer.observation(list(losses))
        self._observer.begin()
