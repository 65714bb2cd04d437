"""Imports, and names and parameters of an epsilon, that a fix made unused: those, and no others, go."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from finallayer.findings import Edit
from finallayer.fix.text.deletion import drop_item, whole_line
from finallayer.fix.text.syntax import Syntax
from finallayer.source.plain import plain_text
from finallayer.source.walking import walk

#: From here on a number is more than a guard of a log.
_LARGEST_EPS = 1e-3


def unused_imports(before: Syntax, after: Syntax, importers: Callable[[str], Iterable[str]]) -> Iterator[Edit]:
    """The edits that take out of a fixed file what it imports and, unlike before, doesn't read any more.

    ``importers``: the files that import a file.
    """
    if Path(after.file.path).name == "__init__.py":
        return  # its imports are for others
    used, still = _read(before), _read(after)
    for statement in after.file.tree.body:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)) or "#" in _lines(after, statement):
            continue
        unread = [a for a in statement.names if _bound(a) in used - still]
        idle = [a for a in unread if not _is_mentioned(_bound(a), after, importers)]
        if len(idle) == len(statement.names):
            line = whole_line(after, statement)
            if line is not None:
                yield line
        elif len(idle) == 1:
            edit = drop_item(after, list(statement.names), statement.names.index(idle[0]))
            if edit is not None:
                yield edit


def unused_epsilons(before: Syntax, after: Syntax, importers: Callable[[str], Iterable[str]]) -> Iterator[Edit]:
    """The edits that take ``eps = 1e-8`` out of a fixed file's top level, which nothing reads any more."""
    read, still = ({name.id for name in syntax.loads()} for syntax in (before, after))
    for statement in after.file.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=float(value))) if (
                name in read - still and 0 < value <= _LARGEST_EPS and not _is_mentioned(name, after, importers)
            ):
                line = whole_line(after, statement)
                if line is not None and name not in after.declared:
                    yield line


def unused_parameters(before: Syntax, after: Syntax, importers: Callable[[str], Iterable[str]]) -> Iterator[Edit]:
    """The edits that take ``eps=1e-8`` off a function that doesn't read it any more, and is never handed another."""
    functions = {f.name: f for f in before.file.tree.body if isinstance(f, ast.FunctionDef)}
    for function in (f for f in after.file.tree.body if isinstance(f, ast.FunctionDef) and f.name in functions):
        match function.args:
            case ast.arguments(
                posonlyargs=[],
                args=[*_, other, ast.arg(arg=name)],
                vararg=None,
                defaults=[*defaults, ast.Constant(value=float(value)) as default],
            ) if 0 < value <= _LARGEST_EPS and _reads(functions[function.name], name) and not _reads(function, name):
                words = (name, function.name)
                known = not any(_is_mentioned(word, after, importers) for word in words)
                if known and _is_never_handed(after, function, name, len(function.args.args) - 1):
                    ends = [other, *defaults][-1], default
                    start, stop = (after.file.origin(n) for n in ends)  # type: ignore[arg-type]  # of a parameter, too
                    if "#" not in "".join(after.file.lines[start.end_line - 1 : stop.end_line]):
                        yield after.put((start.end_line, start.end_column), (stop.end_line, stop.end_column))


def _reads(function: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in walk(function))


def _is_never_handed(syntax: Syntax, function: ast.FunctionDef, name: str, place: int) -> bool:
    """Whether a function is called, and by all who read its name, with a parameter (counted from 0) at its default."""
    used = [n for n in syntax.all_of(ast.Attribute) if n.attr == function.name]
    calls = [syntax.parent(n) for n in (*used, *(n for n in syntax.loads() if n.id == function.name))]
    return (
        not function.decorator_list
        and bool(calls)
        and all(
            isinstance(call, ast.Call)
            and getattr(call.func, "id", "") == function.name
            and len(call.args) <= place
            and not any(isinstance(a, ast.Starred) for a in call.args)
            and all(k.arg not in (None, name) for k in call.keywords)
            for call in calls
        )
    )


def _bound(alias: ast.alias) -> str:
    """The name that an import gives; a dotted one gives a package that other imports may give, too."""
    return alias.asname or (alias.name if "." not in alias.name else "")


def _read(syntax: Syntax) -> set[str]:
    return {node.id for node in syntax.nodes if isinstance(node, ast.Name)}


def _lines(syntax: Syntax, statement: ast.stmt) -> str:
    return "\n".join(syntax.file.lines[statement.lineno - 1 : statement.end_lineno])


def _is_mentioned(name: str, syntax: Syntax, importers: Callable[[str], Iterable[str]]) -> bool:
    """Whether a string of the file, such as an annotation, or a file that imports it, speaks of a name."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    strings = (n.value for n in syntax.nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))
    if any(map(word.search, strings)):
        return True
    texts = (plain_text(other) for other in importers(syntax.file.path))
    return any(text is None or word.search(text) or "import *" in text for text in texts)
