"""The article's program, in every form that people write it, fixed by the tool and run before and after.

    python benchmarks/fix_article.py [--seeds N] [NAME ...]

Each program of ``fix_article/`` trains the same network (Flatten, Dense 128 relu, Dropout 0.2, Dense 10 softmax; Adam;
5 epochs) on scikit-learn's digits with raw pixels, 0 to 255. A Keras program is run on every backend. Three runs each:
the program as it is; the fixed program on the weights of the first, whose probabilities must be the same to 1e-6; the
fixed program from the start. Of the first two, the training rows that the model gets wrong are counted, and those among
them from which it learns nothing (``fix_article_run.py``). Prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

PROGRAMS = Path(__file__).parent / "fix_article"
RUN = Path(__file__).parent / "fix_article_run.py"
#: how the name of a program begins -> what it is run on
BACKENDS = {
    "keras": ("tensorflow", "jax", "torch"),
    "kerasjax": ("jax",),
    "kerastorch": ("torch",),
    "tensorflow": ("tensorflow",),
    "torch": ("",),
    "jax": ("",),
}
#: The probabilities of both programs, for the same weights, agree to this.
SAME = 1e-6


def fixed(source: str) -> tuple[str, str]:
    """The program after ``finallayer fix``, and what the command said."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(source)
        done = subprocess.run(
            [sys.executable, "-m", "finallayer", "fix", str(path)], capture_output=True, text=True, check=False
        )
        return path.read_text(), (done.stdout + done.stderr).strip()


def run(name: str, source: str, backend: str, seed: int, weights: str = "") -> dict[str, Any]:
    """What one run of a program showed, and the probabilities that it predicts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(source)
        out = Path(folder) / "probabilities.npy"
        environment = dict(os.environ, SEED=str(seed), OUT=str(out), WEIGHTS=weights, TF_CPP_MIN_LOG_LEVEL="3")
        if backend:
            environment["KERAS_BACKEND"] = backend
        done = subprocess.run(
            [sys.executable, str(RUN), str(path)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=600,
        )
        if done.returncode:
            raise SystemExit(f"{source}\n{done.stderr[-3000:]}")
        told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return told | {"probabilities": np.load(out)}


def measure(name: str, source: str, new: str, backend: str, seed: int) -> dict[str, Any]:
    """One program before and after: accuracies, rows that no longer teach, and how far the probabilities are apart."""
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.npz")
        before = run(name, source, backend, seed, weights)
        same = run(name, new, backend, seed, weights)  # the weights are there now: it loads them and doesn't train
        after = run(name, new, backend, seed)
    apart = float(np.max(np.abs(np.asarray(before["probabilities"]) - np.asarray(same["probabilities"]))))
    return {"program": name, "backend": backend, "seed": seed, "before": before["accuracy"],
            "after": after["accuracy"], "mistaken": before["mistaken"], "silenced": before["silenced"],
            "silenced_after": same["silenced"], "apart": apart}  # fmt: skip


HEADER = (
    f"{'program':<24}{'backend':<12}{'accuracy before':>16}{'after':>8}{'mistaken':>10}{'silenced':>10}"
    f"{'fixed':>7}{'predict apart':>15}"
)


def row_of(row: dict[str, Any]) -> str:
    """One row of the table. ``silenced`` and ``fixed`` are of the same weights, in the program before and after."""
    return (
        f"{row['program']:<24}{row['backend']:<12}{row['before']:>16.3f}{row['after']:>8.3f}{row['mistaken']:>10}"
        f"{row['silenced']:>10}{row['silenced_after']:>7}{row['apart']:>15.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    paths = [p for p in sorted(PROGRAMS.glob("*.py")) if not given.names or p.stem in given.names]
    failed = False
    print(HEADER)
    for path in paths:
        source = path.read_text()
        new, said = fixed(source)
        if new == source:
            print(f"{path.stem}: {said}")
        for backend in BACKENDS[path.stem.partition("_")[0]]:
            for seed in range(given.seeds):
                row = measure(path.stem, source, new, backend, seed)
                wrong = new == source or row["apart"] > SAME or row["silenced_after"] > 0
                failed |= wrong
                print(row_of(row) + ("  FAILED" if wrong else ""), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
