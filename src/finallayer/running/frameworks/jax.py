"""JAX: each loss whose gradient is asked for, with the logits and labels that its jaxpr shows.

The loss is traced once more beside itself, and what of it the logits and labels are made of is computed along with the
gradient; in a compiled step the two have that in common. The numbers come back by ``jax.debug.callback``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from finallayer.auditing.judgement import judged
from finallayer.expr import MOVES, PICKS, Node, through
from finallayer.kinds import Kind
from finallayer.live.differentiated import gradients
from finallayer.live.jax import Traced, inner_jaxpr, traced
from finallayer.live.margins import HEADS, KINDS, ROUTE
from finallayer.live.randomness import plain_generators
from finallayer.running.first_loss import audited
from finallayer.running.ledger import Ledger
from finallayer.running.samples import of_classes, of_outcomes

#: What may stand between a label and its factor.
_TO_LABEL = MOVES | {"neg", "cast", "identity"}


@contextmanager
def around(ledger: Ledger, _module: str) -> Iterator[None]:
    """Inside, every gradient of a loss that shows logits and labels is a step of the ledger's."""
    with gradients(_Steps(ledger).measure):
        yield


class _Pair(NamedTuple):
    """Where the logits stand, and the labels: class indices behind a pick, or a number for each logit."""

    logits: Node
    labels: Node
    picked: bool
    binary: bool


class _Steps:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tracing = False

    def measure(
        self, loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], trained: Sequence[int]
    ) -> None:
        """A gradient is asked for: the loss is measured beside it."""
        if self._tracing or self._ledger.trainer is not None:
            return
        self._tracing = True
        try:
            with plain_generators():
                seen = traced(loss, args, kwargs, trained)
            if self._ledger.audit is None:
                audited(self._ledger, "float32", seen.observation, by=judged)
            pair = next(_pairs(seen.observation.losses), None)
            if pair is None or not self._told(seen, pair):
                self._ledger.note("a JAX loss whose jaxpr shows no logits and labels was not measured")
        except Exception as error:  # of the program's own call, which will say so, or of what we don't know
            self._ledger.note(f"a JAX loss was not measured ({type(error).__name__})")
        finally:
            self._tracing = False

    def _told(self, seen: Traced, pair: _Pair) -> bool:
        """Have logits and labels computed, and told whenever they are; whether that can be."""
        wanted = [seen.variables.get(id(node), []) for node in (pair.logits, pair.labels)]
        values: dict[Any, Any] = {}
        _evaluate(seen.jaxpr, seen.constants, seen.leaves, {v for some in wanted for v in some}, values)
        logits, labels = (next((values[v] for v in reversed(some) if v in values), None) for some in wanted)
        if logits is None or labels is None or not np.shape(logits):
            return False
        jax.debug.callback(self._count, logits, labels, picked=pair.picked, binary=pair.binary)
        return True

    def _count(self, logits: Any, labels: Any, picked: bool, binary: bool) -> None:
        z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels)
        samples = None
        if binary and z.size == y.size:
            samples = of_outcomes(z.reshape(-1), np.abs(y.reshape(-1)), False)
        elif not binary:
            rows = z.reshape(-1, z.shape[-1])
            indices = y.reshape(len(rows), -1)[:, -1] if picked and y.size % len(rows) == 0 else None
            if not picked and y.shape == z.shape:
                indices = np.abs(y).reshape(rows.shape).argmax(-1)
            samples = None if indices is None else of_classes(rows, indices, False)
        self._ledger.step(samples)


def _pairs(losses: Iterable[Node]) -> Iterator[_Pair]:
    """Where predictions and labels meet, the nearest to the loss first."""
    for loss in losses:
        for node in loss.walk():
            if node.op in PICKS and len(node.args) > 1:
                logits = _logits(node.args[0])
                if logits is not None:
                    yield _Pair(logits, node.args[1], True, False)
            elif node.op == "mul":
                for prediction, label in (node.args, node.args[::-1]):
                    head = through(prediction, ROUTE)
                    if prediction.kind in KINDS and head.op in HEADS:
                        binary = head.operation.over == "outcome"
                        if not binary or head.args[0].op != "neg":
                            yield _Pair(_deepest(head), through(label, _TO_LABEL), False, binary)


def _logits(prediction: Node) -> Node | None:
    """What a prediction that a label picks from is made of, as far down as softmaxes go."""
    head = through(prediction, ROUTE)
    if head.op in HEADS:
        return _deepest(head)
    return prediction if prediction.kind is Kind.LOGITS else None


def _deepest(head: Node) -> Node:
    """The logits of a softmax, or of the one that it is handed."""
    inner = through(head.args[0], MOVES)
    return _deepest(inner) if inner.op in HEADS else head.args[0]


def _evaluate(
    jaxpr: Any, consts: Sequence[Any], args: Sequence[Any], wanted: set[Any], values: dict[Any, Any]
) -> list[Any]:
    """Compute a jaxpr, the calls in it a step at a time, and keep the values of some of its variables."""
    known: dict[Any, Any] = {}

    def keep(variables: Sequence[Any], results: Sequence[Any]) -> None:
        for variable, value in zip(variables, results, strict=True):
            known[variable] = value
            if variable in wanted:
                values[variable] = value

    def read(variable: Any) -> Any:
        return variable.val if hasattr(variable, "val") else known[variable]

    keep(jaxpr.constvars, consts)
    keep(jaxpr.invars, args)
    for eqn in jaxpr.eqns:
        given = [read(variable) for variable in eqn.invars]
        inner = inner_jaxpr(eqn)
        if inner is not None:
            results = _evaluate(*inner, given[len(given) - len(inner[0].invars) :], wanted, values)
        else:
            bound = eqn.primitive.get_bind_params(eqn.params)
            functions, params = bound if isinstance(bound, tuple) else ((), bound)  # before JAX 0.10 two in one
            results = eqn.primitive.bind(*functions, *given, **params)
            results = results if eqn.primitive.multiple_results else [results]
        keep(eqn.outvars, results)
    return [read(variable) for variable in jaxpr.outvars]
