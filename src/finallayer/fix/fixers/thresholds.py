"""Fixes of what reads logits as probabilities: a threshold of 0.5 becomes 0, and Keras' metrics are told.

``sigmoid(z) > 0.5`` says the same as ``z > 0``; no other threshold has so plain a twin, and a softmax has none. What is
compared must certainly be what a binary loss on logits trains, whenever the comparison runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.catalog.names import canonical
from finallayer.expr import LOSSES, MOVES, PICKS, Node, logits, make, target, through
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.fixers.keras_metrics import (
    ASKING,
    given_to_compile,
    metric_on_logits,
    object_on_logits,
    takes_new_keras,
)
from finallayer.fix.flow.analysed import AnalysedModule, made_alike
from finallayer.fix.flow.callers import transforms, unknown_callers
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.known_calls import calls_method, known_call
from finallayer.fix.flow.outsiders import outsiders
from finallayer.fix.flow.roles import is_numberless
from finallayer.fix.registry import Proposal, cannot_see, mends
from finallayer.fix.text.edits import together
from finallayer.fix.text.spelling import FRAMEWORKS, Speller
from finallayer.kinds import Kind
from finallayer.rules.route import units
from finallayer.source.values import Built, External, Frame
from finallayer.source.walking import walk

#: The loss that trains the logits -> the head that makes them probabilities.
_HEADS = {"bce_logits": "sigmoid", "xent_logits": "softmax"}
#: Where an expression is one number, or array, made of others.
_FORMULAS = (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Subscript, ast.Call, ast.Attribute)
#: Types of numbers with fractions, by the names that frameworks give them.
_FLOATING = frozenset("float double half bfloat16 float16 float32 float64 FloatTensor DoubleTensor HalfTensor".split())


@mends("FL108")
def threshold_on_logits(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``logits > 0.5`` becomes ``logits > 0``, ``round(logits)`` ``round(sigmoid(logits))``."""
    reader, module = sighting.node, context.module_at(sighting.node.origin)
    place = module.syntax.expression(reader.origin) if module is not None else None
    if reader.op != "threshold" or module is None or place is None:
        return
    edits = _read_at_zero(module, place) or _read_through_sigmoid(module, place, sighting)
    trained = [n.args[0] for n in _met_at(reader, context) if _is_binary_logits(n)]
    values = [v.args[0] if isinstance(v, Node) and v.op == "threshold" else None for v in module.values(place)]
    compared = [x for x in values if x is not None and any(x is z for z in trained)]
    if not edits or not compared or len(compared) != len(values):
        return
    if any(_is_fitted_otherwise(x, context) or not _has_fractions(x, context) for x in compared):
        return
    if _is_measured_besides(module, place, compared):
        return
    note = cannot_see("is compared", dict.fromkeys(_unseen(module, place, compared, context)))
    yield Proposal(edits, None, make("bce_logits", logits(), target()), note, binary=True)


def _read_at_zero(module: AnalysedModule, place: ast.expr) -> tuple[Edit, ...]:
    """The edit that puts 0 in the place of the 0.5 that a comparison is with, where that is spelled there."""
    number: ast.expr | None
    match place:
        case ast.Compare(ops=[ast.Gt() | ast.GtE() | ast.Lt() | ast.LtE()], comparators=[number]):
            pass
        case _:
            known = known_call(module, place, "threshold")
            number = known.argument("value") if known is not None and not known.besides("x", "value", "name") else None
    return (module.syntax.replace(number, "0"),) if isinstance(number, ast.Constant) and number.value == 0.5 else ()


def _read_through_sigmoid(module: AnalysedModule, place: ast.expr, sighting: Sighting) -> tuple[Edit, ...]:
    """The edit that puts a sigmoid around what is rounded."""
    known = known_call(module, place, "threshold")
    rounded = known.only_operand if known is not None and known.last_name == "round" else None
    speller = Speller(module.syntax)
    framework = speller.framework(sighting.framework, place)
    if rounded is None or framework is None:
        return ()
    written = speller.call(FRAMEWORKS[framework].sigmoid, module.syntax.text(rounded), place)
    return (*written.edits, module.syntax.replace(rounded, written.text)) if written is not None else ()


def _met_at(reader: Node, context: Context) -> list[Node]:
    """Everything that the program compares, or measures, at one place."""
    return [s.node for s in context.sightings() if s.node.origin == reader.origin and s.node.op == reader.op]


def _is_binary_logits(reader: Node) -> bool:
    """Whether what is read certainly is logits of a sigmoid: what a call unknown makes may be anything."""
    x = through(reader.args[0], MOVES - PICKS)
    parts = (through(part, MOVES - PICKS) for part in x.args) if x.op == "add" else (x,)  # a bias, besides
    linear = x.kind is Kind.LOGITS or any(part.op == "matmul" for part in parts)
    return linear and reader.attrs.get("loss") == "bce_logits"


def _value(x: Node) -> Node:
    """What is read, without what only moves it."""
    return through(x, MOVES - PICKS)


def _is_fitted_otherwise(x: Node, context: Context) -> bool:
    """Whether another loss is handed the logits, too: where that one trains them, 0.5 may be what is meant."""
    losses = (s.node for s in context.sightings() if s.node.op in LOSSES and s.node.op != "bce_logits")
    return any(_value(loss.args[0]) is _value(x) for loss in losses if loss.args)


def _has_fractions(x: Node, context: Context) -> bool:
    """Whether nothing has made whole numbers of the logits: then 0.5 says more than 0 does."""
    while x.op in MOVES and x.args:
        module = context.module_at(x.origin)
        call = (
            known_call(module, module.syntax.expression(x.origin), "cast", "identity") if module is not None else None
        )
        if call is None and x.op == "cast":
            return False
        if module is not None and call is not None:
            told = [v for a in call.besides("x", "name") for v in module.values(a.node) or [None]]
            types = [getattr(v, "name", v) for v in told] or [call.last_name] * (call.op == "cast")
            if any(str(t).rpartition(".")[2] not in _FLOATING for t in types):
                return False
        x = x.args[0]
    return True


def _is_measured_besides(module: AnalysedModule, place: ast.expr, compared: list[Node]) -> bool:
    """Whether the formula around a comparison reads the numbers themselves: ``z[z > 0.5]`` asks how large they are."""
    values = [_value(x) for x in compared]
    outer: ast.AST = place
    while isinstance(parent := module.syntax.parent(outer), _FORMULAS) or isinstance(parent, ast.keyword):
        outer = parent
    inside = set(walk(place))
    return any(
        isinstance(v, Node) and any(_value(v) is z for z in values)
        for n in _read(module, outer)
        if n not in inside
        for v in module.values(n)
    )


def _read(module: AnalysedModule, node: ast.AST) -> Iterator[ast.AST]:
    """An expression, and those in it whose numbers matter: not so in ``ones_like(z)`` and ``z.shape``."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not is_numberless(module, child):
            yield from _read(module, child)


def _unseen(module: AnalysedModule, place: ast.expr, compared: list[Node], context: Context) -> Iterator[str]:
    """Who may hand something else to the functions in which a comparison stands, where they don't make the logits."""
    for function in module.syntax.around(place):
        if isinstance(function, ast.Lambda) and not _is_transformed(module, function):
            yield f"a lambda ({module.syntax.where(function)})"
        if not isinstance(function, ast.FunctionDef):
            continue
        if all(_makes(module, function, _value(x)) for x in compared):
            return
        yield from unknown_callers(function, module, context.modules().values())
        yield from map(str, outsiders(context, [module.syntax.replace(function, "")], context.modules()))


def _is_transformed(module: AnalysedModule, function: ast.Lambda) -> bool:
    call = module.syntax.parent(function)
    return isinstance(call, ast.Call) and (call.func is function or transforms(module, call))


def _makes(module: AnalysedModule, function: ast.FunctionDef, z: Node) -> bool:
    """Whether a call in a function gives a value which it wasn't handed."""
    calls = (n for n in walk(function) if isinstance(n, ast.Call) and any(v is z for v in module.values(n)))
    return any(not any(v is z for n in walk(c) if n is not c for v in module.values(n)) for c in calls)


@mends("FL108")
def metrics_of_logits(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``BinaryAccuracy()`` of a model compiled with ``from_logits=True`` becomes ``BinaryAccuracy(threshold=0)``."""
    reader, module = sighting.node, context.module_at(sighting.node.origin)
    place = module.syntax.expression(reader.origin) if module is not None else None
    loss = str(reader.attrs.get("loss"))
    if reader.op != "metric" or module is None or place is None or loss not in _HEADS:
        return
    met = _met_at(reader, context)
    of_units = {units(n.args[0]) for n in met}
    if len(of_units) != 1 or any(n.attrs.get("loss") != loss for n in met) or not _is_for_one_output(module, place):
        return
    items = place.elts if isinstance(place, (ast.List, ast.Tuple)) else [place]
    edits = together(_told(module, item, _HEADS[loss], *of_units) for item in items)
    if edits is None:
        return
    notes = takes_new_keras(edits, context.modules()), cannot_see("is measured", _of_models(context))
    note = "; ".join(filter(None, notes))
    yield Proposal(edits, None, make(loss, logits(), target()), note, loss == "bce_logits")


def _of_models(context: Context) -> Iterator[str]:
    """Where a program asks a model for its metrics, which it may then hand something else."""
    for module in context.modules().values():
        for node in module.syntax.nodes:
            if isinstance(node, ast.Attribute) and node.attr in ("metrics", "compiled_metrics"):
                values = module.values(node)
                if not values or not all(isinstance(v, (External, Frame)) for v in values):
                    yield f"`{module.syntax.text(node)}` ({module.syntax.where(node)})"


def _told(module: AnalysedModule, item: ast.expr, head: str, of_units: int | None) -> tuple[Edit, ...] | None:
    """The edits by which one metric reads logits; none where it does; None where it can't, or isn't spelled there."""
    built = module.layer(item)
    stated = {k.arg: ast.unparse(k.value) for k in item.keywords} if isinstance(item, ast.Call) else {}
    is_binary_accuracy = built is not None and canonical(built.symbol.name) == "keras.metrics.BinaryAccuracy"
    if stated.get("from_logits") == "True" or (is_binary_accuracy and stated.get("threshold") in ("0", "0.0")):
        return ()
    edits = metric_on_logits(module, item, head, of_units)
    named = isinstance(item, (ast.Call, ast.Constant)) or all(isinstance(v, External) for v in module.values(item))
    return edits if not edits or named else None


@mends("FL108")
def metric_object(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``metric.update_state(y, logits)`` in a loop of one's own: the metric is made with ``from_logits=True``."""
    reader, module = sighting.node, context.module_at(sighting.node.origin)
    built = _metric_at(module, module.syntax.expression(reader.origin)) if module is not None else None
    home = context.modules().get(built.site.frame.module.path) if built is not None else None
    if reader.op != "metric" or built is None or home is None:
        return
    places = {m.syntax.file.origin(n) for m in context.modules().values() for n in _handed(m, built)}
    met = [s.node for s in context.sightings() if s.node.op == "metric" and s.node.origin in places]
    losses = {n.attrs.get("loss") for n in met} - {None}
    told = object_on_logits(home, built, _HEADS.get(str(losses.pop())) if losses else None) if len(losses) < 2 else None
    if told is None or {n.origin for n in met} != places or any(_value(n.args[0]).kind is not Kind.LOGITS for n in met):
        return
    head, edits = told
    unseen = map(str, outsiders(context, edits or (), context.modules()))
    note = "; ".join(filter(None, (takes_new_keras(edits or (), context.modules()), cannot_see("is measured", unseen))))
    op = next(op for op, belonging in _HEADS.items() if belonging == head)
    yield Proposal(edits or (), None, make(op, logits(), target()), note, head == "sigmoid")


def _metric_at(module: AnalysedModule, place: ast.expr | None) -> Built | None:
    """The metric object that a call hands something."""
    func = place.func if isinstance(place, ast.Call) else None
    if func is None:
        return None
    updates = isinstance(func, ast.Attribute) and func.attr == "update_state"
    return module.layer(func.value if updates and isinstance(func, ast.Attribute) else func)


def _handed(module: AnalysedModule, built: Built) -> Iterator[ast.expr]:
    """Every place that may hand a metric something: a call of it, or what does anything else with it than ask."""
    for node in module.syntax.nodes:
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            continue
        if not any(made_alike(v, built) for v in module.values(node)):
            continue
        _, around = module.syntax.user(node)
        if isinstance(around, ast.Attribute) and around.attr in ASKING:
            continue
        called = module.syntax.parent(around) if isinstance(around, ast.Attribute) else around
        yield called if isinstance(called, ast.expr) else node


def _is_for_one_output(module: AnalysedModule, metrics: ast.expr) -> bool:
    """Whether metrics are spelled in a call of ``compile`` with one loss, not one for each of several outputs."""
    _, call = module.syntax.user(metrics)
    if not isinstance(call, ast.Call) or not calls_method(module, call, "compile"):
        return False
    loss = given_to_compile(call).get("loss")
    values = module.values(loss) if loss is not None else []
    return bool(values) and all(isinstance(v, (str, External, Built)) for v in values)
