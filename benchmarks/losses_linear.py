"""Time and peak memory of `linear_cross_entropy` beside torch's own, plain and chunked: loss and all gradients.

    python benchmarks/losses_linear.py [--rows 2048] [--features 512] [--classes 50257] [--threads 1] [--rounds 5]

Each contender runs in a process of its own, since peak memory is a process's; times are processor time with one
thread, the clock's with more.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONTENDERS = ("ours", "torch", "torch chunked")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--classes", type=int, default=50_257)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    return parser.parse_args()


def loss_function(name: str) -> Callable[..., Any]:
    import torch
    import torch.nn.functional as F  # noqa: N812

    if name == "ours":
        from finallayer.losses.torch import linear_cross_entropy

        return linear_cross_entropy
    if name == "torch":
        return F.linear_cross_entropy
    options = torch.nn.LinearCrossEntropyOptions()
    return lambda hidden, weight, target: F.linear_cross_entropy(hidden, weight, target, options=options)


def resident() -> float:
    """MB of memory in use now; the peak so far is higher, by what making the inputs took."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(arguments: argparse.Namespace) -> None:
    """One contender: prints its median seconds and the peak memory that it added, in MB."""
    import torch

    torch.set_num_threads(arguments.threads)
    dtype = getattr(torch, arguments.dtype)
    hidden = torch.randn(arguments.rows, arguments.features, dtype=dtype, requires_grad=True)
    weight = (torch.randn(arguments.classes, arguments.features) / 20).to(dtype).requires_grad_()
    target = torch.randint(arguments.classes, (arguments.rows,))
    loss = loss_function(arguments.contender)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    before = resident()
    seconds = []
    for _ in range(arguments.rounds):
        hidden.grad = weight.grad = None
        start = clock()
        loss(hidden, weight, target).backward()
        seconds.append(clock() - start)
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    print(statistics.median(seconds), added)


def main() -> None:
    arguments = parsed()
    if arguments.contender:
        return measure(arguments)
    shape = f"{arguments.rows} x {arguments.features} -> {arguments.classes}"
    print(f"hidden, classes: {shape}; threads: {arguments.threads}")
    for dtype in ("float32", "bfloat16"):
        for contender in CONTENDERS:
            run = [sys.executable, *sys.argv, "--contender", contender, "--dtype", dtype]
            result = subprocess.run(run, capture_output=True, text=True, check=False)
            if result.returncode:
                print(f"{dtype:9}{contender:14} failed: {result.stderr.strip().splitlines()[-1]}")
                continue
            seconds, added = map(float, result.stdout.split())
            print(f"{dtype:9}{contender:14}{seconds * 1e3:9.0f} ms   peak memory + {added:7.0f} MB", flush=True)
    return None


if __name__ == "__main__":
    main()
