"""A call of which the analysis knows what it does: the operation, and the expression that each parameter is given.

What a function is called says nothing: a project's own ``softmax`` is none of these, whatever it computes.
"""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from finallayer import catalog
from finallayer.catalog import Param, Signature, keras
from finallayer.catalog.conventions import Meaning, suggests
from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.source.symbols import signature_of
from finallayer.source.values import Bound, Built, External, Function, Partial, Value

#: Operations that are called as if they changed a tensor (``detach_``), and change none of its numbers.
_NUMBERS_STAY = frozenset({"identity", "stop_gradient"})


class Argument(NamedTuple):
    """One argument of a call: the parameter that it is given to, as the catalogue and as the framework calls it."""

    meaning: str  # "x", "axis" ...; where the catalogue doesn't know the parameter, the framework's name, "*" or "**"
    name: str
    node: ast.expr


class KnownCall(NamedTuple):
    """A call of a framework's function, of a tensor's method, or of a framework's layer."""

    node: ast.Call
    name: str  # dotted, as the file's imports reach it; that of the class for a layer, a bare name for a method
    op: str
    attrs: dict[str, object]  # that the operation always has
    arguments: tuple[Argument, ...]
    calls: str  # "function", "method" or "layer"

    @property
    def last_name(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def is_natural_log(self) -> bool:
        """Whether it is ``log`` or ``log1p``, not ``log2`` or ``log10``."""
        return self.op in ("log", "log1p") and "base" not in self.attrs

    @property
    def operand(self) -> ast.expr | None:
        """The tensor that the operation is applied to."""
        return self.argument("x")

    @property
    def only_operand(self) -> ast.expr | None:
        """The tensor, where the operation is told nothing else."""
        return self.operand if not self.besides("x", "name") else None

    def argument(self, meaning: str) -> ast.expr | None:
        """The expression that one of the catalogue's parameters is given."""
        return next((a.node for a in self.arguments if a.meaning == meaning), None)

    def besides(self, *meanings: str) -> list[Argument]:
        """The arguments given to other parameters than these."""
        return [a for a in self.arguments if a.meaning not in meanings]


def known_call(module: AnalysedModule, node: ast.AST | None, *ops: str) -> KnownCall | None:
    """What a call does, where it is one that does the same whenever it runs; None for any other (than of ``ops``)."""
    if not isinstance(node, ast.Call):
        return None
    callees = {_sort(c): c for v in module.values(node.func) for c in alternatives(v)}
    known = [_of(node, callee) for callee in callees.values()]
    first = known[0] if known else None
    if first is None or any(other != first for other in known):
        return None
    return first if first.op in ops or not ops else None


def sides(
    module: AnalysedModule, node: ast.AST | None, operator: type[ast.operator], op: str
) -> tuple[ast.expr, ast.expr] | None:
    """Both sides of an operation, whether it is written with its operator or as a call that is told nothing else."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, operator):
        return node.left, node.right
    call = known_call(module, node, op)
    if call is None or call.besides("x", "y", "name"):
        return None
    left, right = call.operand, call.argument("y")
    return (left, right) if left is not None and right is not None else None


def calls_method(module: AnalysedModule, call: ast.Call, *names: str) -> bool:
    """Whether a call always is of a method by one of these names, of an object whose methods aren't the project's."""
    callees = [c for v in module.values(call.func) for c in alternatives(v)]
    return bool(callees) and all(isinstance(c, Bound) and c.function in names for c in callees)


def operation_of(function: Value) -> str | None:
    """The operation of a framework's function or layer, or of the activation that Keras looks up by a string."""
    match function:
        case Built(signature=layer):
            return layer.op
        case External(name=name):
            signature = signature_of(name)
        case str():
            signature = signature_of(keras.ACTIVATIONS.get(function, ""))
        case _:
            return None
    return signature.op if signature is not None and signature.call is None else None


def runs(callee: Value, definition: ast.AST) -> bool:
    """Whether calling a value runs a function of the project's."""
    match callee:
        case Function(node=node):
            return node is definition
        case Bound(function=function) | Partial(function=function):
            return runs(function, definition)
    return False


def _sort(callee: Value) -> Hashable:
    """What two callees have in common of which :func:`_of` says the same."""
    match callee:
        case External(name=name):
            return External, name
        case Bound(function=str() as name, owner=Node()):
            return Bound, name
        case Built(symbol=symbol, signature=signature):
            return Built, symbol.name, id(signature)
    return None


def _of(node: ast.Call, callee: Value) -> KnownCall | None:
    signature: Signature | None
    match callee:
        case External(name=name):
            signature = signature_of(name)
            if signature is None or signature.call is not None:  # a class: what it makes isn't called here
                return None
            return _bound(node, "function", name, signature, signature.params, list(node.args))
        case Bound(function=str() as name, owner=Node()) if isinstance(node.func, ast.Attribute):
            signature = catalog.method(name)
            if signature is None:
                return None
            return _bound(node, "method", name, signature, signature.params, [node.func.value, *node.args])
        case Built(signature=signature, symbol=symbol) if signature.call is not None:
            return _bound(node, "layer", symbol.name, signature, signature.call, list(node.args))
    return None


def _bound(
    node: ast.Call, calls: str, name: str, signature: Signature, params: tuple[Param, ...], args: list[ast.expr]
) -> KnownCall | None:
    if suggests(name, Meaning.IN_PLACE) and signature.op not in _NUMBERS_STAY:
        return None  # works in place, besides
    return KnownCall(node, name, signature.op, signature.attrs, arguments(params, args, node.keywords), calls)


def arguments(params: Sequence[Param], args: list[ast.expr], keywords: list[ast.keyword]) -> tuple[Argument, ...]:
    """What a call gives to which parameter; what nothing is known of bears its own name, ``*`` or ``**``, or none."""
    return (*_by_position(params, args), *_by_name(params, keywords))


def _by_position(params: Sequence[Param], args: list[ast.expr]) -> Iterator[Argument]:
    positional = [p for p in params if not p.keyword_only]
    unknown = positional[-1] if positional and positional[-1].rest else Param("", "")
    for i, arg in enumerate(args):
        if isinstance(arg, ast.Starred):
            unknown = Param("*", "*")
            positional = positional[:i]
        param = positional[i] if i < len(positional) else unknown
        yield Argument(param.canonical, param.name, arg)


def _by_name(params: Sequence[Param], keywords: list[ast.keyword]) -> Iterator[Argument]:
    meanings = {p.name: p.canonical for p in params}
    for keyword in keywords:
        name = keyword.arg or "**"
        yield Argument(meanings.get(name, name), name, keyword.value)
