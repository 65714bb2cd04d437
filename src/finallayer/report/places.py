"""How a place is written: paths from the working folder on, lines and columns from 1."""

from __future__ import annotations

import os
from typing import Any

from finallayer.expr import Origin
from finallayer.findings import Edit


def shown_path(path: str) -> str:
    """A path as its reader writes it: from the working folder on, where it lies below it."""
    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118
    return path.removeprefix(here)


def shown_uri(path: str) -> str:
    """A path as a relative URI reference, or an absolute file URI where it lies elsewhere."""
    from urllib.parse import quote

    shown = shown_path(path).replace(os.sep, "/")
    prefix = "" if not os.path.isabs(shown) else "file://" if shown.startswith("/") else "file:///"  # noqa: PTH117
    return prefix + quote(shown.encode(errors="surrogateescape"), safe="/:" if prefix else "/")


def shown(origin: Origin) -> str:
    """``path:line:column``, in a notebook ``path:cell 3:line:column``."""
    cell = "" if origin.cell is None else f"cell {origin.code_cell}:"
    return f"{shown_path(origin.path)}:{cell}{origin.line}:{origin.column + 1}"


def fields(origin: Origin) -> dict[str, Any]:
    """A place as JSON has it."""
    return {
        "path": shown_path(origin.path),
        "line": origin.line,
        "column": origin.column + 1,
        "end_line": max(origin.line, origin.end_line),
        "end_column": origin.end_column + 1,
        "cell": origin.cell,
    }


def replaced(edit: Edit) -> Origin:
    """The place whose text an edit replaces."""
    return Origin(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.cell)
