"""Fixes of cross-entropies written by hand on logits: their log becomes the log of a softmax."""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import PICKS, TRANSPARENT, Node, logits, make, target, through
from finallayer.findings import Match, Refusal, Sighting
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.registry import Offer, Proposal, mends
from finallayer.fix.text.spelling import FRAMEWORKS, Speller
from finallayer.kinds import Kind
from finallayer.rules.axes import Axes
from finallayer.rules.route import class_axis, units

#: What gives any real numbers: a layer without an activation, and a bias on top.
_LINEAR = ("affine", "matmul")
ANOTHER_AXIS = "the sum goes along another axis than the layer's units: either may be that of the classes"


@mends("FL102")
def log_softmax_of_logits(sighting: Sighting, _match: Match, context: Context) -> Iterator[Offer]:
    """``-sum(y * log(z))`` becomes ``-sum(y * log_softmax(z))``."""
    log = sighting.node
    module = context.module_at(log.origin) if _is_of_classes(log) else None
    if module is None or class_axis(log.args[0]) != -1 or units(log.args[0]) == 1:
        return
    if not _may_be_summed_over_units(log):
        yield Refusal(ANOTHER_AXIS)
        return
    call = known_call(module, module.syntax.expression(log.origin), "log")
    speller = Speller(module.syntax)
    framework = speller.framework(sighting.framework, call.node) if call is not None else None
    if call is None or framework is None or call.only_operand is None or not call.is_natural_log:
        return
    text = module.syntax.text(call.only_operand)
    written = speller.along(FRAMEWORKS[framework].log_softmax, text, framework, -1, call.node)
    if written is None:
        return
    edits = (*written.edits, module.syntax.replace(call.node, written.text))
    new = make("neg", make("gather", make("log_softmax", logits(), axis=-1), target()))
    yield Proposal(edits, None, new)


def _is_of_classes(log: Node) -> bool:
    """Whether this is the log of logits that are taken for the probabilities of classes."""
    return log.op == "log" and "of_classes" in log.attrs and _is_linear(log.args[0])


def _may_be_summed_over_units(log: Node) -> bool:
    """Whether what a log is weighed by is summed over the units, as the classes are: over the last axis, or all."""
    axis, z = log.attrs.get("summed_along"), Axes.of(log.args[0])
    return axis is None or not (z.apart(axis, -1) or (z.rank is None and z.is_first(axis)))


def _is_linear(x: Node) -> bool:
    """Whether a value is a layer's output, of any size and sign."""
    z = through(x, TRANSPARENT - PICKS)
    parts = z.args if z.op == "add" else (z,)
    layers = [p for p in parts if p.kind is not Kind.PARAMETER]
    return (
        x.kind is Kind.LOGITS and len(layers) == 1 and layers[0].op in _LINEAR and "activation" not in layers[0].attrs
    )
