"""One analysis: a file's program run on abstract values, then whatever of it nothing has called."""

from __future__ import annotations

import ast
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

from finallayer.findings import Sighting
from finallayer.source import builtins, by_name, constructs, expressions, methods, registries, shell, statements
from finallayer.source.budget import Budget
from finallayer.source.calls import instantiate
from finallayer.source.files import SourceFile
from finallayer.source.interpreter import Interpreter
from finallayer.source.models import model_output
from finallayer.source.project import Project
from finallayer.source.symbols import is_module
from finallayer.source.uses import Uses
from finallayer.source.values import (
    ARGUMENTS,
    Call,
    Class,
    Frame,
    Function,
    Instance,
    Module,
    Site,
    Value,
    opaque,
    telling_places_apart,
    tuple_in,
)

#: The modules whose functions fill the interpreter's tables when they are imported.
HANDLERS = (builtins, by_name, constructs, expressions, methods, registries, shell, statements)

#: Methods that a framework calls with the model's output, and the parameter that gets it.
PROTOCOLS = {"compute_loss": "y_pred", "get_loss": "y_pred"}
#: Objects of one class on which its uncalled methods are tried.
_MOST_OBJECTS = 3


class Analysed(NamedTuple):
    """What the analysis of a file's program gave."""

    sightings: list[Sighting]  # every judged operation that the program meets, in the order met
    budget: Budget  # what it cost, and what was left out


def sightings(file: SourceFile, project: Project, uses: Uses | None = None) -> list[Sighting]:
    """Every judged operation that the file's program meets, in the order met. Raises Unreadable for a broken file."""
    return interpret(file, project, uses).sightings


def interpret(file: SourceFile, project: Project, uses: Uses | None = None) -> Analysed:
    """Run a file's program on abstract values. Raises Unreadable for a broken file.

    ``uses``: filled, where it is given, with what every expression stood for.
    """
    run = Interpreter(project, uses)
    module = run.entry = run.modules[file.path] = Module(file)
    with nullcontext() if uses is None else telling_places_apart(uses.made_of):
        try:
            _run_program(run, module)
            _run_uncalled(run, module)
        finally:
            run.trail.undo()
    if uses is not None and run.budget.cut_short:  # what was seen until then stands
        uses.complete = False
    return Analysed(run.recorder.sightings(), run.budget)


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
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            run.bind(frame, node.id, opaque(node.id))


def _run_uncalled(run: Interpreter, module: Module) -> None:
    """Functions and methods that nothing in the program has called, on arguments that nobody knows."""
    waiting = [node for node in run.functions if not isinstance(node, ast.Lambda)]
    while waiting:
        node = waiting.pop(0)
        function = run.functions[node]
        if node in run.visited or (function.frame.module is not module and function.name not in PROTOCOLS):
            continue
        work = partial(_run_alone, run, function, node)
        run.complete(Site(node, function.frame), work, run.budget.share(1 + len(waiting)))


def _run_alone(run: Interpreter, function: Function, node: ast.AST) -> None:
    if function.owner is None:
        _alone(run, function, [], node)
    else:
        for instance in _objects(run, function.owner, node):
            _alone(run, function, [instance], node)


def _alone(run: Interpreter, function: Function, args: list[Value], node: ast.AST) -> None:
    objects = len(run.instances)
    try:
        run.trail.attempt(lambda: _on_unknown_arguments(run, function, args, node))
    finally:
        del run.instances[objects:]  # what was made there has lost its attributes
        if run.uses is not None:
            run.uses.alone = None


def _on_unknown_arguments(run: Interpreter, function: Function, args: list[Value], node: ast.AST) -> None:
    given = _open_arguments(function)
    if function.name in PROTOCOLS and args and isinstance(args[0], Instance):
        given |= {PROTOCOLS[function.name]: _output_of(run, args[0], Site(node, function.frame))}
    if run.uses is not None:
        run.uses.alone = node
        run.uses.enters(node, alone=True)
    run.call_function(function, Call(args, given, Site(node, function.frame)))


def _output_of(run: Interpreter, owner: Instance, site: Site) -> Value:
    """What the model of a Keras model, or of a trainer that was given one, gives."""
    for given in tuple_in(owner.slots, ARGUMENTS):
        model = instantiate(run, given, Call([], {}, site)) if isinstance(given, Class) else given
        if is_module(model):
            return model_output(run, model, site)
    return model_output(run, owner, site) if is_module(owner) else opaque("output", owner)


def _open_arguments(function: Function) -> dict[str, Value]:
    """A value that nobody knows for each parameter whose default is None: a caller may well give it (labels=None)."""
    spec = function.node.args
    names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    with_default = zip(names[len(names) - len(function.defaults) :], function.defaults, strict=True)
    keyword_only = zip((a.arg for a in spec.kwonlyargs), function.kw_defaults, strict=True)
    return {n: opaque(f"{n}@{function.name}") for n, value in (*with_default, *keyword_only) if value is None}


def _objects(run: Interpreter, cls: Class, node: ast.AST) -> list[Instance]:
    """Objects of a class or a subclass that the program has made; else one of each subclass made now, or of itself."""
    made = [i for i in run.instances if cls in i.cls.ancestry()][:_MOST_OBJECTS]
    if made:
        return made
    frame = run.functions[node].frame
    heirs = {f.owner: None for f in run.functions.values() if f.owner not in (None, cls) and cls in f.owner.ancestry()}
    objects = [_made_alone(run, c, Site(node, frame)) for c in [*heirs][:_MOST_OBJECTS] or [cls]]
    return [o for o in objects if isinstance(o, Instance)]


def _made_alone(run: Interpreter, cls: Class, site: Site) -> Value:
    """An object that the program doesn't make: what making it runs is no call of the program's."""
    init = cls.find("__init__")
    if run.uses is None or not isinstance(init, Function):
        return instantiate(run, cls, Call([], {}, site))
    run.uses.alone = init.node
    run.uses.enters(init.node, alone=True)
    made = instantiate(run, cls, Call([], {}, site))
    run.uses.alone = None
    return made
