"""Where the torch losses are slow beside torch's own: a grid of shapes, dtypes, reductions and options, worst first.

    python benchmarks/losses_torch_grid.py [--threads 1] [--rounds 25] [--framework] [--only WORD] [--cpu-time]

Each cell is loss and gradient (or the loss alone under no_grad), ours and torch's in turn within a round; its figure
is the median over rounds of torch's time over ours: above 1 is faster. On a busy machine, ``--cpu-time`` with one
thread counts the processor's time instead of the clock's. ``--framework`` leaves the kernel out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

SHAPES = {
    "32 x 10": (32, 10),
    "128 x 10": (128, 10),
    "32 x 1000": (32, 1000),
    "1024 x 10": (1024, 10),
    "1024 x 1000": (1024, 1000),
    "100000 x 2": (100_000, 2),
    "4 x 21 x 256 x 256": (4, 21, 256, 256),
    "8192 x 1000": (8192, 1000),
    "256 x 32000": (256, 32_000),
}
DTYPES = ("float32", "bfloat16", "float16", "float64")
REDUCTIONS = ("mean", "sum", "none")
Cell = tuple[str, Callable[[Any], Callable[[], Any]], int]  # name, from a namespace to a step, repetitions


def cells() -> Iterator[Cell]:
    import torch

    for shape_name, shape in SHAPES.items():
        for dtype in DTYPES:
            torch.manual_seed(0)
            z = (torch.randn(shape) * 3).to(getattr(torch, dtype)).requires_grad_()
            t = torch.randint(shape[1], (shape[0], *shape[2:]))
            weight = torch.rand(shape[1]).to(z.dtype)
            repeat = max(1, 40_000 // z.numel())
            options: list[tuple[str, dict[str, Any]]] = [(r, {"reduction": r}) for r in REDUCTIONS]
            options += [("weights", {"weight": weight}), ("smoothing", {"label_smoothing": 0.1})]
            for name, arguments in options:
                yield f"{shape_name}, {dtype}, {name}", step(z, t, arguments), repeat
            yield f"{shape_name}, {dtype}, loss / 4", step(z, t, {}, 0.25), repeat
            yield f"{shape_name}, {dtype}, forward only", forward(z, t), repeat
            if len(shape) == 2 and z.numel() > 10_000:
                turned = z.detach().t().contiguous().t().requires_grad_()
                yield f"{shape_name}, {dtype}, transposed", step(turned, t, {}), repeat


def step(z: Any, t: Any, arguments: dict[str, Any], factor: float | None = None) -> Callable[[Any], Callable[[], Any]]:
    def of(f: Any) -> Callable[[], Any]:
        def run() -> None:
            z.grad = None
            loss = f.cross_entropy(z, t, **arguments)
            loss = loss if factor is None else loss * factor
            (loss.sum() if loss.dim() else loss).backward()

        return run

    return of


def forward(z: Any, t: Any) -> Callable[[Any], Callable[[], Any]]:
    import torch

    def of(f: Any) -> Callable[[], Any]:
        def run() -> None:
            with torch.no_grad():
                f.cross_entropy(z, t)

        return run

    return of


def measured(cell: Cell, rounds: int, clock: Callable[[], float]) -> tuple[float, float]:
    """Torch's time over ours, and ours in microseconds."""
    import torch.nn.functional as F  # noqa: N812

    from finallayer.losses import torch as ours

    runs = [cell[1](f) for f in (ours, F)]
    for run in runs * 2:
        run()
    ratios, mine = [], []
    for _ in range(rounds):
        times = []
        for run in runs:
            start = clock()
            for _ in range(cell[2]):
                run()
            times.append((clock() - start) / cell[2])
        ratios.append(times[1] / max(times[0], 1e-9))
        mine.append(times[0])
    return statistics.median(ratios), 1e6 * statistics.median(mine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--framework", action="store_true", help="without the kernel")
    parser.add_argument("--cpu-time", action="store_true", help="processor time; only with one thread")
    arguments = parser.parse_args()
    if arguments.cpu_time and arguments.threads != 1:
        raise SystemExit("--cpu-time counts all threads' time together: use it with --threads 1")
    if arguments.framework:
        import os

        os.environ["FINALLAYER_KERNEL"] = "framework"
    import torch

    from finallayer.losses import backend

    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    chosen = [cell for cell in cells() if arguments.only in cell[0]]
    found = sorted((*measured(cell, arguments.rounds, clock), cell[0]) for cell in chosen)
    print(f"kernel: {backend()}; threads: {arguments.threads}; torch {torch.__version__}; {len(found)} cells")
    for ratio, microseconds, name in found:
        print(f"{ratio:7.2f}  {microseconds:12.1f} us  {name}")


if __name__ == "__main__":
    main()
