"""Taking a softmax or sigmoid out of a program: a call, a layer among others, or a layer's activation."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple

from finallayer.expr import Node, Origin
from finallayer.findings import Edit
from finallayer.fix.flow.analysed import Program, made_alike
from finallayer.fix.flow.bindings import changes_after
from finallayer.fix.flow.head import Head
from finallayer.fix.text.deletion import drop_item, whole_line
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.values import Built, External

_HEAD_LAYERS = frozenset({"softmax", "sigmoid", "applier"})
_ADDING = frozenset({"add", "append"})


class Removal(NamedTuple):
    """How a head is taken out, and the places under which the program's nodes know it."""

    edits: tuple[Edit, ...]
    head: Head
    call: ast.Call | None = None  # the call of the softmax, where it is one: shows how the user spells it

    @property
    def unseen(self) -> list[str]:
        """Readers that nobody can see from here: whoever asks TensorFlow's graph for the operation by its name."""
        named = self.call is not None and any(k.arg == "name" for k in self.call.keywords)
        return [f"the operation's name in the graph (line {self.call.lineno})"] if self.call and named else []


def remove(made: Node, program: Program) -> Removal | None:
    """How to take out what made these probabilities; None where its place isn't understood."""
    syntax = program.syntax
    place = syntax.expression(made.origin)
    if not isinstance(place, ast.Call) or made.origin is None:
        return None
    head = Head(made.op, frozenset({made.origin}))
    called, itself = program.layer(place.func), program.layer(place)
    if any(layer is not None and _is_known_by_name(program, layer) for layer in (called, itself)):
        return None
    if called is not None and called.signature.op in _HEAD_LAYERS:
        edits = _replaced_by_argument(syntax, place, is_layer=True)
        unused = _unused_layer(syntax, place.func)
        return Removal((*edits, *unused), head, None) if edits else None
    if itself is not None and itself.signature.op in _HEAD_LAYERS:
        edits = _taken_from_its_list(program, place)
        return Removal(edits, head, None) if edits else None
    layer = called or itself
    constructor = program.maker(layer) if layer is not None else None
    if layer is not None and layer.signature.call is not None:
        return None if constructor is None else _without_activation(program, layer, constructor, made)
    if not _is_head_itself(program, place, made):
        edit = _without_activation_argument(program, place, made)
        return Removal((edit,), head, None) if edit else None
    edits = _replaced_by_argument(syntax, place)
    return Removal(edits, head, place) if edits else None


def _is_known_by_name(program: Program, layer: Built) -> bool:
    """Whether a softmax layer has a name that the file says elsewhere, too: as the key of its output's loss, say."""
    constructor = program.maker(layer) if layer.signature.op in _HEAD_LAYERS else None
    keywords = constructor.keywords if constructor is not None else []
    names = [k.value.value for k in keywords if k.arg == "name" and isinstance(k.value, ast.Constant)]
    texts = [n.value for n in program.syntax.nodes if isinstance(n, ast.Constant)]
    return any(texts.count(name) > 1 for name in names)


#: What functions and methods are called that do what a head does, and nothing else.
_NAMES = {"softmax": frozenset({"softmax"}), "sigmoid": frozenset({"sigmoid", "expit"})}
_ACTIVATION_ARGUMENTS = frozenset({"activation", "activation_fn"})


def _is_head_itself(program: Program, call: ast.Call, made: Node) -> bool:
    """Whether a call is of a softmax or sigmoid, and not of a layer that ends in one."""
    names = {v.name.rpartition(".")[2] for v in program.values(call.func) if isinstance(v, External)}
    return (names or {last_name(call.func)}) <= _NAMES.get(made.op, frozenset())


def _without_activation_argument(program: Program, call: ast.Call, made: Node) -> Edit | None:
    """``tf.layers.dense(x, 10, activation=tf.nn.softmax)`` becomes ``tf.layers.dense(x, 10)``."""
    items: list[ast.AST] = [*call.args, *call.keywords]
    found = [k for k in call.keywords if k.arg in _ACTIVATION_ARGUMENTS]
    last = call.args[-1] if call.args else None
    if not found and last is not None and _names_head(program, last, made):
        return drop_item(program.syntax, items, len(call.args) - 1) if len(items) == len(call.args) else None
    if len(found) == 1 and _names_head(program, found[0].value, made):
        return drop_item(program.syntax, items, items.index(found[0]))
    return None


def _names_head(program: Program, argument: ast.expr, made: Node) -> bool:
    """Whether an argument always is the softmax function, or its name."""
    values = program.values(argument)
    names = {v.name.rpartition(".")[2] if isinstance(v, External) else v for v in values}
    return len(names) == 1 and names <= _NAMES.get(made.op, frozenset())


def _replaced_by_argument(syntax: Syntax, call: ast.Call, is_layer: bool = False) -> tuple[Edit, ...]:
    """``softmax(z, dim=1)`` or ``z.softmax(1)`` becomes ``z``."""
    x = argument_of(call, syntax, is_layer)
    if x is None or does_more(call) or changes_after(syntax, call, x):  # the softmax was of the numbers before
        return ()
    text = syntax.text(x)
    parent = syntax.parent(call)
    tight = isinstance(parent, _BINDING) or (isinstance(parent, ast.Call) and parent.func is call)
    whole = isinstance(x, (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.Constant))
    assigned = parent if isinstance(parent, ast.Assign) else None
    if assigned is not None and [ast.unparse(t) for t in assigned.targets] == [text]:  # x = x
        line = whole_line(syntax, assigned)
        if line is not None:
            return (line,)
    if not whole and (tight or ("\n" in text and isinstance(parent, ast.stmt))):
        text = f"({text})"
    return (syntax.replace(call, text),)


#: Where an operand's own operators would be read differently without brackets.
_BINDING = (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Attribute, ast.Subscript, ast.Await, ast.Starred)


_CHANGING = frozenset({"dtype", "where", "initial", "out"})


def does_more(call: ast.Call) -> bool:
    """Whether a call of softmax also converts its numbers, or leaves some out."""
    return any(k.arg in _CHANGING for k in call.keywords)


#: What functions call the tensor that they are applied to.
_TENSOR_PARAMETERS = frozenset({"input", "x", "logits", "inputs"})


def argument_of(call: ast.Call, syntax: Syntax, is_layer: bool = False) -> ast.expr | None:
    """The tensor that a softmax, a function, method or layer, is applied to."""
    func = call.func
    if not is_layer and isinstance(func, ast.Attribute) and _is_method(syntax, func):
        return func.value
    if call.args and not isinstance(call.args[0], ast.Starred):
        return call.args[0]
    named = [k.value for k in call.keywords if k.arg in _TENSOR_PARAMETERS]
    return named[0] if len(named) == 1 and not call.args else None


def _is_method(syntax: Syntax, func: ast.Attribute) -> bool:
    """``z.softmax(1)`` and not ``F.softmax(z, 1)``: what stands before the dot isn't an imported module."""
    root: ast.expr = func.value
    while isinstance(root, ast.Attribute):
        root = root.value
    return not (isinstance(root, ast.Name) and root.id in imported_names(syntax))


def imported_names(syntax: Syntax) -> dict[str, str]:
    """Local name -> the dotted name that a file imports as that."""
    found: dict[str, str] = {}
    for node in syntax.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                found[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def _unused_layer(syntax: Syntax, func: ast.expr) -> tuple[Edit, ...]:
    """``self.softmax = nn.Softmax(dim=1)`` goes where its only use does."""
    same: list[ast.Attribute | ast.Name] = [
        n
        for n in syntax.nodes
        if (isinstance(n, ast.Attribute) and isinstance(func, ast.Attribute) and n.attr == func.attr)
        or (isinstance(n, ast.Name) and isinstance(func, ast.Name) and n.id == func.id)
    ]
    stores = [n for n in same if isinstance(n.ctx, ast.Store)]
    if len(stores) != 1 or len(same) != 2:
        return ()
    statement = syntax.parent(stores[0])
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return ()
    edit = whole_line(syntax, statement)
    return (edit,) if edit else ()


def _taken_from_its_list(program: Program, layer: ast.Call) -> tuple[Edit, ...]:
    """A softmax layer goes from the list, or the arguments, of the model that it ends; or with its ``add``."""
    syntax = program.syntax
    parent = syntax.parent(layer)
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr in _ADDING:
        statement = syntax.parent(parent)
        edit = whole_line(syntax, statement) if isinstance(statement, ast.Expr) else None
        return (edit,) if edit else ()
    if isinstance(parent, ast.Assign):
        return _taken_by_name(program, parent)
    return _taken_from_the_end(program, layer)


def _taken_by_name(program: Program, definition: ast.Assign) -> tuple[Edit, ...]:
    """``sigmoid = nn.Sigmoid()`` goes, and with it the name at the end of the one model that reads it."""
    syntax = program.syntax
    match definition.targets:
        case [ast.Name(id=name)]:
            same = [n for n in syntax.nodes if isinstance(n, ast.Name) and n.id == name]
            line = whole_line(syntax, definition)
            if len(same) == 2 and line is not None:
                edits = _taken_from_the_end(program, next(n for n in same if isinstance(n.ctx, ast.Load)))
                return (*edits, line) if edits else ()
    return ()


def _taken_from_the_end(program: Program, layer: ast.expr) -> tuple[Edit, ...]:
    """The last layer goes from a model's list or arguments, with its comma."""
    syntax = program.syntax
    parent = syntax.parent(layer)
    model = syntax.parent(parent) if isinstance(parent, ast.List) else parent
    items: Sequence[ast.AST] = parent.elts if isinstance(parent, ast.List) else getattr(parent, "args", ())
    model = syntax.parent(model) if isinstance(model, ast.keyword) else model
    built = program.layer(model) if isinstance(model, ast.Call) else None
    if built is None or built.signature.op != "sequential":
        return ()
    if len(items) < 2 or items[-1] is not layer:
        return ()
    edit = drop_item(syntax, list(items), len(items) - 1)
    return (edit,) if edit else ()


def _without_activation(program: Program, layer: Built, constructor: ast.Call, made: Node) -> Removal | None:
    """``Dense(10, activation="softmax")`` becomes ``Dense(10)``."""
    syntax = program.syntax
    items: list[ast.AST] = [*constructor.args, *constructor.keywords]
    keyword = [k for k in constructor.keywords if k.arg == "activation"]
    position = _activation_position(layer)
    if keyword:
        index = items.index(keyword[0])
    elif position is not None and position == len(constructor.args) - 1:
        index = position
    else:
        return None
    edit = drop_item(syntax, items, index)
    if edit is None:
        return None
    return Removal((edit,), Head(made.op, frozenset(_applied(program, layer, constructor, made))))


def _activation_position(layer: Built) -> int | None:
    names = [p.canonical for p in layer.signature.params if not p.keyword_only]
    return names.index("activation") if "activation" in names else None


def _applied(program: Program, layer: Built, constructor: ast.Call, made: Node) -> set[Origin]:
    """Every place at which a layer is applied, by which its nodes are known."""
    file = program.syntax.file
    found = {file.origin(constructor)}
    for node in program.syntax.nodes:
        if isinstance(node, ast.Call) and any(made_alike(v, layer) for v in program.values(node.func)):
            found.add(file.origin(node))
    return found | ({made.origin} if made.origin else set())
