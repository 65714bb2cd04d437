"""Functions of a framework that are others for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, by: Callable[[Any], Any]) -> Iterator[None]:
    """While a module's or class's attribute is what ``by`` makes of it."""
    original = getattr(owner, name)
    setattr(owner, name, by(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def preceded(owner: Any, name: str, before: Callable[..., None]) -> AbstractContextManager[None]:
    """While something else is called before a function is, on the same arguments."""

    def preceding(original: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            before(*args, **kwargs)
            return original(*args, **kwargs)

        return called

    return replaced(owner, name, preceding)
