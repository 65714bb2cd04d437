"""What two values have in common that mean the same: a form in which unstable spellings are their stable ones.

``log(clip(softmax(z)))`` and ``log_softmax(z)`` have the same form, ``argmax(softmax(z))`` and ``argmax(z)`` have, and
``1 - sigmoid(z)`` and ``sigmoid(-z)``. A softmax along another axis, a mean for a sum, another target have another.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from finallayer.canonical import LARGEST_EPS
from finallayer.expr import (
    GUARDS,
    MOVES,
    PURPOSES,
    SEVERAL,
    TRANSPARENT,
    UNMOVED,
    Keeps,
    Node,
    Origin,
    keeping,
    make,
    once,
    through,
)
from finallayer.source.values import (
    Bound,
    Built,
    Class,
    Dict,
    External,
    Frame,
    Function,
    Instance,
    Lazy,
    List,
    MadeOf,
    Partial,
    Super,
    Union,
    Value,
)

#: Attributes that say how something is written, not what it is.
_SPELLING = PURPOSES | frozenset(
    "naive layer rank least_rank rescued_by on_logits from_logits loss taken_for picked_along".split()
)
#: Operations of which another one's name changes nothing: what the operation does is all that there is to know.
_NAMELESS = frozenset("xent_logits xent_probs nll bce_logits bce_probs kl kl_probs".split())
#: Metrics that only ask which class has the greatest output.
_OF_THE_GREATEST = ("categoricalaccuracy", "onehotiou", "onehotmeaniou")
#: Scores beyond which no probability that is left is a float32's; their exp soon isn't, either.
_OVERFLOWS = 30.0
#: Attributes that are numbers, whichever way they are written.
_SIZES = ("value", "low", "high", "eps", "by")
#: What of a tensor doesn't depend on its numbers.
_SHAPES = frozenset("shape size dim ndim dtype device rank get_shape numel requires_grad __class__".split())
_SAME_SHAPE = keeping(Keeps.AXES)
#: What keeps the order of the entries strictly, whatever the axis.
_MONOTONE = frozenset("sigmoid log_sigmoid log cast stop_gradient identity".split())
_ALONG_AN_AXIS = frozenset({"softmax", "log_softmax"})
_HEADS = _ALONG_AN_AXIS | {"sigmoid", "log_sigmoid"}
_PLACES = frozenset({"topk", "max", "min"})

Rule = Callable[["Forms", Node], "Node | None"]
_RULES: dict[str, Rule] = {}


def _form_of(*ops: str) -> Callable[[Rule], Rule]:
    """Registers the rule for what an operation, whose arguments have their form already, amounts to."""

    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(ops, rule))
        return rule

    return register


class Known(NamedTuple):
    """What is known of a program besides what its analysis says."""

    proven: Mapping[tuple[Origin, Node], Node] = MappingProxyType(
        {}
    )  # the form of a wrong loss -> that which was meant
    heads: Mapping[Origin, str] = MappingProxyType({})  # where a wrong head stands -> that which was meant
    places: frozenset[Origin] = frozenset()  # calls of which only the places are read: topk(p)[1]
    numberless: frozenset[str] = frozenset()  # the names of what calls give that read no number: zeros_like(p)
    fused: frozenset[Origin] = frozenset()  # cross-entropies that stand for the formula -sum(y * log_softmax(z))
    ranks: Mapping[Node, int] = MappingProxyType({})  # of forms, where more is known than the analysis knows


class Forms:
    """The forms of one program's values. ``made_of``: what went into its opaque ones."""

    def __init__(self, made_of: MadeOf, known: Known | None = None) -> None:
        self.made_of, self.known = made_of, known or Known()
        self._formed: dict[int, tuple[Value, Node]] = {}  # by identity, which lasts while the value is kept
        self._entered: set[int] = set()

    def of(self, value: Value) -> Node:
        """The form of a value."""
        if isinstance(value, Node):
            return self._of_node(value)
        if self._entered:  # the form may say that something holds itself
            return self._of_value(value)
        if id(value) not in self._formed:
            self._formed[id(value)] = value, self._of_value(value)
        return self._formed[id(value)][1]

    def _of_value(self, value: Value) -> Node:
        match value:
            case bool() | int() | float():
                return make("const", value=value)
            case tuple():
                return self._several("tuple", value)
            case List(items=items):
                return self._within(value, lambda: self._several(f"list {value.exact}", items))
            case Dict(slots=slots):
                return self._within(value, lambda: self._several(f"dict {list(slots)}", tuple(slots.values())))
            case Union(values=values):
                return self._several("union", values)
            case External(name=name):
                return _named(f"external {name}")
            case Function(node=node, frame=frame):
                return _named(f"function {frame.module.path} {_place(node)}")
            case Class(node=node, name=name):
                return _named(f"class {name} {_place(node)}")
            case Instance(cls=cls, site=site):
                return _named(f"instance {cls.name} {_place(cls.node)} {site.frame.module.path} {_place(site.node)}")
            case Built(site=site):
                return _named(f"built {site.frame.module.path} {_place(site.node)}")
            case Bound(function=function, owner=owner):
                return self._method(function, owner)
            case Partial(function=function, args=args, kwargs=kwargs, how=how):
                names = [name for name, _ in kwargs]
                return self._several(f"partial {how} {names}", (function, *args, *(v for _, v in kwargs)))
            case Super(instance=instance, cls=cls):
                return self._several(f"super {cls.name}", (instance,))
            case Frame(module=module):
                return _named(f"module {module.path}")
            case Lazy(path=path, name=name):
                return _named(f"import {path} {name}")
        return _named(f"{type(value).__name__} {value!r}")

    def _several(self, name: str, values: tuple[Value, ...]) -> Node:
        return _named(name, *map(self.of, values))

    def _within(self, value: object, form: Callable[[], Node]) -> Node:
        """The form of what may hold itself."""
        if id(value) in self._entered:
            return _named("itself")
        self._entered.add(id(value))
        try:
            return form()
        finally:
            self._entered.discard(id(value))

    def contents(self, built: Built) -> Node:
        """What a layer or loss was made as, and with: others of the same place are made otherwise."""
        given = {**built.keywords, **{f"bound {k}": v for k, v in built.bound.items()}}
        return self._within(built, lambda: self._several(f"{built.symbol.name} {list(given)}", tuple(given.values())))

    def _method(self, function: Value, owner: Value) -> Node:
        if function in _SHAPES and isinstance(owner, Node):
            return _named(f"method {function}", self._shape(self.of(owner)))
        return self._several(f"method {function}" if isinstance(function, str) else "method", (function, owner))

    def _of_node(self, node: Node) -> Node:
        if id(node) not in self._formed:
            form = self._new(node)
            if node.origin is not None:
                form = self.known.proven.get((node.origin, form), form)
            self._formed[id(node)] = node, form
        return self._formed[id(node)][1]

    def _new(self, node: Node) -> Node:
        if node.op == "opaque":
            return self._opaque(node)
        return self.made(Node(node.op, tuple([self._of_node(a) for a in node.args]), node.attrs, node.origin))

    def made(self, node: Node) -> Node:
        """The form of an operation whose arguments have their form already."""
        attrs = _attributes(node)
        changed = len(attrs) != len(node.attrs) or any(attrs.get(name) is not v for name, v in node.attrs.items())
        plain = Node(node.op, node.args, attrs, node.origin) if changed else node
        meant = self.known.heads.get(node.origin) if node.origin is not None else None
        if meant is not None and node.op in ("softmax", "sigmoid"):
            head = Node(meant, node.args, {"axis": -1} if meant == "softmax" else {}, node.origin)
            plain = Node(meant, node.args, _attributes(head), node.origin)
        rule = _RULES.get(plain.op)
        formed = rule(self, plain) if rule is not None and node.args else None
        return plain if formed is None else formed

    def _opaque(self, node: Node) -> Node:
        if node in self.made_of.renamed:
            return self._of_node(self.made_of.renamed[node])
        if "of" not in node.attrs:
            return Node("opaque", (), {k: v for k, v in node.attrs.items() if k not in _SPELLING}, None)
        parts = [self.made_of.parts.get(n, str(n)) for n in node.attrs["of"]]
        forms = [self.of(part) for part in parts]
        name = _own_name(str(node.attrs["name"]), parts[0])
        if (name.removeprefix(".") in _SHAPES | {"len"} and len(forms) == 1) or name in self.known.numberless:
            return _named(name, *map(self._shape, forms))
        if name == "isinstance":  # a softmax is a tensor, as its logits are
            return _named(name, self._without_heads(forms[0]), *forms[1:])
        return _named(name, *forms)

    def _without_heads(self, form: Node) -> Node:
        while form.op in _HEADS:
            form = form.args[0]
        return form

    def _shape(self, form: Node) -> Node:
        while form.op in _SAME_SHAPE and form.args:
            form = form.args[0]
        if form.op == "join":
            return self.made(_again(form, *map(self._shape, form.args)))
        if form.op in MOVES and form.args:  # zeros_like(p.view(-1))
            return self.made(_again(form, self._shape(form.args[0]), *form.args[1:]))
        return form

    def formula(self, node: Node) -> Node | None:
        """The formula that a fused cross-entropy stands for, a row at a time."""
        if node.origin not in self.known.fused or len(node.args) != 2:
            return None
        z, y = node.args
        logs = self.made(make("log_softmax", z, axis=-1))
        return make("neg", self.made(make("sum", self.made(make("mul", y, logs)), axis=-1)))

    def rank(self, form: Node) -> int | None:
        """How many axes a form has."""
        return self.known.ranks.get(form) if form.rank is None else form.rank

    def reads_places(self, node: Node) -> bool:
        """Whether only the places are read of the values and places that this gives."""
        return node.origin in self.known.places


def _named(name: str, *parts: Node) -> Node:
    return Node("opaque", (), {"name": name, "of": tuple([hash(p) for p in parts])} if parts else {"name": name}, None)


def _own_name(name: str, owner: Value) -> str:
    """The name of an item or attribute without that of what it belongs to."""
    if isinstance(owner, Node):
        whose = str(owner.attrs.get("name", owner.op))
        if name.startswith((f"{whose}.", f"{whose}[")):
            return name[len(whose) :]
    return name


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _attributes(node: Node) -> dict[str, Any]:
    """The attributes that say what a node is; an axis counted from the front where the rank is known."""
    unsaid = _SPELLING | ({"name", "eps"} if node.op in _NAMELESS else set())
    unsaid -= {"from_logits"} if node.op == "metric" and node.attrs.get("from_logits") else set()
    attrs = {name: value for name, value in node.attrs.items() if name not in unsaid and value is not None}
    attrs |= {name: float(attrs[name]) for name in _SIZES if type(attrs.get(name)) is int}
    axis, rank = attrs.get("axis"), node.args[0].rank if node.args else None
    if isinstance(axis, tuple) and len(axis) == 1:
        axis = attrs["axis"] = axis[0]
    if type(axis) is int and axis < 0 and rank is not None:
        attrs["axis"] = axis + rank
    if node.op in ("metric", "activation") and "name" in attrs:
        attrs["name"] = str(attrs["name"]).rpartition(".")[2].replace("_", "").lower()
    return attrs


def _again(node: Node, *args: Node, **attrs: Any) -> Node:
    """The node with other arguments."""
    return Node(node.op, args, {**node.attrs, **attrs}, node.origin)


def _is_small(guard: Node) -> bool:
    """Whether a guard only keeps a probability from 0 and 1."""
    stated = [guard.attrs[name] for name in ("eps", "low", "high") if name in guard.attrs]
    sizes = [min(abs(v), abs(1 - v)) for v in stated if isinstance(v, (int, float))]
    return len(sizes) == len(stated) and max(sizes, default=0.0) <= LARGEST_EPS


def _through(node: Node, change: Callable[[Node], Node | None]) -> Node | None:
    """What a change of every number comes to, made before what moves the numbers; None where it can't be made."""

    @once
    def through(node: Node) -> Node | None:
        made = change(node)
        if made is not None or node.op not in TRANSPARENT or not node.args:
            return made
        parts = node.args if node.op in SEVERAL else node.args[:1]
        inner = [through(part) for part in parts]
        if any(i is None for i in inner):
            return None
        return _again(node, *[i for i in inner if i is not None], *node.args[len(parts) :])

    return through(node)


def _log_of_head(p: Node) -> Node | None:
    """The log of probabilities, as the logarithmic head of the logits."""
    match p:
        case Node(op=op, args=(inner, *_)) if op in GUARDS and _is_small(p):
            return _through(inner, _log_of_head)
        case Node(op="softmax"):
            return Node("log_softmax", p.args, p.attrs, p.origin)
        case Node(op="sigmoid"):
            return Node("log_sigmoid", p.args, p.attrs, p.origin)
        case Node(op="one_minus", args=(inner,)):
            return _through(inner, _log_of_complement)
    return None


def _log_of_complement(p: Node) -> Node | None:
    if p.op in GUARDS and _is_small(p):
        return _through(p.args[0], _log_of_complement)
    return make("log_sigmoid", _negated(p.args[0])) if p.op == "sigmoid" else None


@_form_of("log")
def _log(_forms: Forms, node: Node) -> Node | None:
    return _through(node.args[0], _log_of_head) if "base" not in node.attrs else None


def _without_log(x: Node) -> Node | None:
    heads = {"log_softmax": "softmax", "log_sigmoid": "sigmoid"}
    return Node(heads[x.op], x.args, x.attrs, x.origin) if x.op in heads else None


@_form_of("exp")
def _exp(_forms: Forms, node: Node) -> Node | None:
    return _through(node.args[0], _without_log)


@_form_of("one_minus")
def _one_minus(_forms: Forms, node: Node) -> Node | None:
    return _through(node.args[0], lambda p: _again(p, _negated(p.args[0])) if p.op == "sigmoid" else None)


def _negated(x: Node) -> Node:
    return x.args[0] if x.op == "neg" else make("neg", x)


@_form_of("neg")
def _neg(_forms: Forms, node: Node) -> Node | None:
    return _negated(node.args[0])


@_form_of("softplus")
def _softplus(_forms: Forms, node: Node) -> Node | None:
    return make("neg", make("log_sigmoid", _negated(node.args[0])))


@_form_of("bernoulli")
def _bernoulli(_forms: Forms, node: Node) -> Node | None:
    return node.args[0]


@_form_of("softmax", "log_softmax", "logsumexp")
def _softmax(forms: Forms, node: Node) -> Node | None:
    """Whatever was subtracted from all logits makes no difference: a maximum, a logsumexp."""
    inner = node.args[0]
    axis = node.attrs.get("axis")
    less = (
        inner.op in ("shift", "log_softmax") and inner.attrs.get("axis", axis if inner.op == "shift" else None) == axis
    )
    if less and node.op in _ALONG_AN_AXIS:
        return _again(node, inner.args[0])
    if _is_wide(inner):
        return forms.made(_again(node, inner.args[0]))
    return _outwards(forms, node) if inner.op in UNMOVED | {"join"} and node.op in _ALONG_AN_AXIS else None


@_form_of("sigmoid", "log_sigmoid")
def _sigmoid(forms: Forms, node: Node) -> Node | None:
    inner = node.args[0]
    if _is_wide(inner):
        return forms.made(_again(node, inner.args[0]))
    if inner.op == "neg" and inner.args[0].op in TRANSPARENT:
        inner = _through(inner.args[0], lambda x: None if x.op in TRANSPARENT else _negated(x)) or inner
    return _outwards(forms, _again(node, inner)) if inner.op in TRANSPARENT else None


def _is_wide(scores: Node) -> bool:
    """Whether a value is clipped only where its exp would overflow, which a stable spelling has no need of."""
    bounds = [scores.attrs[side] for side in ("low", "high") if side in scores.attrs]
    wide = all(isinstance(b, (int, float)) and abs(b) >= _OVERFLOWS for b in bounds)
    return scores.op == "clip" and bool(bounds) and wide


def _outwards(forms: Forms, node: Node) -> Node | None:
    """What moves the argument's numbers moves the result's instead."""
    moved = node.args[0]
    if not moved.args:
        return None
    parts = moved.args if moved.op in SEVERAL else moved.args[:1]
    inner = [forms.made(_again(node, part)) for part in parts]
    return _again(moved, *inner, *moved.args[len(parts) :])


@_form_of("identity")
def _identity(_forms: Forms, node: Node) -> Node | None:
    """Also the positive part, the size and the renormalisation of probabilities."""
    return node.args[0]


@_form_of("join")
def _join(_forms: Forms, node: Node) -> Node | None:
    """One of several that are the same."""
    several = tuple(dict.fromkeys(node.args))
    return several[0] if len(several) == 1 else Node("join", several, node.attrs, node.origin)


# Arithmetic: the sign stands outside, and what may be swapped is in one order


@_form_of("mean", "scale", *(UNMOVED | {"reshape", "index", "gather"}) - {"identity"})
def _linear(forms: Forms, node: Node) -> Node | None:
    inner, by = node.args[0], node.attrs.get("by")
    if node.op == "scale" and isinstance(by, (int, float)) and by < 0:
        return forms.made(make("neg", forms.made(_again(node, *node.args, by=-by))))
    return make("neg", _again(node, inner.args[0], *node.args[1:])) if inner.op == "neg" else None


@_form_of("sum")
def _sum(forms: Forms, node: Node) -> Node | None:
    inner = node.args[0]
    if inner.op == "neg":
        return make("neg", forms.made(_again(node, inner.args[0])))
    if inner.op == "sum" and node.attrs.get("axis") is None:
        return _again(node, inner.args[0])
    picked = _picked(node, inner)
    if picked is not None:
        return picked
    axis, rank = node.attrs.get("axis"), max((forms.rank(a) or 0 for a in inner.args), default=0)
    if inner.op == "mul" and type(axis) is int and axis < 0 and rank:
        return _again(node, inner, axis=axis + rank)
    return None


def _picked(node: Node, product: Node) -> Node | None:
    """Log-probabilities times rows that certainly are one-hot, summed, as the log of what those pick of a softmax."""
    if product.op == "mul" and "axis" in node.attrs:
        for mask, logs in (product.args, product.args[::-1]):
            one_hot = through(mask, UNMOVED).op == "one_hot"
            if one_hot and logs.op == "log_softmax" and _is_same_axis(logs, node.attrs["axis"]):
                return Node("gather", (logs, mask), {"by": "one_hot"}, node.origin)
    return None


@_form_of("mul", "add")
def _commutative(_forms: Forms, node: Node) -> Node | None:
    if len(node.args) != 2:
        return None
    if node.op == "mul" and any(a.op == "neg" for a in node.args):
        x, y = (a.args[0] if a.op == "neg" else a for a in node.args)
        product = _again(node, *sorted((x, y), key=hash))
        return product if all(a.op == "neg" for a in node.args) else make("neg", product)
    if node.op == "add" and any(a.op == "neg" for a in node.args):
        x, y = sorted(node.args, key=lambda a: a.op == "neg")
        return _difference(node, x, y.args[0])
    return _again(node, *sorted(node.args, key=hash))


@_form_of("div")
def _div(_forms: Forms, node: Node) -> Node | None:
    if len(node.args) != 2:
        return None
    x, y = node.args
    value = x.attrs.get("value") if x.op == "const" else None
    below = isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0
    positive = x.args[0] if x.op == "neg" else make("const", value=-value) if below and value is not None else None
    return None if positive is None else make("neg", _again(node, positive, y))


@_form_of("sub")
def _sub(_forms: Forms, node: Node) -> Node | None:
    return _difference(node, *node.args) if len(node.args) == 2 else None


def _difference(node: Node, x: Node, y: Node) -> Node:
    """``x - y``: a sum where y is negative, and minus the sum where x is."""
    if y.op == "neg":
        return _difference(node, y.args[0], x.args[0]) if x.op == "neg" else _of(node, "add", x, y.args[0])
    return make("neg", _of(node, "add", x.args[0], y)) if x.op == "neg" else Node("sub", (x, y), {}, node.origin)


def _of(node: Node, op: str, x: Node, y: Node) -> Node:
    return Node(op, tuple(sorted((x, y), key=hash)), {}, node.origin)


# Losses


@_form_of("xent_probs")
def _xent_probs(forms: Forms, node: Node) -> Node | None:
    logs = _through(node.args[0], _log_of_head)
    return None if logs is None else _nll(forms, Node("nll", (logs, *node.args[1:]), node.attrs, node.origin))


@_form_of("nll")
def _nll(_forms: Forms, node: Node) -> Node | None:
    """``nll(log_softmax(z), y)``, which is the cross-entropy, where the classes keep their axis."""
    scores = _unmoved(node.args[0], _scores_of_log)
    return None if scores is None else Node("xent_logits", (scores, *node.args[1:]), node.attrs, node.origin)


def _scores_of_log(x: Node) -> Node | None:
    """The logits of a log_softmax, where that is not along the axis of the samples."""
    return x.args[0] if x.op == "log_softmax" and (x.attrs.get("axis") != 0 or x.args[0].rank == 1) else None


def log_form(p: Node) -> Node | None:
    """The form of the log of probabilities."""
    return _through(p, _log_of_head)


def _unmoved(node: Node, change: Callable[[Node], Node | None]) -> Node | None:
    """What a change of every number comes to, through what leaves every number where it is."""
    return _through(node, change) if all(n.op in UNMOVED | {"join"} for n in _way(node)) else None


def _way(node: Node) -> list[Node]:
    """What moves numbers, from a node down to what makes them, each once."""
    found: dict[int, Node] = {}
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.op in TRANSPARENT and id(node) not in found:
            found[id(node)] = node
            waiting += node.args if node.op in SEVERAL else node.args[:1]
    return list(found.values())


@_form_of("xent_logits")
def _xent_logits(forms: Forms, node: Node) -> Node | None:
    """A log_softmax before the loss that applies it again makes no difference."""
    formula = forms.formula(node)
    if formula is not None:
        return formula
    scores = _unmoved(node.args[0], _scores_of_log)
    return None if scores is None else _again(node, scores, *node.args[1:])


@_form_of("bce_probs")
def _bce_probs(_forms: Forms, node: Node) -> Node | None:
    def logit(p: Node) -> Node | None:
        guarded = p.op in GUARDS and _is_small(p)
        return _through(p.args[0], logit) if guarded else p.args[0] if p.op == "sigmoid" else None

    scores = _through(node.args[0], logit)
    return None if scores is None else Node("bce_logits", (scores, *node.args[1:]), node.attrs, node.origin)


# Readers


def _in_order(x: Node, axis: object) -> Node:
    """The value without what leaves its entries in order along an axis."""

    @once
    def in_order(part: Node) -> Node:
        return _put_in_order(part, axis, in_order)

    return in_order(x)


def _put_in_order(x: Node, axis: object, in_order: Callable[[Node], Node]) -> Node:
    """The same, of parts that are ``in_order``."""
    while x.args:
        if x.op == "join":
            return _again(x, *map(in_order, x.args))
        if x.op == "concat" and x.attrs.get("axis", 0) == 0 and axis not in (0, None):
            return _again(x, *map(in_order, x.args))
        if x.op in MOVES - UNMOVED:
            return _moved_in_order(x)
        up = x.op == "scale" and isinstance(x.attrs.get("by"), (int, float)) and x.attrs["by"] > 0
        along = x.op in _ALONG_AN_AXIS and _is_same_axis(x, axis)
        if not (along or up or x.op in _MONOTONE or x.op == "shift"):
            break
        x = x.args[0]
    return x


def _moved_in_order(x: Node) -> Node:
    """The same behind an index or another shape: a row of a softmax is in the order of its logits, no column is."""
    inner = x.args[0]
    axis, rank = inner.attrs.get("axis"), inner.args[0].rank if inner.args else None
    whole = axis in (None, -1) or (rank is not None and axis == rank - 1)
    rows = x.op == "index" and x.attrs.get("rows") and (whole or (axis not in (0, None) and "axis" not in x.attrs))
    if rows and (inner.op in _ALONG_AN_AXIS or inner.op in TRANSPARENT):
        return _again(x, _in_order(inner, None), *x.args[1:])
    made = _through(x, lambda p: p.args[0] if p.op in _MONOTONE - MOVES else None)
    return x if made is None else made


def _is_same_axis(head: Node, axis: object) -> bool:
    """Whether an axis is that of a softmax; of a row alone, or where the rank isn't known, it goes without saying."""
    own, rank = head.attrs.get("axis"), head.args[0].rank
    return own == axis or rank == 1 or (rank is None and (axis is None or {1 if own is None else own, axis} <= {1, -1}))


@_form_of("argmax")
def _argmax(_forms: Forms, node: Node) -> Node | None:
    return _again(node, _in_order(node.args[0], node.attrs.get("axis")), *node.args[1:])


@_form_of(*_PLACES)
def _places(forms: Forms, node: Node) -> Node | None:
    if not forms.reads_places(node):
        return None
    ordered = _in_order(node.args[0], node.attrs.get("axis"))
    return _named(f"places of {node.op} {sorted(node.attrs.items())}", ordered, *node.args[1:])


@_form_of("threshold")
def _threshold(_forms: Forms, node: Node) -> Node | None:
    """``sigmoid(z) > 0.5``, which is ``z > 0``."""
    value = node.attrs.get("value")
    logits = _through(node.args[0], lambda p: p.args[0] if p.op == "sigmoid" else None)
    if logits is None or not isinstance(value, (int, float)) or not 0 < value < 1:
        return None
    return _again(node, logits, *node.args[1:], value=round(math.log(value / (1 - value)), 9))


@_form_of("metric")
def _metric(forms: Forms, node: Node) -> Node | None:
    x, rest, reads = node.args[0], node.args[1:], node.attrs.get("reads")
    if node.attrs.get("from_logits") is True:
        told = {name: value for name, value in node.attrs.items() if name != "from_logits"}
        head = make("softmax", x, axis=-1) if "categorical" in str(node.attrs.get("name")) else make("sigmoid", x)
        return forms.made(Node("metric", (forms.made(head), *rest), told, node.origin))
    if reads == "any" and str(node.attrs.get("name")).endswith(_OF_THE_GREATEST):
        return _again(node, _in_order(x, -1 if x.rank is None else x.rank - 1), *rest)
    limit = _threshold(forms, make("threshold", x, value=node.attrs.get("value")))
    return None if limit is None else _again(node, limit.args[0], *rest, value=limit.attrs["value"])
