"""Tries the torch losses with combinations of arguments, good and bad: a right result or a clear error, never a crash.

    python benchmarks/fuzz_losses.py [--combinations 100000] [--seed 0] [--workers 2] [--sanitized]
    python benchmarks/fuzz_losses.py --replay SEED...

Every combination is drawn from a seed of its own: function, shape, dtype, layout, values (huge, masked, NaN), target,
weights of any dtype, every option, torch's default dtype, the kernel or the framework path. Loss, log-sum-exp and
gradient are compared with the formula in NumPy's long double; a combination with something wrong in it must raise
ValueError, RuntimeError, TypeError or IndexError. Processes of their own run them, so that a crash is seen; with
``--sanitized`` on a kernel that was built with the address and undefined-behaviour sanitizers.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 2000
ERRORS = (ValueError, RuntimeError, TypeError, IndexError)
SANITIZED_LIBRARY = "FINALLAYER_FUZZ_LIBRARY"
IGNORED = -100


@dataclass
class Combination:
    """A call: which function, its arguments, and how it is made."""

    function: str
    arguments: dict[str, Any]
    defect: str | None = None  # what is wrong with it
    backward: bool = True
    factor: float = 1.0  # what the loss is multiplied by
    notes: list[str] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------ drawing


def draw(rng: np.random.Generator) -> Combination:
    """A combination; three in ten have a defect."""
    kind = str(rng.choice(["cross_entropy", "linear", "binary"], p=[0.75, 0.15, 0.1]))
    combination = {"cross_entropy": _cross_entropy, "linear": _linear, "binary": _binary}[kind](rng)
    combination.backward = rng.random() < 0.8
    combination.factor = float(rng.choice([1.0, 1.0, 0.25, 3.0, 1024.0]))
    if rng.random() < 0.3:
        _spoil(rng, combination)
    return combination


def _cross_entropy(rng: np.random.Generator) -> Combination:
    import torch

    dims = int(rng.choice([1, 2, 3, 4], p=[0.1, 0.6, 0.2, 0.1]))
    classes = int(rng.choice([1, 2, 3, 5, 17, 100, 1030], p=[0.1, 0.15, 0.2, 0.25, 0.15, 0.1, 0.05]))
    rows = int(rng.choice([0, 1, 2, 7, 33, 300], p=[0.08, 0.2, 0.2, 0.3, 0.17, 0.05]))
    inner = [int(n) for n in rng.choice([1, 2, 3, 5], dims - 2 if dims > 2 else 0)]
    shape = [classes] if dims == 1 else [rows, classes, *inner]
    dtype = _dtype(rng)
    notes: list[str] = []
    logits = _laid_out(rng, _values(rng, shape, dtype, notes), notes)
    arguments: dict[str, Any] = {"input": logits, "reduction": str(rng.choice(["mean", "sum", "none"]))}
    row_shape = shape[:1] + shape[2:] if dims > 1 else []
    if rng.random() < 0.3:
        soft = rng.dirichlet(np.full(classes, 0.5), int(np.prod(row_shape))).reshape([*row_shape, classes])
        soft = np.moveaxis(soft, -1, min(1, dims - 1)) if dims > 1 else soft.reshape(shape)
        arguments["target"] = _laid_out(rng, torch.from_numpy(np.ascontiguousarray(soft)).to(_dtype(rng)), notes)
    else:
        target = rng.integers(0, classes, row_shape)
        target = np.where(rng.random(row_shape) < rng.choice([0.0, 0.2, 1.0], p=[0.6, 0.35, 0.05]), IGNORED, target)
        names = ["int64", "int64", "int32", "int16"] + (["int8"] if classes < 100 else [])
        arguments["target"] = _laid_out(rng, torch.from_numpy(target).to(getattr(torch, str(rng.choice(names)))), notes)
    _options(rng, arguments, classes, row_shape)
    if rng.random() < 0.2:
        arguments["return_lse"] = True
    if rng.random() < 0.1:
        arguments["return_accuracy"] = True
    return Combination("cross_entropy", arguments, notes=notes)


def _linear(rng: np.random.Generator) -> Combination:
    import torch

    rows, classes, features = int(rng.choice([0, 1, 5, 40])), int(rng.choice([1, 3, 50])), int(rng.choice([1, 4]))
    dtype = _dtype(rng)
    notes: list[str] = []
    hidden, weight, bias = (
        _laid_out(rng, torch.from_numpy(rng.normal(size=s)).to(dtype), notes)
        for s in ((rows, features), (classes, features), (classes,))
    )
    target = torch.from_numpy(np.where(rng.random(rows) < 0.1, IGNORED, rng.integers(0, classes, rows)))
    arguments: dict[str, Any] = {"input": hidden, "linear_weight": weight, "target": target}
    arguments["reduction"] = str(rng.choice(["mean", "sum", "none"]))
    if rng.random() < 0.5:
        arguments["linear_bias"] = bias
    _options(rng, arguments, classes, [rows])
    return Combination("linear_cross_entropy", arguments, notes=notes)


def _binary(rng: np.random.Generator) -> Combination:
    import torch

    shape = [int(n) for n in rng.choice([0, 1, 3, 17, 40], int(rng.integers(0, 4)), p=[0.05, 0.2, 0.4, 0.25, 0.1])]
    notes: list[str] = []
    logits = _laid_out(rng, _values(rng, shape, _dtype(rng), notes), notes)
    target = rng.choice([rng.random(shape), rng.integers(0, 2, shape).astype(float)])
    arguments: dict[str, Any] = {"input": logits, "target": torch.as_tensor(target).to(_dtype(rng))}
    arguments["reduction"] = str(rng.choice(["mean", "sum", "none"]))
    for name in ("weight", "pos_weight"):
        if rng.random() < 0.3 and shape:
            own = [1 if rng.random() < 0.3 else n for n in shape[int(rng.integers(0, len(shape))) :]]
            arguments[name] = torch.from_numpy(rng.random(own)).to(_dtype(rng))
    return Combination("binary_cross_entropy_with_logits", arguments, notes=notes)


def _options(rng: np.random.Generator, arguments: dict[str, Any], classes: int, row_shape: list[int]) -> None:
    import torch

    if rng.random() < 0.25:
        arguments["weight"] = _laid_out(rng, torch.from_numpy(rng.random(classes)).to(_dtype(rng)), [])
    if rng.random() < 0.2:
        arguments["token_weight"] = _laid_out(rng, torch.from_numpy(rng.random(row_shape)).to(_dtype(rng)), [])
    for name, value in (("label_smoothing", 0.1), ("z_loss", 1e-2), ("softcap", 5.0), ("temperature", 0.7)):
        if rng.random() < 0.15:
            arguments[name] = value


def _dtype(rng: np.random.Generator) -> Any:
    import torch

    return (torch.float32, torch.float32, torch.float64, torch.bfloat16, torch.float16)[rng.integers(5)]


def _values(rng: np.random.Generator, shape: list[int], dtype: Any, notes: list[str]) -> Any:
    import torch

    z = rng.normal(size=shape) * rng.choice([0.1, 1.0, 10.0, 60.0])
    z = z + rng.choice([0.0, 0.0, 0.0, 100.0, -1000.0])
    special = str(rng.choice(["", "", "", "", "masked", "huge", "nan", "inf", "ties"]))
    where = rng.random(shape) < 0.1
    if special == "ties":
        z = np.round(z)
    elif special:
        huge = 6e4 if dtype == torch.float16 else 1e30
        values = {"masked": -np.inf, "huge": rng.choice([-huge, huge]), "nan": np.nan, "inf": np.inf}
        z = np.where(where, values[special], z)
    notes.append(special)
    return torch.as_tensor(z).to(dtype)


def _laid_out(rng: np.random.Generator, tensor: Any, notes: list[str]) -> Any:
    """The same numbers, standing otherwise in memory."""
    import torch

    turned = tuple(range(tensor.dim()))[::-1]
    layouts: dict[str, Callable[[], Any]] = {
        "contiguous": lambda: tensor,
        "transposed": lambda: tensor.t().contiguous().t() if tensor.dim() == 2 else tensor,
        "strided": lambda: torch.stack([tensor, tensor + 1], -1)[..., 0],
        "slice": lambda: torch.cat([tensor, tensor])[len(tensor) :] if tensor.dim() else tensor,
        "offset": lambda: torch.cat([tensor.new_zeros(1), tensor.reshape(-1)])[1:].reshape(tensor.shape),
        "permuted": lambda: tensor.permute(turned).contiguous().permute(turned),
        "negated": lambda: torch._neg_view(-tensor) if tensor.is_floating_point() else tensor,
        "parameter": lambda: torch.nn.Parameter(tensor, requires_grad=False),
    }
    name = str(rng.choice(list(layouts), p=[0.6, 0.08, 0.08, 0.06, 0.06, 0.04, 0.04, 0.04]))
    notes.append(name)
    return layouts[name]()


def _spoil(rng: np.random.Generator, combination: Combination) -> None:
    """Something wrong with it, if what is drawn can be."""
    import torch

    arguments = combination.arguments
    target = arguments["target"]

    def longer(name: str) -> Any:
        tensor = arguments.get(name)
        return None if tensor is None or not tensor.dim() else torch.cat([tensor, tensor[:1], tensor[:1]])

    spoilt: dict[str, Callable[[], Any]] = {
        "input of integers": lambda: {"input": arguments["input"].nan_to_num(0, 0, 0).clamp(-9, 9).long()},
        "input complex": lambda: {"input": arguments["input"].to(torch.complex64)},
        "input sparse": lambda: {"input": arguments["input"].to_sparse()} if arguments["input"].dim() else None,
        "input elsewhere": lambda: {"input": arguments["input"].to("meta")},
        "target elsewhere": lambda: {"target": target.to("meta")},
        "target of bools": lambda: {"target": target > 0},
        "target longer": lambda: {"target": longer("target")} if target.dim() and len(target) else None,
        "target no tensor": lambda: {"target": target.tolist()},
        "reduction": lambda: {"reduction": "avg"},
        "weight longer": lambda: {"weight": longer("weight")} if len(arguments.get("weight", ())) > 1 else None,
        "weight elsewhere": lambda: {"weight": arguments["weight"].to("meta")} if "weight" in arguments else None,
    }
    if combination.function != "binary_cross_entropy_with_logits":
        hard, shape = not target.is_floating_point() and target.numel() > 0, arguments["input"].shape
        classes = arguments["linear_weight"].shape[0] if "linear_weight" in arguments else _classes(arguments["input"])
        spoilt |= {
            "label too large": lambda: {"target": torch.full_like(target, classes)} if hard else None,
            "label negative": lambda: {"target": torch.full_like(target, -1)} if hard else None,
            "label beyond 32 bits": lambda: {"target": target.long() + 2**32} if hard else None,
            "labels as floats": lambda: {"target": target.float()} if hard and target.shape != shape else None,
            "smoothing": lambda: {"label_smoothing": float(rng.choice([-0.1, 1.5, np.nan]))},
            "softcap": lambda: {"softcap": float(rng.choice([0.0, -1.0, np.inf]))},
            "temperature": lambda: {"temperature": float(rng.choice([0.0, -1.0, np.nan]))},
            "token weight longer": lambda: {"token_weight": torch.ones(12345)},
            "token weight of integers": lambda: {"token_weight": torch.ones(target.shape).long()} if hard else None,
        }
    name = str(rng.choice(list(spoilt)))
    changed = spoilt[name]()
    if changed is not None and None not in changed.values():
        arguments |= changed
        combination.defect = name


def _classes(logits: Any) -> int:
    return int(logits.shape[min(1, logits.dim() - 1)])


# ------------------------------------------------------------------------------------------------ the truth

Wide = np.longdouble


@dataclass
class Truth:
    """Per row (R,) and per class (R, C), with how large the terms were that the result is the sum of."""

    loss: np.ndarray
    loss_terms: np.ndarray
    lse: np.ndarray
    grad: np.ndarray  # of sum_i push_i loss_i, before the transforms
    grad_terms: np.ndarray


def _wide(tensor: Any) -> np.ndarray:
    import torch

    return np.asarray(tensor.detach().resolve_neg().to(torch.float64)).astype(Wide)


def _rows(tensor: Any) -> np.ndarray:
    """(R, C) of (C,), (N, C) or (N, C, d1, ...)."""
    array = _wide(tensor)
    array = array[None] if array.ndim == 1 else np.moveaxis(array, 1, -1)
    return array.reshape(-1, array.shape[-1])


def truth_of(z: np.ndarray, target: np.ndarray, push: np.ndarray, weight: np.ndarray, options: dict[str, Any]) -> Truth:
    """The formula in long double. ``target``: (R,) indices, or (R, C) masses."""
    rows, classes = z.shape
    every = np.arange(rows)
    smoothing, cap, heat = options.get("label_smoothing", 0.0), options.get("softcap"), options.get("temperature", 1.0)
    x = z if cap is None else cap * np.tanh(z / Wide(cap))
    x = x / Wide(heat)
    hard = target.ndim == 1
    counts = target != IGNORED if hard else np.ones(rows, bool)
    undefined = np.isnan(x).any(1) | (x == np.inf).any(1) | (x == -np.inf).all(1)
    safe = np.where(undefined[:, None], 0, x)
    anchor = np.where(counts, target, 0) if hard else safe.argmax(1)
    mass = np.zeros_like(x) if hard else target.astype(Wide)
    if hard:
        mass[every, anchor] = 1
    mass = (mass * (1 - Wide(smoothing)) + Wide(smoothing) / classes) * weight
    peak = safe.max(1)
    e = np.exp(safe - peak[:, None])
    at = e[every, anchor].copy()
    e[every, anchor] = 0
    others, ahead = e.sum(1), peak - safe[every, anchor]
    with np.errstate(all="ignore"):
        own = np.where(others <= at, np.log1p(others / at), np.log(others + at) + ahead)
        gaps = np.where(mass == 0, 0, mass * (safe[every, anchor][:, None] - safe))
        near = safe[every, anchor] + np.log1p(others / at)
    lse = np.where(others <= at, near, peak + np.log(others + at))
    total = mass.sum(1)
    z_term = options.get("z_loss", 0.0) * lse**2
    with np.errstate(all="ignore"):
        loss = np.where(total == 0, 0, total * own) + gaps.sum(1) + z_term
    loss = np.where(np.isinf(own) & (total != 0), np.inf, loss)
    terms = np.where(total == 0, 0, total * own) + np.abs(gaps).sum(1) + abs(z_term)
    pull = 2 * Wide(options.get("z_loss", 0.0)) * lse
    share = e / (others + at)[:, None]
    share[every, anchor] = at / (others + at)
    grad = (total + pull)[:, None] * share - mass
    rest = total - mass[every, anchor]
    grad[every, anchor] = rest - total * others / (others + at) + pull * at / (others + at)
    size = (np.abs(total) + np.abs(pull))[:, None] * share + np.abs(mass)
    size[every, anchor] = np.abs(rest) + total * others / (others + at) + np.abs(pull) * at / (others + at)
    if not hard or smoothing:  # the largest logit's is the difference of sums over the other classes
        size[every, safe.argmax(1)] += total
    slope = np.ones_like(z) if cap is None else 1 / np.cosh(np.clip(z / Wide(cap), -5000, 5000)) ** 2
    grad, size = grad * slope / Wide(heat), size * slope / Wide(heat)
    dead = undefined & counts
    loss[dead], lse[undefined], grad[dead] = np.nan, np.nan, np.nan
    loss, terms = np.where(counts, loss, 0), np.where(counts, terms, 0)
    grad, size = (np.where((counts & (push != 0))[:, None], a * push[:, None], 0) for a in (grad, size))
    return Truth(loss, terms, lse, grad, np.abs(size))


def off(got: np.ndarray, exact: np.ndarray, terms: np.ndarray, dtype: Any, loose: float) -> str | None:
    """What is wrong with a result: more than 4 units in the last place, and than what its terms can be known to."""
    import torch

    info = torch.finfo(dtype)
    got = got.astype(Wide)
    _, exponent = np.frexp(np.abs(np.where(np.isfinite(exact), exact, 0)))
    unit = np.ldexp(Wide(info.eps), np.maximum(exponent - 1, int(np.log2(info.smallest_normal))))
    narrow = info.bits == 16
    allowed = unit * (0.51 if narrow else 4) + loose * np.where(np.isfinite(terms), terms, 0) * Wide(2.0**-50)
    allowed = allowed + (np.abs(exact) * 2.0**-21 if narrow else 0)
    overflow = np.abs(exact) + allowed >= info.max
    same = np.where(np.isnan(exact), np.isnan(got), np.abs(got - exact) <= allowed)
    same |= overflow & (np.sign(got) == np.sign(exact)) & (np.abs(got) >= info.max)
    if same.all():
        return None
    worst = np.argwhere(~same)[0]
    where = tuple(int(i) for i in worst)
    return f"at {list(where)}: {got[where]} instead of {exact[where]}, {int((~same).sum())} of {same.size}"


# ------------------------------------------------------------------------------------------------ judging


def judge(combination: Combination) -> str | None:
    """What is wrong, or None."""
    import torch

    from finallayer.losses import torch as losses

    arguments = dict(combination.arguments)
    leaf = arguments["input"]
    if combination.backward and getattr(leaf, "requires_grad", None) is False and leaf.is_floating_point():
        arguments["input"] = leaf = leaf.detach().requires_grad_()
    try:
        output = getattr(losses, combination.function)(**arguments)
    except ERRORS as error:
        if combination.defect is None:
            return f"refused: {type(error).__name__}: {error}"
        return "an error of many lines" if "\n" in str(error).strip() else None
    if combination.defect is not None:
        return "accepted"
    if combination.function == "cross_entropy":
        return _judge_cross_entropy(combination, leaf, output)
    loss = output
    if combination.backward:
        loss.sum().backward()
    finite = bool(loss.detach().isfinite().all())
    if combination.function == "linear_cross_entropy":
        return _judge_linear(combination, loss, leaf)
    special = combination.notes[0] in ("nan", "inf", "huge", "masked")
    return None if finite or special or loss.dtype == torch.float16 else "not finite"


def _judge_linear(combination: Combination, loss: Any, leaf: Any) -> str | None:
    """Against the same loss of the logits, which is judged for itself."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    from finallayer.losses import torch as losses

    arguments = dict(combination.arguments)
    hidden, weight, bias = arguments.pop("input"), arguments.pop("linear_weight"), arguments.pop("linear_bias", None)
    x = hidden.detach().double().requires_grad_()
    logits = F.linear(x, weight.double(), None if bias is None else bias.double())
    exact: Any = losses.cross_entropy(logits, **arguments)
    tolerance = 0.1 if torch.finfo(hidden.dtype).bits == 16 else 1e-4
    close: dict[str, Any] = {
        "rtol": tolerance,
        "atol": tolerance * max(1.0, float(exact.abs().max()) if exact.numel() else 1.0),
    }
    if not torch.allclose(loss.double(), exact, **close):
        return f"loss {loss} instead of {exact}"
    if combination.backward:
        exact.sum().backward()
        size = max(1.0, float(x.grad.abs().max())) if x.numel() else 1.0
        if not torch.allclose(leaf.grad.double(), x.grad, rtol=tolerance, atol=tolerance * size):
            return f"gradient off by {float((leaf.grad.double() - x.grad).abs().max())}"
    return None


def _judge_cross_entropy(combination: Combination, leaf: Any, output: Any) -> str | None:
    import torch

    arguments = combination.arguments
    loss = output if isinstance(output, torch.Tensor) else output.loss
    lse = None if isinstance(output, torch.Tensor) else output.lse
    z, target = _rows(arguments["input"]), arguments["target"]
    hard = not target.is_floating_point()
    t = target.reshape(-1).long().numpy() if hard else _rows(target)
    weight = _wide(arguments["weight"]) if "weight" in arguments else np.ones(z.shape[1], Wide)
    token = _wide(arguments["token_weight"]).reshape(-1) if "token_weight" in arguments else np.ones(len(z), Wide)
    wide = leaf.dtype == torch.float64 or loss.dtype == torch.float64
    real = torch.float64 if wide else torch.float32
    counted = token * (np.where(t == IGNORED, 0, weight[np.where(t == IGNORED, 0, t)]) if hard else 1)
    share = Wide(1)
    if arguments["reduction"] == "mean":
        share = 1 / counted.sum() if counted.sum() else Wide(0)
    push = token * share * Wide(combination.factor)
    exact = truth_of(z, t, push, weight, arguments)
    transformed = "softcap" in arguments or "temperature" in arguments
    largest = float(np.abs(z[np.isfinite(z)]).max(initial=0))
    plain = hard and not transformed and "label_smoothing" not in arguments and "z_loss" not in arguments
    loose = 1 + (0 if plain else largest) + (8 * largest if transformed and wide else 0)
    loose += 0 if np.all(token == 1) and np.all(weight == 1) else np.sqrt(len(z))  # the sum that a mean divides by
    rows = np.where(token == 0, 0, token * exact.loss)
    terms = np.where(token == 0, 0, token * exact.loss_terms)
    if arguments["reduction"] != "none":
        with np.errstate(all="ignore"):
            rows, terms = np.array(rows.sum() * share if share else 0), np.array(np.abs(terms).sum() * share)
    problem = off(loss.detach().double().numpy().reshape(rows.shape), rows, terms, loss.dtype, loose)
    if problem:
        return f"loss {problem}"
    if lse is not None:
        size = np.abs(np.where(np.isfinite(z), z, 0)).max(1, initial=0) + 10
        problem = off(lse.detach().double().numpy().reshape(-1), exact.lse, size, real, loose)
        if problem and not np.isnan(exact.lse).any():
            return f"lse {problem}"
    if combination.backward:
        (loss.sum() * combination.factor).backward()
        usual = np.isfinite(exact.loss) & (token != 0)  # what stands in the other rows is tested row by row elsewhere
        problem = off(_rows(leaf.grad)[usual], exact.grad[usual], exact.grad_terms[usual], leaf.dtype, loose)
        if problem:
            return f"gradient {problem}"
    return None


# ------------------------------------------------------------------------------------------------ running


def one(seed: int) -> tuple[Combination, str | None]:
    """The combination of a seed, and what is wrong with it."""
    import torch

    from finallayer.losses.torch import _kernel, _quick

    rng = np.random.default_rng(seed)
    default = (torch.float32, torch.float32, torch.float64, torch.bfloat16, torch.float16)[rng.integers(5)]
    framework = rng.random() < 0.2
    threads = int(rng.integers(1, 3))
    combination = draw(rng)
    combination.notes.append(f"default {default}, {'framework' if framework else 'kernel'}, {threads} threads")
    saved = _kernel.serves, _quick.LIBRARY
    try:
        torch.set_default_dtype(default)
        torch.set_num_threads(threads)
        if framework:
            _kernel.serves, _quick.LIBRARY = (lambda *tensors: False), None
        return combination, judge(combination)
    except Exception as error:
        return combination, f"raised {type(error).__name__}: {error}"
    finally:
        torch.set_default_dtype(torch.float32)
        _kernel.serves, _quick.LIBRARY = saved


def child(first: int, count: int) -> None:
    """Run combinations; print a line of counts, and before each its seed to stderr, for the case of a crash."""
    if os.environ.get(SANITIZED_LIBRARY):
        from finallayer.kernels import build

        build.LIBRARY_NAME = os.environ[SANITIZED_LIBRARY]
    counts: collections.Counter[str] = collections.Counter()
    failures = []
    for seed in range(first, first + count):
        os.write(2, f"{seed}\n".encode())
        combination, problem = one(seed)
        counts["refused, as they should" if combination.defect else f"{combination.function}, right"] += not problem
        if problem:
            failures.append([seed, combination.defect, problem])
    print(json.dumps({"counts": counts, "failures": failures}))


def described(seed: int) -> str:
    """For `--replay`."""
    combination, problem = one(seed)
    lines = [
        f"{combination.function}, wrong with it: {combination.defect}, {combination.notes}, x {combination.factor}"
    ]
    for name, value in combination.arguments.items():
        lines.append(f"  {name}: {(tuple(value.shape), value.dtype) if hasattr(value, 'shape') else value}")
    return "\n".join([*lines, str(problem)])


def sanitized(folder: Path) -> dict[str, str]:
    """The environment in which the kernel is one with sanitizers."""
    from finallayer.kernels import build

    flags = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    compiler, library = build.find_compiler(), build.compile_library(folder, flags)
    if compiler is None or library is None:
        raise SystemExit("the sanitized kernel could not be built")
    runtimes = (
        subprocess.run([compiler, f"-print-file-name={r}"], capture_output=True, text=True, check=True).stdout.strip()
        for r in ("libasan.so", "libubsan.so")
    )
    return {
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        SANITIZED_LIBRARY: str(library),
    }


def batch(first: int, count: int, environment: dict[str, str]) -> dict[str, Any]:
    """A child's counts and failures; a crash is a failure at the last seed that it named."""
    command = [sys.executable, __file__, "--child", str(first), str(count)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if ran.returncode == 0:
        found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return found
    seeds = [line for line in ran.stderr.splitlines() if line.isdigit()]
    what = ran.stderr[-2000:] if not seeds else "\n".join(ran.stderr.split(f"\n{seeds[-1]}\n")[-1].splitlines()[:30])
    seed = int(seeds[-1]) if seeds else first
    return {"counts": {}, "failures": [[seed, None, f"crashed ({ran.returncode}): {what}"]]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--combinations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--replay", type=int, nargs="+")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return 0
    if options.replay is not None:
        print(*map(described, options.replay), sep="\n")
        return 0
    counts: collections.Counter[str] = collections.Counter()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        environment = sanitized(Path(folder)) if options.sanitized else {}
        end = options.seed + options.combinations
        starts = range(options.seed, end, BATCH)
        with ThreadPoolExecutor(options.workers) as pool:
            for found in pool.map(lambda s: batch(s, min(BATCH, end - s), environment), starts):
                counts.update(found["counts"])
                failures += found["failures"]
                for seed, defect, problem in found["failures"]:
                    print(f"seed {seed}{f' ({defect})' if defect else ''}: {problem}", flush=True)
    print(
        f"{sum(counts.values()) + len(failures)} combinations: {dict(sorted(counts.items()))}, wrong: {len(failures)}"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
