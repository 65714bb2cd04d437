"""One backend's child process: reads a job, a line, from stdin, trains its cells, writes an event a line to stdout.

Events: ``ready``; ``epoch`` and ``cell`` (a cell's index in the job, measurements); ``failed`` (a cell that raised);
``gradient`` (a curve against the margin, once a precision and head); ``end``. What a framework prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from finallayer.compare.backends import BY_NAME
from finallayer.compare.cliff import head_curve
from finallayer.compare.dataset import Dataset
from finallayer.compare.fairness import epoch_order
from finallayer.compare.grid import Cell
from finallayer.compare.measure import Epoch, measure_epoch
from finallayer.compare.trainer import Trainer

Emit = Callable[..., None]


def main() -> None:
    emit = _claim_stdout()
    job = json.loads(sys.stdin.readline())
    end_with_parent(Path(job["data"]).parent)
    data = Dataset.load(Path(job["data"]))
    cells = [Cell(**cell) for cell in job["cells"]]
    trainer = make_trainer(job["backend"], data)
    emit("ready")
    seen: set[tuple[str, str]] = set()
    for index, cell in enumerate(cells):
        started = time.perf_counter()
        epochs = []
        try:
            for row in train_cell(trainer, cell, data, job["epochs"], job["batch_size"]):
                epochs.append(row.as_dict())
                emit("epoch", cell=index, **epochs[-1])
            if (cell.precision, cell.head) not in seen:
                seen.add((cell.precision, cell.head))
                emit("gradient", curve=gradient_curve(trainer, cell, job["batch_size"]))
        except Exception as error:  # one cell's failure must not cost the others
            emit("failed", cell=index, error=one_line(error))
            continue
        emit("cell", cell=index, seconds=time.perf_counter() - started, epochs=epochs)
    emit("end")


def end_with_parent(scratch: Path) -> None:
    """End, and take the scratch folder along, when nobody is left to: the parent keeps our stdin open."""

    def watch() -> None:
        sys.stdin.read()
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make_trainer(backend: str, data: Dataset) -> Trainer:
    """The trainer of a backend; this is where a framework is imported."""
    if BY_NAME[backend].framework == "torch":
        from finallayer.compare.train_torch import TorchTrainer

        return TorchTrainer(data.sample_shape, data.classes)
    from finallayer.compare.train_keras import KerasTrainer

    return KerasTrainer(data.sample_shape, data.classes)


def train_cell(trainer: Trainer, cell: Cell, data: Dataset, epochs: int, batch_size: int) -> Iterator[Epoch]:
    """Train one cell from its seed's initial state and measure after every epoch."""
    x_train, x_val = data.inputs(cell.inputs)
    trainer.start(cell)
    for number in range(1, epochs + 1):
        started = time.perf_counter()
        order = epoch_order(cell.seed, number, len(x_train))
        fitted = trainer.fit_epoch(x_train[order], data.y_train[order], batch_size)
        seconds = time.perf_counter() - started
        train = trainer.observe(x_train, data.y_train)
        yield measure_epoch(number, seconds, fitted, train, data.y_train, trainer.logits(x_val), data.y_val)


def gradient_curve(trainer: Trainer, cell: Cell, batch_size: int) -> dict[str, Any]:
    """The gradient at the target against the margin, as this backend computes the cell's head in its precision."""
    program = {"backend": cell.backend, "precision": cell.precision, "head": cell.head}
    return program | head_curve(trainer, cell.precision, cell.head, batch_size)


def one_line(error: Exception) -> str:
    """The kind of an error and the first line of its message."""
    first, *_ = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {first}"


def _claim_stdout() -> Emit:
    """Keep the pipe to the parent for events; let what the frameworks print go to stderr."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}, allow_nan=False), file=pipe, flush=True)

    return emit
