"""Fixes of logs of what a function, a model or another file made with its last softmax or sigmoid.

That softmax goes, so that logits come out; each log becomes log_softmax of them; whoever needs probabilities gets the
softmax back where it reads them. The edits of all files belong together.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.expr import LOSSES, Node
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.fixers.removal import Removal, remove
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.callers import parameter_behind
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.head import Head, Output
from finallayer.fix.flow.makers import Makers, behind, logs_at, makers_of
from finallayer.fix.flow.outsiders import outsiders
from finallayer.fix.flow.place import Place
from finallayer.fix.flow.readers import Readers
from finallayer.fix.flow.unread import removals as unread
from finallayer.fix.registry import Proposal, Reach, cannot_see, mends
from finallayer.fix.text.spelling import Speller, Written
from finallayer.fix.text.syntax import Syntax
from finallayer.rules.margin import loss_of

#: Operations that read a head's output as a prediction, which is then theirs to be told that it is logits.


@mends("FL201", "FL202", "FL203", "FL205", reach=Reach.MODEL)
def log_of_output(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``log(model(x))``, where the model ends in a softmax, becomes ``log_softmax(model(x))`` of one that doesn't."""
    log = sighting.node
    seen = context.sightings()
    modules = context.modules()
    makers = makers_of(logs_at(modules, log.origin))
    if makers is None:
        return
    removals = _removals(makers, modules)
    if not removals:
        return
    head = Head(makers.op, frozenset().union(*(r.head.origins for _, r in removals)))
    fix = _Rewriting(context, modules, makers, Output(head, modules, context.uses()))
    logs = {s.node.origin: s for s in seen if s.node.op == "log" and fix.reads(s.node)}
    written = {origin: fix.of_log(s) for origin, s in logs.items()}
    edits = fix.all_edits(removals, [w for w in written.values() if w is not None], seen)
    if written.get(log.origin) is None or edits is None or fix.refusals:
        return
    note = cannot_see(f"reads the {makers.op}", fix.unseen)
    yield Proposal(edits, loss_of(log), makers.loss(log), note, makers.binary)


def _removals(makers: Makers, modules: dict[str, AnalysedModule]) -> list[tuple[AnalysedModule, Removal]]:
    """How each softmax is taken out; nothing where one can't be."""
    found = []
    for origin, made in makers.nodes.items():
        module = modules.get(origin.path)
        removal = remove(made, module) if module is not None else None
        if module is None or removal is None or _is_all_of_a_function(module, removal):
            return []
        found.append((module, removal))
    return found


def _is_all_of_a_function(module: AnalysedModule, removal: Removal) -> bool:
    """Whether a function does nothing besides the softmax of its own argument: without that it would do nothing."""
    call = removal.call
    z = call.operand if call is not None else None
    is_given_back = call is not None and isinstance(module.syntax.parent(call.node), (ast.Return, ast.Lambda))
    return is_given_back and z is not None and parameter_behind(module.syntax, z) is not None


class _Rewriting:
    """The edits of one fix over all files, and what stands against it."""

    def __init__(self, context: Context, modules: dict[str, AnalysedModule], makers: Makers, output: Output) -> None:
        self._context, self._modules, self._makers, self._output = context, modules, makers, output
        self._handled: set[ast.expr] = set()
        self._gone: dict[ast.AST, list[tuple[Place, str]]] = {}  # by function: the logs, and what replaces them
        self._framework: str | None = None
        self.refusals: list[str] = []
        self.unseen: list[str] = []

    def reads(self, node: Node) -> bool:
        """Whether an operation is of the head's output, guarded or not."""
        return any(self._output.is_head(made) for made in behind(node.args[0])) if node.args else False

    def of_log(self, sighting: Sighting) -> tuple[Edit, ...] | None:
        """The edits that make a log a log_softmax of what will be logits; None where it stays, and gets them back."""
        place = Place.of_log(self._context, sighting.node, lambda here: self._is_output(sighting.node, here))
        framework = place.framework(sighting) if place is not None else None
        if place is None or framework is None or any(step.kind == "name" for step in place.descent.steps):
            return None
        made = place.descent.made
        if not self._is_output(sighting.node, made):
            return None
        written = self._makers.log(place.speller, framework, place.syntax.text(made), place.flips(), place.node)
        edits = place.replaced(written)
        if written and edits:
            self._framework = framework
            self._gone.setdefault(place.syntax.scope(place.node), []).append((place, written.text))
            self._handled |= {made, *(step.outer for step in place.descent.steps)}
        return edits or None

    def _is_output(self, log: Node, here: ast.expr) -> bool:
        """Whether an expression of a log's file always stands for the head's output as it is."""
        values = self._output.uses.of(log.origin.path, here) if log.origin is not None else []
        ways = [self._output.ways(v) for v in values]
        return bool(ways) and all(w and not any(map(self._output.is_derived, w)) for w in ways)

    def all_edits(
        self, removals: list[tuple[AnalysedModule, Removal]], logs: list[tuple[Edit, ...]], seen: list[Sighting]
    ) -> tuple[Edit, ...] | None:
        """Every edit of the fix; None where one of them can't be made."""
        output = self._output
        readers = Readers(output.head, output.modules, output.uses, frozenset(self._handled))
        self.refusals += readers.refusals
        self.unseen += readers.unseen
        judged = (s.node for s in seen if s.node.op in LOSSES | {"metric"})
        if readers.compiled or readers.predictions or any(map(self.reads, judged)):
            return None  # a fix of heads tells losses and metrics
        edits = [e for log in logs for e in log]
        for gone in self._gone.values():
            edits += unread(gone[0][0].syntax, [place.node for place, _ in gone], [text for _, text in gone])
        for _, removal in removals:
            edits += removal.edits
            self.unseen += removal.unseen
        for reader in readers.wraps:
            syntax = reader.module.syntax
            around = self._restored(syntax, reader.node) if reader.can_be_wrapped else None
            if around is None:
                return None
            edits += (*around.edits, syntax.replace(reader.node, around.text))
        self.unseen += outsiders((e.path for e in edits), self._modules)
        return tuple(dict.fromkeys(edits))

    def _restored(self, syntax: Syntax, reader: ast.expr) -> Written | None:
        """What gives a reader of logits the probabilities again."""
        if self._framework is None:
            return None
        return self._makers.probabilities(Speller(syntax), self._framework, syntax.text(reader), reader)
