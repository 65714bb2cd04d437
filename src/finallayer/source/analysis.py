"""One analysis: a file's program run on abstract values, then whatever of it nothing has called."""

from __future__ import annotations

import ast
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

from finallayer.findings import Sighting
from finallayer.source import (
    builtins,
    by_name,
    constructs,
    expressions,
    foreign,
    methods,
    registries,
    shell,
    statements,
)
from finallayer.source.budget import Budget
from finallayer.source.files import SourceFile
from finallayer.source.followed import hears
from finallayer.source.interpreter import Interpreter, Makers
from finallayer.source.project import Project
from finallayer.source.turned_over import open_flags
from finallayer.source.uncalled import run_uncalled
from finallayer.source.uses import Uses
from finallayer.source.values import Frame, Module, Site, opaque, telling, telling_places_apart
from finallayer.source.walking import walk

#: The modules whose functions fill the interpreter's tables when they are imported.
HANDLERS = (builtins, by_name, constructs, expressions, foreign, methods, registries, shell, statements)


class Analysed(NamedTuple):
    """What the analysis of a file's program gave."""

    sightings: list[Sighting]  # every judged operation that the program meets, in the order met
    budget: Budget  # what it cost, and what was left out
    makers: Makers  # where the layers and losses that it calls were made


def sightings(file: SourceFile, project: Project, uses: Uses | None = None) -> list[Sighting]:
    """Every judged operation that the file's program meets, in the order met. Raises Unreadable for a broken file."""
    return interpret(file, project, uses).sightings


def interpret(file: SourceFile, project: Project, uses: Uses | None = None) -> Analysed:
    """Run a file's program on abstract values. Raises Unreadable for a broken file.

    ``uses``: filled, where it is given, with what every expression stood for.
    """
    run = Interpreter(project, uses)
    module = run.entry = run.modules[file.path] = Module(file)
    with nullcontext() if uses is None else telling_places_apart(uses.made_of), telling(partial(hears, run)):
        try:
            _run_program(run, module)
            open_flags(run, module)
            run_uncalled(run, module)
        finally:
            run.trail.undo()
    if uses is not None and run.budget.cut_short:  # what was seen until then stands
        uses.complete = False
    seen = run.recorder.sightings()
    if run.budget.cut_short:  # nobody knows what else is done with a value
        seen = [s._replace(asked=True) for s in seen]
    return Analysed(seen, run.budget, run.makers)


def _run_program(run: Interpreter, module: Module) -> None:
    """The module from its first statement to its last; one that costs too much isn't known to have done anything."""
    ended: list[ast.stmt] = []

    def statement_run(statement: ast.stmt) -> None:
        if not run.block([statement], module.frame):
            ended.append(statement)

    with run.entering(module):
        for statement in module.tree.body:
            if not run.complete(Site(statement, module.frame), partial(statement_run, statement)):
                _forget(run, statement, module.frame)
            if ended:
                return


def _forget(run: Interpreter, statement: ast.stmt, frame: Frame) -> None:
    """Whatever a statement may have bound isn't known."""
    for node in walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            run.bind(frame, node.id, opaque(node.id))
