"""The heirs of a class whose method a fix changes: an object that nobody makes here may run it on another output."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.context import Program
from finallayer.source.values import Class, Instance
from finallayer.source.walking import walk


def unmade_heirs(program: Program, edits: Iterable[Edit]) -> Iterator[str]:
    """Classes that inherit a changed method, and of which the program makes no object; a phrase each."""
    for module, method, owner in dict.fromkeys(_changed_methods(program, edits)):
        made = set(_made(module, method))
        for other in program.modules.values():
            for heir in other.syntax.all_of(ast.ClassDef):
                above = _above(other, heir)
                inherits = owner in above and heir not in made and not _defines(heir, method.name)
                if inherits and (_gives_its_own(heir) or not above & made):
                    yield f"`{heir.name}` inherits `{method.name}` ({other.syntax.where(heir)})"


def _changed_methods(
    program: Program, edits: Iterable[Edit]
) -> Iterator[tuple[AnalysedModule, ast.FunctionDef, ast.ClassDef]]:
    """The methods that edits change, each with its class."""
    for edit in edits:
        module = program.modules.get(edit.path)
        if module is None:
            continue
        place = Origin(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.cell)
        at = module.syntax.file.in_module(place)
        for node in module.syntax.all_of(ast.FunctionDef):
            owner = module.syntax.parent(node)
            inside = node.lineno <= at.line and at.end_line <= (node.end_lineno or node.lineno)
            if inside and isinstance(owner, ast.ClassDef):
                yield module, node, owner


def _made(module: AnalysedModule, method: ast.FunctionDef) -> Iterator[ast.ClassDef]:
    """The classes of the objects that run a method."""
    for node in walk(method):
        if isinstance(node, ast.Name) and method.args.args and node.id == method.args.args[0].arg:
            for value in (v for known in module.values(node) for v in alternatives(known)):
                if isinstance(value, Instance):
                    yield value.cls.node


def _above(module: AnalysedModule, cls: ast.ClassDef) -> set[ast.ClassDef]:
    """The project's classes that a class inherits from."""
    values = (v for base in cls.bases for v in module.values(base) if isinstance(v, Class))
    return {c.node for v in values for c in v.ancestry() if isinstance(c, Class)}


def _defines(cls: ast.ClassDef, name: str) -> bool:
    return any(isinstance(s, ast.FunctionDef) and s.name == name for s in cls.body)


def _gives_its_own(cls: ast.ClassDef) -> bool:
    """Whether a class has a method besides the one that makes its objects."""
    return any(isinstance(s, ast.FunctionDef) and s.name != "__init__" for s in cls.body)
