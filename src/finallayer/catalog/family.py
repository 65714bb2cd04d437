"""Names that share one signature."""

from __future__ import annotations


def each(prefix: str, names: str, line: str) -> dict[str, str]:
    """The same line for every one of ``names`` (separated by blanks) under ``prefix``."""
    return {f"{prefix}.{name}" if prefix else name: line for name in names.split()}
