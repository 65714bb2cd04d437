"""Models, losses and functions that do something else in the edited program, and who gets hold of them unseen."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cached_property

from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.bindings import home
from finallayer.fix.flow.callbacks import CHECKPOINTS, only_look
from finallayer.fix.flow.head import held
from finallayer.fix.flow.owners import MODEL_METHODS as ASKED
from finallayer.fix.flow.owners import only_describes
from finallayer.fix.flow.roles import runs_project_code
from finallayer.fix.flow.trained_with import are_shown_by
from finallayer.fix.flow.trainers import runs_own_steps
from finallayer.fix.flow.unrun import asks_for_another
from finallayer.fix.flow.weights import LAYERS, asked_for_shape
from finallayer.fix.text.syntax import last_name
from finallayer.fix.validation.differences import Sink, Status, is_known, unrun
from finallayer.fix.validation.forms import Forms
from finallayer.fix.validation.programs import Programs
from finallayer.source.uses import Uses
from finallayer.source.values import Bound, Built, External, Function, Instance, Value

#: What a metric is asked, which is compared where it reads what it measures.
_OF_METRICS = frozenset({"update_state", "result", "reset_state", "reset_states"})
#: What decorates classes and registers none of them.
_PLAIN = ("dataclasses.", "flax.", "typing.", "functools.", "equinox.", "chex.")
#: Where an object is read by nobody: what is around it gives it a name, or only asks whether it is there.
_UNREAD = (
    *(ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.Expr, ast.Compare, ast.If, ast.comprehension, ast.For),
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.arguments, ast.arg),
)


class Objects:
    """The objects of a program that an edit changes, by their forms."""

    def __init__(self, programs: Programs, before: Forms, after: Forms) -> None:
        self._programs, self._forms = programs, before
        old, new = _doings(programs.old, before), _doings(programs.new, after)
        self._changed = {owner for owner, does in old.items() if owner in new and new[owner] != does}

    def sinks(self) -> Iterator[Sink]:
        """Every place at which a changed object goes where it can't be followed."""
        for path, module in self._programs.modules.items():
            names: set[tuple[ast.AST, str]] = set()
            for node in list(self._programs.old.values.get(path, ())):
                if any(map(self._include, module.values(node))):
                    names |= {(home(module.syntax, node), node.id)} if isinstance(node, ast.Name) else set()
                    what = self._end(module, node)
                    if what:
                        yield Sink(Status.UNKNOWN, path, node, what)
            for sink in unrun(module, names):
                if not (isinstance(sink.node, ast.Name) and asks_for_another(module, sink.node, self._hold)):
                    yield sink
            for found in module.syntax.nodes if self._classes else ():
                if isinstance(found, ast.ClassDef) and found in self._classes and not _is_bare(module, found):
                    yield Sink(Status.UNKNOWN, path, found, f"what decorates `{found.name}`")
                elif isinstance(found, ast.Attribute) and found.attr == "__subclasses__":
                    yield Sink(Status.UNKNOWN, path, found, f"what is done with `{module.syntax.text(found)}`")

    @cached_property
    def _classes(self) -> set[ast.AST]:
        """The classes of changed objects."""
        owners = (owner for owner, _ in self._programs.old.given if isinstance(owner, Instance))
        return {owner.cls.node for owner in owners if self._include(owner)}

    def change(self, form: Node) -> bool:
        """Whether what has this form does something else in the edited program."""
        return form in self._changed

    def _include(self, value: Value) -> bool:
        return isinstance(value, (Built, Instance, Function)) and self._forms.of(value) in self._changed

    def _hold(self, value: Value, depth: int = 3) -> bool:
        if any(map(self._include, alternatives(value))):
            return True
        return depth > 0 and any(self._hold(v, depth - 1) for v in held(value))

    def _end(self, module: AnalysedModule, node: ast.expr) -> str:
        inner, around = module.syntax.user(node)
        match around:
            case ast.Call() if inner is not around.func:
                return self._given(module, around)
            case ast.Attribute(ctx=ast.Load()):
                return self._asked(module, around)
            case ast.Attribute() | ast.Subscript():  # what it gives is compared itself
                return ""
            case ast.Return() | ast.Lambda():
                scope = around if isinstance(around, ast.Lambda) else module.syntax.scope(around)
                return "" if module.uses.is_called_anywhere(scope) else "the object that unknown callers get"
            case ast.expr() if isinstance(around, ast.Call) or any(self._hold(v) for v in module.values(around)):
                return ""
        return "" if isinstance(around, _UNREAD) else "the object, which goes where it can't be followed,"

    def _given(self, module: AnalysedModule, call: ast.Call) -> str:
        callees = [c for v in module.values(call.func) for c in alternatives(v)]
        if any(runs_project_code(c) or is_known(c) for c in callees) or runs_own_steps(module, call):
            return ""
        if are_shown_by(module, call, self._programs.modules):
            return ""
        if any(isinstance(c, External) and only_describes(c) for c in callees):
            return ""
        if any(map(self._hold, module.values(call))):
            return ""
        return f"the object that `{module.syntax.text(call.func)}` is handed"

    def _asked(self, module: AnalysedModule, attribute: ast.Attribute) -> str:
        call, name = module.syntax.parent(attribute), attribute.attr
        called = isinstance(call, ast.Call) and call.func is attribute
        answers = module.values(attribute)
        if isinstance(call, ast.Call) and called and name.startswith("fit") and _keeps_checkpoints(module):
            own = not answers or any(map(_is_own, answers))
            if own or not only_look(module, call, self._programs.modules):
                return "the model that a checkpoint keeps"
        foreign = not answers or any(isinstance(a, Bound) and not _is_own(a) for a in answers)
        if name == "apply" and isinstance(call, ast.Call) and called and _hands_on_layers(module, call):
            return "the layers that `.apply` hands on"
        if name in LAYERS or asked_for_shape(module, attribute):
            return ""  # which layers a model shows, and who reads more of them than weights, is asked of its owners
        return f"`.{name}` of what is changed" if foreign and name not in ASKED | _OF_METRICS else ""


def _doings(uses: Uses, forms: Forms) -> Mapping[Node, set[Node]]:
    """What each object does: as what it was made, and what calling it gave."""
    found: dict[Node, set[Node]] = {}
    for owner, value in uses.given:
        doings = found.setdefault(forms.of(owner), set())
        doings.add(forms.of(value))
        if isinstance(owner, Built):
            doings.add(forms.contents(owner))
    return found


def _is_bare(module: AnalysedModule, cls: ast.ClassDef) -> bool:
    """Whether nothing decorates a class but what leaves it what it is."""
    return all(
        isinstance(v, External) and v.name.startswith(_PLAIN)
        for decorator in cls.decorator_list
        for v in module.values(decorator.func if isinstance(decorator, ast.Call) else decorator) or [None]
    )


def _hands_on_layers(module: AnalysedModule, apply: ast.Call) -> bool:
    """Whether ``net.apply(f)`` is PyTorch's, of a function that isn't the project's: Flax' is given inputs."""
    values = [a for v in module.values(apply.args[0]) for a in alternatives(v)] if len(apply.args) == 1 else []
    return not apply.keywords and bool(values) and not all(map(runs_project_code, values))


def _is_own(value: Value) -> bool:
    return isinstance(value, Bound) and not isinstance(value.function, str)


def _keeps_checkpoints(module: AnalysedModule) -> bool:
    """Whether a file makes something that keeps whole models while they are trained."""
    calls = (n for n in module.syntax.nodes if isinstance(n, ast.Call) and last_name(n.func) in CHECKPOINTS)
    return any(not _only_weights(call) for call in calls)


def _only_weights(call: ast.Call) -> bool:
    given = {k.arg: k.value for k in call.keywords}.get("save_weights_only")
    return isinstance(given, ast.Constant) and given.value is True
