"""``finallayer compare SCRIPT``: what the two arms are, before anything is run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finallayer.cli.terminal import noted, say, show, wants_colour
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.own.arms import AS_IS, FIXED, Mended, Program
from finallayer.disk import contents

if TYPE_CHECKING:
    from finallayer.cli.fixing import Fixing
    from finallayer.fix.repair import Repair

NOTEBOOK = ".ipynb"


def compare_own(
    script: Path, arguments: Sequence[str], against: Path | None, unsafe_fixes: bool, plan: Mapping[str, Any]
) -> int:
    """Work out the arms, show what sets them apart, and run them; the exit code. Raises ``BadInputError``."""
    from finallayer.compare.own.trial import Plan, compare_program

    asked = Plan(**plan)
    asked.check()
    for path in (script, against):
        if path is not None:
            _must_be_readable(path)
    program = _fixed(script, arguments, unsafe_fixes) if against is None else _against(script, arguments, against)
    show(map(_painted(), program.diff))
    times = "once" if asked.seeds == 1 else f"{asked.seeds} times"
    say(f"executing {script} and {against or 'its fixed form'}, {times} each, in copies of {program.root}")
    return compare_program(program, asked)


def _must_be_readable(path: Path) -> None:
    try:
        contents(path)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror or error}; expected a script or a notebook") from None


def _fixed(script: Path, arguments: Sequence[str], unsafe_fixes: bool) -> Program:
    """A program, and what the fixes of all that it shows make of it."""
    root = _root([script])
    fixing, repaired = _repaired(script, unsafe_fixes)
    if not repaired.changed:
        raise BadInputError(f"{script}: nothing to fix, so nothing to compare", *_left(fixing, repaired))
    changed = {str(document.path): new for document, new in repaired.changed}
    outside = [path for path in changed if not _is_within(Path(path), root)]
    if outside:
        raise BadInputError(
            f"the fix changes {outside[0]}, too; expected it to lie in {root}: run the command above it"
        )
    path = _within(script, root)
    fixed = {_within(Path(name), root): data for name, data in changed.items()}
    arms = {AS_IS: _with_notebook({}, path, root), FIXED: _with_notebook(fixed, path, root)}
    return Program(
        root=root,
        scripts=dict.fromkeys((AS_IS, FIXED), _as_script(path)),
        arguments=_found_from_here(arguments, script),
        changed=arms,
        diff=_diff(repaired),
        mended=[Mended(m.rule.code, m.rule.name, os.path.relpath(m.path, root), m.number) for m in repaired.mended],
        shown=path,
    )


def _repaired(script: Path, unsafe_fixes: bool) -> tuple[Fixing, Repair]:
    """What ``finallayer fix`` would make of the script and what it imports."""
    from finallayer.check import config, run
    from finallayer.cli.choosing import Bounds
    from finallayer.cli.fixing import Fixing
    from finallayer.rules import all_rules

    rules = all_rules()
    settings = config.find([script], rules)
    first = run.check([script], settings, rules, use_cache=False)
    for note in first.notes:
        say(noted(note))
    fixing = Fixing(first, settings, rules, unsafe_fixes, Bounds([script]))
    return fixing, fixing.repaired(fixing.choice())


def _left(fixing: Fixing, repaired: Repair) -> list[str]:
    """What was found and isn't fixed, a line each with the reason, and what to do."""
    from finallayer.report.places import shown

    left = fixing.left(repaired).findings
    if not left:
        return ["`finallayer check` finds nothing in it; compare it with a program of yours by --against OTHER"]
    lines = [f"{shown(f.origin)}: {f.rule.code} ({f.rule.name}): {f.unfixed or _why(f.fix is None)}" for f in left]
    return [*lines, "fix it by hand, and compare by --against OTHER"]


def _why(without: bool) -> str:
    return "no fix" if without else "its fix isn't safe (--unsafe-fixes makes it)"


def _against(script: Path, arguments: Sequence[str], against: Path) -> Program:
    """A program, and another that somebody made of it."""
    root = _root([script, against])
    first, second = _within(script, root), _within(against, root)
    from finallayer.report.diff import between
    from finallayer.source.reading import decode

    changed = {AS_IS: _with_notebook({}, first, root), FIXED: _with_notebook({}, second, root)}
    scripts = {AS_IS: _as_script(first), FIXED: _as_script(second)}
    old, new = (decode(changed[arm].get(path) or contents(root / path)) for arm, path in scripts.items())
    return Program(
        root=root,
        scripts=scripts,
        arguments=_found_from_here(arguments, script),
        changed=changed,
        diff=list(between(first, old, second, new)),
        other=second,
        shown=first,
    )


def _root(scripts: Sequence[Path]) -> Path:
    """The folder that is copied: the working folder, where the programs lie in it, else the one that they lie in."""
    here = Path.cwd().resolve()
    if all(_is_within(script, here) for script in scripts):
        return here
    folders = {script.resolve().parent for script in scripts}
    if len(folders) > 1:
        raise BadInputError(
            "--against: the two programs lie in different folders; expected both in the working folder, or side by side"
        )
    return folders.pop()


def _is_within(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root)


def _within(path: Path, root: Path) -> str:
    return str(path.resolve().relative_to(root))


def _found_from_here(arguments: Sequence[str], script: Path) -> list[str]:
    """Arguments that name files are whole paths where the program won't run in a copy of this folder."""
    if _is_within(script, Path.cwd().resolve()):
        return list(arguments)
    return [str(Path(a).resolve()) if a and Path(a).exists() else a for a in arguments]


def _as_script(path: str) -> str:
    """A notebook's cells as a script stand beside it."""
    return f"{path}.py" if path.endswith(NOTEBOOK) else path


def _with_notebook(changed: Mapping[str, bytes], path: str, root: Path) -> dict[str, bytes]:
    """The changed files, and the script that a notebook's code cells are: what only IPython understands is left out."""
    if not path.endswith(NOTEBOOK):
        return dict(changed)
    from finallayer.source.files import Unreadable
    from finallayer.source.reading import read

    try:
        cells = read(str(root / path), changed[path] if path in changed else contents(root / path))
    except Unreadable as error:
        raise BadInputError(f"{path}: {error}") from None
    return {**changed, _as_script(path): cells.text.encode()}


def _diff(repaired: Repair) -> list[str]:
    from finallayer.report.diff import differences

    return [line for document, new in repaired.changed for line in differences(str(document.path), document.data, new)]


def _painted() -> Any:
    from finallayer.report.diff import painted
    from finallayer.report.places import plain

    return painted if wants_colour() else plain
