"""Libraries that only some formats need, imported when a file of theirs is read."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from finallayer.models.refusals import NotInstalled


def needed(name: str, what: str) -> Any:
    """A module by its name. Raises :class:`NotInstalled`, with the remedy, where it isn't installed."""
    try:
        return import_module(name)
    except ImportError:
        raise NotInstalled(f"{what} is read with the package {name}: pip install 'finallayer[models]'") from None
