"""Fixes: edits that move softmax from the model into the loss, each proven before it is offered."""

from __future__ import annotations

from finallayer.findings import Fix, Match, Sighting
from finallayer.fix.comments import with_comments
from finallayer.fix.documents import ChangedMeanwhileError, Document, write_together
from finallayer.fix.edits import meet
from finallayer.fix.proof import prove
from finallayer.fix.registry import Context, fixers
from finallayer.fix.unused_imports import unused_imports

__all__ = ["ChangedMeanwhileError", "Context", "Document", "propose", "unused_imports", "write_together"]


def propose(code: str, sighting: Sighting, match: Match, context: Context) -> Fix | None:
    """The first proven fix for a finding of a rule; None where nothing can be proven."""
    for fixer in fixers(code):
        for proposal in fixer(sighting, match, context):
            edits = with_comments(proposal.edits, context.syntax)
            if not edits or meet(edits):
                continue
            if prove(proposal.old, proposal.new, proposal.binary, proposal.mends_maths).holds:
                return Fix(proposal.safe, edits, proposal.note)
    return None
