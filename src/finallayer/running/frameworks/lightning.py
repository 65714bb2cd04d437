"""Lightning: what a trainer has logged at the end of each of its epochs; its steps are PyTorch's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from finallayer.live.replacing import replaced
from finallayer.running.ledger import Ledger


@contextmanager
def around(ledger: Ledger, module: str) -> Iterator[None]:
    """Inside, every trainer has one more callback while it fits, and what it evaluates is logged."""
    package = sys.modules[module]

    class Logs(package.Callback):  # type: ignore[misc, name-defined]
        def on_train_epoch_end(self, trainer: Any, _module: Any) -> None:
            ledger.log(trainer.callback_metrics)

    def fitting(original: Callable[..., Any]) -> Callable[..., Any]:
        def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
            logs = Logs()
            self.callbacks.append(logs)
            try:
                return original(self, *args, **kwargs)
            finally:
                self.callbacks.remove(logs)

        return fit

    def evaluating(original: Callable[..., Any]) -> Callable[..., Any]:
        def evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = original(self, *args, **kwargs)
            ledger.log(self.callback_metrics)
            return given

        return evaluate

    trainer = package.Trainer
    with (
        replaced(trainer, "fit", fitting),
        replaced(trainer, "validate", evaluating),
        replaced(trainer, "test", evaluating),
    ):
        yield
