"""The losses that a program minimises, of whichever framework: each is told where its gradient is first asked for.

A framework is watched from the moment on at which the program has loaded it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from finallayer.live.observation import Observation

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

        missing = [name for name in _FRONTS if name not in sys.modules]
        finder = _WhenLoaded(missing, watch)
        sys.meta_path.insert(0, finder)
        undo.callback(sys.meta_path.remove, finder)
        for framework in _FRONTS.keys() - missing:
            watch(framework)
        yield


class _WhenLoaded(MetaPathFinder):
    """Says when one of several packages has been imported."""

    def __init__(self, packages: Sequence[str], say: Callable[[str], None]) -> None:
        self._waiting = set(packages)
        self._say = say

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._waiting:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        self._waiting.discard(fullname)
        execute = spec.loader.exec_module

        def executed(module: ModuleType) -> None:
            execute(module)
            self._say(fullname)

        spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec
