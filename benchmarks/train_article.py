"""The article's network on scikit-learn's digits, trained with Keras' loss on logits and with ours: one curve.

    KERAS_BACKEND=jax python benchmarks/train_article.py [--epochs 5] [--out RESULTS.json]

Unscaled pixels (0-255), Dense(128, relu), Dropout, Dense(10), Adam: the confident and the lost rows that the article is
about. Each loss trains in a process of its own, from the same weights, on the same batches.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOSSES = ("keras", "ours")


def train(which: str, epochs: int) -> dict[str, object]:
    import keras
    import numpy as np
    from sklearn.datasets import load_digits

    from finallayer.losses import keras as ours

    class Times(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.steps: list[float] = []
            self.losses: list[float] = []

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.steps.append(time.perf_counter() - self.started)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.losses.append(float(logs["loss"]))

    loss = {
        "keras": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "ours": ours.SparseCategoricalCrossentropy(),
    }[which]
    keras.utils.set_random_seed(0)
    digits = load_digits()
    pixels, labels = (digits.data * (255 / 16)).astype(np.float32), digits.target
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.2, seed=0),
            keras.layers.Dense(10),
        ]
    )
    model.compile("adam", loss, metrics=["accuracy"])
    times = Times()
    model.fit(pixels, labels, epochs=epochs, batch_size=32, validation_split=0.2, verbose=0, callbacks=[times])
    return {
        "losses": times.losses,
        "accuracy": model.evaluate(pixels[-360:], labels[-360:], verbose=0)[1],
        "step_ms": 1e3 * float(np.median(times.steps)),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    parser.add_argument("--loss", choices=LOSSES, help=argparse.SUPPRESS)  # the child's
    options = parser.parse_args()
    if options.loss:
        print(json.dumps(train(options.loss, options.epochs)))
        return

    runs = {}
    for which in LOSSES:
        command = [sys.executable, __file__, "--epochs", str(options.epochs), "--loss", which]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{which}: {done.stderr.strip()}")
        runs[which] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"Keras on {os.environ.get('KERAS_BACKEND', 'its default backend')}, {options.epochs} epochs of digits, 0-255"
    )
    print("| loss | first epoch's loss | last epoch's | validation accuracy | step, ms | peak memory, MiB |")
    print("|---|---|---|---|---|---|")
    for which, run in runs.items():
        print(
            f"| {which} | {run['losses'][0]:.6f} | {run['losses'][-1]:.6f} | {run['accuracy']:.4f} "
            f"| {run['step_ms']:.2f} | {run['peak_mib']:.0f} |"
        )
    pairs = zip(runs["ours"]["losses"], runs["keras"]["losses"], strict=True)
    print(f"largest relative difference of the curve: {max(abs(a / b - 1) for a, b in pairs):.1e}")
    if options.out:
        options.out.write_text(json.dumps(runs, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
