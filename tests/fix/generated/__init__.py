"""Random programs with a softmax or sigmoid before their loss, to be run before and after a fix.

A program is put together from parts: a way to write the model, a loss, and readers of its output in any number and
order. ``right`` is the same model with the loss that was meant, written by hand and without readers: what training on
the fixed program must come to.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple


class Program(NamedTuple):
    """A generated program, and its right form."""

    framework: str
    text: str
    right: str
    binary: bool  # one unit, not classes


Generator = Callable[[random.Random], Program]
