"""Files that import a file: they may read what it makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from finallayer.source.files import SourceFile

#: Files of a folder that are looked at for imports.
_MOST_FILES = 300


def importers(file: SourceFile) -> Iterator[str]:
    """Files beside a file, and around it, that seem to import it: they may read what it makes."""
    path = Path(file.path)
    mention = re.compile(rf"^\s*(?:from|import)\b.*\b{re.escape(path.stem)}\b", re.MULTILINE)
    folders = [path.parent, *(p for p in path.parent.glob("*") if p.is_dir() and not p.name.startswith("."))]
    if (path.parent / "__init__.py").exists():
        folders.append(path.parent.parent)
    for folder in folders:
        for other in sorted(folder.glob("*.py"))[:_MOST_FILES]:
            if other != path and mention.search(other.read_text(errors="ignore")):
                yield str(other)
