"""`finallayer.losses.jax` beside optax, both under `jit`, over a grid of shapes, dtypes and losses, the worst first.

    python benchmarks/losses_jax_grid.py [--only SUBSTRING] [--rounds 15]

Each cell is the mean loss and its gradient, ours and optax' in turn within a round; its figure is the median over
rounds of optax' time over ours: above 1 is faster. XLA uses every core that this process may run on: pin it to one
(``taskset -c 0``) for the figures of one thread. ``FINALLAYER_KERNEL=framework`` leaves the kernel out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from finallayer.losses import backend
from finallayer.losses import jax as losses

DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
SHAPES = (
    (32, 10), (128, 10), (4096, 10), (100_000, 2), (2000, 20), (2000, 50), (4096, 100), (32, 1000), (512, 1000),
    (1024, 4000), (256, 32_000),
)  # fmt: skip
BINARY = ((1000, 1), (2000, 2000))


class Cell(NamedTuple):
    name: str
    elements: int
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


def cells() -> Iterator[Cell]:
    hard = losses.softmax_cross_entropy_with_integer_labels, optax.losses.softmax_cross_entropy_with_integer_labels
    soft = losses.softmax_cross_entropy, optax.losses.softmax_cross_entropy
    binary = losses.sigmoid_binary_cross_entropy, optax.losses.sigmoid_binary_cross_entropy
    keys = iter(jax.random.split(jax.random.key(0), 1000))
    for name, dtype in DTYPES.items():
        for rows, classes in SHAPES:
            z = (3 * jax.random.normal(next(keys), (rows, classes))).astype(dtype)
            yield pair(f"{name} {rows}x{classes}", z, jax.random.randint(next(keys), (rows,), 0, classes), hard)
            q = jax.nn.softmax(jax.random.normal(next(keys), (rows, classes))).astype(dtype)
            yield pair(f"{name} {rows}x{classes} soft", z, q, soft)
        for rows, columns in BINARY:
            z = (3 * jax.random.normal(next(keys), (rows, columns))).astype(dtype)
            yield pair(f"{name} {rows}x{columns} binary", z, jax.random.uniform(next(keys), z.shape, dtype), binary)


def pair(name: str, z: jax.Array, target: jax.Array, functions: tuple[Callable[..., Any], Callable[..., Any]]) -> Cell:
    def step(function: Callable[..., Any]) -> Callable[[], Any]:
        compiled = jax.jit(jax.value_and_grad(lambda z, target: jnp.mean(function(z, target))))
        return lambda: jax.block_until_ready(compiled(z, target))  # type: ignore[no-untyped-call]

    return Cell(name, z.size, step(functions[0]), step(functions[1]))


def measured(cell: Cell, rounds: int) -> tuple[float, float]:
    """Our milliseconds, and how many times faster than optax that is."""
    for run in (cell.ours, cell.theirs) * 3:
        run()
    inner = max(1, 50_000 // cell.elements)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, seconds in zip((cell.ours, cell.theirs), times, strict=True):
            start = time.perf_counter()
            for _ in range(inner):
                run()
            seconds.append((time.perf_counter() - start) / inner)
    ratio = statistics.median(theirs / ours for ours, theirs in zip(*times, strict=True))
    return 1e3 * statistics.median(times[0]), ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"jax {jax.__version__}, optax {optax.__version__}, kernel: {backend()}, cores: {os.sched_getaffinity(0)}")
    chosen = (cell for cell in cells() if options.only in cell.name)
    found = sorted((ratio, ms, cell.name) for cell in chosen for ms, ratio in (measured(cell, options.rounds),))
    for ratio, ms, name in found:
        print(f"{ratio:6.2f}  {ms:9.3f} ms  {name}")
    print(f"{len(found)} cells, {sum(ratio < 0.95 for ratio, _, _ in found)} below 0.95")


if __name__ == "__main__":
    main()
