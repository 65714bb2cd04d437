"""A line of a file as a command line names it."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from finallayer.check.check_error import CheckError
from finallayer.expr import Origin

_PLACE = re.compile(r"(?P<file>.+?)(?::cell (?P<cell>\d{1,9}))?:(?P<line>\d{1,9})(?::\d{1,9})?")


class Spot(NamedTuple):
    """A line of a file, in a notebook of a code cell."""

    path: str
    line: int
    code_cell: int | None = None

    @classmethod
    def read(cls, text: str, option: str) -> Spot:
        """``train.py:12``, ``book.ipynb:cell 3:12``, as findings are shown; a column may follow.

        Raises CheckError for anything else, which names the option.
        """
        place = _PLACE.fullmatch(text)
        if place is None:
            raise CheckError(f"{option}: expected FILE:LINE, or FILE:cell N:LINE of a notebook, not {text!r}")
        path = os.path.abspath(place["file"])  # noqa: PTH100 (as files are discovered: links are not followed)
        return cls(path, int(place["line"]), None if place["cell"] is None else int(place["cell"]))

    @property
    def origin(self) -> Origin:
        return Origin(self.path, self.line, end_line=self.line, code_cell=self.code_cell)

    def covers(self, origin: Origin) -> bool:
        """Whether a finding's place is on the line."""
        within = origin.line <= self.line <= max(origin.line, origin.end_line)
        return within and (origin.path, origin.code_cell) == (self.path, self.code_cell)
