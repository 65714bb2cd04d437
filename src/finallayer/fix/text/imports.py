"""How a file spells the functions of its frameworks, and the import that it lacks for one."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeVar

from finallayer.catalog.frameworks import CUSTOMARY
from finallayer.findings import Edit
from finallayer.fix.text.syntax import Syntax

_Import = TypeVar("_Import", bound=ast.Import | ast.ImportFrom)


class Spelled(NamedTuple):
    """A dotted name as the file writes it, and what has to be imported first."""

    text: str
    edits: tuple[Edit, ...] = ()


class Imports:
    """The imports at the top level of a file."""

    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax

    @cached_property
    def statements(self) -> list[ast.Import | ast.ImportFrom]:
        return list(_imports(self._syntax.file.tree.body))

    @cached_property
    def names(self) -> dict[str, str]:
        """Local name -> the dotted name that it was imported as."""
        found: dict[str, str] = {}
        for statement in self.statements:
            for alias in statement.names:
                if isinstance(statement, ast.ImportFrom):
                    if not statement.level:
                        found[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
                elif alias.asname:
                    found[alias.asname] = alias.name
                else:
                    root = alias.name.partition(".")[0]
                    found[root] = root
        return found

    def dotted(self, node: ast.expr) -> str | None:
        """The dotted name of what an expression names, as far as imports say."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return owner and f"{owner}.{node.attr}"
        return None

    def spell(self, dotted: str, at: ast.AST) -> Spelled | None:
        """How to write a dotted name at a place, with the import that it lacks; None where a name is in the way."""
        module, _, name = dotted.rpartition(".")
        return self.known(dotted, at) or self._imported(module, name, at)

    def known(self, dotted: str, at: ast.AST) -> Spelled | None:
        """How to write a dotted name at a place by the imports that there are; None where none reaches it."""
        taken = self._local_names(at)
        ways = [
            (len(target), local + dotted[len(target) :])
            for local, target in self.names.items()
            if (dotted == target or dotted.startswith(f"{target}."))
            and local not in taken
            and self._is_there(local, at)
        ]
        ways = [(n, text) for n, text in ways if not self._needs_submodule(dotted, n)]
        return Spelled(max(ways)[1]) if ways else self._by_star(dotted, taken)

    def _first_block(self, statements: Sequence[_Import]) -> list[_Import]:
        """Of imports those that only others stand between: whoever needs a name after them finds the same place."""
        body = self._syntax.file.tree.body
        block = list(statements[:1])
        for before, after in pairwise(statements):
            between = body[body.index(before) + 1 : body.index(after)]
            if not all(isinstance(s, (ast.Import, ast.ImportFrom)) for s in between):
                break
            block.append(after)
        return block

    def _is_there(self, local: str, at: ast.AST) -> bool:
        """Whether a name is imported before a place, or read in the same function anyway, which then runs later."""
        scope = self._syntax.scope(at)
        if not isinstance(scope, ast.Module) and local in self._syntax.names_used(scope):
            return True
        return any(local in {_local(alias) for alias in s.names} for s in self._before(at, self.statements))

    def _before(self, at: ast.AST, statements: Iterable[_Import]) -> list[_Import]:
        """The imports before the statement of the module in which a place is: what follows may call it."""
        first = getattr(self._syntax.outermost_statement(at), "lineno", None)
        return [s for s in statements if first is None or s.lineno < first]

    def _by_star(self, dotted: str, taken: frozenset[str]) -> Spelled | None:
        """A name that ``from module import *`` brings, unless the file binds it to something else."""
        module, _, name = dotted.rpartition(".")
        if module not in self._stars or name in taken | self.names.keys() | self._bound:
            return None
        return Spelled(name)

    @cached_property
    def _stars(self) -> set[str]:
        """The modules all of whose names are imported."""
        given = (s for s in self.statements if isinstance(s, ast.ImportFrom) and not s.level)
        return {s.module or "" for s in given if s.names[0].name == "*"}

    @cached_property
    def _bound(self) -> set[str]:
        """Every name that the file binds somewhere, but for its imports."""
        stored = {n.id for n in self._syntax.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        made = {n.name for n in self._syntax.nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
        return stored | made

    def imported_by_name(self, dotted: str, at: ast.AST) -> Spelled | None:
        """``from module import name`` beside the like before a place; None where there is none, or the name is used."""
        module, _, name = dotted.rpartition(".")
        top = [s for s in self.statements if isinstance(s, ast.ImportFrom) and s in self._syntax.file.tree.body]
        alike = self._first_block([s for s in self._before(at, top) if _root(s) == _root_of(module) and not s.level])
        if not alike or name in self._syntax.names:
            return None
        same = [s for s in alike if s.module == module and s.names[-1].name != "*"]
        if same:
            return Spelled(name, (self._beside(same[-1].names, name),))
        return Spelled(name, (self._in_order(alike, module, f"from {module} import {name}"),))

    def _beside(self, aliases: list[ast.alias], name: str) -> Edit:
        """Among names that are sorted, before the first that comes after it; else behind the last."""
        names = [alias.name for alias in aliases]
        after = [a for a in aliases if a.name > name] if names == sorted(names) else []
        place, order = (after[0], "{1}, {0}") if after else (aliases[-1], "{0}, {1}")
        return self._syntax.replace(place, order.format(self._syntax.text(place), name))

    def _in_order(self, alike: list[ast.ImportFrom], module: str, line: str) -> Edit:
        """Where these imports are sorted, behind those that come before; else behind all of them."""
        modules = [s.module or "" for s in alike]
        before = [s for s in alike if (s.module or "") < module] if modules == sorted(modules) else []
        return self._syntax.insert_after((before or alike)[-1], line)

    def _needs_submodule(self, dotted: str, known: int) -> bool:
        """Whether a package must import a submodule of it before it has it."""
        return dotted.startswith("scipy.special.") and known < len("scipy.special")

    def _imported(self, module: str, name: str, at: ast.AST) -> Spelled | None:
        line, taken = CUSTOMARY.get(module), self._local_names(at)
        if line is None:
            return None
        local = line.split()[-1]
        if local in taken or local in self.names or local in self._syntax.names:
            return None
        text = f"{module}.{name}" if line == f"import {module}" else f"{local}.{name}"
        if line == "import jax":
            text = f"{module}.{name}"
        insertion = self._insertion(line, at)
        return Spelled(text, (insertion,)) if insertion is not None else None

    def _insertion(self, line: str, at: ast.AST) -> Edit | None:
        """After the last import before a place that is like it, or else the last of all; None where there is none."""
        root = line.split()[1].partition(".")[0]
        body = self._syntax.file.tree.body
        leading = [s for s in self._before(at, self.statements) if s in body]
        anchors = self._first_block([s for s in leading if _root(s) == root]) or self._first_block(leading)
        return self._syntax.insert_after(anchors[-1], line) if anchors else None

    def _local_names(self, at: ast.AST) -> frozenset[str]:
        scope = self._syntax.scope(at)
        if isinstance(scope, ast.Module):
            return self._syntax.names_bound(scope)
        around = [scope, *(n for n in self._syntax.around(scope) if isinstance(n, ast.FunctionDef))]
        return frozenset[str]().union(*(self._syntax.names_bound(s) | self._syntax.parameters(s) for s in around))


def _local(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _root(statement: ast.Import | ast.ImportFrom) -> str:
    name = statement.module if isinstance(statement, ast.ImportFrom) else statement.names[0].name
    return _root_of(name or "")


def _root_of(dotted: str) -> str:
    return dotted.partition(".")[0]


def _imports(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield statement
        elif isinstance(statement, (ast.Try, ast.If)):
            yield from _imports(statement.body)
