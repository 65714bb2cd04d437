"""The mutation gate: each way a cross-entropy kernel is known to be wrong, put into the source, must be noticed.

Every mutant is compiled (generic path) and judged by the same bounds as the kernel itself, on every shape and dtype.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from finallayer.kernels import build

from .kernel_rows import BFLOAT16, FLOAT16, FLOAT32, Terms, call, hard_rows, truth, worst

SOURCES = {p.name: p.read_text("utf-8") for p in build.HERE.iterdir() if p.suffix in (".cpp", ".h")}

#: mutant -> what stands in the source, and what takes its place
MUTANTS = {
    "zero gradient": ("if (!row.g) return result;", "if (row.g) fill(row.g, a.classes, 0.0f);\n    return result;"),
    "no softmax term": ("float_scale(softmax_scale * ", "float_scale(0 * softmax_scale * "),
    "no -1 at the target": ("-pull * (others * scale / total)", "pull * (1 - others * scale / total)"),
    "missing 1/N": ("call.upstream = a.upstream * factor;", "call.upstream = a.upstream;"),
    "another row's scale": (
        "weight * reals(a.row_upstream, i);\n            outcome = walk(",
        "weight * reals(a.row_upstream, i ? i - 1 : a.rows - 1);\n            outcome = walk("),
    "a padded lane counted": ("(kInf), others = 0;", "(kInf), others = 1;"),
    "sign flip": ("row.push = call.upstream * weight", "row.push = -call.upstream * weight"),
    "log-sum-exp in bfloat16": (
        "const double total = others * scale + anchor_exp;",
        "bfloat16 short_total; from_float(static_cast<float>(others * scale + anchor_exp), &short_total);\n"
        "    const double total = to_float(short_total);",
    ),
    "ignore mask dropped": ("const bool ignored = row.anchor == a.ignore_index;", "const bool ignored = false;"),
    "target counted as another": ("v = replaced(v, static_cast<int>(anchor - i), -kInf);", ";"),
    "last block forgotten": ("(classes + step - 1) / step;", "std::max<int64_t>(1, classes / step);"),
    "last group forgotten": (
        "i < n; i += kGroup) {\n        F e[kFan];",
        "i == 0 || i + kGroup <= n; i += kGroup) {\n        F e[kFan];",
    ),
    "a poor guess of the maximum kept": ("return p.value <= first.value + kRoom && ", "return "),
}  # fmt: skip

GROUP = 32  # classes taken at a time on the generic path
SHAPES = [(4, 128_256), (16_411, 12), (64, 1000), (5, 2), (9, 1030)]
DTYPES = [FLOAT32, BFLOAT16, FLOAT16]
#: mutants that a shape cannot show: without a partial block or group, none is forgotten, and the first group of a short
#: row has its maximum
INVISIBLE = (
    {("last block forgotten", shape) for shape in SHAPES if shape[1] <= 1024}
    | {("last group forgotten", shape) for shape in SHAPES if shape[1] <= GROUP or shape[1] % GROUP == 0}
    | {("a poor guess of the maximum kept", shape) for shape in SHAPES if shape[1] <= GROUP}
)


def flags() -> tuple[str, ...]:
    return ("-DFL_GENERIC_ONLY", "-O1")


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ctypes.CDLL]]:
    if build.find_compiler() is None:
        pytest.skip("mutants are compiled: no C++ compiler")
    root = tmp_path_factory.mktemp("mutants")

    def compiled(name: str) -> ctypes.CDLL:
        old, new = MUTANTS.get(name, ("", ""))
        found = sum(t.count(old) for t in SOURCES.values())
        assert not old or found == 1, f"{name}: {old!r} must stand once in the source, not {found} times"
        folder = Path(root / name.replace(" ", "_").replace("/", "_"))
        folder.mkdir()
        for file, text in SOURCES.items():
            (folder / file).write_text(text.replace(old, new) if old else text, "utf-8")
        library = build.compile_library(folder, flags(), sources=folder)
        assert library is not None, f"{name}: does not compile"
        return ctypes.CDLL(str(library))

    with ThreadPoolExecutor(2) as pool:
        names = [*MUTANTS, "none"]
        yield dict(zip(names, pool.map(compiled, names), strict=True))


def error(lib: ctypes.CDLL, shape: tuple[int, int], dtype: np.dtype) -> float:
    """The worst error over mean and per-row upstream, as a share of what is allowed."""
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
    errors = []
    for terms in (Terms("mean", ignore_index=0), Terms("none", ignore_index=0, row_upstream=upstream)):
        errors += worst(call(lib, z, target, terms), truth(z, target, terms)).values()
    return max(errors)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_mutant_dies(mutants: dict[str, ctypes.CDLL], shape: tuple[int, int], dtype: np.dtype) -> None:
    assert error(mutants["none"], shape, dtype) <= 1
    alive = [m for m in MUTANTS if (m, shape) not in INVISIBLE and error(mutants[m], shape, dtype) <= 1]
    assert not alive
