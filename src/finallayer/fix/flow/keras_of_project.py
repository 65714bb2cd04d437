"""What the other files of a project say of its Keras: a version that is pinned, and accuracies by their old names."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from finallayer.disk import contents, text_of
from finallayer.fix.flow.keras_version import is_keras_itself, reads_history_of_old
from finallayer.fix.text.syntax import Syntax
from finallayer.source.files import Unreadable
from finallayer.source.importers import LARGEST_SETTINGS, MOST_BYTES, Importers, importers_below, root_of
from finallayer.source.plain import plain
from finallayer.source.reading import read

#: Only what speaks of an accuracy so may read one by its old name.
_MAY_READ = re.compile(rb"\b(?:val_)?acc\b")
#: ``Keras==2.2.4`` in a file of requirements.
_PINNED_OLD = re.compile(r"""^[\s\-"']*keras\s*(?:(?:==|~=|<=|=)\s*(?:1|2\.[0-2])\b|<\s*2\.[0-3]\b)""", re.I | re.M)


def older_than_2_3(path: str) -> str:
    """The file by which the project of a program tells that its Keras has no losses on logits; empty without one."""
    told = _told_below(importers_below(root_of([path])))
    return next((file.name for folder, file in told if folder in Path(path).parents), "")


@lru_cache(maxsize=8)
def _told_below(index: Importers) -> tuple[tuple[Path, Path], ...]:
    """The files that tell, each with the folder that it tells it of: a repository may collect projects of all times."""
    pinning = [Path(p) for p in index.settings if _PINNED_OLD.search(text_of(p, LARGEST_SETTINGS) or "")]
    reading = [Path(p) for p in index.of_package("keras") if _reads_old(p)]
    return (*((p.parent, p) for p in pinning), *((_part_of(index.root, p), p) for p in reading))


def _part_of(root: Path, path: Path) -> Path:
    """The folder right below the root in which a file is, or the root itself."""
    inside = path.relative_to(root).parts if path.is_relative_to(root) else ()
    return root / inside[0] if len(inside) > 1 else root


def _reads_old(path: str) -> bool:
    try:
        data = contents(path, MOST_BYTES)
        if not _MAY_READ.search(plain(path, data)):
            return False
        syntax = Syntax(read(path, data))
        return is_keras_itself(syntax) and reads_history_of_old(syntax)
    except (OSError, Unreadable):
        return False
