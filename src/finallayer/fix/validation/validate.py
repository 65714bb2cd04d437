"""What the comparison of both programs makes of a fix: refused, unsafe with a note, or nothing to be said against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from finallayer.findings import Edit, Sighting
from finallayer.fix.flow.analysed import where
from finallayer.fix.flow.context import Context
from finallayer.fix.validation.arguments import asked_by_name, copied_calls, lost_arguments
from finallayer.fix.validation.attempts import attempted
from finallayer.fix.validation.differences import Differences, Sink, Status
from finallayer.fix.validation.forms import Known
from finallayer.fix.validation.loss_pairs import differing, formulas, mended
from finallayer.fix.validation.new_findings import new_findings, places_after
from finallayer.fix.validation.objects import Objects
from finallayer.fix.validation.places import numberless, places_read
from finallayer.fix.validation.programs import Programs, edited_programs
from finallayer.rules.judging import Place
from finallayer.source.files import Unreadable
from finallayer.source.reading import read


class Verdict(NamedTuple):
    """What the edited program shows: why the fix is refused, or what can't be compared."""

    refused: str = ""
    note: str = ""


class _Seen(NamedTuple):
    """What the edited programs show, whichever finding the edits are for."""

    verdict: Verdict
    found: frozenset[Place]


def validate(code: str, sighting: Sighting, edits: tuple[Edit, ...], context: Context) -> Verdict:
    """Analyse the edited programs again, and compare them with the old ones at all that can be seen of them."""
    question = edits, tuple(context.programs_through({e.path for e in edits}))
    known = context.kept(question)
    seen = known if isinstance(known, _Seen) else context.keep(question, _see(context, edits))
    left = (code, sighting.node.origin) in seen.found
    return Verdict(f"{code} is found as before") if left else seen.verdict


def validate_together(path: str, now: Mapping[str, bytes], edits: tuple[Edit, ...]) -> Verdict:
    """The same of the edits of several fixes that are made at once, in a program that starts in a file.

    ``now``: the content of files, where it may be another than on disk.
    """
    context = Context()
    try:
        for file in (read(p, data) for p, data in now.items()):
            context.project.adopt(file)
        context.adopt(read(path, now.get(path)))
    except Unreadable as why:
        return Verdict(f"the text can't be read: {why}")
    return _see(context, edits).verdict


def _see(context: Context, edits: tuple[Edit, ...]) -> _Seen:
    """What every program at hand shows that the edits change."""
    try:
        all_programs = edited_programs(context, edits)
    except Unreadable as why:
        return _Seen(Verdict(f"the edited text can't be read: {why}"), frozenset())
    runs = [programs.old for programs in all_programs]
    try:
        for run in runs:
            run.elsewhere = tuple(other for other in runs if other is not run)
        verdicts = [_compared(programs, edits) for programs in all_programs]
        found = frozenset[Place]().union(*map(places_after, all_programs))
    except RecursionError:
        return _Seen(Verdict(note="the program is nested too deeply to be compared"), frozenset())
    finally:
        for run in runs:
            run.elsewhere = ()
    refused = next((v.refused for v in verdicts if v.refused), "")
    return _Seen(Verdict(refused, "; ".join(dict.fromkeys(v.note for v in verdicts if v.note))), found)


def _compared(programs: Programs, edits: tuple[Edit, ...]) -> Verdict:
    added = next(new_findings(programs), "")
    if added:
        return Verdict(added)
    known = mended(programs, Known(places=places_read(programs), numberless=numberless(programs)))
    another = next(differing(programs, known), None)
    if another is not None:
        return Verdict(f"the loss or metric in line {another.line} is another")
    fused = formulas(programs)
    ranks = {form: rank for two_axes in fused.values() for form, rank in two_axes.items()}
    before, after = programs.forms(known._replace(ranks=ranks), frozenset(fused))
    sinks = [*Differences(programs, before, after).sinks(), *Objects(programs, before, after).sinks()]
    sinks += [*lost_arguments(programs), *copied_calls(programs), *asked_by_name(programs)]
    sinks += attempted(programs, edits)
    refused = next((s for s in sinks if s.status is Status.DIFFERS), None)
    if refused is not None:
        return Verdict(f"{_said(refused, programs)} differs")
    notes = [f"{_said(sink, programs)} can't be compared" for sink in sinks]
    if not (programs.old.complete and programs.new.complete):
        notes.append("the program is too large to be followed to its end")
    return Verdict(note="; ".join(dict.fromkeys(notes[:3])))


def _said(sink: Sink, programs: Programs) -> str:
    place = where(programs.modules, sink.node)
    return f"{sink.what} ({sink.path.rpartition('/')[2]}, {place})"
