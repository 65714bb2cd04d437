"""The project's files outside the program at hand that come to what a fix changes: they may read what it makes.

A file comes to it by importing a name that leads there: what is changed itself, or what speaks of such a name. One that
only takes other names from the same file doesn't, and is no reader.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.doctests import doctests_about
from finallayer.fix.text.syntax import Syntax
from finallayer.source.files import Unreadable
from finallayer.source.folders import SUFFIXES
from finallayer.source.importers import Importer, importers_below, root_of
from finallayer.source.plain import plain_text
from finallayer.source.walking import walk

Names = frozenset[str]
#: By which a module that was asked for by a text is asked for a name that isn't written out.
_ASKING = frozenset({"getattr", "vars", "__dict__", "attrgetter", "run_module", "run_path"})
_WORD = re.compile(r"\w+")
#: A longer text names nothing.
_LONGEST_NAME = 200


class Outsider(NamedTuple):
    """A file that comes to what a fix changes; ``by``: the file that it imports for it."""

    path: str
    by: str
    certain: bool  # whether an analysis follows the import

    def __str__(self) -> str:
        does = "imports" if self.certain else "may import" if self.path.endswith(SUFFIXES) else "names a part of"
        return f"{Path(self.path).name} {does} {Path(self.by).name}"


def importers(path: str) -> Iterator[str]:
    """The files of the project that import a file."""
    return (importer.path for importer in importers_below(root_of([path])).of(path))


def limits(paths: Iterable[str]) -> list[str]:
    """What of the project that some files belong to wasn't looked at; a phrase each."""
    return importers_below(root_of(paths)).limits


def examples(context: Context, edits: Iterable[Edit]) -> list[str]:
    """The examples in the docstrings of a program's files that show what edits change; a phrase each."""
    changed = _by_file(edits)
    names = frozenset[str]().union(*(_changed_names(context.syntax(p), of_file) for p, of_file in changed.items()))
    return [phrase for module in context.modules().values() for phrase in doctests_about(module.syntax, names)]


def outsiders(context: Context, edits: Iterable[Edit], inside: Container[str]) -> Iterator[Outsider]:
    """The files, besides those ``inside``, that come to what edits change, directly or by way of others."""
    changed = _by_file(edits)
    leading = {path: _changed_names(context.syntax(path), of_file) for path, of_file in changed.items()}
    index = importers_below(root_of([*changed, *context.modules()]))
    waiting, met = list(leading), set(changed)
    while waiting:
        path = waiting.pop(0)
        for importer in index.of(path):
            found = _leading(context, importer, path, leading[path])
            if found is None:
                continue
            names, by_text = found
            if importer.path not in met and (importer.path not in inside or importer.by_text):
                yield Outsider(importer.path, path, importer.certain and not by_text and not importer.by_text)
            if importer.path not in met or not names <= leading.get(importer.path, frozenset()):
                leading[importer.path] = leading.get(importer.path, frozenset()) | names
                waiting.append(importer.path)
            met.add(importer.path)
    for path, of_file in changed.items():
        names = _touched_definitions(context.syntax(path), of_file)
        for settings in index.naming(_told(path, names)) if names else ():
            yield Outsider(settings, path, certain=False)


def _by_file(edits: Iterable[Edit]) -> dict[str, list[Edit]]:
    changed: dict[str, list[Edit]] = defaultdict(list)
    for edit in edits:
        changed[edit.path].append(edit)
    return changed


def _touched_definitions(syntax: Syntax | None, edits: list[Edit]) -> Names:
    """The classes and functions at the top level of a file in which edits change something."""
    touched = [s.node for s in _touched(syntax, edits)] if syntax is not None else []
    named = (n for n in touched if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)))
    return frozenset(n.name for n in named)


@lru_cache(maxsize=256)
def _told(path: str, names: Names) -> re.Pattern[str]:
    """``models.net.Net``, by which a file of settings tells others what to make."""
    module = Path(path).with_suffix("")
    home = module.parent.name if module.name == "__init__" else module.name
    return re.compile(rf"\b{re.escape(home)}\.(?:{'|'.join(map(re.escape, sorted(names)))})\b(?![(=])")


class _Statement(NamedTuple):
    """A statement at the top level of a file: the names that it binds there, and those that it speaks of."""

    node: ast.stmt
    binds: Names
    reads: Names
    attributes: Names
    aliases: Names  # the names that it imports, as they are called there
    starred: bool
    texts: Names  # the words of the texts that stand in it
    whole: Names  # the names that it reads other than for an attribute: those of modules that it asks by text, say


@lru_cache(maxsize=128)
def _outline(syntax: Syntax) -> tuple[_Statement, ...]:
    return tuple(map(_outlined, syntax.file.tree.body))


def _outlined(statement: ast.stmt) -> _Statement:
    nodes = list(walk(statement))
    names = [n for n in nodes if isinstance(n, ast.Name)]
    aliases = [n for n in nodes if isinstance(n, ast.alias)]
    owners = {n.value for n in nodes if isinstance(n, ast.Attribute) and n.attr != "__dict__"}
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        binds = {statement.name}
    else:
        inner = (n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)))
        imported = ((a.asname or a.name).partition(".")[0] for a in aliases)
        binds = {n.id for n in names if not isinstance(n.ctx, ast.Load)} | {*inner, *imported}
    return _Statement(
        statement,
        frozenset(binds),
        frozenset(n.id for n in names if isinstance(n.ctx, ast.Load)),
        frozenset(n.attr for n in nodes if isinstance(n, ast.Attribute)),
        frozenset(a.name.rpartition(".")[2] for a in aliases),
        any(a.name == "*" for a in aliases),
        frozenset(word for n in nodes if isinstance(n, ast.Constant) for word in _said(n.value)),
        frozenset(n.id for n in names if isinstance(n.ctx, ast.Load) and n not in owners),
    )


def _said(value: object) -> list[str]:
    return _WORD.findall(value) if isinstance(value, str) and len(value) <= _LONGEST_NAME else []


def _changed_names(syntax: Syntax | None, edits: list[Edit]) -> Names:
    """The names of a file by which one comes to what edits change in it."""
    if syntax is None:
        return frozenset()
    bound = frozenset(name for s in _outline(syntax) for name in s.binds)
    names: set[str] = set()
    for statement in _touched(syntax, edits):
        node = statement.node
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        names |= statement.binds
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names |= statement.reads & bound  # model.add(...)
    return _closed(syntax, names)


def _places(syntax: Syntax, edits: list[Edit]) -> list[Origin]:
    return [syntax.file.in_module(Origin(e.path, e.line, e.column, e.end_line, e.end_column, e.cell)) for e in edits]


def _touched(syntax: Syntax, edits: list[Edit]) -> list[_Statement]:
    """The statements at the top level of a file in which edits change something, in order."""
    outline = _outline(syntax)
    ends = [s.node.end_lineno or s.node.lineno for s in outline]
    found: set[int] = set()
    for place in _places(syntax, edits):
        number = bisect_left(ends, place.line)
        while number < len(outline) and outline[number].node.lineno <= place.end_line:
            found.add(number)
            number += 1
    return [outline[number] for number in sorted(found)]


def _closed(syntax: Syntax, names: set[str]) -> Names:
    """These names of a file, and those of what speaks of them."""
    found = set(names)
    while True:
        more = {n for s in _outline(syntax) if s.reads & found for n in s.binds} - found
        if not more:
            return frozenset(found)
        found |= more


class _Leading(NamedTuple):
    """The names of a file that lead to some names of one that it imports; whether it may ask for them by a text."""

    names: Names = frozenset()
    by_text: bool = False


def _leading(context: Context, importer: Importer, imported: str, names: Names) -> _Leading | None:
    """How a file leads to some names of one that it imports; None where it speaks of none of them."""
    if not _may_speak(importer.path, names):
        return None
    syntax = context.syntax(importer.path)
    if syntax is None:
        return _Leading()  # it can't be read
    try:
        outline = _outline(syntax)
    except Unreadable:
        return _Leading()  # it isn't known what it speaks of
    if importer.runs:
        return _Leading(_closed(syntax, {n for s in outline if s.reads & names for n in s.binds}), by_text=True)
    module = Path(imported).with_suffix("")
    called = _called(syntax, module.parent.name if module.name == "__init__" else module.name)
    starred = any(s.starred for s in outline)
    speaking = [
        s
        for s in outline
        if s.aliases & names
        or s.attributes & names
        or ((starred or not importer.certain) and s.reads & names)
        or s.whole & called
    ]
    if not speaking and not starred:
        asks = importer.by_text and any(s.reads & _ASKING or s.attributes & _ASKING or s.texts & names for s in outline)
        return _Leading(by_text=True) if asks else None
    binds = _closed(syntax, {n for s in speaking for n in s.binds})
    return _Leading(binds | (names if starred else frozenset()), any(s.whole & called for s in speaking))


def _called(syntax: Syntax, module: str) -> Names:
    """The names by which a file calls a module that it imports."""
    found = set()
    for node in syntax.nodes:
        within = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, (ast.Import, ast.ImportFrom)) and within.rpartition(".")[2] != module:
            found |= {a.asname or a.name for a in node.names if a.name.rpartition(".")[2] == module}
    return frozenset(found)


def _may_speak(path: str, names: Names) -> bool:
    """Whether a file holds one of these words, or asks modules for names that it puts together."""
    text = plain_text(path)
    return text is not None and _words(names).search(text) is not None


@lru_cache(maxsize=256)
def _words(names: Names) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))}|{'|'.join(sorted(_ASKING))})\b|import \*")
