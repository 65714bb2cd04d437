"""Compiles the GPU kernel for GPUs that need not be there: what a launch from torch would compile.

``python -m tests.losses.triton.compiled TARGET ...`` prints JSON: what each kernel needs of the chip, by its name.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from finallayer.kernels.triton import float_rows, reductions, tiles, wide_rows

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
ITEM_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
POINTERS = {
    "z_ptr": "",
    "g_ptr": "",
    "target_ptr": "*i64",
    "correct_ptr": "*u8",
    "weight_ptr": "*fp32",
    "done_ptr": "*i32",
}
#: integers that a launch specialises if they are multiples of 16, as sizes of layers are
SIZES = ("classes", "z_outer", "z_inner", "g_outer", "g_inner")


class Launch(NamedTuple):
    """A kernel with the arguments that decide how it is compiled: what is not named is left out."""

    name: str
    kernel: Any
    dtype: str
    constants: dict[str, Any]
    given: tuple[str, ...]  # optional pointers
    warps: int


SHAPES = (("bf16", 1000), ("bf16", 32000), ("fp16", 131072), ("fp32", 16384), ("fp32", 32000), ("fp32", 131072))


def launches() -> Iterator[Launch]:
    given: tuple[str, ...]
    sums = ("others_ptr", "reference_ptr", "anchor_ptr")
    for dtype, classes in SHAPES:
        at_once, tile = tiles.float_tile(classes, ITEM_BYTES[dtype], True)
        kernel = float_rows.rows_at_once if at_once else float_rows.rows_in_blocks
        constants = {"ROWS": tile.rows, "COLUMNS": tile.columns, "FAN": tile.fan, "KEEP": False}
        given = ("z_ptr", "g_ptr", "target_ptr", "numbers_ptr", *sums)
        yield Launch(f"{classes} classes, {dtype}", kernel, dtype, constants, given, tile.warps)
    tile = tiles.wide_tile(32000)
    constants = {
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "KEEP": False,
        "SOFT": False,
        "SMOOTH": True,
        "CAPPED": True,
    }
    given = ("z_ptr", "g_ptr", "target_ptr", "numbers_ptr", "loss_ptr", "lse_ptr", "weight_ptr")
    yield Launch("every option, bf16", wide_rows.wide_rows, "bf16", constants, given, tile.warps)
    rows = {"SOFT": False, "BLOCK": 1024}
    given = (
        *sums,
        "target_ptr",
        "weight_ptr",
        "row_weight_ptr",
        "loss_ptr",
        "lse_ptr",
        "reduced_ptr",
        "partial_ptr",
        "done_ptr",
    )
    yield Launch("finish", reductions.finish, "fp32", rows, given, 4)
    given = ("numbers_ptr", "partial_ptr", "done_ptr", "target_ptr", "weight_ptr", "upstream_ptr")
    yield Launch("prepare", reductions.prepare, "fp32", rows | {"MEAN": True}, given, 4)


def compiled(launch: Launch, target: GPUTarget) -> Any:
    signature, constants, attributes = {}, {}, {}
    pointers = POINTERS | {"z_ptr": f"*{launch.dtype}", "g_ptr": f"*{launch.dtype}"}
    for place, name in enumerate(launch.kernel.arg_names):
        if name in launch.constants:
            signature[name], constants[name] = "constexpr", launch.constants[name]
        elif name.endswith("_class") or (name.endswith("_ptr") and name not in launch.given):
            signature[name], constants[name] = "constexpr", None
        elif name.endswith("_ptr"):
            row_number = "*fp32" if name in ("loss_ptr", "lse_ptr", "reduced_ptr") else "*fp64"
            signature[name] = pointers.get(name, row_number)
            attributes[(place,)] = [["tt.divisibility", 16]]
        elif name in SIZES:
            signature[name] = "i32"
            attributes[(place,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "i64" if name.endswith("_bits") else "i32"
    source = ASTSource(launch.kernel, signature, constants, attributes)
    return triton.compile(source, target=target, options={"num_warps": launch.warps, "enable_fp_fusion": False})


def registers_and_stack(cubin: bytes) -> tuple[int, int]:
    """Of an NVIDIA kernel: registers a thread, and bytes a thread that don't fit into them."""
    tool = next(Path(triton.__file__).parent.glob("backends/nvidia/bin/cuobjdump"))
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", said.stdout)
    assert found, said.stdout
    return int(found[1]), int(found[2])


def main(names: list[str]) -> None:
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        for launch in launches():
            kernel = compiled(launch, TARGETS[name])
            needs: dict[str, Any] = {"shared": kernel.metadata.shared}
            if "cubin" in kernel.asm:
                needs["registers"], needs["stack"] = registers_and_stack(kernel.asm["cubin"])
            else:
                text = kernel.asm["amdgcn"]
                needs["stack"] = int(re.search(r"\.private_segment_fixed_size:\s*(\d+)", text)[1])  # type: ignore[index]
            found.setdefault(name, {})[launch.name] = needs
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
