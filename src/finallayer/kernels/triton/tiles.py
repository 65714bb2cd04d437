"""How rows are divided among the GPU's programs: what was fastest on an H200 without spilling (`benchmarks/gpu.py`)."""

from __future__ import annotations

from typing import NamedTuple


class Tile(NamedTuple):
    """``rows`` rows at a time, ``columns`` classes at a time, of which a thread holds ``fan`` neighbours."""

    rows: int
    columns: int
    fan: int
    warps: int


#: classes that are taken at once
MOST_AT_ONCE = 1024
#: Up to so many classes, blocks of so many, by so many warps.
BLOCKS = ((16384, 1024, 4), (65536, 2048, 8), (1 << 62, 8192, 16))


def float_tile(classes: int, item_bytes: int, side_by_side: bool) -> tuple[bool, Tile]:
    """Whether rows are taken at once, and the tile of `float_rows`; ``side_by_side``: a row's classes are in a run."""
    columns = power_of_two(classes)
    fan = 16 // item_bytes if side_by_side and classes >= 1024 else 1
    if columns <= MOST_AT_ONCE:
        elements = 1024 if side_by_side else 4096  # else it's rows that are neighbours
        return True, Tile(max(1, elements // columns), columns, fan, 4)
    block, warps = next((block, warps) for most, block, warps in BLOCKS if classes <= most)
    return False, Tile(1, block, fan, warps)


def wide_tile(classes: int) -> Tile:
    """The tile of `wide_rows`."""
    columns = min(2048, power_of_two(classes))
    return Tile(max(1, 1024 // columns), columns, 1, 4)


def power_of_two(least: int) -> int:
    """The first from there on."""
    return 1 << max(0, least - 1).bit_length()
