"""What `finallayer.watch` adds to a training step, of its time: the paired ratio of steps with and without it.

    python benchmarks/watch_overhead.py [torch] [found] [jax] [--pairs 40]

One hidden layer, SGD, a batch of 32 rows of 1000 classes and of 1024 rows of 32000, one thread of the CPU. Steps with
and without are taken in turn, in blocks that hold as many steps as are measured together, and their processor time is
compared block by block; the median of the ratios is given, with its quartiles.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

#: rows, classes, width of the hidden layer, steps in a block
SIZES = ((32, 1000, 512, 16), (1024, 32000, 256, 2))

Step = Callable[[bool], Any]


def data(rows: int, classes: int, width: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, width)).astype("f4"), rng.integers(classes, size=rows)


def torch_step(rows: int, classes: int, width: int, by_itself: bool = False) -> Step:

    from finallayer.watch.torch import Watch

    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    inputs, labels = data(rows, classes, width)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    net = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, classes))
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    watch = Watch()

    def step(watched: bool) -> None:
        optimizer.zero_grad()
        logits = net(x)
        loss = torch.nn.functional.cross_entropy(logits, y)
        if watched and by_itself:
            watch.found(loss)
        elif watched:
            watch.update(logits, y)
        loss.backward()
        optimizer.step()

    return step


def found_step(rows: int, classes: int, width: int) -> Step:
    return torch_step(rows, classes, width, by_itself=True)


def jax_step(rows: int, classes: int, width: int) -> Step:
    import jax.numpy as jnp
    import optax

    from finallayer.watch.jax import measure

    jax: Any = import_module("jax")
    x, y = map(jnp.asarray, data(rows, classes, width))
    keys = jax.random.split(jax.random.key(0))
    held = [
        jax.random.normal(keys[0], (width, width)) / width**0.5,
        jax.random.normal(keys[1], (width, classes)) / width**0.5,
    ]

    def loss(parameters: Any, watched: bool) -> Any:
        logits = jax.nn.relu(x @ parameters[0]) @ parameters[1]
        values = measure(logits, y) if watched else {}
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), values

    def update(parameters: Any, watched: bool) -> Any:
        (_, values), gradient = jax.value_and_grad(loss, has_aux=True)(parameters, watched)
        return [p - 1e-3 * g for p, g in zip(parameters, gradient, strict=True)], values

    compiled = jax.jit(update, static_argnums=1)

    def step(watched: bool) -> None:
        held[:], _ = jax.block_until_ready(compiled(held, watched))

    return step


STEPS = {"torch": torch_step, "found": found_step, "jax": jax_step}


def ratios(step: Step, steps: int, pairs: int) -> list[float]:
    """Time with over time without, a block each, in an order that alternates."""

    def block(watched: bool) -> float:
        began = time.process_time()
        for _ in range(steps):
            step(watched)
        return time.process_time() - began

    block(True), block(False)
    found = []
    for pair in range(pairs):
        order = (True, False) if pair % 2 else (False, True)
        took = {watched: block(watched) for watched in order}
        found.append(took[True] / took[False])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", help=f"of {', '.join(STEPS)}; all")
    parser.add_argument("--pairs", type=int, default=40)
    options = parser.parse_args()
    for name in options.which or STEPS:
        for rows, classes, width, steps in SIZES:
            pairs = options.pairs if rows < 1000 else max(4, options.pairs // 4)
            low, middle, high = statistics.quantiles(ratios(STEPS[name](rows, classes, width), steps, pairs), n=4)
            print(f"{name:6} {rows:5} x {classes:5}: {middle - 1:+.2%} ({low - 1:+.2%} to {high - 1:+.2%})", flush=True)


if __name__ == "__main__":
    main()
