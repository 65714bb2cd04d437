"""transformers: a callback for its Trainer, which sees the logits and labels behind each loss."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finallayer.watch.quantities import SHARE, Limits
from finallayer.watch.torch import Watch, backwards


class FinalLayer(TrainerCallback):  # type: ignore[misc]
    """Adds what the final layer does to whatever the Trainer logs, each time that it logs.

    ``FinalLayer.attach(trainer)`` puts it before the callbacks that report, so that TensorBoard and others get the
    values; in ``callbacks=[FinalLayer()]`` it comes after them, and only ``log_history`` and the console do. A loss is
    met where its backward pass is called: shifted labels, label smoothing and a loss of one's own are seen as they are.
    ``loss``, ``limits``, ``share``: see ``finallayer.watch.torch.Watch``; by default the first loss is audited.
    """

    def __init__(
        self, loss: Callable[..., Any] | None = None, *, limits: Limits | None = None, share: float = SHARE
    ) -> None:
        self.watch = Watch(loss, limits=limits, share=share)
        self._around = ExitStack()

    @classmethod
    def attach(cls, trainer: Trainer, **options: Any) -> FinalLayer:
        """Have a trainer log it, whatever it reports to."""
        made = cls(**options)
        trainer.callback_handler.callbacks.insert(0, made)
        return made

    def on_train_begin(
        self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_others: Any
    ) -> None:
        """Watch from here on."""
        self._around.enter_context(backwards(self.watch.found))

    def on_train_end(
        self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_others: Any
    ) -> None:
        """Watch no longer."""
        self._around.close()

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_others: Any,
    ) -> None:
        """Add the values since the epoch began to a training step's logs."""
        if logs is not None and "loss" in logs:
            values = self.watch.values()
            logs.update(values)
            if state.log_history:
                state.log_history[-1].update(values)

    def on_epoch_end(
        self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_others: Any
    ) -> None:
        """Begin anew."""
        self.watch.reset()
