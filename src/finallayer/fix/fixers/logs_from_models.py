"""Fixes of logs of what a function, a model or another file made with its last softmax or sigmoid.

That softmax goes, so that logits come out; each log becomes log_softmax of them; whoever needs probabilities gets the
softmax back where it reads them. The edits of all files belong together.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial

from finallayer.expr import LOSSES, Node, Origin
from finallayer.findings import Edit, Match, Refusal, Sighting
from finallayer.fix.fixers.helper_calls import without_helper
from finallayer.fix.fixers.honest_names import with_honest_outputs, with_honest_words
from finallayer.fix.fixers.removal import Removal, remove
from finallayer.fix.fixers.written_out import without_formula
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import are_shown
from finallayer.fix.flow.callers import parameter_behind
from finallayer.fix.flow.context import Context, Program
from finallayer.fix.flow.descent import definition
from finallayer.fix.flow.everywhere import Written, make_everywhere
from finallayer.fix.flow.head import Head
from finallayer.fix.flow.log_helpers import LogHelper
from finallayer.fix.flow.makers import Makers, behind, flips, logs_at, makers_of
from finallayer.fix.flow.naming import Named
from finallayer.fix.flow.place import Place
from finallayer.fix.flow.readers import Readers
from finallayer.fix.flow.unread import removals as left_unread
from finallayer.fix.flow.unread import unread
from finallayer.fix.flow.unrun import unrun_logs
from finallayer.fix.flow.wrapped_names import where_named
from finallayer.fix.registry import Offer, Proposal, Reach, cannot_see, mends
from finallayer.fix.text.deletion import whole_line
from finallayer.fix.text.names import says_probabilities
from finallayer.fix.text.spelling import Speller
from finallayer.fix.text.spelling import Written as Text
from finallayer.fix.text.syntax import Syntax
from finallayer.rules.margin import loss_of
from finallayer.rules.route import maker
from finallayer.source.walking import walk


@mends("FL201", "FL202", "FL203", "FL205", reach=Reach.MODEL)
def log_of_output(sighting: Sighting, _match: Match, context: Context) -> Iterator[Offer]:
    """``log(model(x))``, where the model ends in a softmax, becomes ``log_softmax(model(x))`` of one that doesn't."""
    log = sighting.node
    modules = context.modules()
    makers = makers_of(_alike(modules, log))
    removals = _removals(makers, modules) if makers is not None else []
    if makers is None or not removals:
        return
    head = Head(makers.op, frozenset().union(*(r.head.origins for _, r in removals)))
    rewriting = _Rewriting(context, makers, head)
    written = rewriting.written(removals)
    if written.edits is None or log.origin not in rewriting.mended:
        yield Refusal(_in_the_way(log, makers, written.readers))
        return

    def write(program: Program) -> Written:
        return _Rewriting(context.at(program), makers, head, rewriting.framework).written(removals)

    made = make_everywhere(context, write)
    if made is not None:
        unseen = [phrase for _, removal in removals for phrase in removal.unseen] + made.unseen
        note = cannot_see(f"reads the {makers.op}", unseen)
        yield Proposal(made.edits, loss_of(log), makers.loss(log), note, makers.binary)


def _in_the_way(log: Node, makers: Makers, readers: Readers) -> str:
    """What keeps a softmax where it is, for whoever might change that."""
    if flips(log.args[0]) and not makers.binary:
        return "the log of one minus a softmax has no stable form"
    if readers.refusals:
        return f"the {makers.op} can't go: {readers.refusals[0]}"
    return f"the logits have no way to where the log of the {makers.op} is taken, or to what else reads that"


def _alike(modules: dict[str, AnalysedModule], log: Node) -> list[Node]:
    """Every log at the place of one; of those of a function that only takes the log, those that have the same head."""
    logs = logs_at(modules, log.origin)
    if LogHelper.around(modules, log) is None:
        return logs
    return [other for other in logs if {m.op for m in behind(other.args[0])} == {maker(log.args[0]).op}]


def _removals(makers: Makers, modules: dict[str, AnalysedModule]) -> list[tuple[AnalysedModule, Removal]]:
    """How each softmax is taken out; nothing where one can't be."""
    found = []
    for origin, made in makers.nodes.items():
        module = modules.get(origin.path)
        removal = (
            remove(made, module) or without_helper(made, modules) or without_formula(made, module)
            if module is not None
            else None
        )
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
    """The edits of one fix over all files of one program."""

    def __init__(self, context: Context, makers: Makers, head: Head, framework: str | None = None) -> None:
        self._context, self._makers = context, makers
        self._output = context.output(head)
        self._handled: set[ast.expr] = set()
        self._gone: dict[ast.AST, list[tuple[Place, str]]] = {}  # by function: the logs, and what replaces them
        self.framework = framework  # that the logs belong to; where there is none, that of the other programs' logs
        self.mended: set[Origin | None] = set()  # logs
        self._halfway = False  # some calls of a function that takes the log can be changed, and others can't
        self._replaced: set[ast.Assign | None] = set()  # what gave the output a name, behind a guard

    def written(self, removals: list[tuple[AnalysedModule, Removal]]) -> Written:
        """All that is to be edited in this program."""
        seen = self._context.sightings()
        logs = {s.node.origin: s for s in seen if s.node.op == "log" and self.reads(s.node)}
        edits = [e for log in logs.values() for e in self._of_helper(log)]
        others = [log for origin, log in logs.items() if origin not in self.mended]
        places = [(log, place) for log in others if (place := self._place(log)) is not None]
        edits += [e for log, place in places for e in self._of_log(log, place, [other for _, other in places])]
        edits += [e for module in self._context.modules().values() for e in self._of_unrun_logs(module)]
        output = self._output
        readers = self._context.readers(output.head, frozenset(self._handled))
        return Written(
            readers, None if readers.refusals or self._halfway else self._all_edits(removals, edits, readers, seen)
        )

    def reads(self, node: Node) -> bool:
        """Whether an operation is of the head's output, guarded or not."""
        return any(self._output.is_head(made) for made in behind(node.args[0])) if node.args else False

    def _place(self, sighting: Sighting) -> Place | None:
        """A log of the head's output, and the way down to that."""
        place = Place.of_log(self._context, sighting.node, lambda here: self._is_output(sighting.node, here))
        return place if place is not None and self._is_output(sighting.node, place.descent.made) else None

    def _of_log(self, sighting: Sighting, place: Place, logs: list[Place]) -> tuple[Edit, ...]:
        """The edits that make a log a log_softmax of what will be logits; none where it stays, and gets them back."""
        framework, made = place.framework(sighting), place.descent.made
        named = self._named(place, logs, framework) if framework is not None else None
        if framework is None or named is None:
            return ()
        written = self._makers.log(place.speller, framework, named.text, place.flips(), place.node)
        edits = place.replaced(written)
        if written and edits:
            self.framework = framework
            self.mended.add(sighting.node.origin)
            self._gone.setdefault(place.syntax.scope(place.node), []).append((place, written.text))
            self._replaced.add(named.replaced)
            self._handled |= {made, *(step.outer for step in place.descent.steps)}
        return (*named.edits, *edits) if edits else ()

    def _of_helper(self, sighting: Sighting) -> list[Edit]:
        """The same for each call of a function that only takes the log; none where one of them can't be changed."""
        modules = self._context.modules()
        helper = LogHelper.around(modules, sighting.node)
        calls = [(m, c) for m, c in helper.calls(modules) if self._takes_log(m, c)] if helper is not None else []
        found = [helper.place(m, c, partial(self._stands_for, m)) for m, c in calls] if helper is not None else []
        places = [place for _, place in filter(None, found) if self._stands_for(place.module, place.descent.made)]
        if helper is None or not calls or len(places) < len(calls):
            return []
        parts = [self._of_log(sighting, place, places) for place in places]
        if not all(parts):
            self._halfway = True
            return []
        self._handled |= {n for n in walk(helper.function) if isinstance(n, ast.expr)}
        removed = helper.removed(modules, [call for _, call in calls])
        return [*(e for part in parts for e in part), *([removed] if removed is not None else [])]

    def _takes_log(self, module: AnalysedModule, call: ast.Call) -> bool:
        """Whether a call of such a function may be handed the head's output."""
        given = [v for a in (*call.args, *(k.value for k in call.keywords)) for v in module.values(a)]
        taken = (v for v in module.values(call) if isinstance(v, Node) and v.op == "log")
        return any(map(self.reads, taken)) or any(map(self._output.touches, given))

    def _named(self, place: Place, logs: list[Place], framework: str) -> Named | None:
        """The output as a log reads it: where a guard has given it a name, that only logs read, it gets another."""
        syntax, given, made = place.syntax, place.descent.definition, place.descent.made
        if given is None:
            return self._renamed(place, logs) or Named(syntax.text(made))
        beside = [log for log in logs if log.descent.definition is given]
        (target,) = given.targets
        if not isinstance(target, ast.Name):
            return None
        if given not in unread(syntax, [log.node for log in beside], ()):
            return self._named_before(given, place, framework)
        line = whole_line(syntax, given)
        if isinstance(made, ast.Name) and made.id == target.id and line and not says_probabilities(made.id):
            return Named(made.id, (line,), given)  # p = clip(p) goes
        name = self._context.logits_name(syntax, target)
        return Named(name, (syntax.replace(given, f"{name} = {syntax.text(made)}"),), given)

    def _named_before(self, guarded: ast.Assign, place: Place, framework: str) -> Named | None:
        """A name for the output before a guard whose result has other readers, too: the guard gets the head back."""
        syntax, made = place.syntax, place.descent.made
        if isinstance(syntax.scope(made), ast.Module) or are_shown(syntax.scope(made)) or not syntax.is_legible(made):
            return None
        name = self._context.logits_name(syntax, guarded.targets[0])
        written = self._makers.probabilities(Speller(syntax), framework, name, made)
        if written is None:
            return None
        statement = definition(syntax, made, made.id) if isinstance(made, ast.Name) else None
        if statement is not None and statement in unread(syntax, [made], ()):
            naming = syntax.replace(statement.targets[0], name)
        else:
            naming = syntax.insert_before(guarded, f"{name} = {syntax.text(made)}")
        return Named(name, (naming, *written.edits, syntax.replace(made, written.text)))

    def _renamed(self, place: Place, logs: list[Place]) -> Named | None:
        """Another name for ``p = net(x)``, where only logs read it, and it would lie of logits."""
        syntax, made = place.syntax, place.descent.made
        statement = definition(syntax, made, made.id) if isinstance(made, ast.Name) else None
        target = statement.targets[0] if statement is not None else None
        if not isinstance(target, ast.Name) or not isinstance(made, ast.Name) or not says_probabilities(target.id):
            return None
        beside = [
            log.node
            for log in logs
            if isinstance(log.descent.made, ast.Name)
            and log.syntax is syntax
            and definition(syntax, log.descent.made, made.id) is statement
        ]
        if statement not in unread(syntax, beside, ()):
            return None
        name = self._context.logits_name(syntax, target)
        return Named(name, (syntax.replace(target, name),), statement)

    def _of_unrun_logs(self, module: AnalysedModule) -> Iterator[Edit]:
        """The same for the logs in the branches that nothing takes."""
        for call, name in unrun_logs(module, self._output) if self.framework is not None else ():
            written = self._makers.log(Speller(module.syntax), self.framework or "", name.id, False, call)
            if written is not None:
                self._handled.add(name)
                yield from (*written.edits, module.syntax.replace(call, written.text))

    def _is_output(self, log: Node, here: ast.expr) -> bool:
        """Whether an expression of a log's file always stands for the head's output as it is."""
        module = self._context.module_at(log.origin)
        return module is not None and self._stands_for(module, here)

    def _stands_for(self, module: AnalysedModule, here: ast.expr) -> bool:
        values = module.values(here)
        ways = [self._output.ways(v) for v in values]
        return bool(ways) and all(w and not any(map(self._output.is_derived, w)) for w in ways)

    def _all_edits(
        self, removals: list[tuple[AnalysedModule, Removal]], edits: list[Edit], readers: Readers, seen: list[Sighting]
    ) -> tuple[Edit, ...] | None:
        """Every edit, besides those of the logs; None where one of them can't be made."""
        judged = (s.node for s in seen if s.node.op in LOSSES | {"metric"})
        if readers.compiled or readers.predictions or any(map(self.reads, judged)):
            return None  # a fix of heads tells losses and metrics
        for gone in self._gone.values():
            edits += left_unread(
                gone[0][0].syntax, [place.node for place, _ in gone], [text for _, text in gone], self._replaced
            )
        for _, removal in removals:
            edits += removal.edits
        for reader in where_named(readers.wraps, self._output.head):
            syntax = reader.module.syntax
            around = self._restored(syntax, reader.node) if reader.can_be_wrapped else None
            if around is None:
                return None
            edits += (*around.edits, syntax.replace(reader.node, around.text))
        honest = tuple(dict.fromkeys(edits))
        for (module, _), made in zip(removals, self._makers.nodes.values(), strict=True):
            honest = with_honest_words(module, made, honest)
        for path in {edit.path for edit in honest}:
            home = self._context.module_at(Origin(path, 0, 0, 0, 0))
            honest = with_honest_outputs(home, readers, honest) if home is not None else honest
        return honest

    def _restored(self, syntax: Syntax, reader: ast.expr) -> Text | None:
        """What gives a reader of logits the probabilities again."""
        if self.framework is None:
            return None
        return self._makers.probabilities(Speller(syntax), self.framework, syntax.text(reader), reader)
