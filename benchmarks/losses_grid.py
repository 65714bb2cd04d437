"""`finallayer.losses.torch.cross_entropy` beside torch eager over a grid of shapes and options, the worst cells first.

    python benchmarks/losses_grid.py [--threads 1 2] [--only SUBSTRING] [--worst 40]

Each cell is a forward and a backward pass, ours and torch's in turn within one process; its figure is the median of
torch's time over ours within a round: 1 is torch's speed, 2 is twice as fast. One thread is measured by the processor's
time, so that whatever else the machine does counts little; two threads by the clock. ``losses_torch_speed.py`` has the
large vocabularies, a copy's speed and the other peers.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812

from finallayer.losses import backend
from finallayer.losses.torch import binary_cross_entropy_with_logits, cross_entropy

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "f64": torch.float64}
SHAPES = (
    (32, 10), (128, 10), (4096, 10), (100_000, 2), (10_000, 5), (2000, 20), (2000, 50), (2000, 100), (1000, 300),
    (32, 1000), (1024, 1000), (256, 8192), (256, 32_000),
)  # fmt: skip
#: option -> keyword arguments; "weights" stands for random class weights
OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "none": {"reduction": "none"},
    "sum": {"reduction": "sum"},
    "weights": {"weight": "weights"},
    "smoothing": {"label_smoothing": 0.1},
    "soft": {},
    "soft weights": {"weight": "weights"},
    "scaled": {},  # (loss / 4).backward(), as in gradient accumulation
    "forward only": {},
}
#: (n, classes, ...) as a layer leaves it, and the same with the classes last in memory
LAYOUTS = {"pixels": (4, 21, 128, 128), "sequence": (8, 1000, 128), "channels last": (4, 21, 128, 128)}
BINARY = ((1000, 1), (100, 1000), (2000, 2000))


class Cell(NamedTuple):
    name: str
    elements: int
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


def pair(name: str, logits: torch.Tensor, target: torch.Tensor, functions: tuple[Any, Any], option: str) -> Cell:
    keywords = dict(OPTIONS[option])
    if keywords.get("weight") == "weights":
        keywords["weight"] = torch.rand(logits.shape[1]).to(logits.dtype)
    leaf = logits.detach().requires_grad_(option != "forward only")

    def step(function: Callable[..., torch.Tensor]) -> Callable[[], None]:
        def run() -> None:
            leaf.grad = None
            loss = function(leaf, target, **keywords)
            if option == "forward only":
                return
            if loss.dim():
                loss = loss.sum()
            torch.autograd.backward(loss / 4 if option == "scaled" else loss)

        return run

    return Cell(f"{name} {option}".strip(), logits.numel(), step(functions[0]), step(functions[1]))


def cells() -> Iterator[Cell]:
    ours = (cross_entropy, F.cross_entropy)
    for name, dtype in DTYPES.items():
        for rows, classes in SHAPES:
            logits = (torch.randn(rows, classes) * 3).to(dtype)
            for option in OPTIONS:
                soft = "soft" in option
                target = torch.randn(rows, classes).softmax(1).to(dtype) if soft else torch.randint(classes, (rows,))
                yield pair(f"{name} {rows}x{classes}", logits, target, ours, option)
        for layout, shape in LAYOUTS.items():
            logits = (torch.randn(shape) * 3).to(dtype)
            if layout == "channels last":
                logits = logits.to(memory_format=torch.channels_last)
            target = torch.randint(shape[1], shape[:1] + shape[2:])
            for option in ("", "none", "weights", "smoothing"):
                yield pair(f"{name} {layout} {'x'.join(map(str, shape))}", logits, target, ours, option)
        binary = (binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits)
        for rows, columns in BINARY:
            logits = (torch.randn(rows, columns) * 3).to(dtype)
            for option in ("", "none", "scaled"):
                yield pair(
                    f"{name} binary {rows}x{columns}", logits, torch.rand(rows, columns).to(dtype), binary, option
                )


def measured(cell: Cell, clock: Callable[[], float]) -> tuple[float, float]:
    """Our milliseconds, and how many times faster than torch that is."""
    for run in (cell.ours, cell.theirs) * 2:
        run()
    inner = max(1, 20_000 // cell.elements)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(7 if cell.elements > 1 << 20 else 31):
        for run, seconds in zip((cell.ours, cell.theirs), times, strict=True):
            start = clock()
            for _ in range(inner):
                run()
            seconds.append((clock() - start) / inner)
    ratio = statistics.median(theirs / ours for ours, theirs in zip(*times, strict=True))
    return 1e3 * statistics.median(times[0]), ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--worst", type=int, default=40, help="how many cells to print")
    options = parser.parse_args()
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, kernel: {backend()}")
    for threads in options.threads:
        torch.set_num_threads(threads)
        clock = time.process_time if threads == 1 else time.perf_counter
        found = sorted(
            (ratio, ms, cell.name)
            for cell in cells()
            if options.only in cell.name
            for ms, ratio in (measured(cell, clock),)
        )
        below = sum(ratio < 0.95 for ratio, _, _ in found)
        middle = statistics.median(ratio for ratio, _, _ in found)
        print(f"\n{threads} thread(s): {len(found)} cells, {below} below 0.95, median {middle:.2f}")
        for ratio, ms, name in found[: options.worst]:
            print(f"{ratio:6.2f}  {ms:9.3f} ms  {name}", flush=True)


if __name__ == "__main__":
    main()
