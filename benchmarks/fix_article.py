"""The article's program, in every form that people write it, fixed by the tool and run before and after.

    python benchmarks/fix_article.py [--seeds N] [NAME ...]

Each program of ``fix_article/`` trains the same network (Flatten, Dense 128 relu, Dropout 0.2, Dense 10 softmax; Adam;
5 epochs) on scikit-learn's digits with raw pixels, 0 to 255, and prints one line of JSON: its validation accuracy. A
Keras program is run on every backend. ``--same`` programs end by writing weights and ``predict``'s probabilities; the
fixed program is run on the weights of the first, and its probabilities must be the same to 1e-6.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PROGRAMS = Path(__file__).parent / "fix_article"
BACKENDS = {"keras": ("jax", "torch", "tensorflow"), "tensorflow": ("tensorflow",), "torch": ("",), "jax": ("",)}
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


def run(source: str, backend: str, seed: int, weights: str = "") -> dict[str, object]:
    """What a program prints as its last line, and the probabilities that it predicts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(source)
        out = Path(folder) / "probabilities.npy"
        environment = dict(os.environ, SEED=str(seed), OUT=str(out), WEIGHTS=weights, TF_CPP_MIN_LOG_LEVEL="3")
        if backend:
            environment["KERAS_BACKEND"] = backend
        done = subprocess.run(
            [sys.executable, str(path)], capture_output=True, text=True, env=environment, check=False, timeout=600
        )
        if done.returncode:
            raise SystemExit(f"{source}\n{done.stderr[-3000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1]) | {"probabilities": np.load(out)}


def measure(name: str, source: str, new: str, backend: str, seed: int) -> dict[str, object]:
    """One program before and after: accuracies, and how far the probabilities are apart for the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.npz")
        before = run(source, backend, seed, weights)
        same = run(new, backend, seed, weights)  # the weights are there now: the program loads them and doesn't train
        after = run(new, backend, seed)
    apart = float(np.max(np.abs(np.asarray(before["probabilities"]) - np.asarray(same["probabilities"]))))
    return {"program": name, "backend": backend, "seed": seed, "before": before["accuracy"],
            "after": after["accuracy"], "apart": apart}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    paths = [p for p in sorted(PROGRAMS.glob("*.py")) if not given.names or p.stem in given.names]
    failed = False
    for path in paths:
        source = path.read_text()
        new, said = fixed(source)
        print(f"{path.stem}: {said}", flush=True)
        for backend in BACKENDS[path.stem.partition("_")[0]]:
            for seed in range(given.seeds):
                row = measure(path.stem, source, new, backend, seed)
                wrong = new == source or row["apart"] > SAME
                failed |= wrong
                print(json.dumps(row) + ("  FAILED" if wrong else ""), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
