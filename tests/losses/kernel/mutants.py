"""The ways in which a cross-entropy kernel is known to go wrong, put into its source.

All stand in one library, each behind a switch: compiling the kernel takes seconds, and mutants are many.

A mutant is the place in the source, with ``@right => wrong@`` for what changes: an expression, or a statement (then it
ends in ``;``).
"""

from __future__ import annotations

import re
from pathlib import Path

from finallayer.kernels import build

SWITCH = "fl_mutant"  # the number of the mutant that runs; 0: the kernel as it is

_IN_BFLOAT16 = (
    "[](D v) { for (int k = 0; k < L; ++k) { bfloat16 b; from_double(v[k], &b); v[k] = to_double(b); } return v; }"
)

#: Of what plain rows go through.
MUTANTS = {
    "zero gradient": "if (@row.skipped || t.is_nan[k] != 0 => true@) return fill(",
    "no softmax term": "float_scale(@t.pull[k] => 0 * t.pull[k]@ * row.blocks",
    "no -1 at the target": "push * @from_loss => mass@ + lse_pull * softmax);",
    "missing 1/N": "call.upstream = @a.upstream * factor => a.upstream@;",
    "another row's scale": "to[k] = number_at(from, dtype, @row + k => row ? row - 1 + k : k@);",
    "a padded lane counted": "reference = -kInfinity, others = @0 => 1@;",
    "sign flip": "D{}, @call.upstream => -call.upstream@ * load",
    "log-sum-exp in bfloat16": (f"const D sum = @total.high => {_IN_BFLOAT16}(total.high)@;"),
    "ignore mask dropped": "t.counts[k] = @c != a.ignore_index => true@;",
    "target counted as another": "@v = replaced(v, static_cast<int>(anchor - i), -kInf); => ;@",
    "target counted as another in a short row": "@to[anchor] = -kInf; => ;@",
    "the end of a short row not read": "@store(to + n - W, widen(z + n - W)); => ;@",
    "the end of a short row not written": "else if (@i < n => false@) narrow(g + n - W,",
    "the padding of a short row counted": "store(to + round_up(n, W) - W, splat(@-kInf => 0.0f@));",
    "short rows added up wrongly": "rows[k] += rows[@k + S => k@];",
    "a vector of a short row not added": "i < @room => room - W@; i += W) {\n        const F e",
    "a short row far from 0 taken as it is": "is_good = @are_near(top) => ~DI{}@ & (others < kInfinity)",
    "no softmax term in a short row": "load(group.t.pull) * @0x1p-64 => 0@",
    "another short row's scale": "float_scale(scale[@k => 0@], row.kept, n)",
    "another short row's target": "row.target, at_anchor[@k => 0@]}",
    "another group of short rows": "sum_group(a, groups[@i => 0@]);",
    "last block forgotten": "return @(classes + step - 1) / step => std::max<int64_t>(1, classes / step)@;",
    "last group forgotten": "@i < n => i == 0 || i + kGroup <= n@; i += kGroup) {\n        F e[kFan];",
    "a poor guess of the maximum kept": "return @p.value <= first.value + kRoom => true@ && ",
    "rows of a batch mixed up": "t.others[@k => 0@] = others;",
}

#: Of the options and of the engines in double: each must be noticed in every scenario that is named.
OPTION_MUTANTS = {
    "class weights forgotten": (
        "@t.anchor_mass[k] = number_at(a.class_weight, a.class_weight_dtype, t.target[k]); => ;@",
        ("weights",),
    ),
    "no z-loss": ("load(t.gap)) + @a.z_loss => 0@ * lse * lse;", ("z-loss",)),
    "no gradient of z-loss": ("load(t.push) * @(2 * a.z_loss) => 0@ * lse", ("z-loss",)),
    "no gradient of the lse": ("@(z_pull + load(t.lse_push)) => z_pull@ /", ("lse",)),
    "temperature without the chain rule": ("const D push = load(t.push) / @a.temperature => 1@;", ("temperature",)),
    "softcap without the chain rule": (
        "v.high = cap * tanh.value;\n            store(slope + j, @tanh.slope => splat(1.0)@);",
        ("softcap",),
    ),
    "softcap without the chain rule in float64": (
        "v = times(tanh.value, cap);\n            store(slope + j, @tanh.slope => splat(1.0)@);",
        ("softcap in float64",),
    ),
    "softcap's slope as 1 - tanh^2": (
        "where(nan, y, @4.0 * u / ((1.0 + u) * (1.0 + u)) => 1.0 - value * value@)",
        ("softcap",),
    ),
    "what softcap's x has lost forgotten": (
        "store(low + j, @where(absolute(v.high) < 0x1p52, v.low, D{}) => D{}@);",
        ("softcap in float64",),
    ),
    "softcap by a tanh that cancels": (
        "{@where(near, minus.high, less.high) => u - 1.0@, @where(near, minus.low, less.low) => D{}@};",
        ("small softcapped float64",),
    ),
    "smoothing forgotten in columns": (
        "+ @call.smoothing_mass => 0@) * (call",
        ("smoothing", "smoothing pixels"),
    ),
    "smoothing forgotten in rows": (
        "std::fill(row.mass, row.mass + row.n, @call.smoothing_mass => 0.0@);",
        ("smoothing, many classes",),
    ),
    "no gap in columns": (
        "@gap[v].add(where(is_anchor | (mass == 0.0), D{}, mass * -d)); => ;@",
        ("smoothing", "soft"),
    ),
    "no gap in rows": (
        "@add_four(gap, gaps); => ;@",
        ("smoothing, many classes", "soft, many classes"),
    ),
    "anchor counted twice in columns": (
        "x = @where(is_target, lowest, x) => x@;",
        ("few classes in double", "pixels in double"),
    ),
    "anchor counted twice in massive columns": ("e = @where(is_anchor, D{}, e) => e@;", ("soft",)),
    "anchor counted twice in rows": (
        "t.anchor_x[k] = row.x[target];\n        @row.x[target] = -kInfinity; => ;@",
        ("many classes in double",),
    ),
    "another class's anchor": (
        "g = where(anchors[v] == @j => j + 1@,",
        ("few classes in double", "pixels in double"),
    ),
    "anchor counted twice in float columns": ("x = @where(is_anchor, splat(-kInf), x) => x@;", ("plain", "pixels")),
    "another class's anchor in float columns": ("where(targets == @j => j + 1@, at_anchor", ("plain", "pixels")),
    "half of the rows of float columns added twice": ("sums[1] += @high(e) => low(e)@;", ("plain", "pixels")),
    "another scale in float columns": ("where(is_small, scale * 0x1p120, @scale => scale * 2.0@)", ("plain", "pixels")),
    "the last row of float columns not written": (
        "k < @tile.count => tile.count - 1@; ++k) {\n        T*",
        ("plain", "pixels"),
    ),
    "a tile turned wrongly": ("from_b[k] = k & S ? @L + k => k@ : k + S;", ("few classes in double",)),
    "last rows of a tile forgotten": (
        "for (int k = 0; k < @rows => rows - 1@; ++k) {\n        T* at",
        ("few classes in double",),
    ),
    "last vector forgotten": (
        "@j < row.n => j + kStride <= row.n@; j += kStride) {\n        D e[4], gaps",
        ("many classes in double",),
    ),
    "last lanes not written": ("if (@j < row.n => false@) {\n        const D g", ("many classes in double",)),
    "the reference's rounding lost": (
        ": @difference(x, reference[v], low) => x - reference[v]@;",
        ("float64",),
    ),
    "the reference's rounding lost in rows": (
        ": @difference(x, r, low) => x - r@;",
        ("float64, many classes",),
    ),
    "the anchor's rounding lost": (
        "if (@Deep => false@) q = full_difference(anchor_x, load(t.anchor_low)",
        ("float64",),
    ),
    "exp in one part of ln 2": (" - @n * kLn2Low => D{}@ + low;", ("float64",)),
    "log1p as log": (
        "const D f = @where(small, a, (D)((DU)u - ((DU)k << 52)) - 1.0) => (D)((DU)u - ((DU)k << 52)) - 1.0@;",
        ("float64", "plain"),
    ),
    "loss rounded to float32": (
        "case FL_FLOAT64: static_cast<double*>(out)[i] = @value => static_cast<float>(value)@; break;",
        ("float64",),
    ),
    "binary: sign": ("side.large, side.small) - @down => -down@ * where(", ("binary",)),
    "binary: a polynomial too short": ("+ @0.6666667902643397 => 0@ * z)", ("binary",)),
    "binary: one division for the wrong side": ("const D large = inverse * @two => one@", ("binary",)),
    "binary: losses of the vector before": (
        "unwide(static_cast<Real<T>*>(a.loss) + @i => 0@, loss);",
        ("binary",),
    ),
    "binary: pos_weight forgotten": ("down = @pos_weight * y => y@;", ("weighted binary",)),
    "binary: weights out of step": ("dtype, @(i + k) => i@ % period", ("weighted binary",)),
    "binary: log(1 + e)": ("Loss ? @log1p_wide(e) => log_wide(1.0 + e, DI{})@ : D{}", ("binary",)),
    "binary: last elements": (
        "@i < end => i + L <= end@; i += L) {\n        const int n",
        ("binary",),
    ),
}

NUMBERS = {name: i for i, name in enumerate((*MUTANTS, *OPTION_MUTANTS), 1)}

_CHANGE = re.compile(r"@(.+?) => (.*?)@", re.DOTALL)


def _switched(number: int, right: str, wrong: str) -> str:
    if right.endswith(";"):
        return f"if ({SWITCH} == {number}) {{ {wrong} }} else {{ {right} }}"
    return f"({SWITCH} == {number} ? ({wrong}) : ({right}))"


def _put_in(sources: dict[str, str], number: int, mutant: str) -> None:
    place = _CHANGE.sub(lambda change: change[1], mutant)
    files = [name for name, text in sources.items() if place in text]
    assert len(files) == 1, f"{place!r} must stand in one source, not in {files}"
    assert sources[files[0]].count(place) == 1, f"{place!r} must stand once in {files[0]}"
    switched = _CHANGE.sub(lambda change: _switched(number, change[1], change[2]), mutant)
    sources[files[0]] = sources[files[0]].replace(place, switched)


def compile_all(folder: Path) -> Path | None:
    """The kernel with every mutant in it, on the generic path; None without a compiler."""
    sources = {p.name: p.read_text("utf-8") for p in build.HERE.iterdir() if p.suffix in (".cpp", ".h")}
    for mutants in (MUTANTS, {name: mutant for name, (mutant, _) in OPTION_MUTANTS.items()}):
        for name, mutant in mutants.items():
            _put_in(sources, NUMBERS[name], mutant)
    declared = f'extern "C" __attribute__((visibility("default"))) int {SWITCH};\n'
    sources["formats.h"] = sources["formats.h"].replace("#pragma once\n", f"#pragma once\n{declared}")
    sources["switch.cpp"] = f'#include "formats.h"\nint {SWITCH} = 0;\n'
    for name, text in sources.items():
        (folder / name).write_text(text, "utf-8")
    return build.compile_library(folder, ("-DFL_GENERIC_ONLY", "-DFL_FEW_CLASSES=12", "-O1"), sources=folder)
