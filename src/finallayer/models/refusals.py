"""Why a model file isn't read, or isn't changed: one line for whoever named it."""

from __future__ import annotations


class NotRead(ValueError):
    """The file is no model file, is damaged, or may do harm; the text says what was expected."""


class NotInstalled(NotRead):
    """A package that reads files of this format isn't there; the text says which."""


class NotDone(ValueError):
    """The file can be read, but not be changed as asked; the text says why."""
