"""One analysis: a file's program run on abstract values, then whatever of it nothing has called."""

from __future__ import annotations

import ast
from contextlib import nullcontext

from finallayer.findings import Sighting
from finallayer.source import builtins, constructs, expressions, methods, statements
from finallayer.source.calls import instantiate
from finallayer.source.files import SourceFile
from finallayer.source.interpreter import Interpreter, OutOfBudget
from finallayer.source.models import model_output
from finallayer.source.project import Project
from finallayer.source.symbols import is_module
from finallayer.source.turned_over import open_flags
from finallayer.source.uses import Uses
from finallayer.source.values import (
    ARGUMENTS,
    Call,
    Class,
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
HANDLERS = (builtins, constructs, expressions, methods, statements)

#: Methods that a framework calls with the model's output, and the parameter that gets it.
PROTOCOLS = {"compute_loss": "y_pred", "get_loss": "y_pred"}
#: Objects of one class on which its uncalled methods are tried.
_MOST_OBJECTS = 3


def sightings(file: SourceFile, project: Project, uses: Uses | None = None) -> list[Sighting]:
    """Every judged operation that the file's program meets, in the order met. Raises Unreadable for a broken file.

    ``uses``: filled, where it is given, with what every expression stood for.
    """
    run = Interpreter(project, uses)
    module = run.entry = run.modules[file.path] = Module(file)
    try:
        with nullcontext() if uses is None else telling_places_apart(uses.made_of):
            run.load(module)
            open_flags(run, module)
            _run_uncalled(run, module)
    except (OutOfBudget, RecursionError):
        if uses is not None:  # what was seen until then stands
            uses.complete = False
    finally:
        run.trail.undo()
    return run.recorder.sightings()


def _run_uncalled(run: Interpreter, module: Module) -> None:
    """Functions and methods that nothing in the program has called, on arguments that nobody knows."""
    for node, function in list(run.functions.items()):
        if node in run.visited or isinstance(node, ast.Lambda):
            continue
        if function.frame.module is not module and function.name not in PROTOCOLS:
            continue
        if function.owner is None:
            _alone(run, function, [], node)
        else:
            for instance in _objects(run, function.owner, node):
                _alone(run, function, [instance], node)


def _alone(run: Interpreter, function: Function, args: list[Value], node: ast.AST) -> None:
    objects = len(run.instances)
    run.trail.attempt(lambda: _on_unknown_arguments(run, function, args, node))
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
