"""The frameworks that a program loads are measured from then on; those that it doesn't load are left alone."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
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


def measured(ledger: Ledger) -> AbstractContextManager[None]:
    """Around a program, of which the ledger learns what its training shows."""

    def begin(module: str, undo: ExitStack) -> None:
        try:
            front = import_module(f"finallayer.running.frameworks.{_FRONTS[module]}")
            undo.enter_context(front.around(ledger, module))
        except (ImportError, AttributeError) as error:  # a version that we don't know: the program goes on
            ledger.note(f"{module} is of a version that isn't measured ({error})")

    return when_loaded(_FRONTS, begin)
