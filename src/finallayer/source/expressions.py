"""The abstract value of each kind of expression."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard, TypeVar, cast, overload

from finallayer.canonical import constant
from finallayer.catalog.conventions import Meaning, suggests
from finallayer.catalog.frameworks import STAR_IMPORTS, UNIMPORTED
from finallayer.expr import COMPARED, MOVES, TRANSPARENT, Node, through
from finallayer.source import patches, texts
from finallayer.source.arg_scopes import given_by
from finallayer.source.asking import found_out, keyed
from finallayer.source.assignment import assign, change
from finallayer.source.attributes import get_attribute
from finallayer.source.calls import invoke
from finallayer.source.containers import SLICE, element, get_item, get_slice, item_by_key, sequence, truth
from finallayer.source.followed import hand
from finallayer.source.handlers import BUILTINS, OTHER_BUILTINS
from finallayer.source.interpreter import EXPRESSIONS, Expression, Interpreter
from finallayer.source.keras_models import symbolic_output
from finallayer.source.limits import list_of, may_format, small, tuple_of
from finallayer.source.rounds import counted_from
from finallayer.source.symbols import signature_of
from finallayer.source.tensors import numbers_in, to_node
from finallayer.source.types import are_same
from finallayer.source.values import (
    REST,
    STARRED,
    Attributes,
    Bound,
    Call,
    Class,
    Constant,
    Dict,
    External,
    Frame,
    Function,
    Instance,
    Lazy,
    List,
    Missing,
    Patched,
    Site,
    Union,
    Value,
    external,
    is_constant,
    opaque,
    tuple_in,
    union,
)

N = TypeVar("N", bound=ast.expr)
O = TypeVar("O", bound=ast.expr)  # noqa: E741
P = TypeVar("P", bound=ast.expr)
R = TypeVar("R")
Handler = Callable[[Interpreter, N, Frame], Value]


@overload
def values(one: type[N], /) -> Callable[[Handler[N]], Handler[N]]: ...
@overload
def values(one: type[N], other: type[O], /) -> Callable[[Handler[N | O]], Handler[N | O]]: ...
@overload
def values(one: type[N], other: type[O], third: type[P], /) -> Callable[[Handler[N | O | P]], Handler[N | O | P]]: ...
def values(*types: type[ast.expr]) -> Callable[[Handler[N]], Handler[N]]:
    """Registers what handles these kinds of expressions."""

    def register(handler: Handler[N]) -> Handler[N]:
        EXPRESSIONS.update(dict.fromkeys(types, cast(Expression, handler)))
        return handler

    return register


@values(ast.Constant)
def _constant(_run: Interpreter, node: ast.Constant, _frame: Frame) -> Value:
    return node.value


@values(ast.Name)
def _name(run: Interpreter, node: ast.Name, frame: Frame) -> Value:
    name = node.id
    scope: Frame | None = frame if name not in frame.globals else frame.module.frame
    while scope is not None:
        if name in scope.vars:
            value = scope.vars[name]
            if isinstance(value, (Lazy, Union)):
                value = scope.vars[name] = run.resolve(value, scope)
            return value
        scope = scope.parent
    if name in BUILTINS or name in OTHER_BUILTINS:
        return external(f"builtins.{name}")
    return _from_star_import(frame.module.frame, name)


def _from_star_import(module: Frame, name: str) -> Value:
    """A name that no scope has: perhaps of a framework's ``from ... import *``."""
    starred_modules = [s for s in tuple_in(module.vars, STARRED) if isinstance(s, External)]
    for starred in starred_modules:
        handed_on = STAR_IMPORTS.get(starred.name, {})
        if name in handed_on:
            return External(handed_on[name])
        if signature_of(f"{starred.name}.{name}") is not None:
            return External(f"{starred.name}.{name}")
    if starred_modules and suggests(name, Meaning.OPERATION):  # of a module that isn't at hand
        return External(f"{starred_modules[-1].name}.{name}")
    return External(UNIMPORTED[name]) if name in UNIMPORTED else opaque(name)


@values(ast.Attribute)
def _attribute(run: Interpreter, node: ast.Attribute, frame: Frame) -> Value:
    reads_out = node.attr == "item"  # a number has no gradient, so nothing written in these brackets has one
    run.read_out += reads_out
    try:
        owner = run.evaluate(node.value, frame)
    finally:
        run.read_out -= reads_out
    given = get_attribute(run, owner, node.attr)
    if isinstance(given, Bound) and given.function == node.attr:  # nothing of that name has been set
        symbolic = symbolic_output(run, owner, node.attr, Site(node, frame))
        return given if isinstance(symbolic, Missing) else symbolic
    return given


@values(ast.Call)
def _call(run: Interpreter, node: ast.Call, frame: Frame) -> Value:
    updated = _updated(run, node, frame)
    if updated is not None:
        return updated
    callee = run.evaluate(node.func, frame)
    args: list[Value] = []
    kwargs: dict[str, Value] = {}
    complete = True
    for arg in node.args:
        value = run.evaluate(arg.value if isinstance(arg, ast.Starred) else arg, frame)
        if not isinstance(arg, ast.Starred):
            args.append(value)
            continue
        complete = complete and sequence(value) is not None
        args += value.items if isinstance(value, List) else sequence(value) or ()
    for keyword in node.keywords:
        value = run.evaluate(keyword.value, frame)
        if keyword.arg is not None:
            kwargs[keyword.arg] = value
        elif isinstance(value, Dict):
            kwargs.update({k: v for k, v in value.slots.items() if isinstance(k, str)})
        else:
            complete = False
    if run.scopes:
        kwargs = given_by(run.scopes, callee) | kwargs
    value = invoke(run, callee, Call(args, kwargs, Site(node, frame), complete))
    for keyword in node.keywords:
        if keyword.arg == "out" and isinstance(value, Node) and value.op != "opaque" and isinstance(callee, External):
            change(run, keyword.value, value, frame)
    return value


def _updated(run: Interpreter, node: ast.Call, frame: Frame) -> Node | None:
    """``x.at[index].set(part)`` where the part is what a softmax or sigmoid gave: x with those entries."""
    match node.func:
        case ast.Attribute(ast.Subscript(ast.Attribute(whole, "at"), index), "set") if node.args:
            return patches.patched(run.evaluate(whole, frame), index, run.evaluate(node.args[0], frame))
    return None


@values(ast.Tuple)
def _tuple(run: Interpreter, node: ast.Tuple, frame: Frame) -> Value:
    items, exact = _items(run, node.elts, frame)
    return tuple_of(items) if exact else opaque("tuple", *items)


@values(ast.List, ast.Set)
def _list(run: Interpreter, node: ast.List | ast.Set, frame: Frame) -> Value:
    made = list_of(*_items(run, node.elts, frame))
    made.within = tuple(run.repeating)
    return made


def _items(run: Interpreter, nodes: list[ast.expr], frame: Frame) -> tuple[tuple[Value, ...], bool]:
    items: list[Value] = []
    exact = True
    for inner in nodes:
        if not isinstance(inner, ast.Starred):
            items.append(run.evaluate(inner, frame))
            continue
        value = run.evaluate(inner.value, frame)
        parts = sequence(value)
        exact = exact and parts is not None
        items += parts if parts is not None else (element(value),)
    return tuple(items), exact


@values(ast.Dict)
def _dict(run: Interpreter, node: ast.Dict, frame: Frame) -> Value:
    items = Dict({})
    rest: list[Value] = []
    for key_node, value_node in zip(node.keys, node.values, strict=True):
        value = run.evaluate(value_node, frame)
        if key_node is None:
            if isinstance(value, Dict):
                items.slots.update(value.slots)
            else:
                rest.append(opaque("item", value))
            continue
        key = run.evaluate(key_node, frame)
        if is_constant(key):
            items.slots[key] = value
        else:
            rest.append(value)
    if rest:
        items.slots[REST] = tuple(rest)
    return items


@values(ast.Lambda)
def _lambda(run: Interpreter, node: ast.Lambda, frame: Frame) -> Value:
    return run.define(node, frame)


@values(ast.IfExp)
def _choice(run: Interpreter, node: ast.IfExp, frame: Frame) -> Value:
    decided = truth(run.evaluate(node.test, frame))
    if decided is not None:
        return run.evaluate(node.body if decided else node.orelse, frame)
    holds, fails = found_out(run, node.test, frame)
    ways = ((node.body, (holds,)), (node.orelse, (fails,)))
    given = [run.supposing(way, partial(run.evaluate, one, frame)) for one, way in ways]
    return union(given, [way for _, way in ways])


@values(ast.NamedExpr)
def _named(run: Interpreter, node: ast.NamedExpr, frame: Frame) -> Value:
    value = run.evaluate(node.value, frame)
    run.bind(frame, node.target.id, value)
    return value


@values(ast.BoolOp)
def _bool(run: Interpreter, node: ast.BoolOp, frame: Frame) -> Value:
    stops_at = isinstance(node.op, ast.Or)
    open_values: list[Value] = []
    for inner in node.values:
        value = run.evaluate(inner, frame)
        decided = truth(value)
        if decided is stops_at:
            return value if not open_values else union([*open_values, value])
        if decided is None:
            open_values.append(value)
    return union(open_values) if open_values else value


# Operators

_OPERATIONS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.MatMult: "matmul",
    ast.Pow: "pow",
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Constant]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


@values(ast.BinOp)
def _binop(run: Interpreter, node: ast.BinOp, frame: Frame) -> Value:
    left, right = run.evaluate(node.left, frame), run.evaluate(node.right, frame)
    return binary(run, type(node.op), left, right, Site(node, frame))


def binary(run: Interpreter, op: type[ast.operator], left: Value, right: Value, site: Site) -> Value:
    """The value of ``left op right``."""
    if is_constant(left) and is_constant(right):
        return _computed(op, left, right)
    if op is ast.Add and isinstance(left, List) and isinstance(right, List):
        return list_of((*left.items, *right.items), left.exact and right.exact)
    if op is ast.Add and type(left) is tuple and type(right) is tuple:
        return tuple_of((*left, *right))
    if isinstance(left, List) and op is ast.Mult:
        return list_of(left.items * right) if isinstance(right, int) and right < 32 else List(left.items, exact=False)
    if op is ast.Mod and isinstance(left, str):
        return texts.by_percent(left, right)
    if op is ast.Add and (isinstance(left, (str, texts.Text)) or isinstance(right, (str, texts.Text))):
        return texts.joined("Add", (left, right), (left, right))
    name = _OPERATIONS.get(op)
    if name is None or not any(isinstance(v, Node) or numbers_in(v) for v in (left, right)):
        return opaque(op.__name__, left, right)
    return run.record(name, [to_node(left), to_node(right)], {}, site)


def _computed(op: type[ast.operator], left: Constant, right: Constant) -> Value:
    function = _ARITHMETIC.get(op)
    try:
        if function is not None and _may_compute(op, left, right):
            return function(left, right)
        if op is ast.Pow and _is_moderate(left) and _is_moderate(right):
            power: float | complex = float(left) ** right
            return power
    except (ArithmeticError, TypeError, ValueError):
        pass
    return opaque(op.__name__, left, right)


def _is_moderate(value: Constant) -> TypeGuard[int | float]:
    """Whether a power of this number, or to it, is no giant."""
    return isinstance(value, (int, float)) and abs(value) < 400


def _may_compute(op: type[ast.operator], left: Constant, right: Constant) -> bool:
    """Whether the result is about as large as what goes in."""
    if op is ast.Mult and any(isinstance(v, (str, bytes)) for v in (left, right)):
        return False
    if op is ast.Mod and isinstance(left, (str, bytes)) and not may_format(left):
        return False
    return small(left) and small(right)


@values(ast.UnaryOp)
def _unary(run: Interpreter, node: ast.UnaryOp, frame: Frame) -> Value:
    value = run.evaluate(node.operand, frame)
    if isinstance(node.op, ast.Not):
        decided = truth(value)
        return opaque("not", value) if decided is None else not decided
    if isinstance(value, (bool, int, float)):
        if isinstance(node.op, ast.Invert):
            return ~value if isinstance(value, int) else opaque("~", value)
        return -value if isinstance(node.op, ast.USub) else +value
    if isinstance(value, Node) and isinstance(node.op, ast.USub):
        return run.record("neg", [value], {}, Site(node, frame))
    return value if isinstance(node.op, ast.UAdd) else opaque("~", value)


@values(ast.Compare)
def _compare(run: Interpreter, node: ast.Compare, frame: Frame) -> Value:
    left = run.evaluate(node.left, frame)
    rights = [run.evaluate(c, frame) for c in node.comparators]
    if len(rights) != 1:
        return opaque(COMPARED, left, *rights)
    right, op = rights[0], node.ops[0]
    if isinstance(op, (ast.Gt, ast.GtE, ast.Lt, ast.LtE)) and isinstance(left, Node):
        value = constant(to_node(right)) if isinstance(right, (Node, int, float)) else None
        if value is not None and run.ends and (end := counted_from(left)) is not None and end[0] in run.ends:
            return opaque(COMPARED, left, right)
        if value is not None:
            attrs: Attributes = {"value": value, "above": isinstance(op, (ast.Gt, ast.GtE))}
            return run.record("threshold", [left], attrs, Site(node, frame))
    decided = _compared(op, left, right)
    if decided is None and run.ends:
        decided = _ends_compared(run, op, left, right)
    return opaque(COMPARED, left, right) if decided is None else decided


def _compared(op: ast.cmpop, left: Value, right: Value) -> bool | None:
    if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)) and (left is None or right is None):
        other = right if left is None else left
        if isinstance(other, Union) or (isinstance(other, Node) and not other.attrs.get("object")):
            return None
        return (other is None) == isinstance(op, (ast.Is, ast.Eq))
    if is_constant(left) and is_constant(right):
        return _constants_compared(op, left, right)
    if isinstance(left, texts.Text) or isinstance(right, texts.Text):
        return texts.compared(op, left, right)
    if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)) and (same := are_same(left, right)) is not None:
        return same == isinstance(op, (ast.Is, ast.Eq))
    if isinstance(op, (ast.In, ast.NotIn)) and is_constant(left):
        items = right.items if isinstance(right, List) and right.exact else right
        if isinstance(items, tuple) and all(is_constant(i) for i in items):
            return (left in items) == isinstance(op, ast.In)
    return None


def _ends_compared(run: Interpreter, op: ast.cmpop, left: Value, right: Value) -> bool | None:
    """The index of a loop's last round compared with the number of rounds."""
    one, other = counted_from(to_node(left)), counted_from(to_node(right))
    if one is None or other is None or one[0] != other[0] or one[0] not in run.ends:
        return None
    return _constants_compared(op, one[1], other[1])


def _constants_compared(op: ast.cmpop, left: Constant, right: Constant) -> bool | None:
    tests: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Is: operator.eq,
        ast.IsNot: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
        ast.In: lambda a, b: a in b,
        ast.NotIn: lambda a, b: a not in b,
    }
    try:
        return bool(tests[type(op)](left, right))
    except TypeError:
        return None


# Items


def index_at(run: Interpreter, node: ast.expr, frame: Frame) -> Value:
    """What a subscript goes by. A mask that is turned over picks what the other comparison does."""
    index = run.evaluate(node, frame)
    if not isinstance(node, ast.UnaryOp) or not isinstance(node.op, ast.Invert):
        return index
    mask = run.evaluate(node.operand, frame)
    if not isinstance(mask, Node) or mask.op != "threshold":
        return index
    return Node(mask.op, mask.args, {**mask.attrs, "above": not mask.attrs.get("above")}, mask.origin)


@values(ast.Subscript)
def _subscript(run: Interpreter, node: ast.Subscript, frame: Frame) -> Value:
    owner = run.evaluate(node.value, frame)
    if isinstance(owner, Patched):
        part, owner = patches.read(owner, node.slice)
        if part is not None:
            return part
    if isinstance(node.slice, ast.Slice):
        lower, upper = (None if b is None else run.evaluate(b, frame) for b in (node.slice.lower, node.slice.upper))
        return get_slice(owner, lower, upper, stepped=node.slice.step is not None)
    if isinstance(owner, (Class, External)) and not _is_of_names(owner):
        return owner  # a generic type
    index = index_at(run, node.slice, frame)
    if isinstance(owner, Dict) and isinstance(index, texts.Text):
        owner = texts.reached(owner, index)
    if isinstance(owner, Dict) and not is_constant(index):
        return item_by_key(owner, index, keyed(run, owner, node.slice, frame))
    if _is_of_names(owner):
        return _named_item(run, owner, index, Site(node, frame))
    if isinstance(owner, Instance) and isinstance(own := owner.cls.find("__getitem__"), Function):
        return run.call_function(own, Call([owner, index], {}, Site(node, frame)))
    item = get_item(owner, index, _index_rank(owner, node.slice), _least_rank(owner, node.slice))
    along = _picked_along(index)
    if along is not None and isinstance(item, Node) and item.op == "index":
        return Node(item.op, item.args, {**item.attrs, "picked_along": along}, item.origin)
    if isinstance(item, Node) and item.op == "index" and isinstance(owner, Node) and _leaves_rows(node.slice):
        return Node(item.op, item.args, {**item.attrs, "rows": True, "axis": -1}, item.origin)
    return item


def _is_of_names(owner: Value) -> TypeGuard[Bound | External]:
    """Whether a value is a module's dictionary of names, or that of all modules."""
    if isinstance(owner, External):
        return owner.name == "sys.modules" or owner.name.endswith(".__dict__")
    return isinstance(owner, Bound) and owner.function == "__dict__"


def _named_item(run: Interpreter, owner: Bound | External, name: Value, site: Site) -> Value:
    """``globals()["Net"]``, ``nn.__dict__["Softmax"]``, ``sys.modules[__name__]``."""
    if not isinstance(name, str):
        return run.opaque_at(site, name)
    if isinstance(owner, Bound):
        return get_attribute(run, owner.owner, name)
    if owner.name != "sys.modules":
        return get_attribute(run, External(owner.name.removesuffix(".__dict__")), name)
    module = site.frame.module.frame
    return module if module.vars.get("__name__") == name else External(name)


@values(ast.Slice)
def _slice(run: Interpreter, node: ast.Slice, frame: Frame) -> Value:
    for part in (node.lower, node.upper, node.step):
        if part is not None:
            run.evaluate(part, frame)
    return opaque(SLICE)


def _leaves_rows(index: ast.expr) -> bool:
    """Whether an index of several axes takes all of the last: ``p[0, i, :]``."""
    match index:
        case ast.Tuple(elts=[_, *_, ast.Slice(lower=None, upper=None, step=None)]):
            return True
    return False


def _picked_along(index: Value) -> int | None:
    """The axis along which an index of two picks an entry of each row: ``p[arange(len(y)), y]``."""
    if not isinstance(index, tuple) or len(index) != 2:
        return None
    counts = [_counts(part) for part in index]
    labels = index[counts.index(False)] if counts.count(True) == 1 else None
    is_label = isinstance(labels, Node) and through(labels, TRANSPARENT).attrs.get("name") != SLICE
    return counts.index(False) if is_label else None


def _counts(part: Value) -> bool:
    """Whether an index counts the rows: ``arange(n)``, ``range(n)``."""
    if isinstance(part, Node):
        rows = through(part, MOVES)
        return rows.op == "numbers" or rows.attrs.get("name") == "range"
    return isinstance(part, List) and all(isinstance(i, int) for i in part.items)


def _least_rank(owner: Value, index: ast.expr) -> int:
    """How many axes an index of several leaves at the least: every slice is one, and every new axis."""
    if not isinstance(owner, Node) or not isinstance(index, ast.Tuple):
        return 0
    return sum(isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and p.value is None) for p in index.elts)


def _index_rank(owner: Value, index: ast.expr) -> int | None:
    """The rank that indexing leaves, where every index is a slice, a new axis or a plain integer."""
    if not isinstance(owner, Node) or owner.rank is None:
        return None
    rank = owner.rank
    for part in index.elts if isinstance(index, ast.Tuple) else [index]:
        match part:
            case ast.Slice():
                continue
            case ast.Constant(value=None):
                rank += 1
            case ast.Constant(value=int()) | ast.UnaryOp(operand=ast.Constant(value=int())):
                rank -= 1
            case _:
                return None
    return rank


# Comprehensions


@values(ast.ListComp, ast.GeneratorExp, ast.SetComp)
def _comprehension(run: Interpreter, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, frame: Frame) -> Value:
    items, exact = _generated(run, node.generators, frame, lambda inner: run.evaluate(node.elt, inner), many=True)
    return List(tuple(items), exact)


@values(ast.DictComp)
def _dict_comprehension(run: Interpreter, node: ast.DictComp, frame: Frame) -> Value:
    pairs, _ = _generated(
        run, node.generators, frame, lambda inner: (run.evaluate(node.key, inner), run.evaluate(node.value, inner))
    )
    known = {k: v for k, v in pairs if is_constant(k)}
    return Dict(known, tuple(v for k, v in pairs if not is_constant(k)))


def _generated(
    run: Interpreter,
    generators: list[ast.comprehension],
    frame: Frame,
    result: Callable[[Frame], R],
    many: bool = False,
) -> tuple[list[R], bool]:
    """What a comprehension yields: item by item where the sequence is known, else one item that stands for all."""
    inner = Frame(frame.module, frame, frame.function, run.trail.way)
    found: list[R] = []
    exact = True

    def descend(depth: int) -> None:
        nonlocal exact
        if depth == len(generators):
            found.append(result(inner))
            return
        generator = generators[depth]
        iterable = run.evaluate(generator.iter, inner)
        items = sequence(iterable)
        most = run.budget.most_unrolled
        if items is not None and len(items) > most > 0 and many and len(generators) == 1 and not generator.ifs:
            for item in (items[0], element(iterable), items[-1]):
                assign(run, generator.target, item, inner)
                descend(depth + 1)
            found[1:2] *= len(items) - 2  # those between the ends aren't told apart
            return
        if items is None or len(items) > most:
            exact = False
            items = (element(iterable),)
        for item in items:
            assign(run, generator.target, item, inner)
            kept = [truth(run.evaluate(test, inner)) for test in generator.ifs]
            exact = exact and None not in kept
            if False not in kept:
                descend(depth + 1)

    descend(0)
    return found, exact


# The rest


@values(ast.JoinedStr)
def _formatted(run: Interpreter, node: ast.JoinedStr, frame: Frame) -> Value:
    parts = [run.evaluate(v.value if isinstance(v, ast.FormattedValue) else v, frame) for v in node.values]
    known = [opaque("item") if _is_laid_out(v) else texts.written(p) for v, p in zip(node.values, parts, strict=True)]
    return texts.joined("text", known, parts)


def _is_laid_out(part: ast.expr) -> bool:
    """Whether a part of a text is written another way than ``str`` does."""
    return isinstance(part, ast.FormattedValue) and (part.format_spec is not None or part.conversion != -1)


@values(ast.Await, ast.Starred)
def _inner(run: Interpreter, node: ast.Await | ast.Starred, frame: Frame) -> Value:
    return run.evaluate(node.value, frame)


@values(ast.Yield, ast.YieldFrom)
def _yield(run: Interpreter, node: ast.Yield | ast.YieldFrom, frame: Frame) -> Value:
    frame.yields = True
    if node.value is not None:
        hand(run, run.evaluate(node.value, frame))
    return run.opaque_at(Site(node, frame))
