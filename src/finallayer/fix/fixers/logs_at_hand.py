"""Fixes of logs whose logits are at hand where the log is taken: ``p, logits = net(x)``, ``def loss(p, logits, y)``."""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.at_hand import at_hand
from finallayer.fix.flow.callers import parameter_behind, unknown_callers
from finallayer.fix.flow.context import Context, Program
from finallayer.fix.flow.makers import logs_at, makers_of
from finallayer.fix.flow.outsiders import outsiders
from finallayer.fix.flow.place import Place
from finallayer.fix.registry import Proposal, cannot_see, mends
from finallayer.rules.margin import loss_of


@mends("FL201", "FL202", "FL203", "FL205")
def log_of_logits_at_hand(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``log(p)`` of ``p, logits = net(x)`` becomes ``log_softmax(logits)``."""
    log, modules = sighting.node, context.modules()
    module = context.module_at(log.origin)
    logs = logs_at(modules, log.origin) if module is not None else []
    makers = makers_of(logs) if logs else None
    if module is None or makers is None:
        return
    place = Place.of_log(context, log, lambda here: at_hand(module, here, context) is not None)
    named = at_hand(module, place.descent.made, context) if place is not None else None
    framework = place.framework(sighting) if place is not None else None
    if place is None or named is None or framework is None:
        return
    written = makers.log(place.speller, framework, named.text, place.flips(), place.node)
    edits = place.edits(written, named)
    if edits:
        note = cannot_see("takes the log", _unseen(module, place, edits, context))
        yield Proposal(edits, loss_of(log), makers.loss(log), note, makers.binary)


def _unseen(module: AnalysedModule, place: Place, edits: tuple[Edit, ...], context: Context) -> Iterator[str]:
    """Who may come to the place with probabilities of other logits; a phrase each."""
    function = parameter_behind(module.syntax, place.descent.made)
    if function is not None:
        yield from unknown_callers(function, module, context.modules().values())
    for outsider in outsiders(context, edits, context.modules()):
        program = context.other_program(outsider.path) if outsider.certain else None
        if program is None or outsider.by in program.uses.unread or _is_another(module, place, program, context):
            yield str(outsider)


def _is_another(module: AnalysedModule, place: Place, program: Program, context: Context) -> bool:
    """Whether the logits that are at hand at a place are others in another program."""
    there = program.modules.get(module.path)
    if there is None or not program.uses.evaluated(module.path, place.node):
        return False
    here = at_hand(module, place.descent.made, context)
    return at_hand(there, place.descent.made, context.at(program)) != here
