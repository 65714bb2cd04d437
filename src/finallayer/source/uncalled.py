"""What nothing in the program calls: run on arguments that nobody knows, then on those that a caller may well give.

Where a parameter bears the name of a model or loss of the module's own, and is used as one, that is what it is given;
where a parameter is a flag, each of its values is.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial

from finallayer.expr import Node
from finallayer.source.budget import LEAST_STEPS_ALONE, Shortfall
from finallayer.source.calls import instantiate
from finallayer.source.followed import hand
from finallayer.source.interpreter import Interpreter, stops_gradient
from finallayer.source.keras_models import model_output
from finallayer.source.other_values import defaults_of, other_values
from finallayer.source.parts import bound_by_name, uses_as_model
from finallayer.source.readied import make_ready
from finallayer.source.settled import is_settled
from finallayer.source.symbols import is_module, is_module_class
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
    tuple_in,
)

#: Methods that a framework calls with the model's output, and the parameter that gets it.
PROTOCOLS = {"compute_loss": "y_pred", "get_loss": "y_pred"}
#: Objects of one class on which its uncalled methods are tried.
_MOST_OBJECTS = 3
#: Functions within functions that nobody calls, deeper than this, are left alone.
_MOST_NESTED = 3


def run_uncalled(run: Interpreter, module: Module) -> None:
    """Functions and methods that nothing in the program has called."""
    waiting = [
        (node, function)
        for node, function in run.functions.items()
        if function.frame.module is module or function.name in PROTOCOLS
    ]
    for i, (node, function) in enumerate(waiting):
        if node not in run.visited and (not isinstance(node, ast.Lambda) or is_settled(function)):
            work = partial(_alone, run, function, {})
            run.complete(Site(node, function.frame), work, run.budget.share(len(waiting) - i))
    for node, function in waiting:
        if node in run.visited and node not in run.called and function.frame.module is module:
            for given in _other_arguments(run, module, function):
                coupled = _are_several_flags(given)
                run.coupled += coupled
                _try(run, partial(_alone, run, function, given))
                run.coupled -= coupled
            _on_other_objects(run, module, function)


def _try(run: Interpreter, work: Callable[[], object]) -> None:
    """What the program may do besides: where it costs too much, the rest of the file has been seen all the same."""
    if run.budget.allow(LEAST_STEPS_ALONE):
        run.attempted(work)


def _are_several_flags(given: dict[str, Value]) -> bool:
    """Whether nobody knows the values of several flags, which may belong together."""
    return sum(isinstance(value, Node) and value.op == "opaque" for value in given.values()) > 1


def _other_arguments(run: Interpreter, module: Module, function: Function) -> Iterator[dict[str, Value]]:
    """What else a caller may give a function: the module's own model and loss, another value of a flag."""
    bound = _bound_by_type(run, module, function) | bound_by_name(module, function)
    if bound:
        yield bound
    for flags in other_values(function):
        yield bound | flags


def _bound_by_type(run: Interpreter, module: Module, function: Function) -> dict[str, Value]:
    """Objects of the project's own classes for the parameters that are annotated with one, and called as models are.

    A class that others derive from, or whose objects are made in several ways, may be handed over as any of them.
    """
    spec = function.node.args
    bound: dict[str, Value] = {}
    for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs):
        cls = module.frame.vars.get(argument.annotation.id) if isinstance(argument.annotation, ast.Name) else None
        if not isinstance(cls, Class) or not is_module_class(cls) or not uses_as_model(function, argument.arg):
            continue
        init = cls.find("__init__")
        if isinstance(init, Function) and any(True for _ in other_values(init, cls.node)):
            continue
        objects = _objects(run, cls, function.node)
        if len(objects) == 1 and objects[0].cls is cls:
            bound[argument.arg] = objects[0]
    return bound


def _alone(run: Interpreter, function: Function, given: dict[str, Value], nested: int = 0) -> None:
    """A function run on these arguments, and on others that nobody knows: for each object where it is a method."""
    if function.owner is None:
        _attempt(run, function, [], given, nested)
        return
    owner, site = function.owner, Site(function.node, function.frame)
    for instance in [i for i in _objects(run, owner, function.node) if _has(i, function)] or [
        i for i in [_made_alone(run, owner, site)] if isinstance(i, Instance)
    ]:
        _attempt(run, function, [instance], given, nested)


def _has(instance: Instance, function: Function) -> bool:
    """Whether a method is the object's own: one that a subclass writes anew is called by that one alone."""
    own = instance.cls.find(function.name)
    return not isinstance(own, Function) or own.owner is function.owner


def _on_other_objects(run: Interpreter, module: Module, function: Function) -> None:
    """A method on objects that nobody makes: of the module's own model and loss, or with another value of a flag."""
    cls = function.owner
    init = cls.find("__init__") if cls is not None else None
    if cls is None or not isinstance(init, Function) or init is function or init.node in run.called:
        return
    if any(i.cls.derives_from(cls) and i.site.node is not init.node for i in run.instances):
        return
    bound = bound_by_name(module, init, stored=cls.node)
    ways = ([(bound, False)] if bound else []) + [(bound | f, True) for f in other_values(init, cls.node)]
    for given, assumed in ways:
        coupled = _are_several_flags(given)
        run.assumed += assumed
        run.coupled += coupled
        _try(run, partial(run.trail.attempt, partial(_on_object, run, function, init, given)))
        run.assumed -= assumed
        run.coupled -= coupled


def _on_object(run: Interpreter, function: Function, init: Function, given: dict[str, Value]) -> None:
    objects = len(run.instances)
    made = _made_alone(run, function.owner, Site(init.node, init.frame), given) if function.owner is not None else None
    if isinstance(made, Instance):
        _attempt(run, function, [made], {}, 0)
    del run.instances[objects:]


def _attempt(run: Interpreter, function: Function, args: list[Value], given: dict[str, Value], nested: int) -> None:
    objects, alone = len(run.instances), run.uses.alone if run.uses is not None else None
    defined = len(run.defined)
    try:
        run.trail.attempt(lambda: _on_unknown_arguments(run, function, args, given, nested))
    finally:
        del run.instances[objects:]  # what was made there has lost its attributes
        del run.defined[defined:]
        if run.uses is not None:
            run.uses.alone = alone


def _on_unknown_arguments(
    run: Interpreter, function: Function, args: list[Value], given: dict[str, Value], nested: int
) -> None:
    node = function.node
    given = _open_arguments(function) | given
    if function.name in PROTOCOLS and args and isinstance(args[0], Instance):
        given |= {PROTOCOLS[function.name]: _output_of(run, args[0], Site(node, function.frame))}
        given |= {"model": args[0].slots["model"]} if is_module(args[0].slots.get("model")) else {}
    if args and isinstance(args[0], Instance):
        make_ready(run, function, args[0])
    if run.uses is not None:
        run.uses.alone = node
        run.uses.enters(node, alone=True)
    before = len(run.defined)
    hand(run, run.call_function(function, Call(args, given, Site(node, function.frame))))
    if nested < _MOST_NESTED:
        _run_nested(run, function, before, nested + 1)
    elif any(_is_left(run, inner, function) for inner in run.defined[before:]):
        run.budget.left_out(Shortfall.NESTED, Site(node, function.frame).origin)


def _run_nested(run: Interpreter, function: Function, before: int, nested: int) -> None:
    """The functions that a function has made and that nothing calls, while what they close over is still there.

    A name that may have been bound anew since would show such a function what it isn't called with.
    """
    without_gradient = any(stops_gradient(d) for d in function.decorators)
    run.no_grad += without_gradient
    for inner in run.defined[before:]:
        if _is_left(run, inner, function):
            _alone(run, inner, {}, nested)
    run.no_grad -= without_gradient


def _is_left(run: Interpreter, inner: Function, function: Function) -> bool:
    """Whether a function that another has made is called by nobody, and means what it meant when it was made."""
    return inner.node not in run.called and _maker(inner) is function and is_settled(inner)


def _maker(inner: Function) -> Function | None:
    """The function that makes another, or the class whose method it is."""
    frame = inner.frame.parent if inner.owner is not None else inner.frame
    return frame.function if frame is not None else None


def _output_of(run: Interpreter, owner: Instance, site: Site) -> Value:
    """What the model of a Keras model, or of a trainer that was given one, gives."""
    for given in tuple_in(owner.slots, ARGUMENTS):
        model = instantiate(run, given, Call([], {}, site)) if isinstance(given, Class) else given
        if is_module(model):
            return model_output(run, model, site)
    return model_output(run, owner, site) if is_module(owner) else opaque("output", owner)


def _open_arguments(function: Function) -> dict[str, Value]:
    """A value that nobody knows for each parameter whose default is None: a caller may well give it (labels=None)."""
    return {n: opaque(f"{n}@{function.name}") for n, value in defaults_of(function) if value is None}


def _objects(run: Interpreter, cls: Class, node: ast.AST) -> list[Instance]:
    """Objects of a class or a subclass that the program has made; else one of each subclass made now, or of itself."""
    made = [i for i in run.instances if i.cls.derives_from(cls)][:_MOST_OBJECTS]
    if made:
        return made
    wanted = tuple([*_heirs(run).get(cls, ())][:_MOST_OBJECTS]) or (cls,)
    with run.budget.told_once(wanted):
        objects = [_made_alone(run, c, Site(node, run.functions[node].frame)) for c in wanted]
    return [o for o in objects if isinstance(o, Instance)]


def _heirs(run: Interpreter) -> dict[Class, dict[Class, None]]:
    """The classes with a function of their own that derive from each class."""
    if run.heirs is None or run.heirs[0] != run.definitions:
        found: dict[Class, dict[Class, None]] = {}
        for heir in dict.fromkeys(f.owner for f in run.functions.values() if f.owner is not None):
            for above in heir.ancestry():
                if isinstance(above, Class) and above is not heir:
                    found.setdefault(above, {})[heir] = None
        run.heirs = run.definitions, found
    return run.heirs[1]


def _made_alone(run: Interpreter, cls: Class, site: Site, given: dict[str, Value] | None = None) -> Value:
    """An object that the program doesn't make: what making it runs is no call of the program's."""
    init = cls.find("__init__")
    if not isinstance(init, Function):
        return instantiate(run, cls, Call([], {}, site))
    call = Call([], _open_arguments(init) | given if given else {}, Site(init.node, site.frame))
    if run.uses is None:
        return instantiate(run, cls, call)
    alone = run.uses.alone
    run.uses.alone = init.node
    run.uses.enters(init.node, alone=True)
    made = instantiate(run, cls, call)
    run.uses.alone = alone
    return made
