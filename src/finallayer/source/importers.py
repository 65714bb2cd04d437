"""Who imports a file: every program of the project is looked at once, by its bytes, wherever it lies.

The project is what lies below the nearest repository, or the nearest folder with a ``pyproject.toml``. An import is
resolved as an analysis resolves it; one that leads nowhere (a path that is put together at run time) counts for every
file that it may mean.
"""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from finallayer.catalog.frameworks import FOREIGN
from finallayer.disk import contents, text_of
from finallayer.source.folders import is_foreign, is_program
from finallayer.source.imported import asked_by_text, asked_for_any, imported, run_by_text
from finallayer.source.plain import plain
from finallayer.source.project import Project

#: As many programs of a project are looked at, and as many entries of its folders; no larger files.
MOST_FILES, MOST_ENTRIES, MOST_BYTES = 10_000, 200_000, 20_000_000
#: How many folders upwards the project's root is looked for.
_MOST_FOLDERS = 16

#: Files by which others are told what to make of a program's names, and the largest that is looked at.
SETTINGS = (".yaml", ".yml", ".toml", ".cfg", ".ini", ".json", ".gin", ".sh", "requirements.txt")
LARGEST_SETTINGS = 200_000

_Names = frozenset[tuple[str, int]]  # dotted names of modules, each with the level of the import


class Importer(NamedTuple):
    """A file that imports another; ``certain``: whether an analysis finds the other by that import.

    ``by_text``: whether it also, or only, asks for it by its name in a text, which an analysis doesn't always
    follow. ``runs``:
    whether it runs it so, and has its names.
    """

    path: str
    certain: bool
    by_text: bool = False
    runs: bool = False


class Importers:
    """Who imports whom below one project's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._project = Project()  # finds what an import means
        self.limits: list[str] = []  # what was not looked at; a phrase each
        self.settings: list[str] = []  # files that may name a class or a tensor of a program
        self.asking_graphs: list[str] = []  # programs that ask TensorFlow's graph for operations by their names
        self._by_name: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
        self._by_text: set[tuple[str, str]] = set()  # (a file, the name of a module that it asks for by a text)
        self._run: set[tuple[str, str]] = set()  # likewise, that it runs
        self._any: list[tuple[str, str]] = []  # (a file, a package of which it may import any module; "": of all)
        for path, names in self._look():
            for dotted, level in names:
                self._by_name[dotted.rpartition(".")[2]].append((path, dotted, level))

    def of(self, path: str) -> Iterator[Importer]:
        """The files that import a file itself, in order, each once."""
        found: dict[str, bool] = {}
        asking: set[str] = set()
        running: set[str] = set()
        module = Path(path).with_suffix("")
        if module.name == "__init__":
            module = module.parent
        ways = ("",) if path.endswith("__init__.py") else ("ipynb",) if path.endswith(".ipynb") else ()
        asked = dict.fromkeys((module.name, *ways))
        for importer, dotted, level in (place for name in asked for place in self._by_name.get(name, ())):
            runs = (importer, dotted) in self._run
            by_text = runs or (importer, dotted) in self._by_text
            if importer != path and (by_text or not found.get(importer)):
                meant = self._project.find(importer, dotted, level)
                if meant is not None and str(meant) == path:
                    found[importer] = True
                    asking |= {importer} if by_text else set()
                    running |= {importer} if runs else set()
                elif meant is None and _may_mean(module, dotted, level):
                    found[importer] = False
        for importer, package in self._any if path.endswith(".py") and module.name.isidentifier() else ():
            if importer != path and _may_lie_in(module, package):
                asking.add(importer)
                found.setdefault(importer, False)
        return (Importer(p, certain, p in asking, p in running) for p, certain in sorted(found.items()))

    def of_package(self, package: str) -> list[str]:
        """The files that import a package or a module of it by its whole name, in order."""
        named = (place for places in self._by_name.values() for place in places)
        return sorted({p for p, dotted, level in named if not level and dotted.partition(".")[0] == package})

    def _look(self) -> Iterator[tuple[str, _Names]]:
        files = entries = 0
        folders = deque([str(self.root)])
        while folders:
            for entry in _entries(folders.popleft()):
                entries += 1
                if _is_folder(entry):
                    if not is_foreign(entry):
                        folders.append(entry.path)
                elif is_program(entry) and (names := self._names_in(entry)) is not None:
                    files += 1
                    yield entry.path, names
                elif entry.name.endswith(SETTINGS):
                    self.settings.append(entry.path)
                if files >= MOST_FILES or entries >= MOST_ENTRIES:
                    self.limits.append(f"the project is too large to be looked at as a whole ({files:,} programs were)")
                    return

    def naming(self, pattern: re.Pattern[str]) -> Iterator[str]:
        """The files of settings in which a pattern is found."""
        return (path for path in self.settings if pattern.search(_settings_text(path)))

    def _names_in(self, entry: os.DirEntry[str]) -> _Names | None:
        """The modules that a program imports; None for what is no file, or can't be read by anybody."""
        try:
            state = entry.stat()
            if not entry.is_file():
                return None
            if state.st_size > MOST_BYTES:
                self.limits.append(f"{entry.name} is too large to be looked at")
                return None
            stamp = (state.st_mtime_ns, state.st_size)
            known = _SEEN.get(entry.path)
            if known is None or known.stamp != stamp:
                data = plain(entry.path, contents(entry.path, MOST_BYTES))
                names = frozenset((*imported(data), *asked_by_text(data), *run_by_text(data)))
                asked = frozenset(name for name, _ in asked_by_text(data))
                run = frozenset(name for name, _ in run_by_text(data))
                asks_graph = b"_by_name(" in data or b"node_names" in data
                known = _SEEN[entry.path] = _Read(stamp, names, asked, run, asks_graph, frozenset(asked_for_any(data)))
        except PermissionError:
            self.limits.append(f"{entry.name} can't be read")
            return None
        except OSError:
            return None
        self._by_text |= {(entry.path, dotted) for dotted in known.asked}
        self.asking_graphs += [entry.path] if known.asks_graph else []
        self._run |= {(entry.path, dotted) for dotted in known.run}
        self._any += [(entry.path, package) for package in known.asks_for_any]
        return known.names


@lru_cache(maxsize=256)
def _settings_text(path: str) -> str:
    return text_of(path, LARGEST_SETTINGS) or ""


@cache
def importers_below(root: Path) -> Importers:
    """Who imports whom below a root: looked at once a run, until :func:`look_again`."""
    return Importers(root)


def look_again() -> None:
    """A run begins: files may be others than at the last."""
    importers_below.cache_clear()
    _settings_text.cache_clear()


class _Read(NamedTuple):
    """The modules that a file names, in some state of it, and those that it asks for, or runs, by a text."""

    stamp: tuple[int, int]
    names: _Names
    asked: frozenset[str]
    run: frozenset[str]
    asks_graph: bool  # for an operation, by its name
    asks_for_any: frozenset[str]  # packages in which it imports modules by names that it puts together


_SEEN: dict[str, _Read] = {}


def root_of(files: Iterable[str]) -> Path:
    """The root of the project to which files belong: a repository's, else a package's, else their common folder.

    Where no repository says so, it is the folder that we are run in, if the files lie in that; and a folder that is a
    package is imported from the one around it.
    """
    common = Path(os.path.commonpath([str(Path(f).parent) for f in files]))
    above = [common, *common.parents][:_MOST_FOLDERS]
    for mark in (".git", "pyproject.toml"):
        for folder in above:
            if os.path.exists(folder / mark):  # noqa: PTH110 (which raises nothing)
                return folder
    if Path.cwd() in above:
        return Path.cwd()
    return next((folder for folder in above if not os.path.exists(folder / "__init__.py")), common)  # noqa: PTH110


def _may_mean(module: Path, dotted: str, level: int) -> bool:
    """Whether an import that leads nowhere may, at run time, lead to a module."""
    parts = tuple(dotted.split("."))
    if level or parts[0] in FOREIGN or (len(parts) == 1 and parts[0] in sys.stdlib_module_names):
        return False
    return module.parts[-len(parts) :] == parts


def _may_lie_in(module: Path, package: str) -> bool:
    """Whether a module may be of a package by that name."""
    parts = tuple(package.split(".")) if package else ()
    if parts and parts[0] in FOREIGN:
        return False
    above = module.parts[:-1]
    return any(above[at : at + len(parts)] == parts for at in range(len(above) - len(parts) + 1))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda e: e.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
