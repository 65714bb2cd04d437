"""Taking a softmax or sigmoid out of a program: a call, a layer among others, or a layer's activation."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from finallayer.catalog.names import canonical
from finallayer.expr import Node, Origin
from finallayer.findings import Edit
from finallayer.fix.flow.analysed import AnalysedModule, made_alike
from finallayer.fix.flow.bindings import changes_after, home
from finallayer.fix.flow.callers import parameter_behind
from finallayer.fix.flow.flags import flag_of
from finallayer.fix.flow.head import Head, held
from finallayer.fix.flow.idle_layer import idle_layer
from finallayer.fix.flow.known_calls import Argument, KnownCall, arguments, calls_method, known_call, operation_of
from finallayer.fix.text.deletion import drop_item, false_comments, whole_line
from finallayer.fix.text.keras_spelling import with_argument
from finallayer.fix.text.names import says_probabilities
from finallayer.fix.text.syntax import Syntax
from finallayer.source.symbols import signature_of
from finallayer.source.values import Built, Dict, External
from finallayer.source.walking import walk

_HEAD_LAYERS = frozenset({"softmax", "log_softmax", "sigmoid", "applier"})
#: Arguments of a layer by which something else reads its output, with the activation applied.
_READING = frozenset({"activity_regularizer", "outputs_collections"})
_ADDING = ("add", "append", "add_module")


class Removal(NamedTuple):
    """How a head is taken out, and the places under which the program's nodes know it."""

    edits: tuple[Edit, ...]
    head: Head
    call: KnownCall | None = None  # of the softmax, where it is one: shows how the user spells it

    @property
    def unseen(self) -> list[str]:
        """Readers that nobody can see from here: whoever asks TensorFlow's graph for the operation by its name."""
        named = self.call is not None and self.call.argument("name") is not None
        return [f"the operation's name in the graph (line {self.call.node.lineno})"] if self.call and named else []


def remove_all(made: Sequence[Node], modules: Mapping[str, AnalysedModule]) -> Removal | None:
    """How to take out several that are alike; None where the place of one isn't understood."""
    found = [remove(m, modules[m.origin.path]) for m in made if m.origin is not None and m.origin.path in modules]
    first = found[0] if found else None
    if first is None or len(found) < len(made) or None in found:
        return None
    edits = dict.fromkeys(edit for removal in found if removal is not None for edit in removal.edits)
    origins = frozenset[Origin]().union(*(removal.head.origins for removal in found if removal is not None))
    return first._replace(edits=tuple(edits), head=Head(first.head.op, origins))


def remove(made: Node, module: AnalysedModule) -> Removal | None:
    """How to take out what made these probabilities; None where its place isn't understood."""
    syntax = module.syntax
    place = syntax.expression(made.origin)
    if not isinstance(place, ast.Call) or made.origin is None:
        return None
    head = Head(made.op, frozenset({made.origin}))
    called, itself = module.layer(place.func), module.layer(place)
    if any(layer is not None and _says_more(module, layer) for layer in (called, itself)):
        return _made_linear(module, called or itself, made)
    if _is_given(module, place.func) or any(_is_told_by_callers(module, layer) for layer in (called, itself)):
        return None
    known = known_call(module, place)
    if (listed := _listed(module, place, made)) is not None:
        edits = _taken_from_its_list(module, listed)
        return Removal(edits, head) if edits else None
    if called is not None and called.signature.op in _HEAD_LAYERS and _is_handed_over(module, called):
        edits = _as_identity(module, called)
        return Removal(edits, head) if edits else None
    if called is not None and called.signature.op in _HEAD_LAYERS:
        edits = _replaced_by_argument(syntax, known) if known is not None else ()
        unused = idle_layer(syntax, place.func)
        return Removal((*edits, *unused), head) if edits else None
    if itself is not None and itself.signature.op in _HEAD_LAYERS:
        edits = _taken_from_its_list(module, place)
        return Removal(edits, head) if edits else None
    if itself is not None and itself.signature.op == "application":
        edits = _told_to_give_logits(module, place)
        return Removal(edits, head) if edits else None
    layer = called or itself
    constructor = module.maker(layer) if layer is not None else None
    if layer is not None and layer.signature.call is not None:
        if constructor is None:
            return None
        given = arguments(layer.signature.params, constructor.args, constructor.keywords)
        edit = _without_activation(module, constructor, given, made)
        applied = Head(made.op, frozenset(_applied(module, layer, constructor, made)))
        return Removal((edit,), applied) if edit else None
    if known is None or known.op != made.op:
        edit = _without_activation(module, place, known.arguments if known is not None else (), made)
        return Removal((edit,), head) if edit else None
    edits = _replaced_by_argument(syntax, known)
    return Removal(edits, head, known) if edits else None


def _listed(module: AnalysedModule, call: ast.Call, made: Node) -> ast.Call | None:
    """The one layer of its kind that a call in a loop over a list of layers applies: ``for layer in self.layers``."""
    layers = module.layers(call.func) if isinstance(call.func, ast.Name) else []
    heads = [layer for layer in layers if layer.signature.op == made.op]
    return module.maker(heads[0]) if len(layers) > 1 and len(heads) == 1 else None


def _is_given(module: AnalysedModule, func: ast.expr) -> bool:
    """Whether a function to call is its caller's choice, and would be nobody's once the call has gone."""
    syntax = module.syntax
    if isinstance(func, ast.Name):
        return parameter_behind(syntax, func) is not None
    same = [n for n in syntax.nodes if isinstance(n, ast.Attribute) and n.attr == getattr(func, "attr", "")]
    kept = (syntax.parent(n) for n in same if not isinstance(n.ctx, ast.Load))
    handed = any(isinstance(s, ast.Assign) and parameter_behind(syntax, s.value) is not None for s in kept)
    return handed and sum(isinstance(n.ctx, ast.Load) for n in same) == 1


def _is_told_by_callers(module: AnalysedModule, layer: Built | None) -> bool:
    """Whether a layer applies what the callers of its function name: ``Activation(activation)``."""
    told = _told(module, layer)
    return told is not None and _is_open(module, told)


def _told(module: AnalysedModule, layer: Built | None) -> ast.expr | None:
    """What names the activation that a layer is there to apply: ``Activation("softmax")``."""
    constructor = module.maker(layer) if layer is not None and layer.signature.op == "applier" else None
    if layer is None or constructor is None:
        return None
    return _activation(arguments(layer.signature.params, constructor.args, constructor.keywords))


def _activation(given: Sequence[Argument]) -> ast.expr | None:
    return next((a.node for a in given if a.meaning == "activation"), None)


def _is_handed_over(module: AnalysedModule, layer: Built) -> bool:
    """Whether a layer is made as an argument: who is handed it may be handed others by other callers."""
    node = layer.site.node
    other = layer.site.frame.module.path != module.path
    return other or (isinstance(module.syntax.user(node)[1], ast.Call) and not _is_called(module.syntax, node))


def _is_called(syntax: Syntax, node: ast.AST) -> bool:
    """``nn.Softmax(dim=1)(x)``"""
    parent = syntax.parent(node)
    return isinstance(parent, ast.Call) and parent.func is node


def _as_identity(module: AnalysedModule, layer: Built) -> tuple[Edit, ...]:
    """``Head(nn.Softmax(dim=1))`` becomes ``Head(nn.Identity())``: what else is handed over there stays."""
    constructor = module.maker(layer)
    func = constructor.func if constructor is not None else None
    is_torch = canonical(layer.symbol.name).startswith("torch.nn.")
    if constructor is None or not isinstance(func, ast.Attribute) or not is_torch:
        return ()
    return (module.syntax.replace(constructor, f"{module.syntax.text(func.value)}.Identity()"),)


def _told_to_give_logits(module: AnalysedModule, network: ast.Call) -> tuple[Edit, ...]:
    """``VGG16()`` of keras.applications becomes ``VGG16(classifier_activation=None)``."""
    return with_argument(module.syntax, network, "classifier_activation", "None") or ()


def _says_more(module: AnalysedModule, layer: Built) -> bool:
    """Whether a softmax layer also converts its numbers, or has a name that doesn't speak of it, or is said elsewhere.

    That may be the key of its output's loss, or of a metric in the history (``a_accuracy``), say.
    """
    constructor = module.maker(layer) if layer.signature.op in _HEAD_LAYERS else None
    if constructor is None or not canonical(layer.symbol.name).startswith("keras."):
        return False
    named = [k.value for k in constructor.keywords if k.arg == "name"]
    if any(k.arg == "dtype" for k in constructor.keywords) or any(not isinstance(n, ast.Constant) for n in named):
        return True
    if layer.signature.op == "applier" and any(not says_probabilities(str(getattr(n, "value", ""))) for n in named):
        return True
    names = [re.escape(str(n.value)) for n in named if isinstance(n, ast.Constant)]
    own = names[0] if names else rf"{_default_name(layer)}_\d+"  # of another layer, which would be called otherwise
    said = re.compile(rf"(\w*[_/])?{own}([_/:]\w*)?")
    inside = list(walk(constructor))
    texts = (n.value for n in module.syntax.nodes if isinstance(n, ast.Constant) and n not in inside)
    return any(isinstance(t, str) and said.fullmatch(t) for t in texts) or _is_one_of_several_outputs(module)


def _default_name(layer: Built) -> str:
    """What Keras calls a layer that isn't told its name: ``activation``, ``activation_1`` ..."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", layer.symbol.name.rpartition(".")[2]).lower()


def _is_one_of_several_outputs(module: AnalysedModule) -> bool:
    """Whether a file makes a model of several outputs: the names of their layers are those of their losses."""
    models = (v for n in module.syntax.nodes if isinstance(n, ast.Call) for v in module.values(n))
    outputs = (m.bound.get("outputs") for m in models if isinstance(m, Built) and m.signature.op == "model")
    return any(len(list(held(o))) > 1 for o in outputs if o is not None and not isinstance(o, Dict))


def _made_linear(module: AnalysedModule, layer: Built | None, made: Node) -> Removal | None:
    """``Activation("softmax", dtype="float32")`` becomes ``Activation("linear", dtype="float32")``."""
    told, constructor = _told(module, layer), module.maker(layer) if layer is not None else None
    if layer is None or constructor is None or not isinstance(told, ast.Constant) or told.value != made.op:
        return None
    quote = module.syntax.text(told)[0]
    edit = module.syntax.replace(told, f"{quote}linear{quote}")
    return Removal((edit,), Head(made.op, frozenset(_applied(module, layer, constructor, made))))


def _without_activation(module: AnalysedModule, call: ast.Call, given: Sequence[Argument], made: Node) -> Edit | None:
    """``Dense(10, activation="softmax")`` becomes ``Dense(10)``; so does a function that is told its activation."""
    told = _activation(given)
    values = module.values(told) if told is not None else []
    if any(k.arg in _READING and getattr(k.value, "value", k) is not None for k in call.keywords):
        return None
    if told is None or _is_open(module, told) or not values or any(operation_of(v) != made.op for v in values):
        return None
    if told in call.args[:-1] or _has_activation(module, call):
        return module.syntax.replace(told, "None")
    places = [*call.args, *(k.value for k in call.keywords)]
    return drop_item(module.syntax, [*call.args, *call.keywords], places.index(told))


def _has_activation(module: AnalysedModule, call: ast.Call) -> bool:
    """Whether a function that is told no activation applies one: ``slim.fully_connected`` applies a relu."""
    signatures = (signature_of(v.name) for v in module.values(call.func) if isinstance(v, External))
    given = (p for s in signatures if s is not None for p in s.params if p.canonical == "activation")
    return any(p.default is not None for p in given)


def _is_open(module: AnalysedModule, told: ast.expr) -> bool:
    """Whether an activation is what others say: a parameter, or an attribute that keeps one."""
    if isinstance(told, ast.Attribute):
        return isinstance(told.value, ast.Name) and told.value.id in ("self", "cls")
    return parameter_behind(module.syntax, told) is not None


def does_more(softmax: KnownCall) -> bool:
    """Whether a call of softmax also converts its numbers, or leaves some out."""
    return bool(softmax.besides("x", "axis", "name", "_stacklevel"))


def _replaced_by_argument(syntax: Syntax, known: KnownCall) -> tuple[Edit, ...]:
    """``softmax(z, dim=1)`` or ``z.softmax(1)`` becomes ``z``."""
    x, call = known.operand, known.node
    if x is None or does_more(known) or changes_after(syntax, call, x):  # the softmax was of the numbers before
        return ()
    text = syntax.text(x)
    if flag_of(syntax, call, text) is not None:  # who wants logits says so: both branches would be alike
        return ()
    parent = syntax.parent(call)
    assigned = parent if isinstance(parent, ast.Assign) else None
    if assigned is not None and [ast.unparse(t) for t in assigned.targets] == [text]:  # x = x
        line = _without(syntax, assigned)
        return (line,) if line is not None else ()
    if assigned is not None and isinstance(x, ast.Name) and (joined := _joined(syntax, assigned, x)):
        return joined
    return (syntax.replace(call, bracketed(syntax, call, x)), *false_comments(syntax, syntax.statement(call)))


def bracketed(syntax: Syntax, call: ast.Call, x: ast.expr) -> str:
    """The argument of a call as it stands in the call's place: in brackets where it would be read differently."""
    text, parent = syntax.text(x), syntax.parent(call)
    tight = isinstance(parent, _BINDING) or (isinstance(parent, ast.Call) and parent.func is call)
    whole = isinstance(x, (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.Constant))
    return f"({text})" if not whole and (tight or ("\n" in text and isinstance(parent, ast.stmt))) else text


def _without(syntax: Syntax, statement: ast.stmt) -> Edit | None:
    """The edit that takes a statement away, with an ``if`` that holds nothing else and asks for nothing but a name."""
    around = syntax.parent(statement)
    if isinstance(around, ast.If) and around.body == [statement] and not around.orelse:
        asks = (ast.Name, ast.Attribute, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Constant)
        parts = [n for n in walk(around.test) if isinstance(n, ast.expr)]
        return _without(syntax, around) if all(isinstance(n, asks) for n in parts) else None
    return whole_line(syntax, statement)


def _joined(syntax: Syntax, assigned: ast.Assign, x: ast.Name) -> tuple[Edit, ...]:
    """``x = dense(x)`` before ``out = softmax(x)`` becomes ``out = dense(x)``, where nothing else reads that ``x``."""
    block = getattr(syntax.parent(assigned), "body", [])
    before = block[block.index(assigned) - 1] if assigned in block[1:] else None
    scope = syntax.scope(assigned)
    if isinstance(scope, ast.Lambda) or any(isinstance(n, (ast.For, ast.While)) for n in syntax.around(assigned)):
        return ()
    match before, assigned.targets:
        case ast.Assign(targets=[ast.Name(id=name) as target]), [ast.Name(id=given)] if (
            name == x.id and not says_probabilities(given)
        ):
            end = before.end_lineno or before.lineno
            read = [n for n in syntax.loads() if n.id == name and n is not x]
            later = [n for n in read if n.lineno > end or syntax.scope(n) is not scope]
            line = whole_line(syntax, assigned)
            if line is not None and name not in syntax.declared and not any(home(syntax, n) is scope for n in later):
                return (syntax.replace(target, syntax.text(assigned.targets[0])), line)
    return ()


#: Where an operand's own operators would be read differently without brackets.
_BINDING = (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Attribute, ast.Subscript, ast.Await, ast.Starred)


def _taken_from_its_list(module: AnalysedModule, layer: ast.Call) -> tuple[Edit, ...]:
    """A softmax layer goes from the list, or the arguments, of the model that it ends; or with its ``add``."""
    syntax = module.syntax
    parent = syntax.parent(layer)
    if isinstance(parent, ast.Call) and calls_method(module, parent, *_ADDING):
        statement = syntax.parent(parent)
        edit = whole_line(syntax, statement) if isinstance(statement, ast.Expr) else None
        return (edit,) if edit else ()
    if isinstance(parent, ast.Assign):
        return _taken_by_name(module, parent)
    return _taken_from_the_end(module, layer)


def _taken_by_name(module: AnalysedModule, definition: ast.Assign) -> tuple[Edit, ...]:
    """``sigmoid = nn.Sigmoid()`` goes, and with it the name at the end of the one model that reads it.

    Where that model has it further in, too, ``Sequential(first, sigmoid, second, sigmoid)``, only its end goes.
    """
    syntax = module.syntax
    match definition.targets:
        case [ast.Name(id=name)]:
            same = [n for n in syntax.nodes if isinstance(n, ast.Name) and n.id == name]
            reads = [n for n in same if isinstance(n.ctx, ast.Load)]
            line = whole_line(syntax, definition)
            if len(same) != len(reads) + 1 or len({syntax.parent(n) for n in reads}) != 1 or line is None:
                return ()
            edits = _taken_from_the_end(module, max(reads, key=lambda n: (n.lineno, n.col_offset)))
            return (*edits, line) if edits and len(reads) == 1 else edits
    return ()


def _taken_from_the_end(module: AnalysedModule, layer: ast.expr) -> tuple[Edit, ...]:
    """The last layer goes from a model's list or arguments, with its comma."""
    syntax = module.syntax
    parent = syntax.parent(layer)
    model = syntax.parent(parent) if isinstance(parent, ast.List) else parent
    items: Sequence[ast.AST] = parent.elts if isinstance(parent, ast.List) else getattr(parent, "args", ())
    model = syntax.parent(model) if isinstance(model, ast.keyword) else model
    named = isinstance(parent, ast.List) and isinstance(model, ast.Assign)  # layers = [..., Softmax()]
    if not named and (not isinstance(model, ast.Call) or not _is_row_of_layers(module, model)):
        return ()
    if len(items) < 2 or items[-1] is not layer:
        return ()
    edit = drop_item(syntax, list(items), len(items) - 1)
    return (edit,) if edit else ()


def _is_row_of_layers(module: AnalysedModule, model: ast.Call) -> bool:
    """Whether a call makes a model of layers one behind the other, or a list of them."""
    built = module.layer(model)
    signatures = [signature_of(v.name) if isinstance(v, External) else None for v in module.values(model.func)]
    listed = bool(signatures) and all(s is not None and s.op == "layers" for s in signatures)
    return listed or (built is not None and built.signature.op == "sequential")


def _applied(module: AnalysedModule, layer: Built, constructor: ast.Call, made: Node) -> set[Origin]:
    """Every place at which a layer is applied, by which its nodes are known."""
    place = module.syntax.file.origin
    found = {place(constructor)}
    for node in module.syntax.nodes:
        if isinstance(node, ast.Call) and any(made_alike(v, layer) for v in module.values(node.func)):
            found.add(place(node))
    return found | ({made.origin} if made.origin else set())
