"""What a program makes of a softmax besides its numbers: their gradient, and the precision they are kept in.

The loss of the fixed program isn't computed from the probabilities any more. Who asks for the gradient by them gets
none; where they were made without a gradient, or in half the precision, the loss was, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from finallayer.expr import Node
from finallayer.findings import Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import path_of, reaching
from finallayer.fix.flow.context import Context
from finallayer.fix.text.syntax import Syntax, is_inside, last_name
from finallayer.rules.route import maker
from finallayer.source.values import Bound, Function, List, Value
from finallayer.source.walking import walk

#: What a tensor is asked for by who wants the gradient by it.
_OF_TENSORS = frozenset("retain_grad register_hook register_post_accumulate_grad_hook grad requires_grad_".split())
#: What computes gradients by what it is handed.
_DIFFERENTIATING = frozenset(
    "grad value_and_grad gradient gradients watch backward jacobian batch_jacobian hessian jacfwd jacrev vjp jvp "
    "linearize elementwise_grad".split()
)
#: Contexts, and decorators, in which no gradient is kept, or other formats are computed in.
_CONTEXTS = frozenset(
    "no_grad inference_mode set_grad_enabled enable_grad stop_recording autocast amp_autocast autocast_mode".split()
)
_NARROW = ("half", "float16", "bfloat16", "fp16", "bf16")


def is_read_for_more(sighting: Sighting, context: Context) -> bool:
    """Whether the program shows more of what lies between a softmax and its reader than numbers to half precision."""
    reader, way = sighting.node, list(_way(sighting.node))
    return any(
        any(_is_narrowed(module, n) for n in way)
        or any(_is_one_of(v, way) for asked in _asked_in(module) for v in module.values(asked))
        or any(_is_made_in(module, around, reader, way[-1]) for around in _contexts(module.syntax))
        for module in context.modules().values()
    )


def _way(reader: Node) -> Iterator[Node]:
    """What a reader reads, down to what made the probabilities."""
    node = reader.args[0] if reader.args else reader
    made = maker(node)
    yield node
    while node is not made and node.args:
        node = node.args[0]
        yield node


def _is_one_of(value: Value, nodes: list[Node]) -> bool:
    items = value.items if isinstance(value, List) else value if isinstance(value, tuple) else (value,)
    return any(v is n or (v == n and v.origin == n.origin) for v in items if isinstance(v, Node) for n in nodes)


def _is_narrowed(module: AnalysedModule, node: Node) -> bool:
    """Whether a value is another one kept in half the precision."""
    call = _expression_in(module, node) if node.op == "cast" else None
    if not isinstance(call, ast.Call):
        return False
    said = [last_name(call.func), *(module.syntax.text(a) for a in (*call.args, *(k.value for k in call.keywords)))]
    return any(narrow in text for text in said for narrow in _NARROW)


def _asked_in(module: AnalysedModule) -> Iterator[ast.expr]:
    """The expressions of a file by which a gradient is asked for: not by a function of the project's own."""
    for asking, asked in _asked(module.syntax):
        if not isinstance(asking, ast.Call) or not _is_written_here(module, asking.func):
            yield asked


def _is_written_here(module: AnalysedModule, function: ast.expr) -> bool:
    """Whether a name always is that of a function that the project defines, whose own calls say what it asks for."""
    callees = [c.function if isinstance(c, Bound) else c for c in module.values(function)]
    return bool(callees) and all(
        isinstance(c, Function) and isinstance(c.node, ast.FunctionDef) and not c.node.decorator_list for c in callees
    )


@lru_cache(maxsize=64)
def _asked(syntax: Syntax) -> tuple[tuple[ast.AST, ast.expr], ...]:
    """What asks for a gradient in a file, each with an expression by which it does."""
    functions = _gradient_functions(syntax)
    return tuple((node, e) for node in syntax.nodes for e in _asked_by(node, functions))


def _gradient_functions(syntax: Syntax) -> frozenset[str]:
    """The names of what gives the gradient of a function: ``step = jax.jit(jax.grad(loss))``, ``@jax.grad``."""
    named = {
        last_name(target)
        for n in syntax.nodes
        if isinstance(n, ast.Assign) and _speaks_of_one(n.value, _DIFFERENTIATING)
        for target in n.targets
    }
    decorated = {
        n.name
        for n in syntax.nodes
        if isinstance(n, ast.FunctionDef) and any(_speaks_of_one(d, _DIFFERENTIATING) for d in n.decorator_list)
    }
    return frozenset(named | decorated) - {""}


def _asked_by(node: ast.AST, functions: frozenset[str]) -> Iterator[ast.expr]:
    match node:
        case ast.Attribute(value=tensor, attr=name) if name in _OF_TENSORS:
            yield tensor
        case ast.Call(func=ast.Call(func=function)) if last_name(function) in _DIFFERENTIATING:
            yield from node.args
        case ast.Call(func=function) if last_name(function) in _DIFFERENTIATING | functions:
            yield from (*node.args, *(k.value for k in node.keywords))


@lru_cache(maxsize=64)
def _contexts(syntax: Syntax) -> tuple[ast.AST, ...]:
    """The statements and functions of a file in which a gradient isn't kept, or other formats are computed in."""
    kept = {
        target.id
        for n in syntax.nodes
        if isinstance(n, ast.Assign) and _speaks_of_one(n.value, _CONTEXTS)
        for target in n.targets
        if isinstance(target, ast.Name)
    }
    return tuple(n for n in syntax.nodes if any(_speaks_of_one(said, _CONTEXTS | kept) for said in _entered(n)))


def _entered(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return [item.context_expr for item in items]
        case ast.FunctionDef(decorator_list=decorators) | ast.AsyncFunctionDef(decorator_list=decorators):
            return decorators
    return []


def _speaks_of_one(said: ast.expr, names: frozenset[str]) -> bool:
    return any(isinstance(n, (ast.Name, ast.Attribute)) and last_name(n) in names for n in walk(said))


def _is_made_in(module: AnalysedModule, around: ast.AST, reader: Node, made: Node) -> bool:
    """Whether probabilities come out of a context that their reader isn't in."""
    here, there = (_expression_in(module, node) for node in (reader, made))
    if here is not None and is_inside(around, here):
        return False
    if there is not None and is_inside(around, there):
        return True
    if here is None or module.syntax.scope(here) is not module.syntax.scope(around):
        return False
    if any(_is_called_outside(module, given, around, made) for given in getattr(here, "args", ())):
        return False
    calls = (n for n in walk(around) if isinstance(n, ast.Call))
    return any(_is_one_of(v, [made]) for call in calls for v in module.values(call))


def _is_called_outside(module: AnalysedModule, given: ast.expr, around: ast.AST, made: Node) -> bool:
    """Whether a name is given to what a call outside of a context makes: another call in it may make the like."""
    path = path_of(given)
    statement = reaching(module.syntax, given, path) if path is not None else None
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return False
    makes = any(_is_one_of(v, [made]) for v in module.values(statement.value))
    return makes and not is_inside(around, statement.value)


def _expression_in(module: AnalysedModule, node: Node) -> ast.expr | None:
    """Where a node stands, if that is in this file."""
    return module.syntax.expression(node.origin) if node.origin and node.origin.path == module.path else None
