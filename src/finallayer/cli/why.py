"""``finallayer check --why FILE:LINE``: what the analysis knows at a line, for reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from finallayer.check.check_error import CheckError
from finallayer.cli.spot import Spot
from finallayer.cli.terminal import show
from finallayer.expr import Origin
from finallayer.findings import Related
from finallayer.report.places import plain, plain_start, shown
from finallayer.source.files import Unreadable
from finallayer.source.reading import read

if TYPE_CHECKING:
    from finallayer.check.lost import Gap
    from finallayer.check.why import Route, Told, Why
    from finallayer.source.files import SourceFile


def tell_why(place: str) -> int:
    """Show what is known at a line of a file, and give the exit code. Raises CheckError where it can't be read."""
    from finallayer.check.why import why

    spot = Spot.read(place, "--why")
    try:
        file = read(spot.path)
        show(map(plain, render(why(file, file.in_module(spot.origin).line))))
    except Unreadable as error:
        raise CheckError(f"--why: {place.rpartition(':')[0]}: {error}") from None
    return 0


def render(why: Why) -> Iterator[str]:
    """The line, each of its expressions with its values, and the way to each finding."""
    place = why.file.in_cell(Origin(why.file.path, why.line))
    yield shown(place).rpartition(":")[0]
    if 0 < why.line <= len(why.file.lines):
        yield f"    {plain_start(why.file.lines[why.line - 1].strip())}"
    yield from [f"  {note}" for note in why.left_out]
    if why.silent:
        yield f"  nothing is known here: {why.silent}"
    met: set[Gap] = set()
    for told in why.told:
        yield from _told(told, why.file, met)
    for route in why.routes:
        yield from _route(route, why.file)


def _told(told: Told, file: SourceFile, met: set[Gap]) -> Iterator[str]:
    """An expression and its values; of a gap that was told already, only the first line."""
    yield f"  {told.text}"
    for known in told.values:
        yield f"    {known.what}"
        yield from [f"      {_at(place, file)}" for place in known.made]
        for gap in known.lost:
            yield from _lost(gap, file, again=gap in met)
            met.add(gap)
    if told.more:
        yield f"    and {told.more} more"


def _lost(gap: Gap, file: SourceFile, again: bool) -> Iterator[str]:
    where = "" if gap.where is None else f" ({_place(gap.where, file)})"
    yield f"      lost: {gap.said}{where}"
    if gap.helps and not again:
        yield f"      what would help: {gap.helps}"


def _route(route: Route, file: SourceFile) -> Iterator[str]:
    finding = route.finding
    yield f"  {finding.rule.code}: {finding.message} ({finding.rule.name})"
    yield from [f"    {_at(step, file)}" for step in route.steps]


def _at(place: Related, file: SourceFile) -> str:
    return f"{_place(place.origin, file)}: {place.message}"


def _place(origin: Origin, file: SourceFile) -> str:
    return shown(file.in_cell(origin) if origin.path == file.path else origin)
