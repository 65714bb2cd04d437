"""The losses on a CUDA GPU: exactness on the hardware, and speed beside a copy, torch eager, torch.compile and Liger.

    python benchmarks/gpu.py [--only exact speed peers linear graphs large tiles] [--bytes 2**29] [--out FILE.json]

Ten minutes, all of it. "copy" moves as many bytes as a perfect kernel must: each logit read once, each gradient written
once; GB/s counts those bytes for everybody. Times are medians of CUDA events, the cache emptied before each run
(`triton.testing.do_bench`). What is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
import triton
from triton.testing import do_bench, do_bench_cudagraph

sys.path.insert(0, str(Path(__file__).parents[1]))

from finallayer.kernels.triton import tiles
from finallayer.losses.torch import _triton, cross_entropy, linear_cross_entropy
from tests.losses.kernel import kernel_rows
from tests.losses.kernel.kernel_rows import BFLOAT16, BOUND, FLOAT16, FLOAT32, Terms

VOCABULARIES = (4096, 16384, 32000, 50257, 65536, 131072, 262144)
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
KINDS = {"float32": FLOAT32, "bfloat16": BFLOAT16, "float16": FLOAT16}
SWEPT = (1024, 4096, 16384, 32000, 131072, 262144)  # by `tiles`
DEVICE = "cuda"


def gradient(loss: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, logits)[0]


def seconds(run: Callable[[], Any]) -> float:
    """Of the GPU's time, in a CUDA graph: what the host does meanwhile is measured by `hosts`."""
    with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        return 1e-3 * float(do_bench_cudagraph(run, rep=25, return_mode="median"))


def launched(run: Callable[[], Any]) -> float:
    """The same one launch after the other, for what waits for the GPU and so can't be in a graph."""
    return 1e-3 * float(do_bench(run, warmup=10, rep=60, return_mode="median"))


# ------------------------------------------------------------------------------------------------ exactness


def on_gpu(array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.astype(np.float32))).to(DEVICE).to(dtype)


def beside(array: np.ndarray | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(array).to(DEVICE)


def plain_errors(name: str, rows: int, classes: int) -> tuple[float, float]:
    """Of hard rows: the errors of the mean and of an element of its gradient, as shares of what is allowed."""
    kind, dtype = KINDS[name], getattr(torch, name)
    z, target = kernel_rows.hard_rows(np.random.default_rng(classes), rows, classes, kind)
    logits = on_gpu(z, dtype).requires_grad_()
    loss = cross_entropy(logits, torch.from_numpy(target).to(DEVICE), reduction="none")
    found = gradient(loss.sum(), logits)
    exact = kernel_rows.truth(z, target, Terms("none"))
    worst_loss = kernel_rows.ulps(loss.detach().float().cpu().numpy(), exact.loss, kind).max()
    worst_gradient = kernel_rows.ulps(found.float().cpu().numpy(), exact.grad, kind).max()
    return float(worst_loss), float(worst_gradient)


def option_cases() -> Iterator[tuple[str, bool, dict[str, Any]]]:
    yield "class weights", False, {"class_weight": True}
    yield "token weights", False, {"row_weight": True}
    yield "smoothing", False, {"label_smoothing": 0.1}
    yield "smoothing, class weights", False, {"label_smoothing": 0.1, "class_weight": True}
    yield "z-loss", False, {"z_loss": 0.01}
    yield "softcap", False, {"softcap": 30.0}
    yield "temperature", False, {"temperature": 2.5}
    yield "distributions", True, {}
    yield "distributions, everything", True, {
        "label_smoothing": 0.1, "class_weight": True, "row_weight": True, "z_loss": 0.01, "softcap": 20.0,
    }  # fmt: skip


def option_errors(name: str, classes: int, soft: bool, options: dict[str, Any]) -> tuple[float, float]:
    """The same of rows with an option, the gradient's in units of its larger term."""
    kind, dtype = KINDS[name], getattr(torch, name)
    z, target, terms = kernel_rows.options(
        np.random.default_rng(7), (40, classes), kind, soft, options | {"reduction": "mean"}
    )
    logits = on_gpu(z, dtype).requires_grad_()
    loss = cross_entropy(
        logits,
        torch.from_numpy(np.asarray(target)).to(DEVICE),
        beside(terms.class_weight),
        ignore_index=-100 if soft else terms.ignore_index,
        token_weight=beside(terms.row_weight),
        label_smoothing=terms.label_smoothing,
        z_loss=terms.z_loss,
        softcap=terms.softcap or None,
        temperature=terms.temperature,
    )
    found = gradient(loss, logits)
    exact = kernel_rows.truth(z, target, terms)
    worst_loss = kernel_rows.ulps(loss.detach().float().cpu().numpy(), np.array(exact.reduced), kind)
    worst_gradient = kernel_rows.ulps(found.float().cpu().numpy(), exact.grad, kind, exact.size).max()
    return float(worst_loss), float(worst_gradient)


def exponential_error() -> float:
    """Of the hardware's exp2 on all float32 within [2**-10, 0.54] and their negatives, in ulp."""
    first, last = (int(np.float32(x).view(np.int32)) for x in (2.0**-10, 0.54))
    worst = 0.0
    for sign in (1.0, -1.0):
        for start in range(first, last, 1 << 24):
            x = sign * torch.arange(start, min(start + (1 << 24), last), dtype=torch.int32, device=DEVICE).view(
                torch.float32
            )
            y = torch.empty_like(x)
            _exp2[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel())
            exact = torch.exp2(x.double())
            unit = torch.where(exact >= 1, 2.0**-23, 2.0**-24)
            worst = max(worst, float(((y.double() - exact).abs() / unit).max()))
    return worst


@triton.jit
def _exp2(x_ptr, y_ptr, n):  # type: ignore[no-untyped-def]
    i = triton.language.program_id(0) * 1024 + triton.language.arange(0, 1024)
    x = triton.language.load(x_ptr + i, mask=i < n, other=0.0)
    triton.language.store(y_ptr + i, triton.language.exp2(x), mask=i < n)


def exact(dtypes: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"exp2, ulp": exponential_error()}
    print(f"exp2 of the hardware: {found['exp2, ulp']:.3f} ulp")
    for dtype in dtypes:
        kind = KINDS[dtype]
        for rows, classes in ((2000, 41), (200, 1000), (60, 5000), (12, 32000), (6, 50257), (3, 131072)):
            loss, gradient = plain_errors(dtype, rows, classes)
            found[f"{dtype}, {rows}x{classes}"] = loss, gradient
            flag = "" if max(loss, gradient) <= BOUND[kind] else "  <-- beyond the bound"
            print(f"{dtype:9} {rows}x{classes:<7} loss {loss:.4f} gradient {gradient:.4f} ulp{flag}")
        for name, soft, options in option_cases():
            for classes in (33, 3000):
                loss, gradient = option_errors(dtype, classes, soft, options)
                found[f"{dtype}, {name}, {classes}"] = loss, gradient
                flag = "" if max(loss, gradient) <= BOUND[kind] else "  <-- beyond the bound"
                print(f"{dtype:9} {name} ({classes}) loss {loss:.4f} gradient {gradient:.4f} ulp{flag}")
    return found


# ------------------------------------------------------------------------------------------------ speed


def inputs(dtype: torch.dtype, classes: int, total: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = max(8, total // (classes * dtype.itemsize))
    torch.manual_seed(0)
    z = torch.randn(rows, classes, device=DEVICE, dtype=torch.float32).mul_(3).to(dtype).requires_grad_()
    return z, torch.randint(classes, (rows,), device=DEVICE)


def copied(z: torch.Tensor) -> float:
    """Seconds that a copy takes; in a graph it may be slower."""
    to = torch.empty_like(z)
    with torch.no_grad():
        return min(way(lambda: to.copy_(z)) for way in (seconds, launched))


def contenders(peers: bool) -> dict[str, Callable[..., torch.Tensor]]:
    found: dict[str, Callable[..., torch.Tensor]] = {"finallayer": cross_entropy}
    if not peers:
        return found
    found["torch eager"] = F.cross_entropy
    found["torch.compile"] = torch.compile(F.cross_entropy, dynamic=False)
    found["finallayer, compiled"] = torch.compile(cross_entropy, dynamic=False)
    try:
        from liger_kernel.transformers.functional import liger_cross_entropy

        found["Liger"] = liger_cross_entropy
    except ImportError as missing:
        print(f"Liger: {missing}")
    return found


def speed(total: int, vocabularies: tuple[int, ...], peers: bool, found: dict[str, Any]) -> None:
    for name, dtype in DTYPES.items():
        for classes in vocabularies:
            torch.compiler.reset()
            z, target = inputs(dtype, classes, total)
            moved = 2 * z.numel() * dtype.itemsize
            copy = copied(z)
            line = [f"{name:9} {z.shape[0]:>6} x {classes:<7} copy {moved / copy * 1e-9:6.0f} GB/s"]
            row = found.setdefault(f"{name}, {classes}", {"copy": moved / copy * 1e-9})
            for contender, loss in contenders(peers).items():

                def step(loss: Any = loss, z: torch.Tensor = z, target: torch.Tensor = target) -> torch.Tensor:
                    return gradient(loss(z, target), z)

                try:
                    step()
                    took = (launched if contender == "Liger" else seconds)(step)
                except Exception as error:
                    print(f"{contender}: {str(error)[:300]}")
                    continue
                row[contender] = moved / took * 1e-9
                line.append(f"{contender} {moved / took * 1e-9:.0f} ({copy / took:.0%})")
            print(" | ".join(line), flush=True)


def framework(total: int) -> dict[str, float]:
    """The way without Triton beside torch eager: its time over ours."""
    found = {}
    serves = _triton.serves
    for name, dtype in DTYPES.items():
        for classes in (1000, 32000):
            z, target = inputs(dtype, classes, total // 4)
            _triton.serves = lambda logits: False
            ours = seconds(lambda: gradient(cross_entropy(z, target), z))  # noqa: B023
            _triton.serves = serves
            theirs = seconds(lambda: gradient(F.cross_entropy(z, target), z))  # noqa: B023
            found[f"{name}, {classes}"] = theirs / ours
            print(f"without Triton, {name} {classes}: {theirs / ours:.2f} of torch eager's speed")
    return found


def hosts(found: dict[str, Any]) -> None:
    """What a step costs the host, where the GPU has next to nothing to do."""
    z, target = inputs(torch.bfloat16, 1000, 32 * 2000)
    for name, loss in contenders(True).items():
        gradient(loss(z, target), z)
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(300):
            gradient(loss(z, target), z)
        torch.cuda.synchronize()
        found[name] = (time.perf_counter() - began) / 300
        print(f"host, {name}: {found[name] * 1e6:.0f} us a step")


def linear(found: dict[str, Any]) -> None:
    """Time and peak memory of the last layer and its loss together."""
    rows, features, classes = 8192, 2048, 131072
    torch.manual_seed(0)
    hidden = torch.randn(rows, features, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
    weight = (torch.randn(classes, features, device=DEVICE) / 45).bfloat16().requires_grad_()
    target = torch.randint(classes, (rows,), device=DEVICE)
    ways: dict[str, Callable[[], Any]] = {
        "finallayer, chunked": lambda: linear_cross_entropy(hidden, weight, target),
        "finallayer, with logits": lambda: cross_entropy(hidden @ weight.t(), target),
        "torch eager": lambda: F.cross_entropy(hidden @ weight.t(), target),
    }
    for name, way in ways.items():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        torch.autograd.grad(way(), (hidden, weight))
        peak = torch.cuda.max_memory_allocated() - before
        took = launched(lambda: torch.autograd.grad(way(), (hidden, weight)))  # noqa: B023
        found[name] = {"seconds": took, "peak bytes": peak}
        print(f"linear {rows}x{features}x{classes} bfloat16, {name}: {took * 1e3:.1f} ms, peak {peak / 2**30:.2f} GiB")


# ------------------------------------------------------------------------------------------------ the rest


def graphs() -> None:
    """Nothing waits for the GPU, a CUDA graph gives what eager does, compiled too, and a changed upstream is right."""
    z, target = inputs(torch.bfloat16, 32000, 1 << 24)
    target[3] = -100

    def step(scale: float) -> torch.Tensor:
        return gradient(cross_entropy(z, target) * scale, z)

    expected = {scale: step(scale).clone() for scale in (1.0, 1.0, 3.0, 3.0, 1.0)}
    torch.cuda.set_sync_debug_mode("error")
    quiet = step(1.0)
    torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(quiet, expected[1.0])
    tripled = gradient(cross_entropy(z, target) * 3.0, z)
    assert torch.equal(tripled, expected[3.0])
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step(1.0)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        captured = gradient(cross_entropy(z, target), z)
    for seed in range(3):
        torch.manual_seed(seed)
        with torch.no_grad():
            z.copy_(torch.randn_like(z))
        graph.replay()
        eager = gradient(cross_entropy(z, target), z)
        assert torch.equal(captured, eager), "a CUDA graph gives something else"
    compiled = torch.compile(cross_entropy, mode="reduce-overhead")
    for _ in range(3):
        got = gradient(compiled(z, target), z).clone()
    worst = (got.float() - eager.float()).abs().max() / eager.float().abs().max()
    assert worst < 1e-2, worst
    print("no synchronization, CUDA graphs and torch.compile(mode='reduce-overhead'): as they should")


def large() -> None:
    """More than 2**31 logits: the last rows' gradients are those of the last rows alone."""
    rows, classes = 20000, 131072
    z = torch.empty(rows, classes, device=DEVICE, dtype=torch.bfloat16)
    for begin in range(0, rows, 1000):
        z[begin : begin + 1000].normal_()
    target = torch.randint(classes, (rows,), device=DEVICE)
    whole = z.requires_grad_()
    found = gradient(cross_entropy(whole, target, reduction="sum"), whole)
    part = whole.detach()[-5:].clone().requires_grad_()
    alone = gradient(cross_entropy(part, target[-5:], reduction="sum"), part)
    assert torch.equal(found[-5:], alone)
    print(f"{rows * classes / 2**31:.2f} * 2**31 logits: right at the end")


def candidates(classes: int, item_bytes: int) -> Iterator[tuple[bool, tiles.Tile]]:
    """Whether rows are taken at once, and a tile that can hold them."""
    fan, columns = 16 // item_bytes, tiles.power_of_two(classes)
    for block in (1024, 2048, 4096, 8192, 16384):
        for warps in (4, 8, 16, 32):
            if 4 <= block // (32 * warps) <= 32:
                yield False, tiles.Tile(1, block, fan, warps)
    for rows in (1, 2, 4):
        for warps in (4, 8, 16, 32):
            if 4 <= rows * columns // (32 * warps) <= 32:
                yield True, tiles.Tile(rows, columns, fan, warps)


def tile_sweep(total: int, found: dict[str, Any]) -> None:
    """The tiles of `tiles.py` against others."""
    usual = tiles.float_tile
    for name, dtype in DTYPES.items():
        for classes in SWEPT:
            z, target = inputs(dtype, classes, total)
            moved = 2 * z.numel() * dtype.itemsize
            results = []
            for candidate in candidates(classes, dtype.itemsize):
                tiles.float_tile = lambda *_: candidate  # noqa: B023
                try:
                    took = seconds(lambda: cross_entropy(z, target))  # noqa: B023
                except Exception as error:
                    print(candidate, str(error)[:200])
                    continue
                results.append((moved / took * 1e-9, candidate))
            tiles.float_tile = usual
            results.sort(key=lambda r: -r[0])
            found[f"{name}, {classes}"] = [(round(speed), repr(tile)) for speed, tile in results]
            shown = (
                f"{speed:.0f} {'whole' if whole else 'blocks'} {t.rows}x{t.columns}/{t.warps}"
                for speed, (whole, t) in results[:9]
            )
            print(f"tiles {name} {classes}: {', '.join(shown)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("exact", "graphs", "large", "speed", "framework", "linear", "hosts", "peers", "tiles")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts[:-1])
    parser.add_argument("--bytes", type=lambda s: int(eval(s, {})), default=1 << 29, help="of a batch of logits")
    parser.add_argument("--classes", nargs="+", type=int, default=VOCABULARIES)
    parser.add_argument("--dtypes", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    card = torch.cuda.get_device_name()
    print(f"{card}, torch {torch.__version__}, triton {triton.__version__}, numpy {np.__version__}")
    found: dict[str, Any] = {"card": card, "torch": torch.__version__, "triton": triton.__version__}
    classes = tuple(options.classes)
    runs: dict[str, Callable[[dict[str, Any]], Any]] = {
        "exact": lambda into: into.update(exact(tuple(options.dtypes))),
        "graphs": lambda _: graphs(),
        "large": lambda _: large(),
        "speed": lambda into: speed(options.bytes, classes, False, into),
        "framework": lambda into: into.update(framework(options.bytes)),
        "linear": linear,
        "hosts": hosts,
        "tiles": lambda into: tile_sweep(options.bytes, into),
        "peers": lambda into: speed(options.bytes, classes, True, into),
    }
    for part, run in runs.items():
        if part not in options.only:
            continue
        began = time.monotonic()
        try:
            run(found.setdefault(part, {}))
        except Exception as error:  # the rest is wanted all the same
            import traceback

            traceback.print_exc()
            found[part]["error"] = repr(error)
        print(f"-- {part} took {time.monotonic() - began:.0f} s", flush=True)
        if options.out:
            options.out.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
