"""Lightning: a callback that is handed each loss before its backward pass, and finds logits and labels behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError:
    from pytorch_lightning import Callback, LightningModule, Trainer  # the same, as a package of its own

from finallayer.watch.quantities import SHARE, Limits
from finallayer.watch.torch import Watch


class FinalLayer(Callback):  # type: ignore[misc]
    """Logs what each training step's final layer does; nothing of the module is changed.

    ``every``: after so many batches the values since the epoch began are fetched and logged; at its end they are logged
    once more, and what is wrong is said once. ``loss``, ``limits``, ``share``: see ``finallayer.watch.torch.Watch``; by
    default the first loss is audited. What is compiled as a whole (``torch.compile`` of module and loss) shows no
    logits, and nothing is logged of it.
    """

    def __init__(
        self,
        every: int = 50,
        loss: Callable[..., Any] | None = None,
        *,
        limits: Limits | None = None,
        share: float = SHARE,
    ) -> None:
        self.every = every
        self.watch = Watch(loss, limits=limits, share=share)

    def on_before_backward(self, _trainer: Trainer, _module: LightningModule, loss: torch.Tensor) -> None:
        """Count the step."""
        self.watch.found(loss)

    def on_train_batch_end(
        self, _trainer: Trainer, module: LightningModule, _outputs: Any, _batch: Any, batch_idx: int
    ) -> None:
        """Log, now and then."""
        if (batch_idx + 1) % self.every == 0:
            module.log_dict(self.watch.values(), on_step=True, on_epoch=False)

    def on_train_epoch_end(self, _trainer: Trainer, module: LightningModule) -> None:
        """Log the epoch's values, and begin anew."""
        module.log_dict(self.watch.values())
        self.watch.reset()
