"""The models and functions that give a head's output, and who else gets hold of them: those may read it unseen."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from finallayer.catalog.names import canonical
from finallayer.expr import OPERATIONS, UNDECLARED, Node, Role
from finallayer.fix.flow.analysed import AnalysedModule, alternatives, where
from finallayer.fix.flow.head import Output, held
from finallayer.fix.flow.roles import HARMLESS_CALLS, runs_project_code
from finallayer.fix.flow.trained_with import are_shown_by
from finallayer.fix.flow.trainers import runs_own_steps
from finallayer.fix.flow.weights import (
    LAYERS,
    Going,
    asked_for_shape,
    asked_for_weights,
    goes_over_weights,
    inner_layer,
)
from finallayer.source.keras_models import measures_itself
from finallayer.source.symbols import signature_of
from finallayer.source.values import CONSTANTS, Bound, Built, Class, External, Function, Instance, Partial, Union, Value
from finallayer.source.walking import walk

#: What a program does with a model without asking for its output.
MODEL_METHODS = frozenset(
    (
        "compile fit fit_generator evaluate evaluate_generator train_on_batch test_on_batch summary add append build "
        "count_params get_weights set_weights load_weights save_weights reset_metrics reset_states "
        "add_module predict predict_on_batch predict_classes "
        "trainable_weights variables weights losses metrics_names optimizer stop_training "
        "history name layers parameters named_parameters state_dict load_state_dict train eval to cuda cpu zero_grad "
        "half float "
        "double requires_grad_ training type share_memory init apply init_with_output tabulate bind setup forward "
        "__call__ call stateless_call trainable_variables non_trainable_variables "
        "log log_dict logger trainer device hparams save_hyperparameters current_epoch global_step "
        "automatic_optimization manual_backward optimizers lr_schedulers"
    ).split()
)
#: Those of them that give it.
GIVING = frozenset("predict predict_on_batch predict_classes layers apply forward __call__ call stateless_call".split())
#: Keeping a model for others, who will miss the softmax that it had.
_SAVING = frozenset("save export save_model to_json to_yaml to_onnx script trace dump onnx.export".split())
#: Functions that draw or list a model's layers.
_DESCRIBING = frozenset(
    "keras.utils.plot_model keras.utils.model_to_dot keras.utils.vis_utils.plot_model keras.utils.print_summary "
    "torchsummary.summary torchinfo.summary".split()
)
#: What keeps, or reads, the weights of a model and nothing else of it.
_OF_WEIGHTS = frozenset({"tensorflow.train.Checkpoint"})
#: Decorators of classes that hand them to nobody who would call them.
_OF_CLASSES = frozenset(
    (
        "dataclasses.dataclass functools.total_ordering typing.final flax.struct.dataclass "
        "keras.saving.register_keras_serializable keras.utils.register_keras_serializable"
    ).split()
)
#: Where a model is read by nobody: what is around it gives it a name, or only asks whether it is there.
_UNREAD = (
    *(ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.Attribute, ast.Expr, ast.Compare, ast.If),
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.arguments, ast.arg),
)


#: What is called by nobody, or is nobody's of the project: values that are none of the objects.
_NO_OWNERS = (*CONSTANTS, Node, External)


class Owners:
    """The objects that give the output when they are called."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._included: dict[int, tuple[Value, bool]] = {}  # by identity, which lasts while the value is kept
        self.compiled: list[tuple[AnalysedModule, ast.Call]] = []  # Keras: where a model meets its loss and its metrics
        self.unseen: list[str] = []  # readers that nobody can see from here
        self._objects = self._found()
        self._layers = [o for o, v in output.uses.given if _is_layer(o) and output.touches(v)]
        self._going = Going(output.head.op, any(map(_is_only_a_head, self._layers)))
        self._definitions = set(self._defined_elsewhere())
        runs = (output.uses, *output.uses.elsewhere)
        given = (pair for uses in runs for pair in uses.given)
        self._makers = {o.node: o for o, v in given if isinstance(o, Function) and self._gives_one(o, v)}
        for owner in self._objects:
            if isinstance(owner, Class):
                self._note_registries(owner)
            if isinstance(owner, Function) and not isinstance(owner.node, ast.Lambda):
                self._note_returns(owner)
                self._note_mentions(owner)
        for maker in self._makers.values():
            self._note_mentions(maker)

    @property
    def modules(self) -> Mapping[str, AnalysedModule]:
        """The files of the program."""
        return self._output.modules

    def include(self, value: Value) -> bool:
        """Whether a value is, or may be, one of the objects."""
        if isinstance(value, _NO_OWNERS):
            return False
        if id(value) not in self._included:
            one = _is_one_of(value, self._objects) or any(
                _definition(v) in self._definitions for v in alternatives(value) if self._definitions
            )
            self._included[id(value)] = value, one
        return self._included[id(value)][1]

    def may_be(self, module: AnalysedModule, cls: ast.ClassDef) -> bool:
        """Whether an object of a class, or of one that inherits from it, may be one of the objects."""
        ours = [line for o in self._objects if isinstance(o, Class) for line in o.ancestry()]
        above = [line for b in cls.bases for v in module.values(b) if isinstance(v, Class) for line in v.ancestry()]
        return any(isinstance(c, Class) and c.node is cls for c in ours) or any(c in self._objects for c in above)

    @property
    def definitions(self) -> Iterator[ast.AST]:
        """Where the program defines the functions and classes that give the output, or a model of it."""
        yield from self._makers
        yield from (o.node for o in self._objects if isinstance(o, (Function, Class)))

    def make_one(self, value: Value) -> bool:
        """Whether a value is a function that gives one of the objects: ``build`` of ``model = build()``."""
        return isinstance(value, (Function, Union)) and any(
            isinstance(v, Function) and v.node in self._makers for v in alternatives(value)
        )

    def _gives_one(self, maker: Function, value: Value) -> bool:
        return not self.include(maker) and (self.include(value) or self._hold(value))

    def _hold(self, value: Value) -> bool:
        return any(map(self.include, held(value)))

    def _found(self) -> list[Value]:
        found: list[Value] = []
        for owner, value in self._output.uses.given:
            if self._output.touches(value) and not _is_one_of(owner, found) and not _is_layer(owner):
                found.append(owner)
                if isinstance(owner, Instance):
                    found.append(owner.cls)
        return found

    def _defined_elsewhere(self) -> Iterator[ast.AST]:
        """Where that stands which gives the output when another program calls it: this one may only hand it on."""
        for uses in self._output.uses.elsewhere:
            for owner, value in uses.given:
                definition = _definition(owner)
                if definition is not None and self._output.touches(value) and not _is_layer(owner):
                    yield definition

    def _note_registries(self, owner: Class) -> None:
        """Note who gets hold of a class where it is defined: a registry, which others ask for it by a name."""
        modules = (m for m in self._output.modules.values() if m.syntax.parent(owner.node) is not None)
        module = next(modules, None)
        told = [line.name for line in owner.ancestry() if isinstance(line, Class) and "__init_subclass__" in line.slots]
        if told:
            self._cannot_see(f"`{told[0]}`, which is told of `{owner.name}`,", owner.node)
        for decorator in owner.node.decorator_list:
            if module is None:
                return
            func = decorator.func if isinstance(decorator, ast.Call) else decorator
            names = {canonical(v.name) if isinstance(v, External) else "" for v in module.values(func)}
            if not names or not names <= _OF_CLASSES:
                self._cannot_see(f"what decorates `{owner.name}`", decorator)

    def _note_returns(self, owner: Function) -> None:
        """Note what else a function that gives the output may return, in code that the analysis never ran."""
        module = self._output.modules.get(owner.frame.module.path)
        returned = (n for n in walk(owner.node) if isinstance(n, ast.Return) and n.value)
        for node in returned if module is not None else ():
            if node.value and module and not module.evaluated(node.value):
                self._cannot_see(f"`{owner.name}` returns another in code that nothing runs", node)

    def _note_mentions(self, owner: Function) -> None:
        """Note where code that the analysis never ran may call a method, or read a property, that gives the output."""
        for module in self._output.modules.values():
            for node in module.syntax.all_of(ast.Attribute):
                if node.attr == owner.name and not module.evaluated(node) and isinstance(node.ctx, ast.Load):
                    self._cannot_see(f"`{module.syntax.text(node)}` in code that nothing runs", node)

    def judge_layer(self, module: AnalysedModule, node: ast.expr) -> None:
        """Note who asks the head's own layer for something that it won't do any more: to tell what it gives, say."""
        around = module.syntax.parent(node)
        if not isinstance(around, ast.Attribute) or around.attr in MODEL_METHODS:
            return
        if any(_is_one_of(v, self._layers) for v in module.values(node)):
            self._cannot_see(f"`{module.syntax.text(around)}` of the layer", node)

    def holds(self, value: Value) -> bool:
        """Whether a value is a container that holds one of the objects."""
        return not isinstance(value, Class) and self._hold(value)

    def judge_container(self, module: AnalysedModule, node: ast.expr) -> None:
        """Note who is handed a container that holds one of the objects."""
        inner, around = module.syntax.user(node)
        handed = isinstance(around, ast.Call) and inner is not around.func
        if isinstance(around, ast.Call) and handed and not any(map(self._hold, module.values(around))):
            self._given(module, around)

    def judge_maker(self, module: AnalysedModule, node: ast.expr) -> None:
        """Note who is handed a function that makes the model: he may ask what it makes for its output."""
        inner, around = module.syntax.user(node)
        handed = isinstance(around, ast.Call) and inner is not around.func
        if isinstance(around, ast.Call) and handed and not any(map(self.make_one, module.values(around))):
            self._given(module, around, "what makes the model")

    def judge(self, module: AnalysedModule, node: ast.expr) -> None:
        """Note what an expression that stands for one of the objects shows."""
        inner, around = module.syntax.user(node)
        match around:
            case ast.Call() if inner is around.func:
                return
            case ast.Call():
                self._given(module, around)
            case ast.Attribute(ctx=ast.Load()):
                self._asked(module, node, around)
            case ast.Return() | ast.Lambda():
                scope = around if isinstance(around, ast.Lambda) else module.syntax.scope(around)
                if not module.is_called(scope):
                    self._cannot_see("the model is returned to callers unknown here", node)
            case ast.expr() if any(self.include(v) or self._hold(v) for v in module.values(around)):
                return
            case ast.Subscript(slice=ast.Constant(value=int())) if self._is_inner_layer(module, around):
                return
            case ast.For() | ast.comprehension() if inner is around.iter and goes_over_weights(
                module, around, self._going
            ):
                return
            case _ if not isinstance(around, _UNREAD):
                self._cannot_see("the model goes where it can't be followed", node)

    def _is_inner_layer(self, module: AnalysedModule, item: ast.Subscript) -> bool:
        """Whether an item of a Sequential, counted from the front, is one of the layers before the head."""
        layers = module.values(item)
        head = self._output.head.op
        return bool(layers) and all(
            isinstance(layer, Built) and layer.signature.op != head and "activation" not in layer.bound
            for layer in layers
        )

    def _asked(self, module: AnalysedModule, model: ast.expr, attribute: ast.Attribute) -> None:
        """Note who asks a model for something that isn't its output, or may be."""
        name, called = attribute.attr, module.syntax.parent(attribute)
        if name == "compile" and isinstance(called, ast.Call) and called.func is attribute:
            self.compiled.append((module, called))
            if any(measures_itself(v) for v in module.values(model)):
                self._cannot_see("the model's own class says what its metrics read", model)
        answers = module.values(attribute)
        foreign = not answers or any(isinstance(a, (Node, Bound)) and not _own(a) for a in answers)
        foreign = foreign and not self._is_given_by_project(module, model, name)
        if name in _SAVING:
            self._cannot_see(f"the model is kept by `{name}`", model)
        elif asked_for_shape(module, attribute) or (
            name in LAYERS and asked_for_weights(module, attribute, self._going)
        ):
            return
        elif name == "layers" and (foreign or _is_built(module, model)) and not inner_layer(module, attribute):
            self._cannot_see("`.layers` of the model", model)
        elif name == "summary" and isinstance(called, ast.Call) and self._going.layer and _is_kept(called, "print_fn"):
            self._cannot_see("the model's summary is kept", model)
        elif foreign and name in GIVING and self._is_handed_on(module, attribute):
            self._cannot_see(f"`{module.syntax.text(attribute)}` goes where it can't be followed", model)
        elif foreign and name not in MODEL_METHODS:
            self._cannot_see(f"`.{name}` of the model", model)

    def _is_handed_on(self, module: AnalysedModule, method: ast.Attribute) -> bool:
        """Whether a method that gives the output is itself given to somebody else than a name or the project's code."""
        inner, around = module.syntax.user(method)
        match around:
            case ast.Call() if inner is not around.func:
                callees = [c for v in module.values(around.func) for c in alternatives(v)]
                partial = any(isinstance(v, Partial) for v in module.values(around))
                return not partial and not (callees and all(map(runs_project_code, callees)))
            case ast.Return() | ast.Lambda() | ast.List() | ast.Tuple() | ast.Dict() | ast.Set():
                return True
            case ast.Assign(targets=targets):
                return not all(isinstance(target, ast.Name) for target in targets)
        return False

    def _is_given_by_project(self, module: AnalysedModule, model: ast.expr, name: str) -> bool:
        """Whether an attribute of a project's own object is what the project put there: a backbone from elsewhere."""
        own = all(isinstance(v, Instance) for v in module.values(model))
        return own and any(name in other.syntax.stored for other in self._output.modules.values())

    def _given(self, module: AnalysedModule, call: ast.Call, what: str = "the model") -> None:
        callees = [c for v in module.values(call.func) for c in alternatives(v)]
        results = module.values(call)
        if any(runs_project_code(c) or _calls_at_once(c) for c in callees) or runs_own_steps(module, call):
            return
        if are_shown_by(module, call, self._output.modules):
            return
        if any(isinstance(c, External) and only_describes(c) for c in callees):
            if self._going.layer and _is_kept(call, "file", "print_fn"):
                self._cannot_see("what the model is made of is kept", call)
            if any(c.name == "builtins.type" for c in callees if isinstance(c, External)):
                self._note_type(module, call)
            return
        if any(self.include(r) or (isinstance(r, Partial) and self.include(r.function)) for r in results):
            return
        name = module.syntax.text(call.func)
        kept = name.rpartition(".")[2] in _SAVING or name.endswith(("onnx.export", "torch.save"))
        self._cannot_see(f"{what} is kept by `{name}`" if kept else f"{what} is handed to `{name}`", call)

    def _note_type(self, module: AnalysedModule, call: ast.Call) -> None:
        """Note a model's class that is asked for by ``type(net)``, if not for its name: it makes others."""
        around = module.syntax.parent(call)
        named = isinstance(around, ast.Attribute) and around.attr in ("__name__", "__qualname__", "__module__")
        if not named and not isinstance(around, (ast.Compare, ast.FormattedValue, ast.Expr)):
            self._cannot_see(f"`{module.syntax.text(call)}`, which may make others,", call)

    def _cannot_see(self, what: str, node: ast.expr | ast.stmt) -> None:
        self.unseen.append(f"{what} ({where(self._output.modules, node)})")


def _calls_at_once(callee: Value) -> bool:
    """Whether a function calls what it is handed, and gives what that gives: ``checkpoint``, ``data_parallel``."""
    signature = signature_of(callee.name) if isinstance(callee, External) else None
    return signature is not None and signature.op == "call"


def _is_kept(call: ast.Call, *to: str) -> bool:
    """Whether a description of a model goes anywhere else than to the screen."""
    return any(k.arg in to and ast.unparse(k.value) not in ("print", "None", "sys.stdout") for k in call.keywords)


def only_describes(function: External) -> bool:
    """Whether a function that is handed a model only says what it is made of, or keeps its weights."""
    known = HARMLESS_CALLS | _OF_WEIGHTS | {"builtins.print"}
    return function.name in known or canonical(function.name) in _DESCRIBING


def _own(value: Value) -> bool:
    return isinstance(value, Bound) and not isinstance(value.function, str)


def _definition(owner: Value) -> ast.AST | None:
    """What defines a function or a class, or constructs a model: the same for every program that comes to it."""
    match owner:
        case Function(node=node) | Class(node=node) | Instance(cls=Class(node=node)):
            return node
        case Built(site=site):
            return site.node
    return None


def _is_layer(owner: Value) -> bool:
    """A softmax layer or a dense layer with an activation: the head itself, not a model that ends in it."""
    return isinstance(owner, Built) and owner.signature.op not in ("sequential", "model", "zoo", "application")


def _is_only_a_head(layer: Value) -> bool:
    """Whether a layer does nothing but apply the head, so that none is left once that goes."""
    op = layer.signature.op if isinstance(layer, Built) else ""
    return op == "applier" or Role.HEAD in OPERATIONS.get(op, UNDECLARED).role


def _is_one_of(value: Value, objects: list[Value]) -> bool:
    return any(v is o or (isinstance(v, Instance) and v.cls is o) for v in alternatives(value) for o in objects)


def _is_built(module: AnalysedModule, model: ast.expr) -> bool:
    """Whether a model is of a framework's own class: its list of layers is one layer shorter, once the head goes."""
    return any(isinstance(a, Built) for v in module.values(model) for a in alternatives(v))
