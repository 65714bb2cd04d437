"""How far two results are apart: what the processes that run models have in common."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

#: Sizes of axes that a file leaves open: of the first, and of others.
_BATCH, _ELSEWHERE = 3, 8

T = TypeVar("T")


def most_ulp(got: Any, expected: Any) -> float:
    """The largest difference of two arrays, in units in the last place of the coarser one's format.

    Both NaN, or the same infinity, are 0 apart. Below the normal range, the unit is that of the smallest normal number.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        return float("inf")
    if not got.size:
        return 0.0
    info = max((np.finfo(a.dtype) for a in (got, expected)), key=lambda i: float(i.eps))
    a, b = got.astype(np.float64), expected.astype(np.float64)
    unit = np.exp2(np.floor(np.log2(np.maximum(np.abs(b), float(info.tiny))))) * float(info.eps)
    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b) / unit)
    return float(np.max(np.where(np.isnan(apart), np.inf, apart)))


class Broken(Exception):
    """The old file runs, and the new one doesn't."""


def side_by_side(task: Mapping[str, Any], run: Callable[[str], T]) -> tuple[T, T]:
    """What running the file with the head gives, and what the one without.

    Raises :class:`Broken` where the old file runs, and the new one doesn't.
    """
    old, new = ("with_head", "without") if task["strips"] else ("without", "with_head")
    given = {old: run(task[old])}
    try:
        given[new] = run(task[new])
    except Exception as error:
        raise Broken(str(error).partition("\n")[0]) from None
    return given["with_head"], given["without"]


def sizes(shape: Iterable[Any]) -> list[int]:
    """The sizes of an input's axes, with some for those that the file leaves open."""
    return [n if isinstance(n, int) and n > 0 else (_ELSEWHERE if axis else _BATCH) for axis, n in enumerate(shape)]


def answer(run: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Do the task on standard input, and write on the last line of standard output what was found."""
    task = json.loads(sys.stdin.read())
    _leave_memory()
    try:
        found = run(task)
    except Broken as error:
        found = {"broken": str(error)}
    except ImportError as error:
        found = {"error": f"{error.name or task['runtime']} isn't installed"}
    except Exception as error:  # whatever a runtime makes of a file that it doesn't like
        found = {"error": f"{task['runtime']} could not run it ({type(error).__name__})"}
    print("\n" + json.dumps(found))


def _leave_memory() -> None:
    """Let this process have half of the machine's memory: a file may say of a tensor that it is of any size."""
    with suppress(ImportError, ValueError, OSError):  # where a system has no such limits, or has a lower one
        import resource

        half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        resource.setrlimit(resource.RLIMIT_DATA, (half, resource.getrlimit(resource.RLIMIT_DATA)[1]))
