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
    return _told_below(importers_below(root_of([path])))


@lru_cache(maxsize=8)
def _told_below(index: Importers) -> str:
    for path in index.settings:
        if _PINNED_OLD.search(text_of(path, LARGEST_SETTINGS) or ""):
            return Path(path).name
    return next((Path(path).name for path in index.of_package("keras") if _reads_old(path)), "")


def _reads_old(path: str) -> bool:
    try:
        data = contents(path, MOST_BYTES)
        if not _MAY_READ.search(plain(path, data)):
            return False
        syntax = Syntax(read(path, data))
        return is_keras_itself(syntax) and reads_history_of_old(syntax)
    except (OSError, Unreadable):
        return False
