"""The project that a file belongs to: its modules, found on disk as Python would find them, and parsed once."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from finallayer.catalog.frameworks import FOREIGN
from finallayer.source.files import SourceFile, Unreadable
from finallayer.source.reading import read

#: Packages that are never a project's own, even where a folder of that name lies beside the file.
_FOREIGN = FOREIGN | {"pandas", "matplotlib"}
#: A module of fewer characters is parsed whatever it holds.
SMALL = 8_000
#: What a longer module has to mention for a model, layer or loss to come from it.
_MATTERS = re.compile(
    r"softmax|sigmoid|entropy|logits|[Ll]oss|\.nn\b|\bnn\.|layers|\blog\b|\bexp\b|Module\b|Model\b|keras|criterion|config"
)
#: How many folders upwards an absolute import is looked for.
_MOST_FOLDERS = 6
_ROOT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")


class Project:
    """Every file seen so far, parsed when first asked for. No state of an analysis: none depends on another."""

    def __init__(self) -> None:
        self._files: dict[str, SourceFile | None] = {}
        self._folders: dict[Path, frozenset[str]] = {}
        self._places: dict[Path, tuple[Path, ...]] = {}
        self._found: dict[tuple[str, str, int], Path | None] = {}
        self._dependencies: dict[str, set[str]] = {}

    def copy(self) -> Project:
        """A project of the same files, which may take in others."""
        made = Project()
        made._files = dict(self._files)
        made._folders, made._places, made._found = self._folders, self._places, self._found
        return made

    def file(self, path: Path) -> SourceFile | None:
        """The file at a path, parsed; None where it can't be, or holds nothing that a loss could meet."""
        key = str(path)
        if key not in self._files:
            try:
                file = read(path)
                worth_parsing = len(file.text) < SMALL or _MATTERS.search(file.text)
                self._files[key] = file if worth_parsing and file.tree else None
            except Unreadable:
                self._files[key] = None
        return self._files[key]

    def size(self, path: Path) -> int:
        """The bytes of a file."""
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def adopt(self, file: SourceFile) -> None:
        """Take in a file as it is at hand, whatever the disk holds."""
        self._files[file.path] = file

    def find(self, importer: str, dotted: str, level: int = 0) -> Path | None:
        """The file that ``import dotted`` in the importer means, or None where it isn't the project's."""
        asked = (importer, dotted, level)
        if asked not in self._found:
            self._found[asked] = self._find(importer, dotted, level)
        return self._found[asked]

    def _find(self, importer: str, dotted: str, level: int) -> Path | None:
        parts = dotted.split(".") if dotted else []
        folder = Path(importer).parent
        if level:
            for _ in range(level - 1):
                folder = folder.parent
            return self._file(folder, parts)
        if not parts or parts[0] in _FOREIGN:
            return None
        if parts[0] in sys.stdlib_module_names and "__init__.py" in self._listing(folder):
            return None  # a module of a package doesn't hide the standard library's: utils/logging.py imports logging
        found = (self._file(place, parts) for place in self._search_path(folder))
        return next((f for f in found if f is not None and str(f) != importer), None)

    def depend(self, importer: str, path: Path) -> None:
        self._dependencies.setdefault(importer, set()).add(str(path))

    def dependencies(self, path: str) -> set[str]:
        """Every project file that the analysis of a file has read, at any distance."""
        seen: set[str] = set()
        todo = [path]
        while todo:
            for p in self._dependencies.get(todo.pop(), ()):
                if p not in seen:
                    seen.add(p)
                    todo.append(p)
        return seen - {path}

    def _search_path(self, folder: Path) -> tuple[Path, ...]:
        if folder not in self._places:
            places = [folder]
            here = folder.resolve()
            for _ in range(_MOST_FOLDERS):
                if any(mark in self._listing(here) for mark in _ROOT_MARKS) or here == here.parent:
                    break
                here = here.parent
                places.append(here)
            places += [p / "src" for p in places[-1:] if "src" in self._listing(p)]
            self._places[folder] = tuple(places)
        return self._places[folder]

    def _file(self, folder: Path, parts: list[str]) -> Path | None:
        for part in parts[:-1]:
            if part not in self._listing(folder):
                return None
            folder = folder / part
        if not parts:
            return folder / "__init__.py" if "__init__.py" in self._listing(folder) else None
        name = parts[-1]
        listing = self._listing(folder)
        if name in listing and "__init__.py" in self._listing(folder / name):
            return folder / name / "__init__.py"
        return folder / f"{name}.py" if f"{name}.py" in listing else None

    def _listing(self, folder: Path) -> frozenset[str]:
        if folder not in self._folders:
            try:
                self._folders[folder] = frozenset(p.name for p in folder.iterdir())
            except OSError:
                self._folders[folder] = frozenset()
        return self._folders[folder]
