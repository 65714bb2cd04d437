"""Whole projects: a model, a way to train it and readers of its output, laid out over files, folders and notebooks.

What a project is made of (:class:`Parts`) knows a framework; how it is laid out (:func:`laid_over_files`) doesn't.
"""

from __future__ import annotations

import json
import random
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

#: The learning rate as every program spells it: a run with another one replaces this text.
RATE = "0.0625"


class Parts(NamedTuple):
    """A project before it is laid out. A reader is statements, the last of them an expression that is shown."""

    kind: str  # the pieces' names, for who counts outcomes by kind
    imports: str
    model: str  # defines what ``exports`` names
    exports: tuple[str, ...]
    made: str  # makes the model, of that
    data: str
    helpers: str  # functions that the training calls; they need the imports only
    helper_names: tuple[str, ...]
    train: str  # trains the model
    readers: tuple[str, ...]  # where it is trained
    served: tuple[str, ...]  # anywhere else, the model being made anew


class Project(NamedTuple):
    """A project's files, by path, and the right form of its training, in a file."""

    framework: str
    kind: str
    files: dict[str, str]
    entries: tuple[str, ...]  # which files are run, in this order
    checked: str  # the path that is fixed; "." for the whole project
    exact: bool  # the loss was right already: every number stays, however it is trained
    shows: bool  # what is shown must stay; not so where the outputs themselves were meaningless
    right: str | None  # what training comes to; None where nobody can say what was meant


Draws = Callable[[random.Random], Parts]


def readers(text: str) -> tuple[str, ...]:
    """Readers, one a line; their own line breaks are written as in a string."""
    return tuple(line.replace("\\n", "\n") for line in text.strip().split("\n"))


def laid_over_files(parts: Parts, draw: random.Random) -> tuple[str, dict[str, str], tuple[str, ...], str]:
    """The layout's name, the files, those that are run, and what is checked."""
    layout = draw.choice((_script, _script, _functions, _notebook, _package, _package, _two_scripts))
    files, entries, checked = layout(parts, draw)
    return layout.__name__.strip("_"), files, entries, checked


Laid = tuple[dict[str, str], tuple[str, ...], str]


def script(parts: Parts) -> str:
    """All in one file."""
    head = (parts.imports, parts.helpers, parts.model, parts.made, parts.data)
    return "\n".join(p for p in (*head, parts.train, *map(shown, parts.readers)) if p) + "\n"


def shown(reader: str) -> str:
    """A reader's statements, its last expression printed."""
    *before, last = reader.split("\n")
    return "\n".join((*before, f"print({last})"))


def _script(parts: Parts, draw: random.Random) -> Laid:
    served = [shown(s) for s in parts.served]
    return {"program.py": script(parts) + "\n".join((*served, ""))}, ("program.py",), "."


def _functions(parts: Parts, draw: random.Random) -> Laid:
    """The model and its training at the top, the readers in functions."""
    functions, calls = [], []
    for i, reader in enumerate((*parts.readers, *parts.served)):
        *before, last = reader.split("\n")
        functions.append(f"\n\ndef reader_{i}():\n" + textwrap.indent("\n".join((*before, f"return {last}")), "    "))
        calls.append(f"    print(reader_{i}())")
    main = "\n\n\nif __name__ == '__main__':\n" + "\n".join(calls) if calls else ""
    return {"program.py": script(parts._replace(readers=())) + "\n".join(functions) + main + "\n"}, ("program.py",), "."


def notebook(cells: Sequence[str]) -> str:
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [],
         "source": cell.strip("\n").splitlines(keepends=True)}
        for cell in cells if cell.strip()
    ]  # fmt: skip
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def _notebook(parts: Parts, draw: random.Random) -> Laid:
    first = [parts.imports, parts.helpers, parts.model, parts.made, parts.data]
    if draw.random() < 0.5:
        first = ["\n".join(first[:2]), "\n".join(first[2:])]
    cells = [*first, parts.train, *parts.readers, *parts.served]
    return {"explore.ipynb": notebook(cells)}, ("explore.ipynb",), "."


def _two_scripts(parts: Parts, draw: random.Random) -> Laid:
    """The model beside the script that trains it, and another script or notebook that makes it anew."""
    return _apart(parts, draw, "network", "", draw.choice(("serve.py", "tools/web/serve.py", "demo.ipynb")))


def _package(parts: Parts, draw: random.Random) -> Laid:
    folder = draw.choice(("models", "src/work", "lib/nets"))
    return _apart(parts, draw, "net", folder, draw.choice(("serve.py", "scripts/a/export.py", "demo/app.ipynb")))


def _apart(parts: Parts, draw: random.Random, module: str, folder: str, served: str) -> Laid:
    name = f"{folder}/{module}" if folder else module
    files = {f"{name}.py": f"{parts.imports}\n{parts.model}"}
    dotted = name.removeprefix("src/").replace("/", ".")
    if folder and draw.random() < 0.5:
        files[f"{folder}/__init__.py"] = ""
        if draw.random() < 0.5:
            files[f"{folder}/__init__.py"] = f"from .{module} import {', '.join(parts.exports)}\n"
            dotted = folder.removeprefix("src/").replace("/", ".")
    if folder == "src/work":
        files["pyproject.toml"] = '[project]\nname = "work"\nversion = "1"\n'
    of_model = f"from {dotted} import {', '.join(parts.exports)}\n"
    made = parts.made
    elsewhere = " ".join((parts.train, *parts.readers, *parts.served))
    if draw.random() < 0.25 and len(parts.exports) == 1 and parts.exports[0] not in elsewhere:
        of_model, made = f"import {dotted} as nets\n", made.replace(parts.exports[0], f"nets.{parts.exports[0]}")
    helpers = parts.helpers
    if helpers and draw.random() < 0.6:
        files["losses.py"] = f"{parts.imports}\n{helpers}"
        helpers = f"from losses import {', '.join(parts.helper_names)}\n"
    top = f"{parts.imports}{of_model}"
    files["train.py"] = script(parts._replace(imports=top, model="", made=made, helpers=helpers))
    entries = ["train.py"]
    if parts.served:
        first = f"{top}\n{made}\n{parts.data}"
        if served.endswith(".ipynb"):
            files[served] = notebook((first, *parts.served))
        else:
            files[served] = "\n".join((first, *map(shown, parts.served), ""))
        entries.append(served)
    return files, tuple(entries), draw.choice((".", ".", "train.py", f"{name}.py"))
