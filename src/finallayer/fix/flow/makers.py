"""The softmaxes, or sigmoids, behind a log: what they have in common, and how a fix writes what takes their place."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from finallayer.expr import SEVERAL, TRANSPARENT, Node, Origin, logits, make, target, through
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.text.spelling import FRAMEWORKS, Speller, Written
from finallayer.rules.route import guard, route

#: The losses that logs of a softmax and of a sigmoid amount to, written stably.
NLL = make("neg", make("gather", make("log_softmax", logits()), target()))
#: Of log(sigmoid(z)) and, by True, of log(1 - sigmoid(z)): -log_sigmoid(-z) is the softplus of z.
NLL_OF_SIGMOID = {False: make("neg", make("log_sigmoid", logits())), True: make("softplus", logits())}


class Makers(NamedTuple):
    """What made the probabilities that some logs are taken of: alike in all but their place."""

    op: str
    axis: object
    nodes: dict[Origin, Node]

    @property
    def binary(self) -> bool:
        return self.op == "sigmoid"

    def loss(self, log: Node) -> Node:
        """The loss that a log of them amounts to, written stably."""
        return NLL_OF_SIGMOID[flips(log.args[0])] if self.binary else NLL

    def log(self, speller: Speller, framework: str, logits: str, flipped: bool, at: ast.AST) -> Written | None:
        """The log of the probabilities (``flipped``: of one minus them) that belong to logits as they are written."""
        if self.binary:
            return speller.log_sigmoid(framework, logits, flipped, at)
        if flipped or not isinstance(self.axis, int):
            return None  # log(1 - softmax) has no stable form
        return speller.along(FRAMEWORKS[framework].log_softmax, logits, framework, self.axis, at)

    def probabilities(self, speller: Speller, framework: str, logits: str, at: ast.AST) -> Written | None:
        """The probabilities that belong to logits as they are written."""
        functions = FRAMEWORKS[framework]
        if self.binary:
            return speller.call(functions.sigmoid, logits, at)
        return (
            speller.along(functions.softmax, logits, framework, self.axis, at) if isinstance(self.axis, int) else None
        )


def logs_at(modules: Mapping[str, AnalysedModule], log: Origin | None) -> list[Node]:
    """Every log that the program takes at one place; nothing where it is something else at times.

    What a function does with arguments that nobody knows is left out, where the program calls it with others.
    """
    module = modules.get(log.path) if log is not None else None
    call = module.syntax.expression(log) if module is not None else None
    values = module.values(call) if module is not None and call is not None else []
    logs = [v for v in values if isinstance(v, Node) and v.op == "log"]
    return logs if len(logs) == len(values) else []


def makers_of(logs: Iterable[Node]) -> Makers | None:
    """What made the probabilities that these logs are taken of; None where that isn't certain, or not always alike."""
    found: list[Node] = []
    for log in logs:
        made = list(behind(log.args[0]))
        if any(may_be_masked(m) for m in made if m.args) and guard(log.args[0]) is not None:
            return None
        found += made
    alike = {(m.op, m.attrs.get("axis")) for m in found}
    known = all(m.origin is not None and m.op in ("softmax", "sigmoid") for m in found)
    if len(alike) != 1 or not known or any(m.attrs.get("whole") or _is_mended_first(m) for m in found):
        return None
    op, axis = alike.pop()
    return Makers(op, axis, {m.origin: m for m in found if m.origin is not None})


def _is_mended_first(made: Node) -> bool:
    """A softmax that is written out without its maximum is mended where it stands, before its log is."""
    return made.op == "softmax" and bool(made.attrs.get("naive"))


def may_be_masked(softmax: Node) -> bool:
    """Whether some logits may be infinite: then ``0 * log(p + eps)`` is 0, but ``0 * log_softmax(z)`` NaN."""
    return through(softmax.args[0], TRANSPARENT - {"join"} | {"scale", "shift", "add"}).op in ("mask", "join", "clip")


def behind(x: Node) -> Iterator[Node]:
    """Every softmax or sigmoid behind a probability: several where it comes from one of several places."""
    for step in route(x):
        if step.op in SEVERAL:
            for way in step.args:
                yield from behind(way)
            return
        x = step.args[0]
    yield x


def flips(x: Node) -> bool:
    """Whether a value is one minus a probability."""
    return sum(step.op == "one_minus" for step in route(x)) % 2 == 1
