"""Packages that a program may load later: who asks is told once each of them has been imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Is handed a module's name, and a stack for what is to be undone in the end.
Begin = Callable[[str, ExitStack], None]


@contextmanager
def when_loaded(modules: Iterable[str], begin: Begin) -> Iterator[None]:
    """Inside, each of these modules is begun with once it is loaded: at once, if it is already, else when it is
    imported. What that leaves on the stack that it is handed is undone at the end.
    """
    modules = list(modules)
    loaded = [name for name in modules if name in sys.modules]
    with ExitStack() as undo:
        finder = _WhenLoaded({*modules}.difference(loaded), lambda name: begin(name, undo))
        sys.meta_path.insert(0, finder)
        undo.callback(sys.meta_path.remove, finder)
        for name in loaded:
            begin(name, undo)
        yield


class _WhenLoaded(MetaPathFinder):
    """Says when one of several modules has been imported."""

    def __init__(self, modules: set[str], say: Callable[[str], None]) -> None:
        self._waiting = modules
        self._say = say

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._waiting:
            return None
        spec = self._found_by_others(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def executed(module: ModuleType) -> None:  # whoever only asks whether there is such a module loads none
            execute(module)
            self._waiting.discard(fullname)
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
