"""What functions read that run nobody knows when: a name may mean by then what it meant before, or will mean later.

The analysis runs a callback with what its names mean at the end, or where somebody calls it. Where one of them was
something else in between, and the fix changes what that was, nobody has seen what the callback makes of it. Where the
fix changes the callback, that must hold for all that the name may be.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import home
from finallayer.fix.flow.handed_on import Definition, HandedOn
from finallayer.fix.flow.head import held
from finallayer.fix.text.syntax import Syntax
from finallayer.fix.validation.differences import Sink, Status
from finallayer.fix.validation.forms import Forms
from finallayer.fix.validation.objects import Objects
from finallayer.fix.validation.programs import Programs
from finallayer.source.uses import Uses, Variable, variable
from finallayer.source.values import Bound, Instance, Value, is_constant

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
#: Lists within lists, deeper than this, are one thing.
_DEEPEST = 4

Leaves = frozenset[Node]  #: the forms of what a name stands for, item by item


class _Meanings(NamedTuple):
    """What a name stands for at some time or other."""

    every: Leaves
    changed: Leaves  # what is another in the edited program, or does something else there


_NOTHING = _Meanings(frozenset(), frozenset())


class Later:
    """What changes of that which functions read that run nobody knows when, and that nobody has seen there."""

    def __init__(self, programs: Programs, before: Forms, after: Forms, objects: Objects) -> None:
        self._programs, self._before, self._after, self._objects = programs, before, after, objects
        self._handed_on = HandedOn(programs.modules)

    def sinks(self) -> Iterator[Sink]:
        """Every name, and every attribute, in such a function that may be something that changes."""
        for path, module in self._programs.modules.items():
            for (function, name), reads in _names(module.syntax, {v.name for v in self._bound}).items():
                scope = home(module.syntax, reads[0])
                means = self._bound.get(variable(path, scope, name), _NOTHING)
                if self._is_unseen(module, function, means, reads):
                    yield _sink(path, reads[0], name, function)
            for (function, name), places in _attributes(module.syntax, self._kept).items():
                owners = {form for n in places for form in self._owners(module, n)}
                known = [self._kept[name].get(owner, _NOTHING) for owner in owners]
                means = _Meanings(*(frozenset(chain(*several)) for several in zip(_NOTHING, *known, strict=True)))
                if self._is_unseen(module, function, means, places):
                    yield _sink(path, places[0], f".{name}", function)

    def _is_unseen(
        self, module: AnalysedModule, function: Definition, means: _Meanings, reads: Sequence[ast.expr]
    ) -> bool:
        """Whether a function may read some of what changes at a time when nobody has seen it do so."""
        if not means.changed:
            return False
        values = [v for n in reads for v in module.values(n)]
        seen = _leaves(self._before, [*values, *(v.function for v in values if isinstance(v, Bound))])
        rewritten = any(self._is_rewritten(module, n) for n in reads)
        met = means.every if rewritten else means.changed
        return not met <= seen and self._handed_on.may_run_later(module, function)

    def _is_rewritten(self, module: AnalysedModule, read: ast.expr) -> bool:
        """Whether something else is written where a name or attribute is read."""
        there = self._programs.counterpart(module.path, read)
        return there is None or ast.dump(there) != ast.dump(read)

    @cached_property
    def _bound(self) -> dict[Variable, _Meanings]:
        """What names mean of which something changes."""
        old, new = self._programs.old.bound, self._programs.new.bound
        known = {name: self._meanings(values, new.get(name, [])) for name, values in old.items()}
        return {name: means for name, means in known.items() if means.changed}

    @cached_property
    def _kept(self) -> dict[str, dict[Node, _Meanings]]:
        """The same of attributes, by their names and by the objects that they belong to."""
        old, new = _by_owner(self._programs.old, self._before), _by_owner(self._programs.new, self._after)
        found: dict[str, dict[Node, _Meanings]] = {}
        for (name, owner), values in old.items():
            means = self._meanings(values, new.get((name, owner), []))
            if means.changed:
                found.setdefault(name, {})[owner] = means
        return found

    def _meanings(self, old: list[Value], new: list[Value]) -> _Meanings:
        before, after = _leaves(self._before, old), _leaves(self._after, new)
        return _Meanings(before, frozenset(form for form in before if form not in after or self._objects.change(form)))

    def _owners(self, module: AnalysedModule, attribute: ast.Attribute) -> Iterator[Node]:
        """The forms of that whose attribute is read: an object has what its classes have."""
        for owner in module.values(attribute.value):
            yield self._before.of(owner)
            yield from map(self._before.of, owner.cls.ancestry() if isinstance(owner, Instance) else ())


def _sink(path: str, node: ast.expr, name: str, function: Definition) -> Sink:
    called = "a lambda" if isinstance(function, ast.Lambda) else f"`{function.name}`"
    return Sink(Status.UNKNOWN, path, node, f"what `{name}` is when {called} runs")


def _by_owner(uses: Uses, forms: Forms) -> dict[tuple[str, Node], list[Value]]:
    found: dict[tuple[str, Node], list[Value]] = {}
    for name, kept in uses.kept.items():
        for owner, value in kept:
            found.setdefault((name, forms.of(owner)), []).append(value)
    return found


def _leaves(forms: Forms, values: Iterable[Value]) -> Leaves:
    return frozenset(forms.of(leaf) for value in values for leaf in _items(value) if not is_constant(leaf))


def _items(value: Value, depth: int = _DEEPEST) -> Iterator[Value]:
    """What a value is, or what a list or tuple holds."""
    items = list(held(value)) if depth else []
    for item in items:
        yield from _items(item, depth - 1)
    if not items:
        yield value


def _names(syntax: Syntax, names: set[str]) -> dict[tuple[Definition, str], list[ast.Name]]:
    """Where the functions of a file read some names from around them."""
    found: dict[tuple[Definition, str], list[ast.Name]] = {}
    for node in syntax.loads() if names else ():
        function = syntax.scope(node) if node.id in names else None
        if isinstance(function, _FUNCTIONS) and home(syntax, node) is not function:
            found.setdefault((function, node.id), []).append(node)
    return found


def _attributes(syntax: Syntax, names: Iterable[str]) -> dict[tuple[Definition, str], list[ast.Attribute]]:
    """Where the functions of a file read some attributes."""
    found: dict[tuple[Definition, str], list[ast.Attribute]] = {}
    for node in syntax.nodes if names else ():
        if isinstance(node, ast.Attribute) and node.attr in names and isinstance(node.ctx, ast.Load):
            function = syntax.scope(node)
            if isinstance(function, _FUNCTIONS):
                found.setdefault((function, node.attr), []).append(node)
    return found
