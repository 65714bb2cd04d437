"""The other values of a function's flags: of parameters with a default that some test in the function asks for."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

from finallayer.source.values import Function, Missing, Value, opaque
from finallayer.source.walking import walk

#: Values that a text may have besides its default: more are not tried.
_MOST_TEXTS = 4


def other_values(function: Function, body: ast.AST | None = None) -> Iterator[dict[str, Value]]:
    """Arguments with which a function does something else than with its defaults.

    First each flag has a value that nobody knows, so that both ways of every test are met; then one that is the only
    flag has each of its other values, so that what follows the test is met, too. (What two flags say may belong
    together.) ``body``: where the tests stand, if not in the function itself.
    """
    defaults = {name: value for name, value in defaults_of(function) if isinstance(value, (bool, int, float, str))}
    if not defaults:
        return
    tests = _tests(body or function.node)
    flags = [name for name in defaults if any(_mentions(test, name) for test in tests)]
    if flags:
        yield {name: opaque(f"{name}@{function.name}") for name in flags}
    if len(flags) == 1:
        name = flags[0]
        yield from ({name: value} for value in _others(defaults[name], name, tests))


def defaults_of(function: Function) -> Iterator[tuple[str, Value]]:
    """Each parameter that has a default, and the default."""
    spec = function.node.args
    names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    yield from zip(names[len(names) - len(function.defaults) :], function.defaults, strict=True)
    for argument, value in zip(spec.kwonlyargs, function.kw_defaults, strict=True):
        if not isinstance(value, Missing):
            yield argument.arg, value


def _others(default: Value, name: str, tests: Sequence[ast.expr]) -> Iterator[Value]:
    if isinstance(default, bool):
        yield not default
    elif isinstance(default, str):
        texts = (text for test in tests if _mentions(test, name) for text in _texts(test))
        yield from islice((text for text in dict.fromkeys(texts) if text != default), _MOST_TEXTS)


@lru_cache(maxsize=1024)  # a program is analysed again for each of its fixes
def _tests(body: ast.AST) -> tuple[ast.expr, ...]:
    """Every expression that decides what is done."""
    found: list[ast.expr] = []
    for node in walk(body):
        match node:
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                found.append(test)
            case ast.Match(subject=subject):
                found.append(subject)
    return tuple(found)


def _mentions(test: ast.expr, name: str) -> bool:
    """Whether a test asks for a parameter, or for the attribute of that name that an object keeps of it."""
    return any(
        (isinstance(n, ast.Name) and n.id == name)
        or (isinstance(n, ast.Attribute) and n.attr.lstrip("_") == name and isinstance(n.value, ast.Name))
        for n in walk(test)
    )


def _texts(test: ast.expr) -> Iterator[str]:
    return (n.value for n in walk(test) if isinstance(n, ast.Constant) and isinstance(n.value, str))
