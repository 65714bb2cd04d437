"""All that reads what a softmax or sigmoid made, in a program that was interpreted: who is indifferent, who isn't.

A reader is found where an expression stands for the head's output and what is around it doesn't any more. ``argmax``
reads the same from logits; what needs probabilities gets the softmax back right at that expression.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from finallayer.expr import TRANSPARENT, Node, Origin
from finallayer.fix.bindings import parameters
from finallayer.fix.syntax import Syntax
from finallayer.source.files import SourceFile
from finallayer.source.uses import Uses
from finallayer.source.values import (
    Bound,
    Built,
    Class,
    Dict,
    External,
    Function,
    Instance,
    List,
    Partial,
    Union,
    Value,
)

LOSSES = frozenset("xent_logits xent_probs bce_logits bce_probs".split())
#: Operations on an output that give the same from logits.
_ORDER = frozenset({"argmax"})
_ORDER_AND_VALUES = frozenset({"topk", "max"})
#: What of a tensor, or of a call with it, doesn't depend on its numbers.
_SHAPE = frozenset("shape size dim ndim dtype device backward requires_grad rank get_shape numel __class__".split())
_HARMLESS_CALLS = frozenset("builtins.len builtins.isinstance builtins.type builtins.id builtins.super".split())
#: Methods that take a tensor out of its framework: the softmax must come back before them.
_TO_HOST = frozenset("numpy tolist item".split())
_HOST_FUNCTIONS = frozenset("numpy.asarray numpy.array jax.device_get keras.ops.convert_to_numpy".split())
#: Functions and methods after which the numbers are the same, elsewhere or in another shape. (The interpreter takes
#: ``relu`` and ``where`` of probabilities for the same, too; of logits they aren't.)
_KEEPING = frozenset(
    (
        "detach cpu cuda to float double half bfloat16 type type_as contiguous clone numpy item tolist squeeze "
        "unsqueeze "
        "view view_as reshape flatten ravel permute transpose t swapaxes cat concat concatenate stack hstack vstack "
        "asarray array device_get stop_gradient cast convert_to_tensor convert_to_numpy expand_dims gather "
        "index_select take take_along_dim take_along_axis requires_grad_ predict predict_on_batch block_until_ready"
    ).split()
)
#: What a program does with a model without asking for its output.
_MODEL_METHODS = frozenset(
    (
        "compile fit fit_generator evaluate evaluate_generator train_on_batch test_on_batch summary add append build "
        "count_params get_weights set_weights load_weights save_weights reset_metrics reset_states get_config "
        "predict predict_on_batch "
        "trainable_weights variables weights losses metrics_names optimizer loss stop_training "
        "name parameters named_parameters state_dict load_state_dict train eval to cuda cpu zero_grad half float "
        "double requires_grad_ training type share_memory init apply init_with_output tabulate bind setup forward "
        "__call__ call stateless_call trainable_variables non_trainable_variables"
    ).split()
)
#: Keeping a model for others, who will miss the softmax that it had.
_SAVING = frozenset("save export save_model to_json to_yaml to_onnx script trace dump onnx.export".split())


class Role(Enum):
    """What becomes of an expression that stands for the head's output."""

    FLOWS = auto()  # what is around it stands for the same
    INDIFFERENT = auto()  # the same is read from logits
    LOSS = auto()
    BOUNDARY = auto()  # the numbers go on, in another shape or place
    STORED = auto()  # kept where functions that nobody calls here may read it
    NEEDS = auto()  # reads probabilities, or nobody knows what
    CHANGES = auto()  # writes into the output: no softmax put around it would be written into


class Head(NamedTuple):
    """The softmax or sigmoid: its operation, and the places under which the program's nodes know it."""

    op: str
    origins: frozenset[Origin]


class Place(NamedTuple):
    """An expression of a file, and what its value is to the head."""

    path: str
    node: ast.expr
    derived: bool  # the head's numbers in another shape or place
    whole: bool  # every value that the expression had is the head's output


class Readers:
    """What reads a head's output, as far as the analysis of one file shows."""

    def __init__(self, head: Head, uses: Uses, syntaxes: dict[str, Syntax]) -> None:
        self.head, self.uses, self.syntaxes = head, uses, syntaxes
        self.wraps: list[Place] = []  # expressions that need the softmax back
        self.predictions: list[Place] = []  # Keras: calls of predict whose probabilities somebody needs
        self.compiled: list[Place] = []  # Keras: where the model meets its loss and its metrics
        self.refusals: list[str] = []  # what stands against any fix
        self.unseen: list[str] = []  # readers that nobody can see from here
        self._appended = self._displayed = self._taken_out = self._moved_together = False  # what lists do with it
        self._same_numbers = TRANSPARENT - {"concat", "join"} if head.op == "sigmoid" else _UNMOVED
        self._collect()

    # What a value is to the head

    def steps(self, value: Value) -> list[Node] | None:
        """The operations from a value back to the head; None where it isn't the head's output, or not it alone."""
        found: list[Node] = []
        node = value
        while isinstance(node, Node):
            if self.is_head(node):
                return found
            if node.op not in TRANSPARENT or not node.args or self._is_other(node):
                return None
            if len(node.args) > 1 and node.op in ("join", "concat") and any(self.steps(a) is None for a in node.args):
                return None
            found.append(node)
            node = node.args[0]
        return None

    def is_head(self, node: Node) -> bool:
        return node.op == self.head.op and node.origin in self.head.origins

    def touches(self, value: Value, depth: int = 4) -> bool:
        """Whether a value is or holds the head's output, perhaps among others."""
        if isinstance(value, Node):
            if self.is_head(value):
                return True
            return value.op in TRANSPARENT and not self._is_other(value) and any(map(self.touches, value.args))
        return depth > 0 and any(self.touches(v, depth - 1) for v in _held(value))

    def _is_other(self, node: Node) -> bool:
        """Whether a call made this node that keeps numbers only if they are probabilities: so does all after it."""
        call = self._call_at(node.origin) if node.op == "identity" else None
        return call is not None and _last_name(call.func) not in _KEEPING

    def is_derived(self, steps: list[Node]) -> bool:
        return any(s.op not in self._same_numbers or self._leaves_framework(s) for s in steps)

    def _leaves_framework(self, step: Node) -> bool:
        call = self._call_at(step.origin)
        if call is None or step.origin is None:
            return False
        if isinstance(call.func, ast.Attribute) and call.func.attr in _TO_HOST | {"predict", "predict_on_batch"}:
            return True
        callees = self.uses.of(step.origin.path, call.func)
        return any(isinstance(c, External) and c.name in _HOST_FUNCTIONS for c in callees)

    def _call_at(self, origin: Origin | None) -> ast.Call | None:
        syntax = self.syntaxes.get(origin.path) if origin is not None else None
        call = syntax.expression(origin) if syntax is not None else None
        return call if isinstance(call, ast.Call) else None

    # Collecting

    def _collect(self) -> None:
        boundaries: list[Place] = []
        derived_needs: list[list[Node]] = []
        names: set[str] = set()
        objects = self._objects()
        for path, syntax in self.syntaxes.items():
            for node in list(self.uses.values.get(path, ())):
                values = self.uses.of(path, node)
                if any(self.touches(v) for v in values):
                    if isinstance(node, ast.Name):
                        names.add(node.id)
                    self._judge(path, syntax, node, values, boundaries, derived_needs)
                if any(_is_one_of(v, objects) for v in values):
                    if isinstance(node, ast.Name):
                        names.add(node.id)
                    self._judge_object(path, syntax, node, objects)
            self._unseen_names(path, syntax, names)
        if not self.uses.complete:
            self.unseen.append("the program is too large to be followed to its end")
        for place in boundaries:
            self._restore_at(place, derived_needs)
        if any(not self._through_predict(chain) for chain in derived_needs):
            self._refuse_lists()

    def _refuse_lists(self) -> None:
        """Softmax comes back where an output is appended, which is no help to lists that are made or read otherwise."""
        if self._appended and self._taken_out:
            self.refusals.append("items of a list are read one by one and together")
        if self._moved_together and (self._displayed or not self._appended):
            self.refusals.append("outputs are put together that aren't appended to a list one by one")

    def _judge(
        self,
        path: str,
        syntax: Syntax,
        node: ast.expr,
        values: list[Value],
        boundaries: list[Place],
        derived_needs: list[list[Node]],
    ) -> None:
        chains = [self.steps(v) for v in values]
        known = [c for c in chains if c is not None]
        held = not known  # a container, or a value that is only perhaps the head's
        derived = any(self.is_derived(c) for c in known)
        place = Place(path, node, derived, len(known) == len(values))
        if isinstance(node, ast.Call) and _is_predict(node) and known:
            boundaries.append(place._replace(derived=False))
        role = self._role(path, syntax, node)
        self._note_lists(path, syntax, node, role, held, derived)
        match role:
            case Role.STORED if derived:
                derived_needs.extend(known)
            case Role.STORED:
                self._cannot_see("the output is kept for later", node)
            case Role.CHANGES:
                self.refusals.append(f"line {node.lineno} changes the output in place")
            case Role.BOUNDARY if not derived and not held:
                boundaries.append(place)
            case Role.NEEDS if held and (inside := self._derived_inside(values)):
                derived_needs.extend(inside)
            case Role.NEEDS if held:
                self.refusals.append(f"line {node.lineno} reads the output together with something else")
            case Role.NEEDS if derived:
                derived_needs.extend(known)
            case Role.NEEDS:
                self.wraps.append(place)
            case Role.LOSS if (derived or held) and self.head.op == "softmax":
                self.refusals.append(f"the loss in line {node.lineno} reads the softmax in another shape")

    def _note_lists(self, path: str, syntax: Syntax, node: ast.expr, role: Role, held: bool, derived: bool) -> None:
        """Remember what lists have to do with the output as it is."""
        around = syntax.parent(node)
        if held:
            self._taken_out |= isinstance(around, (ast.For, ast.comprehension))
            self._moved_together |= role is Role.BOUNDARY and not isinstance(around, (ast.For, ast.comprehension))
        elif not derived:
            owners = self.uses.of(path, node.value) if isinstance(node, ast.Subscript) else []
            self._taken_out |= any(isinstance(o, List) for o in owners)
            self._appended |= role is Role.BOUNDARY and isinstance(around, ast.Call)
            self._displayed |= isinstance(around, (ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp, ast.Dict))

    def _derived_inside(self, values: list[Value]) -> list[list[Node]]:
        """The ways to the head of what containers hold, where all of it went through a boundary."""
        items = [i for v in values for i in _flat(v) if self.touches(i)]
        chains = [self.steps(i) for i in items]
        known = [c for c in chains if c is not None and self.is_derived(c)]
        return known if len(known) == len(items) else []

    def _restore_at(self, place: Place, needs: list[list[Node]]) -> None:
        syntax = self.syntaxes[place.path]
        origin = syntax.file.origin(place.node)
        if isinstance(place.node, ast.Call) and _is_predict(place.node):
            if any(step.origin == origin for chain in needs for step in chain):
                self.predictions.append(place)
        elif any(not self._through_predict(chain) for chain in needs):
            self.wraps.append(place)

    def _through_predict(self, chain: list[Node]) -> bool:
        calls = [self._call_at(step.origin) for step in chain]
        return any(call is not None and _is_predict(call) for call in calls)

    # What is around an expression

    def _role(self, path: str, syntax: Syntax, node: ast.expr) -> Role:
        around = syntax.parent(node)
        inner: ast.AST = node
        while isinstance(around, (ast.keyword, ast.Starred)):
            inner, around = around, syntax.parent(around)
        match around:
            case ast.Call() if inner is not around.func:
                return self._as_argument(path, syntax, around)
            case ast.Attribute():
                return self._as_owner(path, syntax, around)
            case ast.Return() | ast.Lambda():
                scope = around if isinstance(around, ast.Lambda) else syntax.scope(around)
                return Role.FLOWS if self.uses.is_called(scope) else Role.NEEDS
            case ast.Assign(targets=targets):
                return max((self._assigned(path, syntax, t) for t in targets), key=_ASSIGNED.index)
            case ast.AnnAssign() | ast.NamedExpr() | ast.Await():
                return Role.FLOWS
            case ast.Expr():
                return Role.INDIFFERENT
            case ast.For() | ast.comprehension():
                return Role.BOUNDARY
            case ast.AugAssign(target=changed) if changed is inner:
                return Role.CHANGES
            case ast.Subscript(ctx=ast.Store() | ast.Del()) if inner is around.value:
                return Role.CHANGES
            case ast.Subscript() if inner is around.value:
                return self._unless_it_stays(path, around, Role.BOUNDARY)
            case ast.Tuple() | ast.List() | ast.Dict() | ast.IfExp() | ast.BoolOp() | ast.ListComp():
                return Role.FLOWS if any(self.touches(v) for v in self.uses.of(path, around)) else Role.NEEDS
        return Role.NEEDS

    def _unless_it_stays(self, path: str, around: ast.expr, otherwise: Role) -> Role:
        """FLOWS where what is around stands for the output itself, or for a container's item that is."""
        values = self.uses.of(path, around)
        if values and all(not self.touches(v) for v in values):
            return Role.FLOWS if otherwise is Role.BOUNDARY else Role.NEEDS  # another item of a container
        chains = [self.steps(v) for v in values]
        unmoved = all(c is not None and not self.is_derived(c) for c in chains)
        return Role.FLOWS if unmoved else otherwise

    def _assigned(self, path: str, syntax: Syntax, target: ast.expr) -> Role:
        """What an assignment does with the output: the interpreter knows a function's own names, and the module's."""
        inside = not isinstance(syntax.scope(target), ast.Module)
        match target:
            case ast.Name(id=name):
                return Role.STORED if inside and not _is_local(syntax, target, name) else Role.FLOWS
            case ast.Attribute():
                return Role.STORED
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return max((self._assigned(path, syntax, e) for e in elements), key=_ASSIGNED.index)
            case ast.Subscript(value=ast.Name(id=name) as owner):
                known = all(isinstance(v, Dict) for v in self.uses.of(path, owner))
                local = not inside or _is_local(syntax, target, name)
                return Role.NEEDS if not known else Role.FLOWS if local else Role.STORED
        return Role.STORED

    def _as_argument(self, path: str, syntax: Syntax, call: ast.Call) -> Role:
        callees = [c for v in self.uses.of(path, call.func) for c in _alternatives(v)]
        if any(_runs_project_code(c) for c in callees):
            return Role.FLOWS
        if any(isinstance(c, External) and c.name in _HARMLESS_CALLS for c in callees):
            return Role.INDIFFERENT
        if any(isinstance(c, Bound) and isinstance(c.owner, List) for c in callees):
            return Role.BOUNDARY if _is_own_list(syntax, call) else Role.STORED
        if callees and all(_updates_accuracy(c) for c in callees):
            return Role.INDIFFERENT
        return self._by_result(path, syntax, call)

    def _as_owner(self, path: str, syntax: Syntax, attribute: ast.Attribute) -> Role:
        if attribute.attr in _SHAPE:
            return Role.INDIFFERENT
        call = syntax.parent(attribute)
        if isinstance(call, ast.Call) and call.func is attribute:
            if attribute.attr.endswith("_") and attribute.attr not in ("detach_", "requires_grad_"):
                return Role.CHANGES
            return self._by_result(path, syntax, call)
        return self._unless_it_stays(path, attribute, Role.NEEDS)

    def _by_result(self, path: str, syntax: Syntax, call: ast.Call) -> Role:
        results = self.uses.of(path, call)
        if any(isinstance(r, Built) and r.signature.op == "model" for r in results):
            return Role.FLOWS
        if not results:
            return Role.NEEDS
        operations = {r.op for r in results if isinstance(r, Node)}
        if any(self.touches(r) for r in results):
            if any(isinstance(r, Node) and self.steps(r) is None for r in results):
                return Role.NEEDS
            if _last_name(call.func) not in _KEEPING:
                return Role.CHANGES
            return self._unless_it_stays(path, call, Role.BOUNDARY)
        if operations and operations <= LOSSES:
            return self._at_loss([r for r in results if isinstance(r, Node)])
        if operations and operations <= _ORDER:
            return Role.INDIFFERENT
        if operations and operations <= _ORDER_AND_VALUES and _only_places_are_read(syntax, call):
            return Role.INDIFFERENT
        if operations == {"metric"} and all(
            isinstance(r, Node) and is_accuracy(str(r.attrs.get("name"))) for r in results
        ):
            return Role.INDIFFERENT
        return Role.NEEDS

    def _at_loss(self, losses: list[Node]) -> Role:
        """Whether the losses of a call read the output as their prediction; as a target it must stay probabilities."""
        predicted = any(self.touches(loss.args[0]) for loss in losses)
        aimed_at = any(self.touches(a) for loss in losses for a in loss.args[1:])
        return Role.CHANGES if predicted and aimed_at else Role.NEEDS if aimed_at else Role.LOSS

    # The model that gives the output

    def _objects(self) -> list[Value]:
        found: list[Value] = []
        for owner, value in self.uses.given:
            if self.touches(value) and not _is_one_of(owner, found) and not _is_layer(owner):
                found.append(owner)
                if isinstance(owner, Instance):
                    found.append(owner.cls)
        return found

    def _judge_object(self, path: str, syntax: Syntax, node: ast.expr, objects: list[Value]) -> None:
        around = syntax.parent(node)
        inner: ast.AST = node
        while isinstance(around, (ast.keyword, ast.Starred)):
            inner, around = around, syntax.parent(around)
        match around:
            case ast.Call() if inner is around.func:
                return
            case ast.Call():
                self._object_given(path, syntax, around, objects)
            case ast.Attribute(ctx=ast.Store()):
                return
            case ast.Attribute(attr=name):
                owners = self.uses.of(path, around)
                called = syntax.parent(around)
                if name == "compile" and isinstance(called, ast.Call) and called.func is around:
                    self.compiled.append(Place(path, called, False, True))
                foreign = not owners or any(isinstance(o, (Node, Bound)) and not _own(o) for o in owners)
                if name in _SAVING:
                    self._cannot_see(f"the model is kept by `{name}`", node)
                elif foreign and name not in _MODEL_METHODS:
                    self._cannot_see(f"`.{name}` of the model", node)
            case ast.Return() | ast.Lambda():
                scope = around if isinstance(around, ast.Lambda) else syntax.scope(around)
                if not self.uses.is_called(scope):
                    self._cannot_see("the model is returned to callers unknown here", node)
            case ast.Assign() | ast.AnnAssign() | ast.NamedExpr() | ast.Expr() | ast.ClassDef():
                return
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.arguments() | ast.arg():
                return
            case ast.Compare() | ast.If():
                return
            case ast.expr() if any(_is_one_of(v, objects) or _holds(v, objects) for v in self.uses.of(path, around)):
                return
            case _:
                self._cannot_see("the model goes where it can't be followed", node)

    def _object_given(self, path: str, syntax: Syntax, call: ast.Call, objects: list[Value]) -> None:
        callees = [c for v in self.uses.of(path, call.func) for c in _alternatives(v)]
        results = self.uses.of(path, call)
        if any(_runs_project_code(c) for c in callees):
            return
        if any(isinstance(c, External) and c.name in _HARMLESS_CALLS | {"builtins.print"} for c in callees):
            return
        if any(_is_one_of(r, objects) or (isinstance(r, Partial) and _is_one_of(r.function, objects)) for r in results):
            return
        name = syntax.text(call.func)
        kept = name.rpartition(".")[2] in _SAVING or name.endswith(("onnx.export", "torch.save"))
        self._cannot_see(f"the model is kept by `{name}`" if kept else f"the model is handed to `{name}`", call)

    def _cannot_see(self, what: str, node: ast.expr) -> None:
        self.unseen.append(f"{what} (line {node.lineno})")

    def _unseen_names(self, path: str, syntax: Syntax, names: set[str]) -> None:
        """Code that the analysis never ran, and that speaks of the output or its model."""
        for node in syntax.loads():
            if node.id in names and not self.uses.evaluated(path, node) and not syntax.in_annotation(node):
                self._cannot_see(f"`{node.id}` in code that nothing runs", node)
            elif self._is_unknown_argument(path, syntax, node) and (node.id in names or _is_applied(syntax, node)):
                self._cannot_see(f"`{node.id}`, an argument in a function that nothing calls,", node)

    def _is_unknown_argument(self, path: str, syntax: Syntax, node: ast.Name) -> bool:
        """Whether a name is a parameter that no call of the program gives a value."""
        scope = syntax.scope(node)
        if isinstance(scope, ast.Module) or node.id not in parameters(scope) or self.uses.is_called(scope):
            return False
        return not any(self.touches(v) or isinstance(v, (Built, Instance)) for v in self.uses.of(path, node))


def _is_applied(syntax: Syntax, node: ast.Name) -> bool:
    """Whether a name stands for a function or a model: ``net(x)``, ``net.apply(params, x)``, ``jax.vmap(net)``."""
    match syntax.parent(node):
        case ast.Call(func=func, args=args):
            return func is node or (node in args and _last_name(func) == "vmap")
        case ast.Attribute(attr="apply" | "predict" | "forward") as attribute:
            called = syntax.parent(attribute)
            return isinstance(called, ast.Call) and called.func is attribute
    return False


_UNMOVED = frozenset({"cast", "identity", "stop_gradient", "join"})


def _last_name(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


#: What may become of an assigned output, the gravest last.
_ASSIGNED = (Role.FLOWS, Role.NEEDS, Role.STORED)


def _is_local(syntax: Syntax, place: ast.AST, name: str) -> bool:
    """Whether a name belongs to the function around a place: it is bound there, and not declared global."""
    scope = syntax.scope(place)
    declared = {n for s in ast.walk(scope) if isinstance(s, (ast.Global, ast.Nonlocal)) for n in s.names}
    return name not in declared and any(n.id == name and isinstance(n.ctx, ast.Store) for n in _names(scope))


def _is_own_list(syntax: Syntax, call: ast.Call) -> bool:
    """Whether a list that is appended to is the function's own, or all is at the top level of the module."""
    if isinstance(syntax.scope(call), ast.Module):
        return True
    func = call.func
    return (
        isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and _is_local(syntax, call, func.value.id)
    )


def _held(value: Value) -> Iterator[Value]:
    if isinstance(value, List):
        yield from value.items
    elif isinstance(value, Dict):
        yield from (v for k, v in value.slots.items() if isinstance(k, (str, int)))
    elif isinstance(value, Union):
        yield from value.values
    elif isinstance(value, tuple) and not hasattr(value, "_fields"):
        yield from value


def _flat(value: Value) -> Iterator[Value]:
    """What a container holds, at any depth; a value that is none is itself."""
    if isinstance(value, (List, Dict, Union)) or (isinstance(value, tuple) and not hasattr(value, "_fields")):
        for item in _held(value):
            yield from _flat(item)
    else:
        yield value


def _alternatives(value: Value) -> tuple[Value, ...]:
    return value.values if isinstance(value, Union) else (value,)


def _runs_project_code(callee: Value) -> bool:
    """Whether calling a value runs code that the interpreter followed."""
    match callee:
        case Function() | Class() | Instance():
            return True
        case Partial(function=function) | Bound(function=function):
            return _runs_project_code(function)
        case Built(signature=signature):
            return signature.op in ("sequential", "model")
    return False


def is_accuracy(metric: str) -> bool:
    """Whether a metric only asks which class has the greatest output."""
    return metric.rpartition(".")[2].replace("_", "").lower().endswith("categoricalaccuracy")


def _updates_accuracy(callee: Value) -> bool:
    """``metric.update_state`` of a metric that only asks which output is the greatest."""
    match callee:
        case Bound(function="update_state", owner=Built(signature=signature)):
            return signature.op == "metric" and is_accuracy(callee.owner.symbol.name)
    return False


def _own(value: Value) -> bool:
    return isinstance(value, Bound) and not isinstance(value.function, str)


def _is_layer(owner: Value) -> bool:
    """A softmax layer or a dense layer with an activation: the head itself, not a model that ends in it."""
    return isinstance(owner, Built) and owner.signature.op not in ("sequential", "model", "zoo", "application")


def _is_one_of(value: Value, objects: list[Value]) -> bool:
    return any(v is o for v in _alternatives(value) for o in objects)


def _holds(value: Value, objects: list[Value]) -> bool:
    return any(_is_one_of(v, objects) for v in _held(value))


def _is_predict(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("predict", "predict_on_batch")


def _only_places_are_read(syntax: Syntax, call: ast.Call) -> bool:
    """Whether of (values, places) only the places are read: ``[1]``, ``.indices``, or unpacked with an unused name."""
    match syntax.parent(call):
        case ast.Subscript(slice=ast.Constant(value=1)) | ast.Attribute(attr="indices"):
            return True
        case ast.Assign(targets=[ast.Tuple(elts=[ast.Name(id=name), _])]) as statement:
            scope = syntax.scope(statement)
            return not any(n.id == name and isinstance(n.ctx, ast.Load) for n in _names(scope))
    return False


def _names(scope: ast.AST) -> Iterator[ast.Name]:
    return (n for n in ast.walk(scope) if isinstance(n, ast.Name))


def importers(file: SourceFile) -> Iterator[str]:
    """Files beside a file, and around it, that seem to import it: they may read what it makes."""
    import re
    from pathlib import Path

    path = Path(file.path)
    mention = re.compile(rf"^\s*(?:from|import)\b.*\b{re.escape(path.stem)}\b", re.MULTILINE)
    folders = [path.parent, *(p for p in path.parent.glob("*") if p.is_dir() and not p.name.startswith("."))]
    if (path.parent / "__init__.py").exists():
        folders.append(path.parent.parent)
    for folder in folders:
        for other in sorted(folder.glob("*.py"))[:_MOST_FILES]:
            if other != path and mention.search(other.read_text(errors="ignore")):
                yield str(other)


#: Files of a folder that are looked at for imports.
_MOST_FILES = 300
