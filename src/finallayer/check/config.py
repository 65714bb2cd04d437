"""The settings of a check: ``[tool.finallayer]`` of the nearest pyproject.toml, under what the command line says.

::

    [tool.finallayer]
    select = ["ALL"]               # rules: codes, the start of codes, or names
    ignore = ["FL301"]
    severity = "warning"           # the least severity reported
    exclude = ["legacy/"]          # files, in the manner of .gitignore, from the folder of pyproject.toml
    fixable = ["ALL"]              # rules whose findings may be fixed
    unfixable = ["FL108"]          # rules whose findings are left to people
    per-file-ignores = { "tests/*" = ["FL2"] }
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finallayer.check.check_error import CheckError
from finallayer.check.selection import codes
from finallayer.disk import contents
from finallayer.findings import Severity
from finallayer.rules.base import Rule

FILE = "pyproject.toml"
TABLE = "tool.finallayer"
#: No project has longer settings.
MOST_BYTES = 5_000_000
#: Nor a key of more parts.
_MOST_PARTS = 200
_LONG_KEY = re.compile(rb"""(?<![\w"'. \t-])[ \t]*+(?:[\w"'-]++[ \t]*+\.[ \t]*+){%d}""" % _MOST_PARTS)
SEVERITIES = {str(s): s for s in Severity}


@dataclass(frozen=True)
class Config:
    """The settings of one check, validated. ``root`` is the project's folder, which patterns start from."""

    root: Path
    selected: frozenset[str]
    severity: Severity = Severity.ADVICE
    exclude: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, frozenset[str]], ...] = ()
    unfixable: frozenset[str] = frozenset()

    def with_options(
        self, select: Sequence[str], ignore: Sequence[str], severity: str | None, rules: Mapping[str, Rule]
    ) -> Config:
        """These settings with the command line's on top: ``--select`` replaces, ``--ignore`` takes away."""
        selected = codes(select, rules, "--select") if select else self.selected
        selected -= codes(ignore, rules, "--ignore")
        return replace(self, selected=selected, severity=SEVERITIES[severity] if severity else self.severity)


def find(paths: Sequence[Path], rules: Mapping[str, Rule]) -> Config:
    """The settings for a check of these paths: of the nearest pyproject.toml at or above all of them that has any.

    Raises :class:`CheckError` with one line where it can't be read or says what can't be meant.
    """
    start = _common_folder(paths)
    nearest: Path | None = None
    for folder in (start, *start.parents):
        file = folder / FILE
        data = _settings(file)
        if data is None:
            continue
        nearest = nearest or folder
        if b"finallayer" in data and (table := _table(file, data)) is not None:
            return from_table(table, folder, rules, str(file))
    return Config(nearest or start, frozenset(rules))


def _settings(file: Path) -> bytes | None:
    """What a file of settings holds; None where there is none. Raises :class:`CheckError` where it can't be read."""
    try:
        return contents(file, MOST_BYTES)
    except OSError as error:
        if isinstance(error, IsADirectoryError) or not os.path.exists(file):  # noqa: PTH110
            return None
        raise CheckError(f"{file}: can't be read: {error.strerror or error}") from None


def from_table(table: Mapping[str, Any], root: Path, rules: Mapping[str, Rule], source: str) -> Config:
    """Validate a ``[tool.finallayer]`` table. Raises :class:`CheckError` on an unknown key or a wrong type."""
    read: dict[str, Any] = {}
    for key, value in table.items():
        reader = _READERS.get(key)
        if reader is None:
            raise CheckError(f"{source}: [{TABLE}] has no key {key!r}; {_meant(key)}")
        read[key] = reader(value, rules, f"{source}: [{TABLE}] {key}")
    return Config(
        root=root,
        selected=read.get("select", frozenset(rules)) - read.get("ignore", frozenset()),
        severity=read.get("severity", Severity.ADVICE),
        exclude=read.get("exclude", ()),
        unfixable=frozenset(rules) - read.get("fixable", frozenset(rules)) | read.get("unfixable", frozenset()),
        per_file_ignores=read.get("per-file-ignores", ()),
    )


def _meant(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key, _READERS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_READERS)}"


def _common_folder(paths: Sequence[Path]) -> Path:
    folders = [p if os.path.isdir(p) else p.parent for p in (Path(os.path.abspath(p)) for p in paths)]  # noqa: PTH100, PTH112
    try:
        return Path(os.path.commonpath(folders)) if folders else Path.cwd()
    except ValueError:  # on different drives
        return folders[0]


def _table(file: Path, data: bytes) -> Mapping[str, Any] | None:
    import tomllib

    if _LONG_KEY.search(data):  # which takes tomllib the square of its length
        raise CheckError(f"{file}: not TOML that anybody means: a key of more than {_MOST_PARTS} parts")
    try:
        content = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or an integer of too many digits
        raise CheckError(f"{file}: not TOML: {error}".splitlines()[0]) from None
    tool = content.get("tool")
    table = tool.get("finallayer") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise CheckError(f"{file}: [{TABLE}] must be a table, not {_shown(table)}")
    return table


def _strings(value: Any, _rules: Mapping[str, Rule], where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise CheckError(f"{where} must be a list of strings, not {_shown(value)}")
    return tuple(value)


def _codes(value: Any, rules: Mapping[str, Rule], where: str) -> frozenset[str]:
    return codes(_strings(value, rules, where), rules, where)


def _severity(value: Any, _rules: Mapping[str, Rule], where: str) -> Severity:
    if not isinstance(value, str) or value not in SEVERITIES:
        raise CheckError(f"{where} must be one of {', '.join(SEVERITIES)}, not {_shown(value)}")
    return SEVERITIES[value]


def _per_file(value: Any, rules: Mapping[str, Rule], where: str) -> tuple[tuple[str, frozenset[str]], ...]:
    if not isinstance(value, dict):
        raise CheckError(f"{where} must be a table of file patterns to lists of rules, not {_shown(value)}")
    return tuple((pattern, _codes(v, rules, f"{where}.{pattern!r}")) for pattern, v in value.items())


def _shown(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # an integer of too many digits; nested too deeply
        return "that"
    return text if len(text) <= 40 else text[:39] + "…"


_READERS: dict[str, Callable[[Any, Mapping[str, Rule], str], Any]] = {
    "select": _codes,
    "ignore": _codes,
    "severity": _severity,
    "exclude": _strings,
    "per-file-ignores": _per_file,
    "fixable": _codes,
    "unfixable": _codes,
}
