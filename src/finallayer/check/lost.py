"""Where knowledge of a value was lost: the step behind which it is opaque, and what would help."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from finallayer.expr import Node, Origin
from finallayer.source import Project, Uses
from finallayer.source.files import SourceFile
from finallayer.source.symbols import signature_of
from finallayer.source.values import Bound, Built, External, Value

#: How many gaps are told of one value, and how many steps back one is followed.
_MOST_TOLD, _MOST_STEPS = 3, 12

_PLACE = re.compile(r"(?P<path>.+):(?P<line>\d+):(?P<column>\d+)")


class Gap(NamedTuple):
    """A step at which knowledge was lost."""

    said: str
    helps: str = ""  # what would help
    where: Origin | None = None


def _parameter(name: str, function: str) -> Gap:
    return Gap(
        f"`{name}` is a parameter of `{function}`, and no call of this program says what it is",
        "check the file that calls it, or call it here",
    )


#: How an opaque value's name says what it is. The first that matches is told.
_SAID: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Gap]], ...] = (
    (re.compile(r"(\*{0,2}\w+)@([\w<>]+)(?::\d+)?"), lambda m: _parameter(m[1], m[2])),
    (re.compile(r"\*{1,2}(\w+)"), lambda m: Gap(f"nobody knows what `*{m[1]}` holds")),
    (re.compile(r"recursive (.+)"), lambda m: Gap(f"`{m[1]}` calls itself, which is followed twice")),
    (re.compile(r"module (.+)"), lambda m: Gap(f"the module {m[1]} could not be read")),
    (re.compile(r"join|any"), lambda _: Gap("it is one of more alternatives than are followed")),
    (re.compile(r"output"), lambda _: Gap("nobody knows what this model gives")),
    (re.compile(r"getattr|hasattr|isinstance|len|range"), lambda m: Gap(f"`{m[0]}` of what is not known")),
    (re.compile(r"each|item|slice|\[.*\]|.+\[.*\]"), lambda _: Gap("it is part of something that is not known")),
    (re.compile(r"\.(\w+)|.+\.(\w+)"), lambda m: Gap(f"nobody knows the attribute `{m[1] or m[2]}`")),
    (re.compile(r"y_true"), lambda _: Gap("it is the target, which the framework hands over")),
    (re.compile(r"(.+\.py|.+\.ipynb):(\w+)"), lambda m: Gap(f"{m[1]} has no `{m[2]}` that could be found")),
)


class Gaps:
    """Explains the opaque values of one analysis."""

    def __init__(self, uses: Uses, project: Project) -> None:
        self._uses = uses
        self._project = project

    def of(self, value: Node) -> Iterator[Gap]:
        """Why a tensor's kind is not known: what its expression stands on and is opaque."""
        if value.op == "join":
            yield Gap(f"it may be {', or '.join(sorted({str(a.kind) for a in value.args}))}, as the way may be")
        unknown = (leaf for leaf in value.walk() if leaf.op == "opaque")
        yield from dict.fromkeys(self._why(leaf, _MOST_STEPS) for leaf in islice(unknown, _MOST_TOLD))

    def of_callee(self, value: Value) -> Iterator[Gap]:
        """Why nothing is known of what calling a value gives."""
        if isinstance(value, External) and not is_known(value):
            yield Gap(_uncatalogued(value))

    def _why(self, leaf: Node, steps: int) -> Gap:
        name = str(leaf.attrs.get("name", ""))
        behind = self._uses.made_of.renamed.get(leaf)
        if behind is not None and steps:
            return self._why(behind, steps - 1)
        place = _PLACE.fullmatch(name)
        if place is not None:
            return self._at(place, leaf, steps)
        for pattern, said in _SAID:
            met = pattern.fullmatch(name)
            if met is not None:
                return self._through(leaf, steps) or said(met)
        return self._through(leaf, steps) or Gap(f"nothing in the program says what `{name}` is")

    def _through(self, leaf: Node, steps: int) -> Gap | None:
        """The gap in what an opaque value was made of."""
        for part in leaf.attrs.get("of", ()) if steps else ():
            inner = self._uses.made_of.parts.get(part)
            if isinstance(inner, Node) and inner.op == "opaque":
                return self._why(inner, steps - 1)
        return None

    def _at(self, place: re.Match[str], leaf: Node, steps: int) -> Gap:
        """The gap at a place in the source."""
        found = self._sources.node(place["path"], int(place["line"]), int(place["column"]))
        if found is None:
            return Gap("it is not understood")
        file, node = found
        if isinstance(node, ast.Call):
            return self._call(file, node, leaf, steps)
        return Gap(f"`{_short(node)}` is not followed", where=file.origin(node))

    def _call(self, file: SourceFile, node: ast.Call, leaf: Node, steps: int) -> Gap:
        if isinstance(node.func, ast.Call):  # it begins at the same place
            return self._call(file, node.func, leaf, steps)
        callees = [s.value for s in self._uses.values.get(file.path, {}).get(node.func, ())]
        written, where = _short(node.func), file.origin(node)
        for callee in callees:
            if isinstance(callee, External) and not is_known(callee):
                return Gap(_uncatalogued(callee), where=where)
            if isinstance(callee, Bound) and isinstance(callee.owner, Node) and callee.owner.op == "opaque" and steps:
                return self._why(callee.owner, steps - 1)
            if isinstance(callee, Node) and callee.op == "opaque" and steps:
                return self._why(callee, steps - 1)
            if isinstance(callee, Built):
                return Gap(f"what `{written}` gives is not in the catalogue", where=where)
        return self._through(leaf, steps) or Gap(f"nobody knows what `{written}(...)` gives", where=where)

    @cached_property
    def _sources(self) -> Sources:
        return Sources(self._project)


class Sources:
    """The syntax at a place of the project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._nodes: dict[str, dict[tuple[int, int], ast.expr]] = {}

    def node(self, path: str, line: int, column: int) -> tuple[SourceFile, ast.expr] | None:
        """The outermost expression that begins at a place."""
        file = self._project.file(Path(path))
        if file is None:
            return None
        if path not in self._nodes:
            self._nodes[path] = nodes = dict[tuple[int, int], ast.expr]()
            for node in ast.walk(file.tree):  # outer ones come first
                if isinstance(node, ast.expr):
                    nodes.setdefault((node.lineno, node.col_offset), node)
        found = self._nodes[path].get((line, column))
        return None if found is None else (file, found)


def is_known(value: External) -> bool:
    """Whether what an external name does is known: it is in the catalogue, or Python's own."""
    return signature_of(value.name) is not None or value.name.startswith("builtins.")


def _uncatalogued(name: External) -> str:
    return f"the catalogue doesn't know `{name.name}`, nor was it found in the project"


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
