"""Fixes of logs in a function that is handed probabilities: its callers hand it the logits instead.

The softmax stays where the callers made it, for whoever else reads it. In the function each log becomes log_softmax,
and what needs probabilities makes them of the logits. The edits of all files belong together.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from finallayer.catalog import Param
from finallayer.expr import Node, Origin
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.fixers.removal import does_more
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import readers, unchanged
from finallayer.fix.flow.callers import is_plain, parameter_behind, references
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import Descent, descend
from finallayer.fix.flow.head import Head, Output
from finallayer.fix.flow.known_calls import arguments
from finallayer.fix.flow.makers import Makers, logs_at, makers_of
from finallayer.fix.flow.outsiders import Outsider, outsiders
from finallayer.fix.flow.place import Place
from finallayer.fix.flow.roles import Role, Roles
from finallayer.fix.flow.unread import removals
from finallayer.fix.registry import Proposal, Reach, cannot_see, mends
from finallayer.fix.text.spelling import Speller, Written
from finallayer.fix.text.syntax import Syntax
from finallayer.rules.margin import loss_of
from finallayer.source.values import Bound, Function

Edits = tuple[Edit, ...]


@mends("FL201", "FL202", "FL203", "FL205", reach=Reach.CALLERS)
def log_of_parameter(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``def nll(p): ... log(p)``, called with a softmax, becomes one that is handed the logits."""
    log = sighting.node
    place = _of_parameter(context, log)
    framework = place.framework(sighting) if place is not None else None
    parameter = _Parameter.read_at(place) if place is not None else None
    if place is None or parameter is None or framework is None:
        return
    change = _Change(context, parameter, framework)
    edits = change.edits(log)
    if edits:
        note = cannot_see(f"calls `{parameter.function.name}`", change.unseen)
        yield Proposal(edits, loss_of(log), change.makers.loss(log), note, change.makers.binary)


class _Parameter(NamedTuple):
    """A function's parameter."""

    syntax: Syntax
    function: ast.FunctionDef
    name: str

    @classmethod
    def read_at(cls, place: Place) -> _Parameter | None:
        """The parameter that a log is taken of."""
        read = place.descent.made
        function = place.syntax.scope(read)
        if not isinstance(read, ast.Name) or not isinstance(function, ast.FunctionDef):
            return None
        return cls(place.syntax, function, read.id) if is_plain(place.module, function) else None

    @property
    def reads(self) -> list[ast.Name]:
        return readers(self.function, self.name)

    def given(self, call: ast.Call, is_bound: bool) -> ast.expr | None:
        """What a call hands to it; None where that isn't certain."""
        spec = self.function.args
        params = [Param(a.arg, a.arg) for a in (*spec.posonlyargs, *spec.args)][is_bound:]
        given = {a.meaning: a.node for a in arguments(params, call.args, call.keywords)}
        return given.get(self.name) if given.keys().isdisjoint({"*", "**"}) else None

    def renamed(self) -> str:
        """``logits``, where nothing else has that name, and no docstring speaks of the old one."""
        described = self.name in (ast.get_docstring(self.function) or "")
        return self.name if described or "logits" in self.syntax.names_used(self.function) else "logits"


class _Change:
    """The edits by which a function takes logits for one of its parameters, and who may not hear of it."""

    makers: Makers

    def __init__(self, context: Context, parameter: _Parameter, framework: str) -> None:
        self._context, self._parameter, self._framework = context, parameter, framework
        self._modules = context.modules()
        self._uses = context.uses()
        self._name = parameter.renamed()
        self.unseen: list[str] = []

    def edits(self, log: Node) -> Edits | None:
        """Every edit in every file; None where one can't be made."""
        origins = {s.node.origin: s.node for s in self._context.sightings() if s.node.op == "log"}
        places = [place for node in origins.values() if (place := self._place_of(node)) is not None]
        nodes = [logs_at(self._modules, place.syntax.file.origin(place.node)) for place in places]
        makers = makers_of(node for at in nodes for node in at) if all(nodes) else None
        if makers is None:
            return None
        self.makers = makers
        inside = self._inside(places, log)
        around = self._at_calls() if inside else None
        if not inside or not around:
            return None
        edits = [*inside, *around, *self._in_signature()]
        for outsider in list(outsiders(self._context, edits, self._modules)):
            edits += self._at_calls_from(outsider, [place.syntax.file.origin(place.node) for place in places])
        return tuple(dict.fromkeys(edits))

    def _place_of(self, log: Node) -> Place | None:
        """The log, where it is taken of the parameter."""
        place = _of_parameter(self._context, log)
        same = place is not None and place.syntax.scope(place.descent.made) is self._parameter.function
        return place if place is not None and same and self._is_read(place.descent.made) else None

    def _is_read(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self._parameter.name

    # In the function

    def _inside(self, logs: list[Place], log: Node) -> list[Edit]:
        """The edits of all that reads the parameter; none where the log that is to be mended can't be."""
        edits: list[Edit] = []
        handled: set[ast.AST] = set()
        texts: list[str] = []
        mended: list[Place] = []
        for place in logs:
            written = self.makers.log(place.speller, self._framework, self._name, place.flips(), place.node)
            replaced = place.replaced(written)
            if written and replaced:
                edits += replaced
                texts.append(written.text)
                mended.append(place)
                handled.add(place.descent.made)
        syntax = self._parameter.syntax
        if syntax.expression(log.origin) not in [place.node for place in mended]:
            return []
        for read in self._parameter.reads:
            if read not in handled:
                edits += self._other_reader(read)
        return [*edits, *removals(syntax, [place.node for place in mended], texts)]

    def _other_reader(self, read: ast.Name) -> Edits:
        syntax = self._parameter.syntax
        output = Output(Head(self.makers.op, frozenset(self.makers.nodes)), self._modules, self._uses)
        if Roles(output).of(self._modules[syntax.file.path], read) is Role.INDIFFERENT:
            return (syntax.replace(read, self._name),)
        written = self.makers.probabilities(Speller(syntax), self._framework, self._name, read)
        return (*written.edits, syntax.replace(read, written.text)) if written is not None else ()

    def _in_signature(self) -> Iterator[Edit]:
        spec, syntax = self._parameter.function.args, self._parameter.syntax
        for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs):
            if argument.arg == self._parameter.name != self._name:
                start = syntax.file.column(argument.lineno, argument.col_offset)
                end = start + len(argument.arg)
                yield syntax.put((argument.lineno, start), (argument.lineno, end), self._name)

    # At its calls

    def _at_calls(self) -> list[Edit] | None:
        """The edits of every call; None where one can't be made, or there is none."""
        edits: list[Edit] = []
        for module in self._modules.values():
            if _is_renamed(module.syntax, self._parameter.function.name):
                return None
            for reference in references(module.syntax, self._parameter.function.name):
                made = self._at_reference(module, reference)
                if made is None:
                    return None
                edits += made
        return edits

    def _at_calls_from(self, outsider: Outsider, logs: list[Origin]) -> list[Edit]:
        """The edits of the calls in another program of the project; what can't be edited is named."""
        program = self._context.other_program(outsider.path) if outsider.certain else None
        if program is None or not program.uses.unread.isdisjoint({outsider.by}):
            self.unseen.append(str(outsider))
            return []
        there = _Change(self._context.at(program), self._parameter, self._framework)
        taken = [node for log in logs for node in logs_at(program.modules, log)]
        makers = makers_of(taken) if taken else Makers(self.makers.op, self.makers.axis, {})
        alike = makers is not None and (makers.op, makers.axis) == (self.makers.op, self.makers.axis)
        there.makers = makers if makers is not None and alike else Makers(self.makers.op, self.makers.axis, {})
        edits = there._at_calls()
        if edits is None:
            self.unseen.append(str(outsider))
        self.unseen += (f"{Path(outsider.path).name}: {phrase}" for phrase in there.unseen)
        return edits or []

    def _at_reference(self, module: AnalysedModule, reference: ast.expr) -> Edits | None:
        values = module.values(reference)
        if not self._uses.evaluated(module.path, reference):
            self.unseen.append(f"line {reference.lineno}, in code that nothing runs")
            return ()
        functions = [v.function if isinstance(v, Bound) else v for v in values]
        ours = [isinstance(f, Function) and f.node is self._parameter.function for f in functions]
        if not any(ours):
            return ()
        call = module.syntax.parent(reference)
        if not all(ours) or not isinstance(call, ast.Call) or call.func is not reference:
            return None
        given = self._parameter.given(call, any(isinstance(v, Bound) for v in values))
        return self._at_argument(module, given) if given is not None else None

    def _at_argument(self, module: AnalysedModule, given: ast.expr) -> Edits | None:
        """The logits in the place of an argument, which must always be theirs."""
        values = module.values(given)
        known = [v for v in values if isinstance(v, Node) and v.origin in self.makers.nodes and v.op == self.makers.op]
        ways = [self._way(module, given, v) for v in known]
        if not ways or len(known) < len(values) or any(way != ways[0] for way in ways) or ways[0] is None:
            return None
        place = Place(module, given, ways[0])
        if place.maker and does_more(place.maker):
            return None
        z = place.logits_argument()
        named = place.logits(self._context, z) if z is not None else None
        edits = place.edits(Written(named.text), named) if named is not None else ()
        keyword = module.syntax.parent(given)
        if edits and isinstance(keyword, ast.keyword):
            start = module.syntax.file.column(keyword.lineno, keyword.col_offset)
            end = start + len(self._parameter.name)
            edits = (*edits, module.syntax.put((keyword.lineno, start), (keyword.lineno, end), self._name))
        return edits or None

    def _way(self, module: AnalysedModule, given: ast.expr, made: Node) -> Descent | None:
        """The way from an argument, by names only, to the call that made it and the logits there."""

        def handed(call: ast.expr) -> list[ast.expr]:
            """The arguments of a call of the project's own function that are the logits."""
            own = isinstance(call, ast.Call) and all(isinstance(f, Function) for f in module.values(call.func))
            inner = [*call.args, *(k.value for k in call.keywords)] if isinstance(call, ast.Call) and own else []
            return [a for a in inner if (v := module.values(a)) and all(x is made.args[0] for x in v)]

        way = descend(module, given, made, lambda here: len(handed(here)) == 1)
        if way is None or any(step.kind != "name" for step in way.steps):
            return None
        found = handed(way.made)
        return way._replace(given=found[0], own=True) if found else way


def _of_parameter(context: Context, log: Node) -> Place | None:
    """A log that is taken of a parameter of its function."""
    syntax = context.syntax(log.origin.path) if log.origin is not None else None
    place = Place.of_log(context, log, _is_parameter_of(syntax)) if syntax is not None else None
    if place is None or not _is_parameter_of(place.syntax)(place.descent.made):
        return None
    same = unchanged(place.syntax, place.descent.made, place.descent.made, place.node)
    return place if same else None


def _is_parameter_of(syntax: Syntax) -> Callable[[ast.expr], bool]:
    return lambda here: parameter_behind(syntax, here) is not None


def _is_renamed(syntax: Syntax, name: str) -> bool:
    """Whether a file imports a function under another name."""
    aliases = (n for n in syntax.nodes if isinstance(n, ast.alias))
    return any(a.name == name and a.asname not in (None, name) for a in aliases)
