"""What decorators do: a project's own is run, for what it writes down and what it gives back."""

from __future__ import annotations

from finallayer.catalog import Signature
from finallayer.source.calls import invoke
from finallayer.source.interpreter import Interpreter
from finallayer.source.symbols import TRANSFORMS, construct_of
from finallayer.source.values import Bound, Built, Call, Class, Function, Instance, Partial, Site, Value


def decorated(run: Interpreter, value: Value, decorator: Value, site: Site) -> Value:
    """The value that a decorator leaves. One that isn't understood is taken to leave what it was given.

    A function stays itself whatever the project's own decorator gives: what calls it asks for the function's own
    parameters and decorators.
    """
    if isinstance(value, Function):
        value.decorators.append(decorator)
    if construct_of(decorator) in TRANSFORMS:
        return Partial(value, how=construct_of(decorator))
    if isinstance(decorator, Partial) and construct_of(decorator.function) in TRANSFORMS:
        return Partial(value, how=construct_of(decorator.function))
    given = invoke(run, decorator, Call([value], {}, site)) if _is_own(decorator) else value
    return given if isinstance(value, Class) and isinstance(given, Class) else value


def _is_own(decorator: Value) -> bool:
    """Whether a decorator is the project's own, or registers with an object that is understood."""
    match decorator:
        case Function() | Instance():
            return True
        case Bound(function=Function()):
            return True
        case Bound(owner=Built(signature=Signature(op="registry"))):
            return True
        case Partial(function=function, how=""):
            return _is_own(function)
    return False
