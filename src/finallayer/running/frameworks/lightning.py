"""Lightning: what a trainer has logged at the end of each of its epochs; its steps are PyTorch's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from finallayer.running.ledger import Ledger


@contextmanager
def around(ledger: Ledger, module: str) -> Iterator[None]:
    """Inside, every trainer has one more callback while it fits, and what it evaluates is logged."""
    package = sys.modules[module]
    trainer = package.Trainer

    class Logs(package.Callback):  # type: ignore[misc, name-defined]
        def on_train_epoch_end(self, trainer: Any, _module: Any) -> None:
            ledger.log(trainer.callback_metrics)

    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        logs = Logs()
        self.callbacks.append(logs)
        try:
            return originals["fit"](self, *args, **kwargs)
        finally:
            self.callbacks.remove(logs)

    def evaluating(name: str) -> Any:
        def evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = originals[name](self, *args, **kwargs)
            ledger.log(self.callback_metrics)
            return given

        return evaluate

    originals = {name: getattr(trainer, name) for name in ("fit", "validate", "test")}
    trainer.fit, trainer.validate, trainer.test = fit, evaluating("validate"), evaluating("test")
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(trainer, name, original)
