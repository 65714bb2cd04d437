"""Packages that a program may load later: who asks is told once each of them has been imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


@contextmanager
def when_loaded(modules: Iterable[str], say: Callable[[str], None]) -> Iterator[None]:
    """Inside, each of these modules is said once it is loaded: at once, if it is already, else when it is imported."""
    modules = list(modules)
    finder = _WhenLoaded([name for name in modules if name not in sys.modules], say)
    sys.meta_path.insert(0, finder)
    try:
        for name in modules:
            if name in sys.modules:
                say(name)
        yield
    finally:
        sys.meta_path.remove(finder)


class _WhenLoaded(MetaPathFinder):
    """Says when one of several modules has been imported."""

    def __init__(self, modules: Iterable[str], say: Callable[[str], None]) -> None:
        self._waiting = set(modules)
        self._say = say

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._waiting:
            return None
        spec = self._found_by_others(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        self._waiting.discard(fullname)
        execute = spec.loader.exec_module

        def executed(module: ModuleType) -> None:
            execute(module)
            self._say(fullname)

        spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec

    def _found_by_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        """What the finders behind this one find, of which one may wait for the same module."""
        finders = list(sys.meta_path)
        for finder in finders[finders.index(self) + 1 :]:
            found = finder.find_spec(fullname, path, target)
            if found is not None:
                return found
        return None
