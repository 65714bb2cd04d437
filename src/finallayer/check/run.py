"""One check, from paths to what is shown."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finallayer.check.chunk import contexts
from finallayer.check.config import Config
from finallayer.check.discovery import discover
from finallayer.check.filters import Filter, Sources
from finallayer.check.glance import Files
from finallayer.check.ignore import Patterns
from finallayer.check.judge import Analysis, analyse, unread, what_is_wrong
from finallayer.check.saved import analyse_saved, is_saved
from finallayer.check.workers import analyse_all
from finallayer.findings import Finding, Note
from finallayer.rules.base import Rule
from finallayer.source.files import Unreadable
from finallayer.source.reading import read

if TYPE_CHECKING:
    from finallayer.fix.flow.foreseen import Foreseen


@dataclass(frozen=True)
class Outcome:
    """What a check found: findings in order of their places, one line for each thing that could not be read.

    ``concerned``: the files whose analysis found anything, be it in a file that they import.
    """

    findings: tuple[Finding, ...]
    files: int
    notes: tuple[Note, ...]
    sources: Sources
    concerned: tuple[str, ...] = ()
    unread: int = 0  # how many files, or folders of files, could not be read
    in_part: int = 0  # how many could not be analysed to their end

    @property
    def complete(self) -> bool:
        """Whether all was looked at: what was not found isn't there, as far as the rules go."""
        return not (self.unread or self.in_part)


def check(
    paths: Sequence[Path],
    config: Config,
    rules: Mapping[str, Rule],
    *,
    stdin: tuple[str, bytes] | None = None,
    use_cache: bool = True,
    jobs: int | None = None,
    fixes: bool = False,
) -> Outcome:
    """Check files and folders, and ``stdin``: (the path that it stands for, its content).

    ``fixes``: whether findings are to come with their fixes, which cost time where there are findings.
    Raises :class:`~finallayer.check.check_error.CheckError` where a path does not exist, never for what a file holds.
    """
    from finallayer.source import Project
    from finallayer.source.importers import look_again

    look_again()
    discovered = discover(paths, Patterns(str(config.root), config.exclude))
    files = [str(f) for f in discovered.files]
    known = Files(Project())
    programs = [f for f in files if not is_saved(f)]
    relevant = [f for f in programs if known.matters(f)]
    if use_cache:
        analyses = _cached_or_new(relevant, known, config, rules, jobs, fixes)
    else:
        analyses = list(analyse_all(relevant, jobs, fixes))
    named = {os.path.abspath(p) for p in paths}.difference(relevant)  # noqa: PTH100
    analyses += [analyse_saved(f) for f in files if is_saved(f)]
    analyses += [a for f in programs if f in named and (a := what_is_wrong(f)) is not None]
    analyses += [unread(folder, f"can't be read: {why}") for folder, why in discovered.unread.items()]
    at_hand = {}
    if stdin is not None:
        at_hand[stdin[0]] = stdin[1]
        project = Project()
        analyses.append(analyse(stdin[0], project, stdin[1], contexts(project) if fixes else None))
    order = {path: i for i, path in enumerate((*files, *discovered.unread, *at_hand))}
    analyses.sort(key=lambda a: order[a.path])

    sources = Sources(at_hand)
    chosen = Filter(config, rules, sources)
    findings = tuple(chosen.shown(f for a in analyses for f in a.findings))
    notes = [Note(a.path, None, text) for a in analyses for text in a.notes] + list(chosen.notes())
    concerned = tuple(a.path for a in analyses if a.findings)
    return Outcome(
        findings,
        len(order),
        tuple(notes),
        sources,
        concerned,
        unread=sum(a.unread for a in analyses),
        in_part=sum(a.in_part for a in analyses),
    )


def found_in(
    paths: Sequence[str], now: Mapping[str, bytes], foreseen: Foreseen, config: Config, rules: Mapping[str, Rule]
) -> tuple[Finding, ...]:
    """What files show, with fixes, where some files are ``now`` other than on disk. What a file holds never raises.

    ``foreseen``: takes in what turns out about how the fixes go together.
    """
    from finallayer.source import Project

    project = Project()
    for path, data in now.items():
        with suppress(Unreadable):  # the analysis will say so
            project.adopt(read(path, data))
    context = contexts(project, foreseen)
    found = [f for p in paths for f in analyse(p, project, now.get(p), context).findings]
    return tuple(Filter(config, rules, Sources(now)).shown(found))


def _cached_or_new(
    paths: Sequence[str], known: Files, config: Config, rules: Mapping[str, Rule], jobs: int | None, fixes: bool
) -> list[Analysis]:
    """The analyses, kept ones where there are any; what nobody is shown needs no fixes."""
    from finallayer.check.cache import Cache

    cache, chosen = Cache(config.root, known, rules), Filter(config, rules, Sources())
    kept = [(a, fixes and any(chosen.shown(a.findings))) for path in paths if (a := cache.get(path)) is not None]
    either = [cache.get(a.path, fixes=True) if shown else a for a, shown in kept]
    analyses = [a for a in either if a is not None]
    done = {a.path for a in analyses}
    for analysis in analyse_all([p for p in paths if p not in done], jobs, fixes):
        cache.put(analysis, fixes)
        analyses.append(analysis)
    return analyses
