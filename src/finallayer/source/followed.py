"""Which values leave what the analysis follows, and whether they leave it as numbers or as what has a gradient."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from finallayer.catalog.names import canonical
from finallayer.catalog.standard import READERS
from finallayer.expr import COMPARED, Node
from finallayer.source.interpreter import Interpreter
from finallayer.source.parts import within
from finallayer.source.values import Bound, Frame, Function, Partial, Union, Value
from finallayer.source.walking import walk

#: Values that aren't understood and only read those that went in: comparisons, and texts with them in it.
_READ_BY = frozenset({COMPARED, "text", "text.format", "not", "len"})
#: Attributes of a tensor that say nothing of its numbers.
_FORMS = frozenset({"shape", "dtype", "device", "ndim", "name", "graph", "requires_grad"})
#: Containers nested deeper than this aren't looked into.
_DEEPEST = 4


def hears(run: Interpreter, name: str, parts: tuple[Value, ...]) -> None:
    """Values went into one that isn't understood: it is all that is known of them from there on."""
    ends = run.recorder.destinations
    if not ends or name.rpartition(".")[2] in _FORMS:
        return
    if run.reading > 0 or name in _READ_BY or (name == "Mod" and isinstance(parts[0], str)):
        _read(run, *parts)
    else:
        hand(run, *parts)


def _read(run: Interpreter, *values: Value) -> None:
    """Values are read as numbers."""
    for part in _all_in(values):
        if isinstance(part, Node):
            run.recorder.destinations.read(part)


def hand(run: Interpreter, *values: Value) -> None:
    """Values go to a caller, an object, or a framework."""
    ends = run.recorder.destinations
    if ends:
        for part in _all_in(values):
            if isinstance(part, Node):
                ends.hand(part)
            else:
                _function(run, part)


def _function(run: Interpreter, value: Value) -> None:
    while isinstance(value, (Bound, Partial)):
        value = value.function
    if isinstance(value, Function):
        run.recorder.destinations.hand_function(value.node)


def _all_in(values: tuple[Value, ...], deep: int = 0) -> Iterator[Value]:
    for value in values:
        inner = value.values if isinstance(value, Union) else within(value)
        if deep < _DEEPEST and not (len(inner) == 1 and inner[0] is value):
            yield from _all_in(inner, deep + 1)
        else:
            yield value


def only_reads(name: str) -> bool:
    """Whether a foreign function, by its whole name, reads numbers and keeps nothing."""
    return canonical(name) in READERS


def is_fetch(name: str) -> bool:
    """Whether a call of what isn't at hand runs a graph, and fetches what it is handed: ``session.run(loss)``."""
    return name.endswith(".run")


def may_be_imported(function: Function) -> bool:
    """Whether programs that aren't in sight may call a function: it stands in no other function, and no notebook."""
    scope = function.frame if function.owner is None else function.frame.parent or function.frame
    return scope.parent is None and function.frame.module.path.endswith(".py")


def hand_attribute(run: Interpreter, name: str, value: Value, frame: Frame) -> None:
    """A value is stored in an object: whoever has that may do with it what they like, unless all that this file does
    with an attribute of that name is to fetch it, or nothing, in a class that trains itself by another loss."""
    if not run.recorder.destinations:
        return
    if name in _only_fetched(frame.module.tree) or _is_left(name, frame):
        _read(run, value)
    else:
        hand(run, value)


def _is_left(name: str, frame: Frame) -> bool:
    """Whether an attribute is set by a class that trains itself, and that nothing in its file reads."""
    owner = frame.function.owner if frame.function is not None else None
    return owner is not None and _trains_itself(owner.node) and name not in _read_attributes(frame.module.tree)


#: What an optimizer is asked for that trains a graph, by a loss that is known there.
_TRAINING = frozenset({"minimize", "compute_gradients", "apply_gradients"})


@lru_cache(maxsize=64)
def _trains_itself(cls: ast.ClassDef) -> bool:
    """Whether a class has an optimizer train its graph."""
    calls = (node.func for node in walk(cls) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Attribute) and called.attr in _TRAINING for called in calls)


@lru_cache(maxsize=64)
def _read_attributes(tree: ast.Module) -> frozenset[str]:
    """The names of the attributes that a file reads."""
    return frozenset(n.attr for n in walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load))


@lru_cache(maxsize=64)
def _only_fetched(tree: ast.Module) -> frozenset[str]:
    """The names of the attributes that a file reads as arguments of ``session.run`` alone."""
    read: Counter[str] = Counter()
    fetched: Counter[str] = Counter()
    for node in walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            read[node.attr] += 1
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run":
            fetches = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "fetches")]
            fetched.update(n.attr for f in fetches for n in walk(f) if isinstance(n, ast.Attribute))
    return frozenset(name for name, times in fetched.items() if times == read[name])
