"""From a finding to the fix that is offered: the first that can be proven, of numbers that are what they seem."""

from __future__ import annotations

from finallayer.findings import Edit, Fix, Match, Refusal, Sighting
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.disturbances import is_disturbed, strangers
from finallayer.fix.flow.more_than_numbers import is_read_for_more
from finallayer.fix.proof import prove
from finallayer.fix.registry import Proposal, cannot_see, fixers
from finallayer.fix.text.comments import with_comments
from finallayer.fix.text.edits import meet
from finallayer.fix.validation.validate import validate
from finallayer.rules import all_rules
from finallayer.rules.examples import why_never_fixed

OTHER_WAY = "on another way through the program, something else stands here"
NO_FIXER = "this rule has no fixes"
NOT_HERE = "none of this rule's fixes fits here"
READ_FOR_MORE = "the program reads more of the probabilities than their numbers: a gradient by them, or a format"
DISTURBED = "the numbers may change on their way, in a manner that the analysis doesn't follow"


def propose(code: str, sighting: Sighting, match: Match, context: Context) -> Fix | Refusal:
    """The first proven fix for a finding of a rule, or why there is none."""
    refused = ""
    known = fixers(code)
    for fixer in known:
        for proposal in fixer(sighting, match, context):
            if isinstance(proposal, Refusal):
                refused = refused or proposal.why
                continue
            edits = with_comments(proposal.edits, context.syntax)
            if not edits or meet(edits):
                continue
            proof = prove(proposal.old, proposal.new, proposal.binary, proposal.mends_maths)
            if not proof.holds:
                refused = refused or f"it can't be proven: {proof.why}"
                continue
            if is_disturbed(sighting, context):
                return Refusal(DISTURBED)
            if is_read_for_more(sighting, context):
                return Refusal(READ_FOR_MORE)
            verdict = validate(code, sighting, edits, context)
            if not verdict.refused:
                return _fix(proposal, edits, verdict.note, sighting, context)
            refused = refused or f"the edited program is another: {verdict.refused}"
    return Refusal(refused or (NOT_HERE if known else why_never_fixed(all_rules()[code]) or NO_FIXER))


def _fix(proposal: Proposal, edits: tuple[Edit, ...], unseen: str, sighting: Sighting, context: Context) -> Fix:
    notes = (
        proposal.note or unseen,
        cannot_see("is done to it", strangers(sighting, context)),
        OTHER_WAY * sighting.supposed,
    )
    return Fix(not any(notes), edits, "; ".join(filter(None, notes)))
