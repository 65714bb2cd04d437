"""What a change adds: the findings that weren't there at a revision of the repository."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finallayer.check.check_error import CheckError
from finallayer.check.config import FILE, Config
from finallayer.check.git import asked
from finallayer.check.run import Outcome, check
from finallayer.check.saved import SUFFIXES as SAVED
from finallayer.disk import MOST_BYTES
from finallayer.findings import Finding
from finallayer.report.fingerprints import source_of
from finallayer.rules.base import Rule
from finallayer.source.folders import SUFFIXES

#: What is checked of a project, and what is read for it.
_CHECKED = (*SUFFIXES, *SAVED)
_READ = (*_CHECKED, ".pyi", FILE)
_FILE_MODES = ("100644", "100755")
#: What git itself writes into no tree, but somebody else may.
_NO_NAMES = frozenset({"", ".", "..", ".git"})

_Listed = tuple[str, str]  #: a blob, and the path of the file that holds it
_Sized = tuple[str, str, int]


@dataclass(frozen=True)
class _Base:
    """The repository, a copy of what it held at the revision, and the files of that, as paths from the root."""

    root: str
    copy: str
    files: frozenset[str]

    def then(self, path: str) -> str | None:
        """Where a file of now lies in the copy; None where there was none."""
        inside = self.named(path)
        return os.path.join(self.copy, inside) if inside in self.files else None  # noqa: PTH118

    def named(self, path: str) -> str:
        """A path from the root on, of a file of then or of now; one that lies elsewhere as it is."""
        folder, name = os.path.split(path)
        real = os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
        start = os.path.join(self.copy if real.startswith(self.copy) else self.root, "")  # noqa: PTH118
        return real.removeprefix(start).replace(os.sep, "/")


def added_since(
    revision: str, outcome: Outcome, config: Config, rules: Mapping[str, Rule], jobs: int | None
) -> Outcome:
    """The findings of a check that the files at ``revision`` don't have; of a file that was moved they are the same.

    As a pull request is compared: with the last commit that ``revision`` and HEAD have in common. The files of then are
    checked with the settings of now. Raises :class:`CheckError` where git knows no such revision here.
    """
    root, commit = _commit(revision, config.root)
    if not outcome.findings:
        return outcome
    with _at(root, commit) as base:
        gone = [f for f in base.files if f.endswith(_CHECKED) and not os.path.lexists(Path(base.root, f))]
        there = [then for path in outcome.concerned if (then := base.then(path)) is not None]
        moved = any(base.then(path) is None for path in outcome.concerned)
        paths = [Path(p) for p in there] + [Path(base.copy, f) for f in gone if moved]
        before = check(paths, _moved(config, base), rules, use_cache=False, jobs=jobs)
        return replace(outcome, findings=tuple(_new(outcome, before, base, frozenset(gone))))


def _new(outcome: Outcome, before: Outcome, base: _Base, gone: frozenset[str]) -> Iterator[Finding]:
    known: Counter[tuple[str, ...]] = Counter()
    for finding in before.findings:
        path = base.named(finding.origin.path)
        known["" if path in gone else path, finding.rule.code, source_of(finding, before.sources.lines)] += 1
    for finding in outcome.findings:
        path = "" if base.then(finding.origin.path) is None else base.named(finding.origin.path)
        identity = (path, finding.rule.code, source_of(finding, outcome.sources.lines))
        if known[identity]:
            known[identity] -= 1
        else:
            yield finding


def _moved(config: Config, base: _Base) -> Config:
    """The settings of now, for the copy: their patterns start from the project's folder there."""
    return replace(config, root=Path(base.copy, os.path.relpath(os.path.realpath(config.root), base.root)))


def _commit(revision: str, folder: Path) -> tuple[str, str]:
    """The root of the repository around a folder, and the commit to compare with."""
    where = str(folder)
    top = asked(where, "rev-parse", "--show-toplevel")
    if top is None:
        raise CheckError(f"--diff-base: {where} is in no git repository, or git isn't installed")
    root = os.path.realpath(os.fsdecode(top).removesuffix("\n"))
    commit = asked(where, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise CheckError(f"--diff-base: {revision!r} is no revision of the repository {root}")
    common = asked(where, "merge-base", commit.decode().strip(), "HEAD") or commit
    return root, common.decode().strip()


@contextmanager
def _at(root: str, commit: str) -> Iterator[_Base]:
    with tempfile.TemporaryDirectory(prefix="finallayer-") as copy:
        real = os.path.realpath(copy)
        Path(real, ".git").mkdir()  # the root of a project, as the repository is
        yield _Base(root, real, frozenset(_extracted(root, commit, real)))


def _extracted(root: str, commit: str, copy: str) -> Iterator[str]:
    """Write the programs of a commit below ``copy``, as they are stored: no filter of the repository's is run."""
    listed = _listed(asked(root, "ls-tree", "-r", "-z", "--full-tree", commit) or b"")
    for portion in _portions(root, commit, listed):
        blobs = _of_blobs(root, commit, portion, "--batch")
        start = 0
        for _, name, size in portion:
            start = blobs.index(b"\n", start) + 1
            file = Path(copy, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(blobs[start : start + size])
            start += size + 1
            yield name


def _portions(root: str, commit: str, listed: Sequence[_Listed]) -> Iterator[Sequence[_Sized]]:
    """The files with their sizes, as many at a time as memory is for; without those that are too large to be read."""
    sizes = _of_blobs(root, commit, listed, "--batch-check=%(objectsize)").splitlines()
    portion: list[_Sized] = []
    held = 0
    for (blob, name), size in zip(listed, sizes, strict=True):
        if not size.isdigit():
            raise CheckError(
                f"--diff-base: the clone lacks {name!r} of {commit[:12]}, and nothing is fetched; "
                "expected a whole clone (git fetch --refetch --no-filter)"
            )
        if int(size) > MOST_BYTES:
            continue
        if portion and held + int(size) > MOST_BYTES:
            yield portion
            portion, held = [], 0
        portion.append((blob, name, int(size)))
        held += int(size)
    yield portion


def _of_blobs(root: str, commit: str, files: Sequence[tuple[Any, ...]], how: str) -> bytes:
    """What git says of files, whose blobs come first in each."""
    told = asked(root, "cat-file", how, told="".join(f"{blob}\n" for blob, *_ in files).encode())
    if told is None:
        raise CheckError(f"--diff-base: git can't give the files of {commit[:12]}")
    return told


def _listed(tree: bytes) -> Sequence[_Listed]:
    """The blob and the path of every file that an analysis may read, without those that would lead out of the copy."""
    found = []
    for entry in tree.split(b"\0"):
        kind, _, name = os.fsdecode(entry).partition("\t")
        parts = name.replace(os.sep, "/").split("/")
        if name.endswith(_READ) and kind.split()[0] in _FILE_MODES and not _NO_NAMES.intersection(parts):
            found.append((kind.split()[2], name))
    return found
