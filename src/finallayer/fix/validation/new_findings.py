"""What the rules find in the edited program, and not in the old one."""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.fix.validation.programs import Programs
from finallayer.rules.judging import Place, place_of


def places_after(programs: Programs) -> frozenset[Place]:
    """Where something is found in the edited program."""
    return frozenset(place_of(j.finding) for j in programs.judged_after)


def new_findings(programs: Programs) -> Iterator[str]:
    """What is found in the edited program and wasn't in the old one."""
    before = {place_of(j.finding) for j in programs.program.judged}
    for judged in programs.judged_after:
        code, origin = place_of(judged.finding)
        if (code, origin) not in before:
            yield f"{code} is found in line {origin.line}, where nothing was"
