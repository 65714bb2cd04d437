"""From a finding to the fix that is offered: the first that can be proven, of numbers that are what they seem."""

from __future__ import annotations

from finallayer.findings import Edit, Fix, Match, Sighting
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.disturbances import is_disturbed, strangers
from finallayer.fix.proof import prove
from finallayer.fix.registry import Proposal, cannot_see, fixers
from finallayer.fix.text.comments import with_comments
from finallayer.fix.text.edits import meet
from finallayer.fix.validation.validate import validate


def propose(code: str, sighting: Sighting, match: Match, context: Context) -> Fix | None:
    """The first proven fix for a finding of a rule; None where nothing can be proven."""
    for fixer in fixers(code):
        for proposal in fixer(sighting, match, context):
            edits = with_comments(proposal.edits, context.syntax)
            if not edits or meet(edits):
                continue
            if not prove(proposal.old, proposal.new, proposal.binary, proposal.mends_maths).holds:
                continue
            if is_disturbed(sighting, context):
                return None
            verdict = validate(code, sighting, edits, context)
            if not verdict.refused:
                return _fix(proposal, edits, verdict.note, sighting, context)
    return None


def _fix(proposal: Proposal, edits: tuple[Edit, ...], unseen: str, sighting: Sighting, context: Context) -> Fix:
    notes = proposal.note or unseen, cannot_see("is done to it", strangers(sighting, context))
    return Fix(not any(notes), edits, "; ".join(filter(None, notes)))
