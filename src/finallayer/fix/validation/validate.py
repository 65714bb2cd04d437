"""What the comparison of both programs makes of a fix: refused, unsafe with a note, or nothing to be said against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from finallayer.findings import Edit, Sighting
from finallayer.fix.flow.analysed import where
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.foreseen import Foreseen
from finallayer.fix.text.edits import meet
from finallayer.fix.validation.arguments import asked_by_name, copied_calls, lost_arguments
from finallayer.fix.validation.attempts import attempted
from finallayer.fix.validation.differences import Differences, Sink, Status
from finallayer.fix.validation.exercises import unfinished, what_is_expected
from finallayer.fix.validation.forms import Known
from finallayer.fix.validation.graphs import built_at_every_run
from finallayer.fix.validation.later import Later
from finallayer.fix.validation.loss_pairs import differing, formulas, mended
from finallayer.fix.validation.new_findings import new_findings, places_after
from finallayer.fix.validation.objects import Objects
from finallayer.fix.validation.orphans import orphaned
from finallayer.fix.validation.places import numberless, places_read
from finallayer.fix.validation.programs import Programs, edited_programs
from finallayer.fix.validation.regions import Region, are_independent, region
from finallayer.rules.judging import Place
from finallayer.source.files import Unreadable
from finallayer.source.reading import read


class Verdict(NamedTuple):
    """What the edited program shows: why the fix is refused, or what can't be compared."""

    refused: str = ""
    note: str = ""
    left: frozenset[Place] = frozenset()  # what is found in the edited program


class _Seen(NamedTuple):
    """What the edited programs show, whichever finding the edits are for."""

    verdict: Verdict
    found: frozenset[Place]
    regions: Mapping[Edit, Region]  # of the edits that change nothing around them


def foresee(wanted: Iterable[tuple[Edit, ...]], context: Context) -> None:
    """Look at one program with all of the wanted edits made, and keep what that says of each where they are apart.

    Where it says nothing of one, that is validated by itself when it is asked for.
    """
    fixes: list[tuple[Edit, ...]] = []
    for edits in dict.fromkeys(wanted):
        if not meet([e for fix in fixes for e in fix] + list(edits)):
            fixes.append(edits)
    seen = _see(context, _union(fixes)) if len(fixes) > 1 else None
    if seen is None or any(seen.verdict):
        return
    apart = [fix for fix in fixes if all(edit in seen.regions for edit in fix)]
    if len(apart) < len(fixes) or not are_independent(fixes, dict(seen.regions)):
        return
    for fix in fixes:
        context.keep((fix, tuple(context.programs_through({e.path for e in fix}))), seen)
    here = context.program()
    texts = {path: module.syntax.file.text for path, module in here.modules.items()}
    context.foreseen.keep(here.path, texts, fixes)


def _union(fixes: Iterable[tuple[Edit, ...]]) -> tuple[Edit, ...]:
    return tuple(dict.fromkeys(edit for fix in fixes for edit in fix))


def validate(code: str, sighting: Sighting, edits: tuple[Edit, ...], context: Context) -> Verdict:
    """Analyse the edited programs again, and compare them with the old ones at all that can be seen of them."""
    question = edits, tuple(context.programs_through({e.path for e in edits}))
    known = context.kept(question)
    seen = known if isinstance(known, _Seen) else context.keep(question, _see(context, edits))
    left = (code, sighting.node.origin) in seen.found
    if left:
        return Verdict(f"{code} is found as before")
    home = context.module_at(sighting.node.origin)
    expected = what_is_expected(home, sighting.node.origin) if home is not None and sighting.node.origin else ""
    return seen.verdict._replace(note="; ".join(filter(None, (seen.verdict.note, expected))), left=seen.found)


def validate_together(
    path: str, now: Mapping[str, bytes], fixes: Sequence[tuple[Edit, ...]], foreseen: Foreseen
) -> Verdict:
    """The same of several fixes that are made at once, in a program that starts in a file.

    ``now``: the content of files, where it may be another than on disk; ``foreseen``: what is known of fixes.
    """
    context = Context()
    try:
        if _are_foreseen(path, now, fixes, foreseen):
            return Verdict()
        for file in (read(p, data) for p, data in now.items()):
            context.project.adopt(file)
        context.adopt(read(path, now.get(path)))
    except Unreadable as why:
        return Verdict(f"the text can't be read: {why}")
    return _see(context, _union(fixes)).verdict


def _are_foreseen(path: str, now: Mapping[str, bytes], fixes: Sequence[tuple[Edit, ...]], foreseen: Foreseen) -> bool:
    """Whether these fixes were seen together, in the program as it is now. Raises Unreadable."""
    texts = foreseen.texts(path, fixes)
    return texts is not None and all(read(p, now.get(p)).text == text for p, text in texts.items())


def _see(context: Context, edits: tuple[Edit, ...]) -> _Seen:
    """What every program at hand shows that the edits change."""
    try:
        all_programs = edited_programs(context, edits)
    except Unreadable as why:
        return _Seen(Verdict(f"the edited text can't be read: {why}"), frozenset(), {})
    runs = [programs.old for programs in all_programs]
    try:
        for run in runs:
            run.elsewhere = tuple(other for other in runs if other is not run)
        compared = [(programs, *_compared(programs, edits)) for programs in all_programs]
        found = frozenset[Place]().union(*map(places_after, all_programs))
    except RecursionError:
        return _Seen(Verdict(note="the program is nested too deeply to be compared"), frozenset(), {})
    finally:
        for run in runs:
            run.elsewhere = ()
    verdicts = [verdict for _, verdict, _ in compared]
    refused = next((v.refused for v in verdicts if v.refused), "")
    verdict = Verdict(refused, "; ".join(dict.fromkeys(v.note for v in verdicts if v.note)))
    clean = [] if any(verdict) else [(programs, differs) for programs, _, differs in compared if differs is not None]
    return _Seen(verdict, found, _regions(edits, clean))


def _regions(edits: tuple[Edit, ...], compared: list[tuple[Programs, Differences]]) -> dict[Edit, Region]:
    """Of each edit the region that it keeps to in all programs, where there is one."""
    found: dict[Edit, Region] = {}
    for edit in edits:
        regions = [region(edit, *both) for both in compared if edit.path in both[0].modules]
        widest = min((r for r in regions if r is not None), key=lambda r: r.start, default=None)
        if widest is not None and None not in regions:
            found[edit] = widest
    return found


def _compared(programs: Programs, edits: tuple[Edit, ...]) -> tuple[Verdict, Differences | None]:
    added = next(new_findings(programs), "")
    if added:
        return Verdict(added), None
    known = mended(programs, Known(places=places_read(programs), numberless=numberless(programs)))
    another = next(differing(programs, known), None)
    if another is not None:
        return Verdict(f"the loss or metric in line {another.line} is another"), None
    fused = formulas(programs)
    ranks = {form: rank for two_axes in fused.values() for form, rank in two_axes.items()}
    before, after = programs.forms(known._replace(ranks=ranks), frozenset(fused))
    differences = Differences(programs, before, after)
    objects = Objects(programs, before, after)
    sinks = [*differences.sinks(), *objects.sinks(), *Later(programs, before, after, objects).sinks()]
    sinks += [
        *lost_arguments(programs),
        *copied_calls(programs),
        *asked_by_name(programs),
        *built_at_every_run(programs),
        *orphaned(programs),
    ]
    sinks += [*attempted(programs, edits), *unfinished(programs, differences, edits)]
    return _judged(sinks, programs), differences


def _judged(sinks: list[Sink], programs: Programs) -> Verdict:
    """What the places come to at which the programs differ, or can't be compared."""
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
