"""What asks a model's layers for nothing but their weights: an initialiser that goes through them reads no output."""

from __future__ import annotations

import ast
from typing import NamedTuple

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.bindings import home
from finallayer.fix.text.syntax import Syntax
from finallayer.source.values import Built, External, Function
from finallayer.source.walking import walk

#: By which a module or model shows the layers in it.
LAYERS = frozenset("modules children named_modules named_children _modules layers".split())
#: What a layer is asked that has nothing to do with what it computes.
_OF_LAYERS = frozenset(
    "weight bias weight_ih_l0 weight_hh_l0 running_mean running_var get_weights set_weights weights trainable_weights "
    "trainable requires_grad_ parameters named_parameters reset_parameters in_features out_features in_channels "
    "out_channels kernel_size __class__".split()
)
#: What a layer that has no weights isn't asked: no activation answers.
_WIDTHS = frozenset({"in_features", "out_features", "in_channels", "out_channels"})
_VIEWS = frozenset({"values", "items", "keys"})
_COPIES = frozenset({"list", "tuple", "enumerate"})
#: What of a layer stays the same where only the activation goes that it was told, and the layer itself is left.
_STAYING = frozenset("name output_shape input_shape count_params dtype built input_spec".split())
#: Functions followed, one into the other, before the question is given up.
_DEEPEST = 4


class Going(NamedTuple):
    """The operation that goes, and whether a layer goes with it: the number, the places and names of layers change."""

    op: str
    layer: bool


def asked_for_weights(module: AnalysedModule, shown: ast.expr, head: Going) -> bool:
    """Whether of the layers that an attribute shows only weights, shapes and classes are read.

    Who looks for the one that goes reads something else afterwards.
    """
    syntax, node = module.syntax, shown
    while True:
        around = syntax.parent(node)
        match around:
            case ast.Call(func=func) if func is node:
                node = around
            case ast.Call(func=ast.Name(id="len"), args=[only]) if only is node:
                return not head.layer
            case ast.Subscript(slice=ast.Slice()) if node is around.value and not head.layer:
                node = around
            case ast.Call(func=ast.Name(id=name), args=[only], keywords=[]) if only is node and name in _COPIES:
                node = around
            case ast.Attribute(attr=attr) if attr in _VIEWS:
                node = around
            case ast.For() | ast.comprehension() if node is around.iter:
                return goes_over_weights(module, around, head)
            case ast.Subscript() if node is around.value:
                return (not head.layer or _is_from_the_front(around)) and _is_of_weights(module, around, head, 0)
            case _:
                return False


def asked_for_shape(module: AnalysedModule, layer: ast.expr) -> bool:
    """``net.classifier[6] = nn.Linear(net.classifier[6].in_features, 3)``: how wide a layer is, or another for it."""
    match around := module.syntax.parent(layer):
        case ast.Subscript(value=value, ctx=ctx) if value is layer and _is_from_the_front(around):
            return isinstance(ctx, ast.Store) or asked_for_shape(module, around)
        case ast.Attribute(attr=attr, ctx=ctx):
            return attr in _WIDTHS or isinstance(ctx, ast.Store) or asked_for_shape(module, around)
    return False


def _is_from_the_front(item: ast.Subscript) -> bool:
    """Whether an item is counted from the front, or has a name: it is the same when a layer behind it goes."""
    match item:
        case ast.Subscript(value=ast.Attribute(attr="_modules")) | ast.Subscript(slice=ast.Constant(value=str())):
            return True
        case ast.Subscript(slice=ast.Constant(value=int() as place)):
            return place >= 0
    return False


def inner_layer(module: AnalysedModule, layers: ast.Attribute) -> bool:
    """``model.layers[0].get_weights()``: the layers of a Sequential count from the front, and the head is behind."""
    item = module.syntax.parent(layers)
    asked = module.syntax.parent(item) if item is not None else None
    owners = [a for v in module.values(layers.value) for a in alternatives(v)]
    match item:
        case ast.Subscript(slice=ast.Constant(value=int() as place)) if item.value is layers and place >= 0:
            sequential = all(isinstance(o, Built) and o.signature.op == "sequential" for o in owners)
            return bool(owners) and sequential and isinstance(asked, ast.Attribute) and asked.attr in _OF_LAYERS
    return False


def goes_over_weights(module: AnalysedModule, loop: ast.For | ast.comprehension, head: Going) -> bool:
    """Whether all that a loop reads of the layers that it goes over, by any of its names for them, are weights."""
    target = loop.target
    names = {n.id for n in walk(target) if isinstance(n, ast.Name)}
    if not all(isinstance(n, (ast.Name, ast.Tuple, ast.expr_context)) for n in walk(target)):
        return False
    syntax = module.syntax
    scope = home(syntax, next(n for n in walk(target) if isinstance(n, ast.Name)))
    read = [n for n in walk(scope) if isinstance(n, ast.Name) and n.id in names and isinstance(n.ctx, ast.Load)]
    return all(_is_of_weights(module, n, head, 0) for n in read)


def _is_of_weights(module: AnalysedModule, node: ast.expr, head: Going, depth: int) -> bool:
    """Whether an expression that stands for a layer, or for its name, is asked for weights only."""
    inner, around = module.syntax.user(node)
    match around:
        case ast.Attribute(attr=attr):
            stays = attr in _OF_LAYERS or (attr in _STAYING and not head.layer)
            return stays or _is_own_text(module.syntax, node)
        case ast.Subscript(value=ast.Attribute(attr="_modules")) if inner is around.slice:
            return _is_of_weights(module, around, head, depth)
        case ast.Call(func=ast.Name(id="hasattr"), args=[first, ast.Constant(value=str(name))]) if first is node:
            return name in _OF_LAYERS
        case ast.Call(func=ast.Name(id="isinstance"), args=[first, classes]) if first is node:
            return not _is_head(module, classes, head)
        case ast.Call(args=args) if inner in args and not around.keywords and depth < _DEEPEST:
            return _hands_on_weights(module, around, args.index(inner), head, depth)
    return isinstance(around, ast.Expr)


def _is_own_text(syntax: Syntax, node: ast.expr) -> bool:
    """``name.find("bn")``, ``name.startswith``: what a name looks like."""
    around = syntax.parent(node)
    return isinstance(around, ast.Attribute) and around.attr in {"find", "startswith", "endswith", "lower"}


def _is_head(module: AnalysedModule, classes: ast.expr, head: Going) -> bool:
    """Whether some of the classes that a layer is compared with may be the one that goes."""
    named = classes.elts if isinstance(classes, ast.Tuple) else [classes]
    found = [[canonical(v.name) for v in module.values(n) if isinstance(v, External)] for n in named]
    last = {name.rpartition(".")[2].lower() for names in found for name in names}
    return any(not names for names in found) or bool(last & {head.op, "module"})


def _hands_on_weights(module: AnalysedModule, call: ast.Call, place: int, head: Going, depth: int) -> bool:
    """Whether a project's function that is handed a layer reads its weights only."""
    callees = [c for v in module.values(call.func) for c in alternatives(v)]
    for callee in callees:
        if not isinstance(callee, Function) or callee.frame.module.path != module.path:
            return False
        parameters = [*callee.node.args.posonlyargs, *callee.node.args.args]
        if isinstance(callee.node, ast.Lambda) or place >= len(parameters):
            return False
        name = parameters[place].arg
        inside = [n for n in walk(callee.node) if isinstance(n, ast.Name) and n.id == name]
        if not all(isinstance(n.ctx, ast.Load) and _is_of_weights(module, n, head, depth + 1) for n in inside):
            return False
    return bool(callees)
