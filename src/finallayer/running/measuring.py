"""The frameworks that a program loads are measured from then on; those that it doesn't load are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module

from finallayer.loading import when_loaded
from finallayer.running.ledger import Ledger

#: module -> the file of ours that measures what it trains
_FRONTS = {
    "torch": "torch",
    "keras": "keras",
    "jax": "jax",
    "lightning.pytorch": "lightning",
    "pytorch_lightning": "lightning",
    "transformers.trainer": "transformers",
}


@contextmanager
def measured(ledger: Ledger) -> Iterator[None]:
    """Around a program, of which the ledger learns what its training shows."""
    with ExitStack() as undo:

        def begin(module: str) -> None:
            try:
                front = import_module(f"finallayer.running.frameworks.{_FRONTS[module]}")
                around: AbstractContextManager[None] = front.around(ledger, module)
                undo.enter_context(around)
            except (ImportError, AttributeError) as error:  # a version that we don't know: the program goes on
                ledger.note(f"{module} is of a version that isn't measured ({error})")

        undo.enter_context(when_loaded(_FRONTS, begin))
        yield
