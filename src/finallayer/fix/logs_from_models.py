"""Fixes of logs of what a function, a model or another file made with its last softmax or sigmoid.

That softmax goes, so that logits come out; each log becomes log_softmax of them; whoever needs probabilities gets the
softmax back where it reads them. The edits of all files belong together.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from finallayer.expr import Node, Origin
from finallayer.fix.bindings import reaching
from finallayer.fix.heads import is_legible
from finallayer.fix.importers import importers
from finallayer.fix.logs import NLL, NLL_OF_SIGMOID, may_be_masked
from finallayer.fix.output import Head, Output
from finallayer.fix.place import Place
from finallayer.fix.readers import Readers
from finallayer.fix.registry import Context, Proposal, mends
from finallayer.fix.removal import Program, Removal, argument_of, remove
from finallayer.fix.spelling import FRAMEWORKS, Speller, Written
from finallayer.fix.syntax import Syntax
from finallayer.fix.unread import removals as unread
from finallayer.rules.base import Edit, Match, Sighting
from finallayer.rules.margin import loss_of
from finallayer.rules.route import guard, route

#: Operations that read a head's output as a prediction, which is then theirs to be told that it is logits.
_LOSSES = frozenset("xent_logits xent_probs bce_logits bce_probs nll kl kl_probs mse mae hinge metric".split())


class _Heads(NamedTuple):
    """The softmaxes, or sigmoids, that one log reads: alike in all but their place."""

    op: str
    axis: object
    makers: dict[Origin, Node]

    def restored(self, syntax: Syntax, framework: str | None, reader: ast.expr) -> tuple[Edit, ...]:
        """The edits that give a reader of logits the probabilities again; none where that can't be written."""
        speller, text = Speller(syntax), syntax.text(reader)
        call = None
        if framework is not None and self.op == "sigmoid":
            call = speller.call(FRAMEWORKS[framework].sigmoid, text, reader)
        elif framework is not None and isinstance(self.axis, int):
            call = speller.along(FRAMEWORKS[framework].softmax, text, framework, self.axis, reader)
        return (*call.edits, syntax.replace(reader, call.text)) if call is not None else ()


@mends("FL201", "FL202", "FL203", "FL205")
def log_of_output(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """``log(model(x))``, where the model ends in a softmax, becomes ``log_softmax(model(x))`` of one that doesn't."""
    log = sighting.node
    seen = context.sightings()
    heads = _heads([s.node for s in seen if s.node.op == "log" and s.node.origin == log.origin])
    if heads is None:
        return
    programs = context.programs()
    removals = _removals(heads, programs)
    if not removals:
        return
    head = Head(heads.op, frozenset().union(*(r.head.origins for _, r in removals)))
    fix = _Rewriting(context, programs, heads, Output(head, context.uses(), context.syntaxes(context.uses())))
    logs = {s.node.origin: s for s in seen if s.node.op == "log" and fix.reads(s.node)}
    written = {origin: fix.of_log(s) for origin, s in logs.items()}
    edits = fix.all_edits(removals, [w for w in written.values() if w is not None], seen)
    if written.get(log.origin) is None or edits is None or fix.refusals:
        return
    note = f"can't see all that reads the {heads.op}: {'; '.join(fix.unseen)}" if fix.unseen else ""
    flips = sum(step.op == "one_minus" for step in route(log.args[0])) % 2 == 1
    new = NLL if heads.op == "softmax" else NLL_OF_SIGMOID[flips]
    yield Proposal(edits, loss_of(log), new, not fix.unseen, note, heads.op == "sigmoid")


def _heads(logs: list[Node]) -> _Heads | None:
    """What made the probabilities that a log is taken of, whichever way the program came there."""
    found: list[Node] = []
    for log in logs:
        made = list(_makers(log.args[0]))
        if not made or any(may_be_masked(m) for m in made if guard(log.args[0]) is not None):
            return None
        found += made
    alike = {(m.op, m.attrs.get("axis")) for m in found}
    known = all(m.origin is not None and m.op in ("softmax", "sigmoid") for m in found)
    if len(alike) != 1 or not known or any(m.attrs.get("naive") or m.attrs.get("whole") for m in found):
        return None
    op, axis = alike.pop()
    return _Heads(op, axis, {m.origin: m for m in found if m.origin is not None})


def _makers(x: Node) -> Iterator[Node]:
    """Every softmax or sigmoid behind a probability: several where it comes from one of several places."""
    for step in route(x):
        if step.op == "join":
            for way in step.args:
                yield from _makers(way)
            return
        x = step.args[0]
    yield x


def _removals(heads: _Heads, programs: dict[str, Program]) -> list[tuple[Program, Removal]]:
    """How each softmax is taken out; nothing where one can't be."""
    found = []
    for origin, made in heads.makers.items():
        program = programs.get(origin.path)
        removal = remove(made, program) if program is not None else None
        if program is None or removal is None or _is_all_of_a_function(program, removal):
            return []
        found.append((program, removal))
    return found


def _is_all_of_a_function(program: Program, removal: Removal) -> bool:
    """Whether a function does nothing besides the softmax of its own argument: without that it would do nothing."""
    call = removal.call
    z = argument_of(call, program.syntax) if call is not None else None
    if (
        call is None
        or not isinstance(z, ast.Name)
        or not isinstance(program.syntax.parent(call), ast.Return | ast.Lambda)
    ):
        return False
    return isinstance(reaching(program.syntax, z, z.id), ast.arguments)


class _Rewriting:
    """The edits of one fix over all files, and what stands against it."""

    def __init__(self, context: Context, programs: dict[str, Program], heads: _Heads, output: Output) -> None:
        self._context, self._programs, self._heads, self._output = context, programs, heads, output
        self._handled: set[ast.expr] = set()
        self._gone: dict[ast.AST, list[tuple[Place, str]]] = {}  # by function: the logs, and what replaces them
        self._framework: str | None = None
        self.refusals: list[str] = []
        self.unseen: list[str] = []

    def reads(self, node: Node) -> bool:
        """Whether an operation is of the head's output, guarded or not."""
        return any(self._output.is_head(made) for made in _makers(node.args[0])) if node.args else False

    def of_log(self, sighting: Sighting) -> tuple[Edit, ...] | None:
        """The edits that make a log a log_softmax of what will be logits; None where it stays, and gets them back."""
        place = Place.of_log(self._context, sighting.node, lambda here: self._is_output(sighting.node, here))
        framework = place.framework(sighting) if place is not None else None
        if place is None or framework is None or any(step.kind == "name" for step in place.descent.steps):
            return None
        made = place.descent.made
        if not self._is_output(sighting.node, made) or (place.flips() and self._heads.op == "softmax"):
            return None
        written = self._log(place, framework, place.syntax.text(made))
        edits = place.replaced(written)
        if written and edits:
            self._framework = framework
            self._gone.setdefault(place.syntax.scope(place.node), []).append((place, written.text))
            self._handled |= {made, *(step.outer for step in place.descent.steps)}
        return edits or None

    def _log(self, place: Place, framework: str, text: str) -> Written | None:
        if self._heads.op == "sigmoid":
            return place.speller.log_sigmoid(framework, text, place.flips(), place.node)
        axis = self._heads.axis
        if not isinstance(axis, int):
            return None
        return place.speller.along(FRAMEWORKS[framework].log_softmax, text, framework, axis, place.node)

    def _is_output(self, log: Node, here: ast.expr) -> bool:
        """Whether an expression of a log's file always stands for the head's output as it is."""
        values = self._output.uses.of(log.origin.path, here) if log.origin is not None else []
        ways = [self._output.steps(v) for v in values]
        return bool(ways) and all(w is not None and not self._output.is_derived(w) for w in ways)

    def all_edits(
        self, removals: list[tuple[Program, Removal]], logs: list[tuple[Edit, ...]], seen: list[Sighting]
    ) -> tuple[Edit, ...] | None:
        """Every edit of the fix; None where one of them can't be made."""
        output = self._output
        readers = Readers(output.head, output.uses, output.syntaxes, frozenset(self._handled))
        self.refusals += readers.refusals
        self.unseen += readers.unseen
        if readers.compiled or readers.predictions or any(s.node.op in _LOSSES and self.reads(s.node) for s in seen):
            return None  # a fix of heads tells losses and metrics
        edits = [e for log in logs for e in log]
        for gone in self._gone.values():
            edits += unread(gone[0][0].syntax, [place.node for place, _ in gone], [text for _, text in gone])
        for program, removal in removals:
            edits += removal.edits
            self._note_names(program, removal)
        for place in readers.wraps:
            program = self._programs[place.path]
            if not place.whole or place.derived or not is_legible(program, place.node):
                return None
            around = self._heads.restored(program.syntax, self._framework, place.node)
            if not around:
                return None
            edits += around
        self._note_importers(edits)
        return tuple(dict.fromkeys(edits))

    def _note_names(self, program: Program, removal: Removal) -> None:
        named = removal.call is not None and any(k.arg == "name" for k in removal.call.keywords)
        if named and removal.call is not None:
            self.unseen.append(f"the operation's name in the graph (line {removal.call.lineno})")

    def _note_importers(self, edits: list[Edit]) -> None:
        for path in {e.path for e in edits}:
            others = (other for other in importers(self._programs[path].syntax.file) if other not in self._programs)
            self.unseen += [f"{Path(other).name} imports {Path(path).name}" for other in others]
