"""finallayer and what it stands on, as one archive that a browser's Python imports from: the playground's program."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: What the checker and the fixer import, and nothing that only others of its verbs need.
ROOMS = ("catalog", "check", "fix", "numerics", "report", "rules", "source", "models")
THEIRS = ("click", "mpmath")


def setup(app: Any) -> dict[str, bool]:
    app.connect("build-finished", _when_built)
    return {"parallel_read_safe": True}


def _when_built(app: Any, error: Exception | None) -> None:
    if error is None:
        write(Path(app.outdir), Path(app.srcdir))


def write(site: Path, docs: Path) -> None:
    """``python.zip``, in the folder of the scripts."""
    with zipfile.ZipFile(site / "_static" / "python.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((docs / "browser" / "python").glob("*.py")):
            archive.write(path, path.name)
        for root, path in _files():
            archive.write(path, path.relative_to(root))


def _files() -> Iterator[tuple[Path, Path]]:
    """Each file, with the folder that Python is to find it from."""
    ours = _folder("finallayer")
    yield from ((ours.parent, path) for path in sorted(ours.glob("*.py")))
    for folder in (*(ours / room for room in ROOMS), *map(_folder, THEIRS)):
        yield from (
            (ours.parent if ours in folder.parents else folder.parent, path)
            for path in sorted(folder.rglob("*.py"))
            if "tests" not in path.relative_to(folder).parts
        )


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, package
    return Path(spec.origin).parent
