"""What becomes of an expression that stands for a head's output, by what is around it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import Enum, auto
from functools import lru_cache

from finallayer.catalog.conventions import Meaning, suggests
from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.bindings import home
from finallayer.fix.flow.callers import reads_of_default
from finallayer.fix.flow.head import Output, keeps_numbers
from finallayer.fix.flow.known_calls import known_call, runs
from finallayer.fix.text.spelling import FRAMEWORKS
from finallayer.fix.text.syntax import Syntax
from finallayer.source.importers import importers_below, root_of
from finallayer.source.values import (
    FIELDS,
    Bound,
    Built,
    Class,
    Dict,
    External,
    Function,
    Instance,
    List,
    Partial,
    Value,
    tuple_in,
)
from finallayer.source.walking import walk

CROSS_ENTROPIES = frozenset("xent_logits xent_probs bce_logits bce_probs".split())
#: Operations on an output that give the same from logits.
_ORDER = frozenset({"argmax"})
_ORDER_AND_VALUES = frozenset({"topk", "max"})
#: What of a tensor, or of a call with it, doesn't depend on its numbers.
_SHAPE = frozenset("shape size dim ndim dtype device backward requires_grad rank get_shape numel __class__".split())
#: Functions that are handed a tensor for its shape, or to put a name on it.
_NUMBERLESS = frozenset(
    "ones_like zeros_like empty_like full_like rand_like randn_like shape size rank op_scope name_scope".split()
)
#: What gives the items of what it is handed, which the analysis follows.
_TAKING_APART = frozenset("builtins.enumerate builtins.zip builtins.list builtins.tuple builtins.reversed".split())
HARMLESS_CALLS = frozenset("builtins.len builtins.isinstance builtins.type builtins.id builtins.super".split())


class Role(Enum):
    """What becomes of an expression that stands for the head's output."""

    FLOWS = auto()  # what is around it stands for the same
    INDIFFERENT = auto()  # the same is read from logits
    LOSS = auto()
    BOUNDARY = auto()  # the numbers go on, in another shape or place
    STORED = auto()  # kept where functions that nobody calls here may read it
    AGAIN = auto()  # makes probabilities of it once more: a mistake, which is no reader to be given a third
    NEEDS = auto()  # reads probabilities, or nobody knows what
    CHANGES = auto()  # writes into the output: no softmax put around it would be written into


#: What may become of an assigned output, the gravest last.
_ASSIGNED = (Role.FLOWS, Role.NEEDS, Role.STORED)


class Roles:
    """Tells the role of every expression that stands for one head's output."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.only_reading: frozenset[ast.FunctionDef] = frozenset()  # who is handed probabilities, as before
        self._for_others: dict[ast.AST, bool] = {}

    def of(self, module: AnalysedModule, node: ast.expr) -> Role:
        """The role of an expression of a file."""
        inner, around = module.syntax.user(node)
        match around:
            case ast.Call() if inner is not around.func:
                return self._as_argument(module, around)
            case ast.Attribute():
                return self._as_owner(module, around)
            case ast.Return() | ast.Lambda():
                scope = around if isinstance(around, ast.Lambda) else module.syntax.scope(around)
                return Role.FLOWS if module.is_called(scope) and not self._is_for_others(scope) else Role.NEEDS
            case ast.Assign(targets=[ast.Name() as target]) if is_kept_for_nobody(module.syntax, target):
                return Role.NEEDS
            case ast.Assign(targets=targets):
                return max((self._assigned(module, t) for t in targets), key=_ASSIGNED.index)
            case ast.AugAssign(target=changed) if changed is inner:
                return Role.CHANGES
            case ast.Subscript() if inner is around.value:
                return self._as_container(module, around)
            case ast.For() | ast.comprehension():
                return self._iterated(inner, around)
            case ast.arguments():
                values = (v for n in reads_of_default(module.syntax, node) for v in module.values(n))
                return Role.FLOWS if any(map(self._output.touches, values)) else Role.NEEDS
            case ast.Expr():
                return Role.NEEDS if module.syntax.is_displayed(around) else Role.INDIFFERENT
            case ast.Tuple() | ast.List() if self.is_mixed(module, around):
                return Role.NEEDS
            case ast.BinOp(op=ast.Add()) if _joins_lists(module, around):
                return Role.FLOWS if any(map(self._output.touches, module.values(around))) else Role.NEEDS
            case ast.Tuple() | ast.List() | ast.Dict() | ast.IfExp() | ast.BoolOp() | ast.ListComp():
                return Role.FLOWS if any(map(self._output.touches, module.values(around))) else Role.NEEDS
        return next((role for syntax, role in _BY_SYNTAX.items() if isinstance(around, syntax)), Role.NEEDS)

    def _is_for_others(self, scope: ast.AST) -> bool:
        """Whether all that calls a function here only asks which output is the greatest, and is called by nobody.

        ``predict_proba``, of which ``predict`` takes the argmax: others will call both.
        """
        if scope not in self._for_others:
            self._for_others[scope] = False  # while it is found out: it may call itself
            calls = [(m, c) for m in self._output.modules.values() for c in _calls_of(m, scope)]
            alone = bool(calls) and all(_is_uncalled(m, c) for m, c in calls)
            self._for_others[scope] = alone and all(self.of(m, c) is Role.INDIFFERENT for m, c in calls)
        return self._for_others[scope]

    def is_mixed(self, module: AnalysedModule, display: ast.AST) -> bool:
        """Whether a list that is spelled out is handed to what puts the output beside something else."""
        inner, call = module.syntax.user(display)
        handed = isinstance(display, (ast.List, ast.Tuple)) and isinstance(call, ast.Call) and inner is not call.func
        results = module.values(call) if handed and call is not None else []
        return bool(results) and all(map(self._output.is_mixed_into, results))

    def _iterated(self, inner: ast.AST, loop: ast.For | ast.comprehension) -> Role:
        """Items of a softmax can't get it back any more; those of a sigmoid can, under their own name."""
        if inner is not loop.iter:
            return Role.NEEDS
        return Role.FLOWS if self._output.is_elementwise and isinstance(loop.target, ast.Name) else Role.BOUNDARY

    def _as_container(self, module: AnalysedModule, item: ast.Subscript) -> Role:
        if isinstance(item.ctx, (ast.Store, ast.Del)):
            holders = module.values(item.value)
            return Role.INDIFFERENT if holders and all(isinstance(h, Dict) for h in holders) else Role.CHANGES
        return self._unless_it_stays(module, item, Role.BOUNDARY)

    def _unless_it_stays(self, module: AnalysedModule, around: ast.expr, otherwise: Role) -> Role:
        """FLOWS where what is around stands for the output itself, or for a container's item that is."""
        values = module.values(around)
        if values and all(not self._output.touches(v) for v in values):
            return Role.FLOWS if otherwise is Role.BOUNDARY else Role.NEEDS  # another item of a container
        chains = [self._output.steps(v) for v in values]
        unmoved = all(c is not None and not self._output.is_derived(c) for c in chains)
        return Role.FLOWS if unmoved else otherwise

    def _assigned(self, module: AnalysedModule, target: ast.expr) -> Role:
        """What an assignment does with the output: the interpreter knows a function's own names, and the module's."""
        syntax = module.syntax
        inside = not isinstance(syntax.scope(target), ast.Module)
        match target:
            case ast.Name(id=name):
                return Role.STORED if inside and not _is_local(syntax, target, name) else Role.FLOWS
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return max((self._assigned(module, e) for e in elements), key=_ASSIGNED.index)
            case ast.Subscript(value=ast.Name(id=name) as owner):
                known = all(isinstance(v, Dict) for v in module.values(owner))
                local = not inside or _is_local(syntax, target, name)
                return Role.NEEDS if not known else Role.FLOWS if local else Role.STORED
        return Role.STORED

    def _as_argument(self, module: AnalysedModule, call: ast.Call) -> Role:
        callees = [c for v in module.values(call.func) for c in alternatives(v)]
        if self.only_reading and callees and all(any(runs(c, f) for f in self.only_reading) for c in callees):
            return Role.NEEDS
        records = [c for c in callees if isinstance(c, Class) and not isinstance(c.find("__init__"), Function)]
        if records:
            return Role.STORED if self._are_asked(records) else Role.NEEDS
        if any(runs_project_code(c) for c in callees):
            return Role.FLOWS
        if any(isinstance(c, External) and (c.name in HARMLESS_CALLS or _reads_no_numbers(c)) for c in callees):
            return Role.INDIFFERENT
        if any(isinstance(c, Bound) and isinstance(c.owner, List) for c in callees):
            if _takes_apart(module, call):
                return Role.NEEDS
            return Role.BOUNDARY if _is_own_list(module.syntax, call) else Role.STORED
        known = known_call(module, call)
        if (known is not None and known.argument("like")) or (callees and all(map(_updates_accuracy, callees))):
            return Role.INDIFFERENT
        return self._by_result(module, call)

    def _are_asked(self, records: list[Class]) -> bool:
        """Whether the program reads a field of a dataclass, or of another class that keeps what it is handed."""
        lines = [line for record in records for line in record.ancestry() if isinstance(line, Class)]
        fields = {name for line in lines for name in tuple_in(line.slots, FIELDS)}
        modules = self._output.modules.values()
        attributes = (n for m in modules for n in m.syntax.nodes if isinstance(n, ast.Attribute))
        return not fields or any(n.attr in fields and isinstance(n.ctx, ast.Load) for n in attributes)

    def _as_owner(self, module: AnalysedModule, attribute: ast.Attribute) -> Role:
        if attribute.attr in _SHAPE or _takes_in(module, attribute):
            return Role.INDIFFERENT
        call = module.syntax.parent(attribute)
        if isinstance(call, ast.Call) and call.func is attribute:
            if suggests(attribute.attr, Meaning.IN_PLACE) and attribute.attr not in ("detach_", "requires_grad_"):
                return Role.CHANGES
            return self._by_result(module, call)
        return self._unless_it_stays(module, attribute, Role.NEEDS)

    def _by_result(self, module: AnalysedModule, call: ast.Call) -> Role:
        """The role of what a call is handed, or a method called of, by what the call gives."""
        results = module.values(call)
        if any(isinstance(r, Built) and r.signature.op == "model" for r in results):
            match module.syntax.parent(call):
                case ast.Assign(targets=[ast.Name() as target]) if is_kept_for_nobody(module.syntax, target):
                    imported = any(importers_below(root_of([module.path])).of(module.path))
                    return Role.FLOWS if imported else Role.STORED
            return Role.FLOWS
        if any(map(self._output.touches, results)):
            return self._kept(module, call, results)
        nodes = [r for r in results if isinstance(r, Node)]
        operations = {r.op for r in nodes}
        if operations == {self._output.head.op} and len(nodes) == len(results):
            return self._again(nodes)
        if operations and operations <= CROSS_ENTROPIES:
            return self._at_loss(nodes)
        places_only = operations <= _ORDER_AND_VALUES and only_places_are_read(module.syntax, call)
        accuracy = operations == {"metric"} and all(is_accuracy(str(r.attrs.get("name"))) for r in nodes)
        if operations and (operations <= _ORDER or places_only or (accuracy and len(nodes) == len(results))):
            return Role.INDIFFERENT
        return Role.NEEDS

    def _again(self, made: list[Node]) -> Role:
        """The softmax of a softmax, both over the classes: one of them is a mistake, and nobody knows which."""
        over_classes = all(n.attrs.get("axis") in (-1, 1, None) and not n.attrs.get("whole") for n in made)
        ways = [self._output.steps(node.args[0]) for node in made]
        unmoved = all(way is not None and not self._output.is_derived(way) for way in ways)
        return Role.AGAIN if unmoved and over_classes else Role.NEEDS

    def _kept(self, module: AnalysedModule, call: ast.Call, results: list[Value]) -> Role:
        """The role where a call gives the output again, perhaps among others."""
        if any(isinstance(r, Node) and self._output.steps(r) is None for r in results):
            return Role.NEEDS
        callees = [c for v in module.values(call.func) for c in alternatives(v)]
        if callees and all(isinstance(c, External) and c.name in _TAKING_APART for c in callees):
            return Role.BOUNDARY
        if callees and all(isinstance(c, Bound) and isinstance(c.owner, Dict) for c in callees):
            return Role.FLOWS
        return self._unless_it_stays(module, call, Role.BOUNDARY) if keeps_numbers(module, call) else Role.CHANGES

    def _at_loss(self, losses: list[Node]) -> Role:
        """Whether the losses of a call read the output as their prediction; as a target it must stay probabilities."""
        predicted = any(self._output.touches(loss.args[0]) for loss in losses)
        aimed_at = any(self._output.touches(a) for loss in losses for a in loss.args[1:])
        return Role.CHANGES if predicted and aimed_at else Role.NEEDS if aimed_at else Role.LOSS


#: What the syntax alone says of an expression in it.
_BY_SYNTAX: dict[type[ast.AST], Role] = {
    ast.AnnAssign: Role.FLOWS,
    ast.NamedExpr: Role.FLOWS,
    ast.Await: Role.FLOWS,
}


def _joins_lists(module: AnalysedModule, sum_: ast.BinOp) -> bool:
    """``[outputs] + states``"""
    parts = [module.values(part) for part in (sum_.left, sum_.right)]
    return all(values and all(isinstance(v, (List, tuple)) for v in values) for values in parts)


def is_kept_for_nobody(syntax: Syntax, target: ast.Name) -> bool:
    """Whether a variable of the module is read by nothing in its file: who looks at it is to find what he found."""
    module = syntax.file.tree
    if target.id == "_" or home(syntax, target) is not module:
        return False
    return not any(n.id == target.id and home(syntax, n) is module for n in syntax.loads())


def _takes_in(module: AnalysedModule, attribute: ast.Attribute) -> bool:
    """``outputs.append``: what a list holds already isn't read."""
    owners = module.values(attribute.value)
    return attribute.attr in ("append", "clear") and all(isinstance(o, List) for o in owners)


def _is_local(syntax: Syntax, place: ast.AST, name: str) -> bool:
    """Whether a name belongs to the function around a place: it is bound there, and not declared global."""
    scope = syntax.scope(place)
    return name in _own_names(scope)


@lru_cache(maxsize=1024)  # every assignment asks for those of its function
def _own_names(scope: ast.AST) -> frozenset[str]:
    """The names that a function binds, and doesn't declare to be another's."""
    declared = {n for s in walk(scope) if isinstance(s, (ast.Global, ast.Nonlocal)) for n in s.names}
    return frozenset(n.id for n in _names(scope) if isinstance(n.ctx, ast.Store)) - declared


def _reads_no_numbers(callee: External) -> bool:
    """Whether a framework's function gives the same whatever the numbers are: ``tf.ones_like(p)``."""
    return callee.framework in FRAMEWORKS and callee.name.rpartition(".")[2] in _NUMBERLESS


def is_numberless(module: AnalysedModule, node: ast.AST) -> bool:
    """Whether an expression depends on no number of the tensors in it: ``torch.ones_like(p)``, ``p.shape``."""
    if isinstance(node, ast.Call):
        callees = module.values(node.func)
        return bool(callees) and all(isinstance(c, External) and _reads_no_numbers(c) for c in callees)
    return isinstance(node, ast.Attribute) and node.attr in _SHAPE


def kept_as(syntax: Syntax, node: ast.expr) -> set[str]:
    """The attributes that an assignment keeps an expression as, where it keeps it as nothing else."""
    statement = syntax.parent(node)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    kept = [t.attr for t in targets if isinstance(t, ast.Attribute)]
    return set(kept) if len(kept) == len(targets) else set()


def _calls_of(module: AnalysedModule, scope: ast.AST) -> Iterator[ast.Call]:
    """The calls in a file that run a function, as far as the analysis came to them."""
    for node in module.syntax.nodes:
        if isinstance(node, ast.Call) and any(runs(v, scope) for v in module.values(node.func)):
            yield node


def _is_uncalled(module: AnalysedModule, call: ast.Call) -> bool:
    """Whether an expression stands in a function that nothing calls."""
    scope = module.syntax.scope(call)
    return not isinstance(scope, ast.Module) and not module.is_called(scope)


def _takes_apart(module: AnalysedModule, call: ast.Call) -> bool:
    """``rows.extend(p)``: the items of a tensor, which the analysis loses."""
    extends = isinstance(call.func, ast.Attribute) and call.func.attr == "extend"
    return extends and any(isinstance(v, Node) for given in call.args for v in module.values(given))


def _is_own_list(syntax: Syntax, call: ast.Call) -> bool:
    """Whether a list that is appended to is the function's own, or all is at the top level of the module."""
    if isinstance(syntax.scope(call), ast.Module):
        return True
    func = call.func
    return (
        isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and _is_local(syntax, call, func.value.id)
    )


def runs_project_code(callee: Value) -> bool:
    """Whether calling a value runs code that the interpreter followed."""
    match callee:
        case Function() | Class() | Instance():
            return True
        case Partial(function=function) | Bound(function=function):
            return runs_project_code(function)
        case Built(signature=signature):
            return signature.op in ("sequential", "model")
    return False


def is_accuracy(metric: str) -> bool:
    """Whether a metric only asks which class has the greatest output."""
    return metric.rpartition(".")[2].replace("_", "").lower().endswith("categoricalaccuracy")


def _updates_accuracy(callee: Value) -> bool:
    """``metric.update_state`` of a metric that only asks which output is the greatest."""
    match callee:
        case Bound(function="update_state", owner=Built(signature=signature, symbol=symbol)):
            return signature.op == "metric" and is_accuracy(symbol.name)
    return False


def only_places_are_read(syntax: Syntax, call: ast.Call) -> bool:
    """Whether of (values, places) only the places are read: ``[1]``, ``.indices``, or unpacked with an unused name."""
    match syntax.parent(call):
        case ast.Subscript(slice=ast.Constant(value=1)) | ast.Attribute(attr="indices"):
            return True
        case ast.Assign(targets=[ast.Tuple(elts=[ast.Name(id=name), _])]) as statement:
            scope = syntax.scope(statement)
            return not any(n.id == name and isinstance(n.ctx, ast.Load) for n in _names(scope))
    return False


def _names(scope: ast.AST) -> Iterator[ast.Name]:
    return (n for n in walk(scope) if isinstance(n, ast.Name))
