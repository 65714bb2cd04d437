"""How rows are divided among the GPU's programs."""

from __future__ import annotations

from typing import NamedTuple

_REGISTERS = 1 << 16  # of a multiprocessor

#: classes that are taken at once
MOST_AT_ONCE = 16384
#: and where a row is taken in blocks
BLOCK = 4096
#: elements of a program's tile, where rows are short
ELEMENTS = 4096


class Tile(NamedTuple):
    """``rows`` rows at a time, ``columns`` classes at a time, of which a thread holds ``fan`` neighbours."""

    rows: int
    columns: int
    fan: int
    warps: int
    registers: int | None = None  # no more than these a thread

    @property
    def programs(self) -> int:
        """That a multiprocessor holds at once."""
        return _REGISTERS // (32 * self.warps * (self.registers or 128))


def float_tile(classes: int, item_bytes: int, side_by_side: bool) -> tuple[bool, Tile]:
    """Whether rows are taken at once, and the tile of `float_rows`; ``side_by_side``: a row's classes are neighbours."""
    fan = 16 // item_bytes if side_by_side and classes >= 1024 else 1
    columns = power_of_two(classes)
    if columns > MOST_AT_ONCE:
        return False, Tile(1, BLOCK, fan, 8)
    rows = max(1, ELEMENTS // columns)
    return True, Tile(rows, columns, fan, max(4, min(16, rows * columns // 1024)))


def wide_tile(classes: int) -> Tile:
    """The tile of `wide_rows`."""
    columns = min(2048, power_of_two(classes))
    return Tile(max(1, 1024 // columns), columns, 1, 4)


def power_of_two(least: int) -> int:
    return 1 << max(0, least - 1).bit_length()
