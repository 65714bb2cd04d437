"""transformers: what a Trainer logs; its steps are PyTorch's."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from finallayer.running.ledger import Ledger


@contextmanager
def around(ledger: Ledger, module: str) -> Iterator[None]:
    """Inside, every Trainer has one more callback from its training on."""
    package = sys.modules[module]
    trainer = package.Trainer

    class Logs(package.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_log(
            self, _args: Any, _state: Any, _control: Any, logs: Mapping[str, Any] | None = None, **_others: Any
        ) -> None:
            ledger.log(logs or {})

    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.add_callback(Logs())
        return original(self, *args, **kwargs)

    original = trainer.train
    trainer.train = train
    try:
        yield
    finally:
        trainer.train = original
