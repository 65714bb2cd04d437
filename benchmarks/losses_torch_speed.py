"""Speed of `finallayer.losses.torch.cross_entropy` beside torch eager, torch.compile, optax and a copy.

    python benchmarks/losses_torch_speed.py [--threads 1] [--rounds 9] [--elements 25] [--classes V ...]
                                            [--dtypes float32 bfloat16] [--cpu-time] [--quick]

All contenders run once a round, in turn, so that whatever else the machine does hits all of them; the table gives
medians, and medians of the ratios within a round. "end to end" is autograd's forward and backward pass to the gradient
of the logits. The copy moves as many bytes as a perfect kernel must: each logit read once, each gradient written once;
at these sizes the C library's copy is a non-temporal one. On a busy machine, ``--cpu-time`` with one thread counts the
processor's time instead of the clock's.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

VOCABULARIES = (1_000, 8_192, 32_000, 50_257, 128_256, 262_144)
SMALL = ((32, 10), (128, 10))
DTYPES = ("float32", "bfloat16")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--elements", type=int, default=25, help="log2 of the logits of a batch")
    parser.add_argument("--classes", type=int, nargs="+", default=VOCABULARIES)
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--cpu-time", action="store_true", help="processor time; only with one thread")
    parser.add_argument("--quick", action="store_true", help="without torch.compile and optax")
    return parser.parse_args()


def rounds(contenders: dict[str, Callable[[], Any]], count: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Each contender's seconds in every round, after one round to warm up."""
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(count):
        for name, run in contenders.items():
            start = clock()
            run()
            times[name].append(clock() - start)
    return times


def ratio(times: dict[str, list[float]], slower: str, faster: str) -> float:
    return statistics.median(a / b for a, b in zip(times[slower], times[faster], strict=True))


def torch_contenders(rows: int, classes: int, dtype: Any, compiled: bool) -> dict[str, Callable[[], Any]]:
    import torch
    import torch.nn.functional as F  # noqa: N812

    from finallayer.losses.torch import cross_entropy

    torch.manual_seed(0)
    base = torch.randn(rows, classes).to(dtype)
    target = torch.randint(classes, (rows,))
    leaf = base.clone().requires_grad_()

    def end_to_end(loss: Callable[..., Any]) -> Callable[[], None]:
        def run() -> None:
            leaf.grad = None
            loss(leaf, target).backward()

        return run

    # In place: the logits come out of an operation, as from a linear layer; here one that costs nothing itself.
    class Produced(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, handle: torch.Tensor) -> torch.Tensor:
            return scratch.detach()

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> None:
            return None

    scratch, handle = base.clone(), torch.zeros((), requires_grad=True)

    def in_place() -> None:
        loss: Any = cross_entropy(Produced.apply(handle), target, in_place=True)  # type: ignore[no-untyped-call]
        loss.backward()

    size = base.numel() * base.element_size()
    sink = torch.empty_like(base)
    sink.fill_(0)
    contenders: dict[str, Callable[[], Any]] = {
        "copy": lambda: ctypes.memmove(sink.data_ptr(), base.data_ptr(), size),
        "ours": end_to_end(cross_entropy),
        "in place": in_place,
        "torch": end_to_end(F.cross_entropy),
    }
    if compiled:
        contenders["compile"] = end_to_end(torch.compile(F.cross_entropy, dynamic=False))
    return contenders


def optax_contender(rows: int, classes: int, dtype: str) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp
    import optax

    key = jax.random.key(0)
    z = jax.random.normal(key, (rows, classes)).astype(dtype)
    target = jax.random.randint(key, (rows,), 0, classes)
    step = jax.jit(jax.value_and_grad(lambda z: jnp.mean(optax.softmax_cross_entropy_with_integer_labels(z, target))))
    return lambda: jax.block_until_ready(step(z))  # type: ignore[no-untyped-call]


def large(arguments: argparse.Namespace, clock: Callable[[], float]) -> None:
    import torch

    columns = ("copy", "ours", "in place", "torch", "compile", "optax")
    print(
        f"{'dtype':9}{'rows x classes':>16}{'MB':>5}{'GB/s':>6} |"
        + "".join(f"{c:>9}" for c in columns)
        + " ms | of copy: ours, in place | times faster than torch, in place, compile, optax"
    )
    for dtype in (getattr(torch, name) for name in arguments.dtypes):
        for classes in arguments.classes:
            rows = max(2, 2**arguments.elements // classes)
            contenders = torch_contenders(rows, classes, dtype, not arguments.quick)
            if not arguments.quick:
                contenders["optax"] = optax_contender(rows, classes, str(dtype).removeprefix("torch."))
            times = rounds(contenders, arguments.rounds, clock)
            ms = {k: 1e3 * statistics.median(v) for k, v in times.items()}
            moved = 2 * rows * classes * dtype.itemsize
            pairs = (("torch", "ours"), ("torch", "in place"), ("compile", "ours"), ("optax", "ours"))
            shares = [ratio(times, "copy", "ours"), ratio(times, "copy", "in place")]
            faster = [ratio(times, a, b) if a in times else float("nan") for a, b in pairs]
            print(
                f"{str(dtype)[6:]:9}{f'{rows} x {classes}':>16}{moved / 1e6:5.0f}{moved / ms['ours'] / 1e6:6.1f} |"
                + "".join(f"{ms.get(c, float('nan')):9.1f}" for c in columns)
                + "    |"
                + "".join(f"{x:8.0%}" for x in shares)
                + "  |"
                + "".join(f"{x:7.1f}" for x in faster),
                flush=True,
            )


def _often(run: Callable[[], Any]) -> None:
    for _ in range(200):
        run()


def small(count: int, clock: Callable[[], float]) -> None:
    import torch

    print("\nsmall batches: microseconds, forward and backward")
    for rows, classes in SMALL:
        contenders = torch_contenders(rows, classes, torch.float32, False)
        pair: dict[str, Callable[[], Any]] = {name: partial(_often, contenders[name]) for name in ("ours", "torch")}
        times = rounds(pair, 3 * count, clock)
        per = {k: 1e6 * statistics.median(v) / 200 for k, v in times.items()}
        gain = ratio(times, "torch", "ours")
        print(f"{rows:4} x {classes}: ours {per['ours']:6.1f}  torch {per['torch']:6.1f}  times faster {gain:.2f}")


def main() -> None:
    arguments = parsed()
    if arguments.cpu_time and arguments.threads != 1:
        raise SystemExit("--cpu-time counts all threads' time together: use it with --threads 1")
    if hasattr(os, "sched_setaffinity"):  # XLA has no other way to be told
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-arguments.threads :]))
    import torch

    from finallayer.losses import backend

    torch.set_num_threads(arguments.threads)
    print(f"kernel: {backend()}; threads: {arguments.threads}; torch {torch.__version__}")
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    large(arguments, clock)
    small(arguments.rounds, clock)


if __name__ == "__main__":
    main()
