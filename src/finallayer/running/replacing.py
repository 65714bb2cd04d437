"""Attributes of a framework that are others for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(home: Any, name: str, made: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, an attribute is what is made of it."""
    original = getattr(home, name)
    setattr(home, name, made(original))
    try:
        yield
    finally:
        setattr(home, name, original)
