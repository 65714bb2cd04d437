"""Runs optax' and Keras' own tests on our losses: what differs is what a user who swaps them in would meet.

    python benchmarks/losses_peers_jax_keras.py optax FILE     # optax/losses/_classification_test.py
    python benchmarks/losses_peers_jax_keras.py keras FILE     # keras/src/losses/losses_test.py

The files come with the packages: they are named, copied to a folder of their own and run there, once as they are and
once with ours in place of theirs. Keras' losses on probabilities stand for themselves: there the test's probabilities
are turned into logits, clipped as Keras clips them. ``KERAS_BACKEND`` names the backend.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SWAPS = {
    "optax": """
import optax.losses._classification as theirs
import finallayer.losses.jax as ours
for name in (
    "softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels", "sigmoid_binary_cross_entropy"
):
    setattr(theirs, name, getattr(ours, name))
""",
    "keras": """
import keras.src.losses.losses as theirs
from keras import ops
import finallayer.losses.keras as ours

def on_probabilities_too(name):
    def make(*arguments, from_logits=False, **options):
        loss = getattr(ours, name)(*arguments, **options)
        if from_logits:
            return loss
        call = loss.call
        def of_probabilities(y_true, p):
            if name.startswith("Binary"):
                p = ops.clip(p, 1e-7, 1 - 1e-7)
                return call(y_true, ops.log(p) - ops.log1p(-p))
            return call(y_true, ops.log(ops.clip(p / ops.sum(p, axis=loss.axis, keepdims=True), 1e-7, 1 - 1e-7)))
        loss.call = of_probabilities
        return loss
    return make

for name in (
    "SparseCategoricalCrossentropy", "CategoricalCrossentropy", "BinaryCrossentropy", "CategoricalFocalCrossentropy",
    "BinaryFocalCrossentropy",
):
    setattr(theirs, name, on_probabilities_too(name))
""",
}
ABOUT = {"optax": "CrossEntropy or cross_entropy or Sigmoid or sigmoid", "keras": "Crossentropy"}


def results(peer: str, test: Path, swapped: bool) -> dict[str, str]:
    """Each test's outcome, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(test, folder)
        if swapped:
            Path(folder, "conftest.py").write_text(SWAPS[peer], "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", "-W", "ignore", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, "-k", ABOUT[peer], test.name], cwd=folder, capture_output=True, text=True, check=False
        )
    lines = (line.split(" - ")[0].split() for line in done.stdout.splitlines())
    return {words[1].partition("::")[2]: words[0] for words in lines if len(words) == 2 and "::" in words[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=SWAPS)
    parser.add_argument("test", type=Path)
    arguments = parser.parse_args()
    theirs, ours = (results(arguments.peer, arguments.test.resolve(), swapped) for swapped in (False, True))
    if not theirs or theirs.keys() != ours.keys():
        raise SystemExit("no tests ran: is this the right file?")
    different = [name for name, outcome in theirs.items() if ours[name] != outcome]
    print(f"{len(theirs)} tests, {sum(o == 'PASSED' for o in ours.values())} pass on ours, {len(different)} differ")
    for name in different:
        print(f"  {name}: {theirs[name]} on theirs, {ours[name]} on ours")


if __name__ == "__main__":
    main()
