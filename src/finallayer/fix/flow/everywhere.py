"""A fix made in every program of the project that comes to it: each is analysed, and each of its readers is heard.

The program at hand starts in one file. Others start in the files that import what the fix changes: another training
script, a server, a notebook, a test. What reads the output there is changed along; where it can't be, the fix says so.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from finallayer.findings import Edit
from finallayer.fix.flow.context import MOST_PROGRAMS, Context, Program
from finallayer.fix.flow.heirs import unmade_heirs
from finallayer.fix.flow.outsiders import Outsider, examples, limits, outsiders
from finallayer.fix.flow.readers import Readers

Edits = tuple[Edit, ...]


class Written(NamedTuple):
    """What a fix writes in one program, None where it can't, and who reads there."""

    readers: Readers
    edits: Edits | None


Write = Callable[[Program], Written]


class Made(NamedTuple):
    """The edits of a fix in all programs, and what may read the output unseen; a phrase each."""

    edits: Edits
    unseen: list[str]


def make_everywhere(context: Context, write: Write) -> Made | None:
    """Make a fix in the program at hand and in all others; None where it can't be made in the one at hand."""
    here = context.program()
    first = write(here)
    edits = first.edits
    if edits is None:
        return None
    changed = dict.fromkeys(e.path for e in edits if e.path != here.path)
    found = [Outsider(path, path, certain=True) for path in changed]  # what such a file does when it is run itself
    found += islice(outsiders(context, edits, {here.path, *changed}), MOST_PROGRAMS + 1 - len(found))
    others = {o: p for o in found[:MOST_PROGRAMS] if o.certain and (p := context.other_program(o.path)) is not None}
    unseen = [str(o) for o in found[:MOST_PROGRAMS] if o not in others]
    unseen += [f"more than {MOST_PROGRAMS} files import it"] * (len(found) > MOST_PROGRAMS)
    if not others:
        found_here = (*first.readers.unseen, *unmade_heirs(here, edits), *examples(context, edits))
        return Made(edits, [*found_here, *unseen, *limits(e.path for e in edits)])
    programs = [here, *others.values()]
    try:
        for program in programs:
            program.uses.elsewhere = tuple(p.uses for p in programs if p is not program)
        return _together(context, write, here, others, unseen)
    finally:
        for program in programs:
            program.uses.elsewhere = ()


def _together(
    context: Context, write: Write, here: Program, others: dict[Outsider, Program], unseen: list[str]
) -> Made | None:
    """The edits of all programs, where each leaves the others what they read."""
    first = write(here)
    if first.edits is None:
        return None
    edits, readings = first.edits, [(here, first)]
    unseen += first.readers.unseen
    for outsider, program in others.items():
        written, file = write(program), Path(outsider.path).name
        if outsider.by in program.uses.unread:
            unseen.append(str(outsider))
        if written.readers.reads:
            readings.append((program, written))
            edits += written.edits or ()
            stays = [] if written.edits is not None else written.readers.refusals or _lines(written.readers)
            unseen += [f"{file}: {phrase}" for phrase in (*written.readers.unseen, *stays)]
    if not _agree(readings):
        return None
    edits = tuple(dict.fromkeys(edits))
    unseen += map(str, outsiders(context, edits, {o.path for o in others} | set(here.modules)))
    unseen += dict.fromkeys(phrase for program, _ in readings for phrase in unmade_heirs(program, edits))
    unseen += dict.fromkeys(phrase for p, _ in readings for phrase in examples(context.at(p), edits))
    return Made(edits, [*unseen, *limits(e.path for e in edits)])


def _lines(readers: Readers) -> list[str]:
    return [f"{line} reads it" for line in readers.lines] or ["what reads it can't be changed along"]


def _agree(readings: list[tuple[Program, Written]]) -> bool:
    """Whether an expression that gets the head back in one program is the output in every other that runs it."""
    for _, written in readings:
        for reader in (*written.readers.wraps, *written.readers.predictions):
            for program, others in readings:
                values = program.uses.of(reader.module.path, reader.node)
                if others is not written and any(others.readers.steps(v) is None for v in values):
                    return False
    return True
