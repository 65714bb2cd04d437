"""The mutation gate: each way a cross-entropy kernel is known to be wrong, put into the source, must be noticed.

Every mutant is compiled (generic path) and judged by the same bounds as the kernel itself, on every shape and dtype.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from finallayer.kernels import build

from .kernel_rows import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    Terms,
    Truth,
    binary_truth,
    call,
    call_binary,
    hard_rows,
    options,
    truth,
    ulps,
    worst,
)

SOURCES = {p.name: p.read_text("utf-8") for p in build.HERE.iterdir() if p.suffix in (".cpp", ".h")}

#: Mutants of what plain rows go through: mutant -> what stands in the source, and what takes its place.
MUTANTS = {
    "zero gradient": ("if (row.skipped || t.is_nan[k] != 0) return fill(", "if (true) return fill("),
    "no softmax term": ("float_scale(t.pull[k] * ", "float_scale(0 * t.pull[k] * "),
    "no -1 at the target": ("push * from_loss + lse_pull * softmax);", "push * mass * softmax);"),
    "missing 1/N": ("call.upstream = a.upstream * factor;", "call.upstream = a.upstream;"),
    "another row's scale": (
        "to[k] = number_at(from, dtype, row + k);",
        "to[k] = number_at(from, dtype, row ? row - 1 + k : k);",
    ),
    "a padded lane counted": ("reference = -kInfinity, others = 0;", "reference = -kInfinity, others = 1;"),
    "sign flip": ("D{}, call.upstream * load", "D{}, -call.upstream * load"),
    "log-sum-exp in bfloat16": (
        "const D sum = others * scale + anchor_exp;",
        "D sum = others * scale + anchor_exp;\n    for (int k = 0; k < L; ++k) {\n        bfloat16 short_sum;\n"
        "        from_double(sum[k], &short_sum);\n        sum[k] = to_double(short_sum);\n    }",
    ),
    "ignore mask dropped": ("t.counts[k] = c != a.ignore_index;", "t.counts[k] = 1;"),
    "target counted as another": ("v = replaced(v, static_cast<int>(anchor - i), -kInf);", ";"),
    "target counted as another in a short row": ("to[anchor] = -kInf;", ";"),
    "the end of a short row not read": ("store(to + n - W, widen(z + n - W));", ";"),
    "the end of a short row not written": ("else if (i < n) narrow(g + n - W,", "else if (false) narrow(g + n - W,"),
    "the padding of a short row counted": (
        "store(to + round_up(n, W) - W, splat(-kInf));", "store(to + round_up(n, W) - W, splat(0.0f));"),
    "short rows added up wrongly": ("rows[k] += rows[k + S];", "rows[k] += rows[k];"),
    "a vector of a short row not added": (
        "i < room; i += W) {\n        const F e", "i < room - W; i += W) {\n        const F e"),
    "a short row far from 0 taken as it is": ("is_near & (others < kInfinity)", "(others < kInfinity)"),
    "no softmax term in a short row": ("load(group.t.pull) * 0x1p-64", "load(group.t.pull) * 0"),
    "another short row's scale": ("float_scale(scale[k], row.kept, n)", "float_scale(scale[0], row.kept, n)"),
    "another short row's target": ("row.target, at_anchor[k]}", "row.target, at_anchor[0]}"),
    "another group of short rows": ("sum_group(a, groups[i]);", "sum_group(a, groups[0]);"),
    "last block forgotten": ("(classes + step - 1) / step;", "std::max<int64_t>(1, classes / step);"),
    "last group forgotten": (
        "i < n; i += kGroup) {\n        F e[kFan];",
        "i == 0 || i + kGroup <= n; i += kGroup) {\n        F e[kFan];",
    ),
    "a poor guess of the maximum kept": ("return p.value <= first.value + kRoom && ", "return "),
    "rows of a batch mixed up": ("t.others[k] = others;", "t.others[0] = others;"),
}  # fmt: skip

#: Mutants of the options and of the engines in double: each must be noticed in every scenario that is named.
OPTION_MUTANTS = {
    "class weights forgotten": (
        "t.anchor_mass[k] = number_at(a.class_weight, a.class_weight_dtype, t.target[k]);", ";", ("weights",)),
    "no z-loss": ("load(t.gap)) + a.z_loss * lse * lse;", "load(t.gap));", ("z-loss",)),
    "no gradient of z-loss": ("load(t.push) * (2 * a.z_loss) * lse", "load(t.push) * 0 * lse", ("z-loss",)),
    "no gradient of the lse": ("(z_pull + load(t.lse_push)) /", "z_pull /", ("lse",)),
    "temperature without the chain rule": (
        "const D push = load(t.push) / a.temperature;", "const D push = load(t.push);", ("temperature",)),
    "softcap without the chain rule": (
        "v.high = cap * tanh.value;\n            store(slope + j, tanh.slope);",
        "v.high = cap * tanh.value;\n            store(slope + j, splat(1.0));", ("softcap",)),
    "softcap without the chain rule in float64": (
        "v = times(tanh.value, cap);\n            store(slope + j, tanh.slope);",
        "v = times(tanh.value, cap);\n            store(slope + j, splat(1.0));", ("softcap in float64",)),
    "softcap's slope as 1 - tanh^2": (
        "where(nan, y, 4.0 * u / ((1.0 + u) * (1.0 + u)))", "where(nan, y, 1.0 - value * value)", ("softcap",)),
    "what softcap's x has lost forgotten": (
        "store(low + j, where(absolute(v.high) < 0x1p52, v.low, D{}));", "store(low + j, D{});",
        ("softcap in float64",)),
    "softcap by a tanh that cancels": ("{where(near, minus.high, less.high), where(near, minus.low, less.low)};",
        "{u - 1.0, D{}};", ("small softcapped float64",)),
    "smoothing forgotten in columns": ("+ call.smoothing_mass) * (call", ") * (call",
        ("smoothing", "smoothing pixels")),
    "smoothing forgotten in rows": (
        "std::fill(row.mass, row.mass + row.n, call.smoothing_mass);", "std::fill(row.mass, row.mass + row.n, 0.0);",
        ("smoothing, many classes",)),
    "no gap in columns": ("gap[v].add(where(is_anchor | (mass == 0.0), D{}, mass * -d));", ";", ("smoothing", "soft")),
    "no gap in rows": ("gap.add((gaps[0] + gaps[1]) + (gaps[2] + gaps[3]));", ";",
        ("smoothing, many classes", "soft, many classes")),
    "anchor counted twice in columns": ("x = where(is_target, lowest, x);", ";", ("plain", "pixels")),
    "anchor counted twice in massive columns": ("e = where(is_anchor, D{}, e);", ";", ("soft",)),
    "anchor counted twice in rows": (
        "t.anchor_x[k] = row.x[target];\n        row.x[target] = -kInfinity;", "t.anchor_x[k] = row.x[target];",
        ("many classes in double",)),
    "another class's anchor": ("g = where(anchors[v] == j,", "g = where(anchors[v] == j + 1,", ("plain", "pixels")),
    "a tile turned wrongly": ("from_b[k] = k & S ? L + k : k + S;", "from_b[k] = k & S ? L + k : k;", ("plain",)),
    "last rows of a tile forgotten": (
        "for (int k = 0; k < rows; ++k) {\n        T* at", "for (int k = 0; k < rows - 1; ++k) {\n        T* at",
        ("plain",)),
    "last vector forgotten": (
        "j < row.n; j += kStride) {\n        D e[4], gaps",
        "j + kStride <= row.n; j += kStride) {\n        D e[4], gaps",
        ("many classes in double",)),
    "last lanes not written": ("if (j < row.n) {\n        const D g", "if (false) {\n        const D g",
        ("many classes in double",)),
    "the reference's rounding lost": (
        ": difference(x, reference[v], low);", ": x - reference[v];", ("float64",)),
    "the reference's rounding lost in rows": (": difference(x, r, low);", ": x - r;", ("float64, many classes",)),
    "the anchor's rounding lost": (
        "if (Deep) q = full_difference(anchor_x, load(t.anchor_low) - load(t.reference_low), reference, q_low);", ";",
        ("float64",)),
    "exp in one part of ln 2": (" - n * kLn2Low + low;", " + low;", ("float64",)),
    "log1p as log": (
        "const D f = where(small, a, (D)((DU)u - ((DU)k << 52)) - 1.0);",
        "const D f = (D)((DU)u - ((DU)k << 52)) - 1.0;",
        ("float64", "plain")),
    "loss rounded to float32": ("case FL_FLOAT64: static_cast<double*>(out)[i] = value; break;",
        "case FL_FLOAT64: static_cast<double*>(out)[i] = static_cast<float>(value); break;", ("float64",)),
    "binary: sign": ("side.large, side.small) - down", "side.large, side.small) + down", ("binary",)),
    "binary: a polynomial too short": ("+ 0.6666667902643397 * z)", ")", ("binary",)),
    "binary: one division for the wrong side": (
        "const D large = inverse * two", "const D large = inverse * one", ("binary",)),
    "binary: losses of the vector before": (
        "unwide(static_cast<Real<T>*>(a.loss) + i, loss);", "unwide(static_cast<Real<T>*>(a.loss), loss);",
        ("binary",)),
    "binary: pos_weight forgotten": ("down = pos_weight * y;", "down = y;", ("weighted binary",)),
    "binary: weights out of step": ("dtype, (i + k) % period", "dtype, i % period", ("weighted binary",)),
    "binary: log(1 + e)": ("Loss ? log1p_wide(e) : D{}", "Loss ? log_wide(1.0 + e, DI{}) : D{}", ("binary",)),
    "binary: last elements": (
        "const bool whole = n == L;", "const bool whole = n == L;\n        if (!whole) break;", ("binary",)),
}  # fmt: skip

GROUP = 32  # classes taken at a time on the generic path
SHORT = 512  # classes in a row that is taken together with others
SHAPES = [(4, 128_256), (64, 1000), (9, 1030), (300, 49), (300, 21)]
DTYPES = [FLOAT32, BFLOAT16, FLOAT16]
#: mutants that a shape cannot show: without a partial block or group, none is forgotten, a short row's maximum is not
#: guessed, and a batch of one row has no other
INVISIBLE = (
    {("last block forgotten", shape) for shape in SHAPES if shape[1] <= 1024}
    | {("last group forgotten", shape) for shape in SHAPES if shape[1] <= GROUP or shape[1] % GROUP == 0}
    | {("a poor guess of the maximum kept", shape) for shape in SHAPES if shape[1] <= SHORT}
    | {("rows of a batch mixed up", shape) for shape in SHAPES if shape[1] > 4096}
    | {(name, shape) for name in MUTANTS if "short row" in name for shape in SHAPES if shape[1] > SHORT}
)


class Scenario(NamedTuple):
    """Rows that the options and the engines in double are judged by."""

    dtype: np.dtype
    shape: tuple[int, ...]
    terms: dict[str, object] = {}  # noqa: RUF012
    soft: bool = False
    in_double: bool = False
    scale: float = 1.0


SCENARIOS = {
    "plain": Scenario(FLOAT32, (70, 10)),
    "pixels": Scenario(FLOAT32, (3, 21, 53)),
    "many classes in double": Scenario(FLOAT32, (7, 71), in_double=True),
    "weights": Scenario(FLOAT32, (70, 10), {"class_weight": True}),
    "z-loss": Scenario(FLOAT32, (70, 10), {"z_loss": 1e-2}),
    "lse": Scenario(FLOAT32, (70, 10), {"lse_upstream": True}),
    "temperature": Scenario(FLOAT32, (70, 10), {"temperature": 0.7}),
    "softcap": Scenario(FLOAT32, (70, 10), {"softcap": 5.0}),
    "softcap in float64": Scenario(FLOAT64, (70, 10), {"softcap": 300.0}),
    "small softcapped float64": Scenario(FLOAT64, (70, 10), {"softcap": 30.0}, scale=1e-9),
    "smoothing": Scenario(FLOAT32, (70, 10), {"label_smoothing": 0.1}),
    "smoothing pixels": Scenario(FLOAT32, (3, 21, 53), {"label_smoothing": 0.1}),
    "smoothing, many classes": Scenario(FLOAT32, (7, 71), {"label_smoothing": 0.1}),
    "soft": Scenario(FLOAT32, (70, 10), soft=True),
    "soft, many classes": Scenario(FLOAT32, (7, 71), soft=True),
    "float64": Scenario(FLOAT64, (400, 10)),
    "float64, many classes": Scenario(FLOAT64, (60, 71)),
}


def compiled(folder: Path, old: str, new: str, optimised: str = "-O1") -> ctypes.CDLL:
    """The kernel with ``new`` in the place of ``old``, which must stand once in its source."""
    if build.find_compiler() is None:
        pytest.skip("mutants are compiled: no C++ compiler")
    found = sum(t.count(old) for t in SOURCES.values()) if old else 1
    assert found == 1, f"{old!r} must stand once in the source, not {found} times"
    folder.mkdir()
    for file, text in SOURCES.items():
        (folder / file).write_text(text.replace(old, new) if old else text, "utf-8")
    library = build.compile_library(folder, ("-DFL_GENERIC_ONLY", "-DFL_FEW_CLASSES=12", optimised), sources=folder)
    assert library is not None, f"{new!r} does not compile"
    return ctypes.CDLL(str(library))


@cache
def plain_rows(shape: tuple[int, int], dtype: np.dtype) -> list[tuple[np.ndarray, np.ndarray, Terms, Truth]]:
    """Rows for mean and for per-row upstream, with their truth."""
    rng = np.random.default_rng(shape[1])
    z, target = hard_rows(rng, *shape, dtype)
    z[0] = np.float32(-60) + rng.normal(0, 1, shape[1]).astype(dtype)  # a class with logit 0 would outweigh all
    z[1] = rng.normal(0, 1, shape[1]).astype(dtype)
    z[2] = rng.normal(0, 1, shape[1]).astype(dtype)
    target[:3] = 1
    z[1, 1] = 25  # a confident row
    z[2, :GROUP] -= 300  # the first logits say nothing about the maximum
    target[-1] = 0  # what is ignored is a class that exists
    upstream = rng.uniform(0.5, 3, len(z)).astype("f4")
    both = (Terms("mean", ignore_index=0), Terms("none", ignore_index=0, row_upstream=upstream))
    return [(z, target, terms, truth(z, target, terms)) for terms in both]


def error(lib: ctypes.CDLL, shape: tuple[int, int], dtype: np.dtype) -> float:
    """The worst error, as a share of what is allowed."""
    return max(max(worst(call(lib, *case), exact).values()) for *case, exact in plain_rows(shape, dtype))


def test_the_kernel_passes(tmp_path: Path) -> None:
    kernel = compiled(tmp_path / "kernel", "", "")
    assert all(error(kernel, shape, dtype) <= 1 for shape in SHAPES for dtype in DTYPES)
    assert all(option_error(kernel, name) <= 1 for name in (*SCENARIOS, "binary", "weighted binary"))


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_dies(name: str, tmp_path: Path) -> None:
    mutant = compiled(tmp_path / "mutant", *MUTANTS[name])
    visible = [(shape, dtype) for shape in SHAPES for dtype in DTYPES if (name, shape) not in INVISIBLE]
    assert not [case for case in visible if error(mutant, *case) <= 1]


def option_error(lib: ctypes.CDLL, name: str) -> float:
    """The worst error in a scenario, as a share of what is allowed."""
    if name.endswith("binary"):
        return max(binary_error(lib, dtype, name != "binary") for dtype in (FLOAT32, FLOAT64))
    s = SCENARIOS[name]
    rng = np.random.default_rng(5)
    if s.terms or s.soft:
        z, target, terms = options(rng, s.shape, s.dtype, s.soft, s.terms)
        z = (z * s.scale).astype(s.dtype)
    else:
        rows, target = hard_rows(rng, int(np.prod(s.shape)) // s.shape[1], s.shape[1], s.dtype)
        terms = Terms(ignore_index=int(target[3]))
        z = rows
        if len(s.shape) == 3:
            z = np.ascontiguousarray(np.moveaxis(rows.reshape(s.shape[0], -1, s.shape[1]), 1, 2))
    exact = truth(z, target, terms)
    return max(worst(call(lib, z, target, terms, lse=s.in_double or None), exact).values()) / (2 if s.terms else 1)


def binary_error(lib: ctypes.CDLL, dtype: np.dtype, weighted: bool) -> float:
    rng = np.random.default_rng(4)
    z = rng.uniform(-60, 60, 303).astype(dtype)
    y = rng.integers(0, 2, z.size).astype(dtype)
    weight = rng.uniform(0.1, 2, 101).astype(dtype) if weighted else None
    pos_weight = np.array([1.7, 0.3, 4], dtype) if weighted else None
    loss, grad, _ = call_binary(lib, z, y, weight, pos_weight)
    exact, exact_grad, size = binary_truth(z, y, weight, pos_weight)
    return float(max(ulps(loss, exact, dtype).max(), ulps(grad, exact_grad, dtype, size).max()) / 4)


@pytest.mark.parametrize("name", OPTION_MUTANTS)
def test_every_option_mutant_dies(name: str, tmp_path: Path) -> None:
    old, new, scenarios = OPTION_MUTANTS[name]
    mutant = compiled(tmp_path / "mutant", old, new, "-O0")
    assert all(option_error(mutant, scenario) > 1 for scenario in scenarios)
