"""What the losses of a program are handed, as the front end sees it."""

from __future__ import annotations

from finallayer.kinds import Kind
from finallayer.source import Project, sightings
from finallayer.source.files import SourceFile

#: The losses that the programs of these tests end in.
LOSSES = frozenset({"xent_logits", "xent_probs", "nll", "bce_logits"})


def kinds_at_losses(program: str) -> list[Kind]:
    """The kind of what each loss is handed, in the order met."""
    found = sightings(SourceFile("program.py", program), Project())
    return [s.node.args[0].kind for s in found if s.node.op in LOSSES]
