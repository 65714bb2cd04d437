"""The project that a file belongs to: its modules, found on disk as Python would find them, and parsed once."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from finallayer.catalog.frameworks import FOREIGN
from finallayer.disk import digest
from finallayer.source.files import SourceFile, Unreadable
from finallayer.source.imported import imported
from finallayer.source.plain import normal, plain
from finallayer.source.reading import bytes_of, read
from finallayer.source.search_path import MARKS, added_folders

#: Packages that are never a project's own, even where a folder of that name lies beside the file.
_FOREIGN = FOREIGN | {"pandas", "matplotlib"}
#: A module of fewer characters is parsed whatever it holds.
SMALL = 8_000
#: What a longer module has to mention for a model, layer or loss to come from it.
_MATTERS = re.compile(
    r"softmax|sigmoid|entropy|logits|[Ll]oss|\.nn\b|\bnn\.|layers|\blog\b|\bexp\b|Module\b|Model\b|keras|criterion|config"
    # ... or names that it puts together:
    r"|getattr|__dict__|globals|vars\(|eval\(|import_"
)
#: How many folders upwards an absolute import is looked for.
_MOST_FOLDERS = 6
_ROOT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")


class State(NamedTuple):
    """What an analysis has read of a file: its content, and where the imports lead that it has followed.

    ``asked``: those imports, as :func:`question` writes them, a line each.
    """

    path: str
    asked: str
    fingerprint: str


def fingerprint(content: str, answers: Iterable[Path | None]) -> str:
    """Changes when what stands for a file's content does, or where one of its imports leads."""
    return digest("\0".join((content, *map(str, answers))).encode(errors="surrogateescape"))


def question(dotted: str, level: int) -> str:
    """An import as a program spells it."""
    return "." * level + dotted


class Project:
    """Every file seen so far, parsed when first asked for. No state of an analysis: none depends on another."""

    def __init__(self) -> None:
        self._files: dict[str, SourceFile | None] = {}
        self._broken: set[str] = set()  # those that can't be read
        self._folders: dict[str, frozenset[str]] = {}
        self._places: dict[Path, tuple[Path, ...]] = {}
        self._around: dict[Path, frozenset[str]] = {}  # all that lies in those
        self._found: dict[tuple[str, str, int], Path | None] = {}
        self._contents: dict[str, str] = {}  # what stands for the content of each file that was read
        self._asked: dict[str, dict[str, Path | None]] = {}  # where the imports of each file lead that were followed
        self._states: dict[str, tuple[int, State]] = {}  # each with the number of those imports
        self._additions: dict[str, tuple[Path, ...]] = {}
        self._dependencies: dict[str, set[str]] = {}

    def copy(self) -> Project:
        """A project of the same files, which may take in others."""
        made = Project()
        made._files, made._broken = dict(self._files), set(self._broken)
        made._folders, made._places, made._found = self._folders, self._places, self._found
        made._around = self._around
        made._asked = self._asked
        return made

    def take_over(self, other: Project, but: Collection[str]) -> None:
        """Take over what a copy has parsed since, but for some files that it has taken in from elsewhere."""
        for path, file in other._files.items():
            if path not in but and path not in self._files:
                self._files[path] = file
                self._contents[path] = other._contents.get(path, "")
        self._broken |= other._broken.difference(but)

    def file(self, path: Path) -> SourceFile | None:
        """The file at a path, parsed; None where it can't be, or holds nothing that a loss could meet."""
        key = str(path)
        if key not in self._files:
            try:
                data = bytes_of(path)
                self._contents[key] = digest(data)
                file = read(path, data)
                self._files[key] = file if _is_worth_parsing(file) and file.tree else None
            except Unreadable:
                self._files[key] = SourceFile(key, "") if _is_namespace(path) else None
                self._broken |= {key} if self._files[key] is None and os.path.lexists(path) else set()
        return self._files[key]

    def is_broken(self, path: Path) -> bool:
        """Whether there is something at a path which, asked for, could not be read."""
        return str(path) in self._broken

    def entry(self, path: str, data: bytes, content: str) -> SourceFile:
        """A file in which an analysis starts, with its content and what stands for that: parsed once, whoever else
        imports it. Raises :class:`Unreadable`, if not before its tree is asked for."""
        known = self._files.get(path)
        if known is not None and self._contents.get(path) == content:
            return known
        file = read(path, data)
        if path not in self._files and _is_worth_parsing(file):
            _ = file.tree
            self._files[path], self._contents[path] = file, content
        return file

    def known(self, path: str) -> SourceFile | None:
        """A file that was parsed or taken in before."""
        return self._files.get(path)

    def size(self, path: Path) -> int:
        """The bytes of a file."""
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def adopt(self, file: SourceFile, content: str = "") -> None:
        """Take in a file as it is at hand, whatever the disk holds; ``content``: what stands for it there."""
        self._files[file.path] = file
        self._broken.discard(file.path)
        self._contents[file.path] = content
        self._states.pop(file.path, None)

    def find(self, importer: str, dotted: str, level: int = 0) -> Path | None:
        """The file that ``import dotted`` in the importer means, or None where it isn't the project's."""
        asked = (importer, dotted, level)
        if asked not in self._found:
            found = self._found[asked] = self._find(importer, dotted, level)
            self._asked.setdefault(importer, {})[question(dotted, level)] = found
        return self._found[asked]

    def _find(self, importer: str, dotted: str, level: int) -> Path | None:
        parts = dotted.split(".") if dotted else []
        folder = _folder(importer)
        if "\n" in dotted:  # a text that names no module
            return None
        if level:
            for _ in range(level - 1):
                folder = folder.parent
            return self._file(folder, parts) or (self._namespace(folder, parts) if parts else None)
        if not parts or parts[0] in _FOREIGN:
            return None
        found = self._plainly(importer, parts)
        if found is not None or parts[0] in sys.stdlib_module_names:
            return found
        added = self._added_by(importer)
        places = (*self._search_path(folder), *added)
        if not added and not self._is_around(folder, parts):
            return None
        elsewhere = (*(self._file(place, parts) for place in added), *(self._namespace(p, parts) for p in places))
        return next((f for f in elsewhere if f is not None and str(f) != importer), None)

    def _plainly(self, importer: str, parts: list[str]) -> Path | None:
        """A module that lies where Python looks for it by itself: beside the importer, or in a folder above."""
        folder = _folder(importer)
        if parts[0] in sys.stdlib_module_names and "__init__.py" in self._listing(folder):
            return None  # a module of a package doesn't hide the standard library's: utils/logging.py imports logging
        if not self._is_around(folder, parts):
            return None
        found = (self._file(place, parts) for place in self._search_path(folder))
        return next((f for f in found if f is not None and str(f) != importer), None)

    def _is_around(self, folder: Path, parts: list[str]) -> bool:
        """Whether any folder in which Python looks from this one may hold a module: most imports lead elsewhere."""
        if folder not in self._around:
            self._around[folder] = frozenset[str]().union(*map(self._listing, self._search_path(folder)))
        names = self._around[folder]
        return parts[0] in names or f"{parts[0]}.py" in names or parts[-1] == "ipynb"

    def _namespace(self, folder: Path, parts: list[str]) -> Path | None:
        """A folder of modules that is a package without saying so, by the ``__init__.py`` that it could have."""
        for part in parts:
            if part not in self._listing(folder):
                return None
            folder = folder / part
        holds_modules = any(name.endswith(".py") for name in self._listing(folder)) or any(
            name.endswith(".py") for inner in self._listing(folder) for name in self._listing(folder / inner)
        )
        return folder / "__init__.py" if holds_modules else None

    def _added_by(self, importer: str) -> tuple[Path, ...]:
        """The folders that a program, or a module that it imports, adds to those in which modules are looked for."""
        if importer not in self._additions:
            data = self._bytes(importer)
            names = [(dotted.split("."), level) for dotted, level in imported(data) if dotted and not level]
            beside = {f for parts, _ in names if parts[0] not in _FOREIGN and (f := self._plainly(importer, parts))}
            texts = [t for path in (importer, *sorted(map(str, beside))) for t in self._additions_in(path)]
            around = self._search_path(_folder(importer))
            folders = (place / text for text in texts for place in around)  # an absolute one is itself
            self._additions[importer] = tuple(dict.fromkeys(f for f in folders if self._listing(f)))
        return self._additions[importer]

    def _additions_in(self, path: str) -> tuple[str, ...]:
        """What one file adds itself."""
        data = self._bytes(path)
        if not any(mark in data for mark in MARKS):
            return ()
        try:
            return added_folders((self._files.get(path) or read(path)).tree, path)
        except Unreadable:
            return ()

    def _bytes(self, path: str) -> bytes:
        known = self._files.get(path)
        if known is not None:
            return normal(known.text).encode(errors="surrogatepass")
        try:
            return plain(path, bytes_of(path))
        except Unreadable:
            return b""

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

    def state(self, path: str, content: str | None = None) -> State:
        """What has been read of a file; ``content``: what stands for its content, where it was read by others."""
        asked = self._asked.get(path, {})
        if content is not None:
            return State(path, "\n".join(asked), fingerprint(content, asked.values()))
        number, known = self._states.get(path, (-1, None))
        if known is None or number != len(asked):
            known = self.state(path, self._contents.get(path, ""))
            self._states[path] = len(asked), known
        return known

    def _search_path(self, folder: Path) -> tuple[Path, ...]:
        if folder not in self._places:
            places = [folder]
            here = folder.resolve()
            for _ in range(_MOST_FOLDERS):
                if any(mark in self._listing(here) for mark in _ROOT_MARKS) or here == here.parent:
                    break
                here = here.parent
                places.append(here)
            places += [p / "src" for p in places if "src" in self._listing(p)]
            self._places[folder] = tuple(places)
        return self._places[folder]

    def _file(self, folder: Path, parts: list[str]) -> Path | None:
        if parts[1:] and parts[-1] == "ipynb":  # no import, but what a notebook runs
            notebook = folder.joinpath(*parts[:-1]).with_suffix(".ipynb")
            return notebook if notebook.name in self._listing(notebook.parent) else None
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
        key = str(folder)
        if key not in self._folders:
            try:
                self._folders[key] = frozenset(os.listdir(key))  # noqa: PTH208
            except OSError:
                self._folders[key] = frozenset()
        return self._folders[key]


@lru_cache(maxsize=4096)
def _folder(path: str) -> Path:
    """The folder of a file, which is asked for at each of its imports."""
    return Path(path).parent


def _is_worth_parsing(file: SourceFile) -> bool:
    """Whether a model, layer or loss may come from a module."""
    return len(file.text) < SMALL or _MATTERS.search(normal(file.text)) is not None


def _is_namespace(path: Path) -> bool:
    """Whether a path is that of a package's module which isn't there, though its folder is."""
    return path.name == "__init__.py" and os.path.isdir(path.parent) and not os.path.lexists(path)  # noqa: PTH112
