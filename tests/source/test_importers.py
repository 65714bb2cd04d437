"""Who imports a file: found as Python would find it, wherever in the project it lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finallayer.source.importers import Importers, root_of


def project(root: Path, **files: str) -> Importers:
    for name, text in files.items():
        file = root / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return Importers(root)


def importing(root: Path, index: Importers, name: str) -> dict[str, bool]:
    return {Path(i.path).relative_to(root).as_posix(): i.certain for i in index.of(str(root / name))}


@pytest.mark.parametrize(
    ("program", "certain"),
    [
        ("import parts.net", True),
        ("from parts import net as n, other", True),
        ("from parts.net import (\n    A,\n    B,\n)", True),
        ("def late():\n    from parts.net import A", True),
        ("import importlib\nm = importlib.import_module('parts.net')", True),
        ("m = __import__('parts.net')", True),
        ("\ufefffrom parts.net import A", True),  # a byte order mark
        ("\ufeffimport parts.net", True),
        ("from parts.net \\\r    import A\rx = 1\r", True),  # lines that end as an old Mac's
        ("from importlib import import_module as im\nm = im('parts.net')", True),
        ("m = importlib.import_module(name='parts.net')", True),
        ("m = importlib.import_module (r'parts.net')", True),
        ("import runpy\nrunpy.run_module('parts.net')", True),
        ("from elsewhere.parts import net", None),
        ("import parts.network", None),
        ("import net", False),
        ("import torch.net", None),
    ],
)
def test_an_import_leads_to_a_file_or_may(tmp_path: Path, program: str, certain: bool | None) -> None:
    index = project(tmp_path, parts__net="", parts__network="", main=program)
    assert importing(tmp_path, index, "parts/net.py").get("main.py") is certain


def test_a_package_is_imported_by_its_modules_importers(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("from .net import A\n")
    index = project(tmp_path, parts__net="", parts__use="from . import net\n", main="from parts import A\n")
    assert importing(tmp_path, index, "parts/__init__.py") == {"main.py": True, "parts/use.py": True}
    assert importing(tmp_path, index, "parts/net.py") == {"parts/__init__.py": True, "parts/use.py": True}


def test_a_notebook_imports_or_runs_a_file(tmp_path: Path) -> None:
    for name, lines in {"a": ["from net import A\n", "A()"], "b": ["%run -i net.py\n"], "c": ["nothing"]}.items():
        cells = [{"cell_type": "code", "source": lines, "metadata": {}, "outputs": []}]
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}))
    assert importing(tmp_path, project(tmp_path, net=""), "net.py") == {"a.ipynb": True, "b.ipynb": True}


@pytest.mark.parametrize("folder", ["site-packages", ".venv", "node_modules", "build"])
def test_other_peoples_code_is_not_entered(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "a.py").write_text("import net\n")
    assert importing(tmp_path, project(tmp_path, net=""), "net.py") == {}


def test_the_root_is_the_repository_else_the_package_else_the_common_folder(tmp_path: Path) -> None:
    files = [str(tmp_path / "top" / "a" / "b" / "c.py"), str(tmp_path / "top" / "a" / "d.py")]
    (tmp_path / "top" / "a" / "b").mkdir(parents=True)
    assert root_of(files) == tmp_path / "top" / "a"
    (tmp_path / "top" / "a" / "pyproject.toml").touch()
    (tmp_path / "top" / ".git").mkdir()
    assert root_of(files) == tmp_path / "top"
