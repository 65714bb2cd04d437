"""How a place is written: paths from the working folder on, lines and columns from 1."""

from __future__ import annotations

import os
import re
from typing import Any

from finallayer.expr import Origin
from finallayer.findings import Edit

#: What a terminal or the reader of a log may obey, or not show where it stands: control characters but for the tab,
#: separators of lines, and what turns the direction of writing.
_OBEYED = [
    *range(9),
    *range(10, 32),
    *range(127, 160),
    0x61C,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
]
_ESCAPED = {c: f"\\x{c:02x}" if c < 256 else f"\\u{c:04x}" for c in _OBEYED}
_ESCAPED |= {ord(c): repr(c)[1:-1] for c in "\n\r"}
_IN_JSON = {c: f"\\u{c:04x}" for c in _OBEYED if c >= 127}
#: What the reader of a workflow's log obeys wherever it stands in a line, such as ``##[error]``.
_COMMAND = re.compile(r"##(?=(?:vso)?\[)")


def plain(text: str) -> str:
    """A text from outside on one line, with what a terminal would obey escaped."""
    if "##" in text:
        text = _COMMAND.sub(r"#\\x23", text)
    return text if text.isprintable() else text.translate(_ESCAPED)


def plain_start(text: str) -> str:
    """The same of what a line begins with: behind any spaces, ``::`` is a workflow's command."""
    text = plain(text)
    return text.replace(":", "\\x3a", 1) if text.lstrip().startswith("::") else text


def plain_json(text: str) -> str:
    """The same of a text that is JSON, and stays the same JSON."""
    return _COMMAND.sub(r"#\\u0023", text).translate(_IN_JSON)


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
    return f"{plain_start(shown_path(origin.path))}:{cell}{origin.line}:{origin.column + 1}"


def in_its_cell(origin: Origin) -> str:
    """A place in a notebook where only files and lines of files are known: in words."""
    return f"cell {origin.code_cell}, line {origin.line}"


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
