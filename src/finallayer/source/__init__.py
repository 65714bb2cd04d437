"""The source front end: Python files and notebooks to loss expressions, by abstract interpretation."""

from __future__ import annotations

import ast

from finallayer.rules import rules_by_operation
from finallayer.rules.base import Sighting
from finallayer.source.calls import instantiate
from finallayer.source.files import SourceFile
from finallayer.source.interpreter import Interpreter, OutOfBudget
from finallayer.source.project import Module, Project
from finallayer.source.values import Class, Function, Instance, Site, opaque

__all__ = ["Project", "sightings"]

#: Objects of one class on which its uncalled methods are tried.
_MOST_OBJECTS = 3


def sightings(file: SourceFile, project: Project) -> list[Sighting]:
    """Every judged operation that the file's program meets, in the order met. Raises Unreadable for a broken file."""
    run = Interpreter(project, frozenset(rules_by_operation()))
    module = project.adopt(Module(file))
    run.entry = module
    try:
        run.load(module)
        _run_uncalled(run, module)
    except (OutOfBudget, RecursionError):
        pass  # what was seen until then stands
    finally:
        run.trail.undo(0)
    return run.sightings


def _run_uncalled(run: Interpreter, module: Module) -> None:
    """Functions and methods that nothing in the program has called, on arguments that nobody knows."""
    for node, function in list(run.functions.items()):
        if node in run.visited or function.frame.module is not module or isinstance(node, ast.Lambda):
            continue
        if function.owner is None:
            _alone(run, function, [], node)
        else:
            for instance in _objects(run, function.owner, node):
                _alone(run, function, [instance], node)


def _alone(run: Interpreter, function: Function, args: list[object], node: ast.AST) -> None:
    mark = run.trail.mark()
    run.call_function(function, args, _open_arguments(function))
    run.trail.undo(mark)


def _open_arguments(function: Function) -> dict[str, object]:
    """A value that nobody knows for each parameter whose default is None: a caller may well give it (labels=None)."""
    spec = function.node.args
    names = [a.arg for a in spec.args]
    with_default = zip(names[len(names) - len(function.defaults) :], function.defaults, strict=True)
    keyword_only = zip((a.arg for a in spec.kwonlyargs), function.kw_defaults, strict=True)
    return {n: opaque(f"{n}@{function.name}") for n, value in (*with_default, *keyword_only) if value is None}


def _objects(run: Interpreter, cls: Class, node: ast.AST) -> list[Instance]:
    """Objects of a class or a subclass that the program has made; else one made now."""
    made = [i for i in run.instances if cls in i.cls.ancestry()][:_MOST_OBJECTS]
    if made:
        return made
    frame = run.functions[node].frame
    instance = instantiate(run, cls, [], {}, Site(node, frame))
    return [instance] if isinstance(instance, Instance) else []
