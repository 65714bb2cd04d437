"""The models and functions that give a head's output, and who else gets hold of them: those may read it unseen."""

from __future__ import annotations

import ast

from finallayer.expr import Node
from finallayer.fix.flow.head import Output, held
from finallayer.fix.flow.roles import HARMLESS_CALLS, alternatives, runs_project_code
from finallayer.fix.text.syntax import Syntax
from finallayer.source.values import Bound, Built, External, Function, Instance, Partial, Value

#: What a program does with a model without asking for its output.
_MODEL_METHODS = frozenset(
    (
        "compile fit fit_generator evaluate evaluate_generator train_on_batch test_on_batch summary add append build "
        "count_params get_weights set_weights load_weights save_weights reset_metrics reset_states get_config "
        "predict predict_on_batch "
        "trainable_weights variables weights losses metrics_names optimizer loss stop_training "
        "name layers parameters named_parameters state_dict load_state_dict train eval to cuda cpu zero_grad half "
        "float "
        "double requires_grad_ training type share_memory init apply init_with_output tabulate bind setup forward "
        "__call__ call stateless_call trainable_variables non_trainable_variables"
    ).split()
)
#: Keeping a model for others, who will miss the softmax that it had.
_SAVING = frozenset("save export save_model to_json to_yaml to_onnx script trace dump onnx.export".split())


class Owners:
    """The objects that give the output when they are called."""

    def __init__(self, output: Output) -> None:
        self._output, self._uses = output, output.uses
        self.compiled: list[tuple[str, ast.Call]] = []  # Keras: where a model meets its loss and its metrics
        self.unseen: list[str] = []  # readers that nobody can see from here
        self._objects = self._found()
        for owner in self._objects:
            if isinstance(owner, Function) and not isinstance(owner.node, ast.Lambda):
                self._note_returns(owner)
                self._note_mentions(owner)

    def include(self, value: Value) -> bool:
        """Whether a value is, or may be, one of the objects."""
        return _is_one_of(value, self._objects)

    def _hold(self, value: Value) -> bool:
        return any(map(self.include, held(value)))

    def _found(self) -> list[Value]:
        found: list[Value] = []
        for owner, value in self._uses.given:
            if self._output.touches(value) and not _is_one_of(owner, found) and not _is_layer(owner):
                found.append(owner)
                if isinstance(owner, Instance):
                    found.append(owner.cls)
        return found

    def _note_returns(self, owner: Function) -> None:
        """Note what else a function that gives the output may return, in code that the analysis never ran."""
        path = owner.frame.module.path
        for node in ast.walk(owner.node):
            if isinstance(node, ast.Return) and node.value and not self._uses.evaluated(path, node.value):
                self._cannot_see(f"`{owner.name}` returns another in code that nothing runs", node)

    def _note_mentions(self, owner: Function) -> None:
        """Note where code that the analysis never ran may call a method, or read a property, that gives the output."""
        for path, syntax in self._output.syntaxes.items():
            attributes = (n for n in syntax.nodes if isinstance(n, ast.Attribute))
            for node in attributes:
                if node.attr == owner.name and not self._uses.evaluated(path, node) and isinstance(node.ctx, ast.Load):
                    self._cannot_see(f"`{syntax.text(node)}` in code that nothing runs", node)

    def judge(self, path: str, syntax: Syntax, node: ast.expr) -> None:
        """Note what an expression that stands for one of the objects shows."""
        inner, around = syntax.user(node)
        match around:
            case ast.Call() if inner is around.func:
                return
            case ast.Call():
                self._given(path, syntax, around)
            case ast.Attribute(ctx=ast.Store()):
                return
            case ast.Attribute(attr=name):
                owners = self._uses.of(path, around)
                called = syntax.parent(around)
                if name == "compile" and isinstance(called, ast.Call) and called.func is around:
                    self.compiled.append((path, called))
                foreign = not owners or any(isinstance(o, (Node, Bound)) and not _own(o) for o in owners)
                if name in _SAVING:
                    self._cannot_see(f"the model is kept by `{name}`", node)
                elif foreign and (
                    name not in _MODEL_METHODS or (name == "layers" and isinstance(called, ast.Subscript))
                ):
                    self._cannot_see(f"`.{name}` of the model", node)
            case ast.Return() | ast.Lambda():
                scope = around if isinstance(around, ast.Lambda) else syntax.scope(around)
                if not self._uses.is_called(scope):
                    self._cannot_see("the model is returned to callers unknown here", node)
            case ast.Assign() | ast.AnnAssign() | ast.NamedExpr() | ast.Expr() | ast.ClassDef():
                return
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.arguments() | ast.arg():
                return
            case ast.Compare() | ast.If():
                return
            case ast.expr() if any(self.include(v) or self._hold(v) for v in self._uses.of(path, around)):
                return
            case _:
                self._cannot_see("the model goes where it can't be followed", node)

    def _given(self, path: str, syntax: Syntax, call: ast.Call) -> None:
        callees = [c for v in self._uses.of(path, call.func) for c in alternatives(v)]
        results = self._uses.of(path, call)
        if any(runs_project_code(c) for c in callees):
            return
        if any(isinstance(c, External) and c.name in HARMLESS_CALLS | {"builtins.print"} for c in callees):
            return
        if any(self.include(r) or (isinstance(r, Partial) and self.include(r.function)) for r in results):
            return
        name = syntax.text(call.func)
        kept = name.rpartition(".")[2] in _SAVING or name.endswith(("onnx.export", "torch.save"))
        self._cannot_see(f"the model is kept by `{name}`" if kept else f"the model is handed to `{name}`", call)

    def _cannot_see(self, what: str, node: ast.expr | ast.stmt) -> None:
        self.unseen.append(f"{what} (line {node.lineno})")


def _own(value: Value) -> bool:
    return isinstance(value, Bound) and not isinstance(value.function, str)


def _is_layer(owner: Value) -> bool:
    """A softmax layer or a dense layer with an activation: the head itself, not a model that ends in it."""
    return isinstance(owner, Built) and owner.signature.op not in ("sequential", "model", "zoo", "application")


def _is_one_of(value: Value, objects: list[Value]) -> bool:
    return any(v is o for v in alternatives(value) for o in objects)
