"""Stands in for the worker: the process dies of one file."""

from __future__ import annotations

import os
from typing import Any

from finallayer.check import chunk, judge
from finallayer.check.pool import main
from finallayer.source import Project


def _dying(path: str, project: Project, **more: Any) -> judge.Analysis:
    if path.endswith("f001.py"):
        os._exit(1)
    return judge.analyse(path, project, **more)


setattr(chunk, "analyse", _dying)  # noqa: B010, which type checkers have nothing against
__all__ = ["main"]
