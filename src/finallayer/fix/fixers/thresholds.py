"""Fixes of what reads logits as probabilities: a threshold of 0.5 becomes 0, and Keras' metrics are told.

``sigmoid(z) > 0.5`` says the same as ``z > 0``; no other threshold has so plain a twin, and a softmax has none. What is
compared must certainly be what a binary loss on logits trains, whenever the comparison runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.catalog.names import canonical
from finallayer.expr import MOVES, PICKS, Node, logits, make, target, through
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.fixers.keras_metrics import given_to_compile, metric_on_logits
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.callers import parameter_behind, unknown_callers
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.known_calls import calls_method, known_call
from finallayer.fix.flow.outsiders import outsiders
from finallayer.fix.registry import Proposal, cannot_see, mends
from finallayer.fix.text.edits import together
from finallayer.fix.text.keras_spelling import with_argument
from finallayer.fix.text.spelling import FRAMEWORKS, Speller
from finallayer.kinds import Kind
from finallayer.source.values import Built, External

#: The loss that trains the logits -> the head that makes them probabilities.
_HEADS = {"bce_logits": "sigmoid", "xent_logits": "softmax"}


@mends("FL108")
def threshold_on_logits(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``logits > 0.5`` becomes ``logits > 0``, ``round(logits)`` ``round(sigmoid(logits))``."""
    reader, module = sighting.node, context.module_at(sighting.node.origin)
    place = module.syntax.expression(reader.origin) if module is not None else None
    if reader.op != "threshold" or module is None or place is None:
        return
    edits = _read_at_zero(module, place) or _read_through_sigmoid(module, place, sighting)
    trained = [n.args[0] for n in _met_at(reader, context) if _is_binary_logits(n)]
    compared = [v.args[0] if isinstance(v, Node) and v.op == "threshold" else None for v in module.values(place)]
    if not edits or not compared or any(all(x is not z for z in trained) for x in compared):
        return
    note = cannot_see("is compared", dict.fromkeys(_unseen(module, place, context)))
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


def _unseen(module: AnalysedModule, place: ast.expr, context: Context) -> Iterator[str]:
    """Who may hand something else to the function in which a comparison stands."""
    for node in ast.walk(place):
        function = parameter_behind(module.syntax, node) if isinstance(node, ast.Name) else None
        if function is not None:
            yield from unknown_callers(function, module, context.modules().values())
            yield from outsiders([module.path], context.modules())


@mends("FL108")
def metrics_of_logits(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``BinaryAccuracy()`` of a model compiled with ``from_logits=True`` becomes ``BinaryAccuracy(threshold=0)``."""
    reader, module = sighting.node, context.module_at(sighting.node.origin)
    place = module.syntax.expression(reader.origin) if module is not None else None
    loss = str(reader.attrs.get("loss"))
    if reader.op != "metric" or module is None or place is None or loss not in _HEADS:
        return
    met = _met_at(reader, context)
    one_unit = {_has_one_unit(n.args[0]) for n in met}
    if len(one_unit) > 1 or any(n.attrs.get("loss") != loss for n in met) or not _is_for_one_output(module, place):
        return
    items = place.elts if isinstance(place, (ast.List, ast.Tuple)) else [place]
    edits = together(_told(module, item, _HEADS[loss], one_unit == {True}) for item in items)
    if edits is None:
        return
    moved = any(edit.text == "0" or "threshold=0" in edit.text for edit in edits)
    note = "Keras 3.0 to 3.4 take no threshold of 0" if moved else ""
    yield Proposal(edits, None, make(loss, logits(), target()), note, loss == "bce_logits")


def _told(module: AnalysedModule, item: ast.expr, head: str, one_unit: bool) -> tuple[Edit, ...] | None:
    """The edits by which one metric reads logits; none where it does; None where it can't, or isn't spelled there."""
    built = module.layer(item)
    stated = {k.arg: ast.unparse(k.value) for k in item.keywords} if isinstance(item, ast.Call) else {}
    is_binary_accuracy = built is not None and canonical(built.symbol.name) == "keras.metrics.BinaryAccuracy"
    if stated.get("from_logits") == "True" or (is_binary_accuracy and stated.get("threshold") in ("0", "0.0")):
        return ()
    if isinstance(item, ast.Call) and is_binary_accuracy and head == "sigmoid" and stated.get("threshold") == "0.5":
        return with_argument(module.syntax, item, "threshold", "0")
    edits = metric_on_logits(module, item, head, one_unit)
    return edits if not edits or isinstance(item, (ast.Call, ast.Constant)) else None


def _is_for_one_output(module: AnalysedModule, metrics: ast.expr) -> bool:
    """Whether metrics are spelled in a call of ``compile`` with one loss, not one for each of several outputs."""
    _, call = module.syntax.user(metrics)
    if not isinstance(call, ast.Call) or not calls_method(module, call, "compile"):
        return False
    loss = given_to_compile(call).get("loss")
    values = module.values(loss) if loss is not None else []
    return bool(values) and all(isinstance(v, (str, External, Built)) for v in values)


def _has_one_unit(x: Node) -> bool:
    """Whether a layer of one unit makes a value, and nothing has picked a part of it since."""
    return through(x, MOVES - PICKS).attrs.get("units") == 1
