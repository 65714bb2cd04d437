"""transformers: what a Trainer logs; its steps are PyTorch's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from finallayer.live.replacing import replaced
from finallayer.running.ledger import Ledger


def around(ledger: Ledger, module: str) -> AbstractContextManager[None]:
    """Inside, every Trainer has one more callback from its training on."""
    package = sys.modules[module]

    class Logs(package.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_log(
            self, _args: Any, _state: Any, _control: Any, logs: Mapping[str, Any] | None = None, **_others: Any
        ) -> None:
            ledger.log(logs or {})

    def training(original: Callable[..., Any]) -> Callable[..., Any]:
        def train(self: Any, *args: Any, **kwargs: Any) -> Any:
            self.add_callback(Logs())
            return original(self, *args, **kwargs)

        return train

    return replaced(package.Trainer, "train", training)
