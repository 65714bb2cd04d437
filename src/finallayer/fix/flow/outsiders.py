"""Files that import a file: they may read what it makes."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

#: Files of a folder that are looked at for imports.
_MOST_FILES = 300


def outsiders(paths: Iterable[str], inside: Container[str]) -> Iterator[str]:
    """Which files, besides those ``inside``, import one of some files; a phrase each."""
    for path in sorted(set(paths)):
        for other in importers(path):
            if other not in inside:
                yield f"{Path(other).name} imports {Path(path).name}"


def importers(file: str) -> Iterator[str]:
    """Files beside a file, and around it, that seem to import it: they may read what it makes."""
    path = Path(file)
    mention = re.compile(rf"^\s*(?:from|import)\b.*\b{re.escape(path.stem)}\b", re.MULTILINE)
    folders = [path.parent, *(p for p in path.parent.glob("*") if p.is_dir() and not p.name.startswith("."))]
    if (path.parent / "__init__.py").exists():
        folders.append(path.parent.parent)
    for folder in folders:
        for other in sorted(folder.glob("*.py"))[:_MOST_FILES]:
            if other != path and other.is_file() and mention.search(other.read_text(errors="ignore")):
                yield str(other)
