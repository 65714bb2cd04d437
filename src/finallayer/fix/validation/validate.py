"""What the comparison of both programs makes of a fix: refused, unsafe with a note, or nothing to be said against."""

from __future__ import annotations

from typing import NamedTuple

from finallayer.findings import Edit, Sighting
from finallayer.fix.flow.context import Context
from finallayer.fix.validation.differences import Differences, Sink, Status
from finallayer.fix.validation.forms import Forms
from finallayer.fix.validation.loss_pairs import differing, formulas, mended
from finallayer.fix.validation.new_findings import new_findings, remains
from finallayer.fix.validation.objects import Objects
from finallayer.fix.validation.places import places_read
from finallayer.fix.validation.programs import Programs, edited_programs
from finallayer.source.files import Unreadable


class Verdict(NamedTuple):
    """What the edited program shows: why the fix is refused, or what can't be compared."""

    refused: str = ""
    note: str = ""


def validate(code: str, sighting: Sighting, edits: tuple[Edit, ...], context: Context) -> Verdict:
    """Analyse the edited program again, and compare it with the old one at all that can be seen of it."""
    try:
        programs = edited_programs(context, edits)
        return _compared(code, sighting, programs)
    except Unreadable as why:
        return Verdict(f"the edited text can't be read: {why}")
    except RecursionError:
        return Verdict(note="the program is nested too deeply to be compared")


def _compared(code: str, sighting: Sighting, programs: Programs) -> Verdict:
    against = remains(code, sighting, programs) or next(new_findings(programs), "")
    if against:
        return Verdict(against)
    proven = mended(programs)
    another = next(differing(programs, proven), None)
    if another is not None:
        return Verdict(f"the loss or metric in line {another.line} is another")
    places = places_read(programs)
    fused = formulas(programs)
    ranks = {form: rank for known in fused.values() for form, rank in known.items()}
    before = Forms(programs.old.made_of, proven, places, ranks=ranks)
    after = Forms(programs.new.made_of, {}, places, frozenset(fused), ranks)
    sinks = [*Differences(programs, before, after).sinks(), *Objects(programs, before, after).sinks()]
    refused = next((s for s in sinks if s.status is Status.DIFFERS), None)
    if refused is not None:
        return Verdict(f"{_said(refused)} differs")
    notes = [f"{_said(sink)} can't be compared" for sink in sinks]
    if not (programs.old.complete and programs.new.complete):
        notes.append("the program is too large to be followed to its end")
    return Verdict(note="; ".join(dict.fromkeys(notes[:3])))


def _said(sink: Sink) -> str:
    return f"{sink.what} ({sink.path.rpartition('/')[2]}, line {getattr(sink.node, 'lineno', 0)})"
