"""ARCHITECTURE.md: whatever it names exists, and what it shows is what the program gives."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import finallayer

ROOT = Path(__file__).parents[1]
HOUSE = Path(finallayer.__file__).parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"^```(python|text|diff)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
PROSE = re.sub(r"^```.*?^```$", "", PAGE, flags=re.DOTALL | re.MULTILINE)
QUOTED = dict.fromkeys(re.findall(r"`([^`]+)`", PROSE))
PATHS = [q for q in QUOTED if re.fullmatch(r"[\w./]+\.(py|h|cpp|md)|[\w/]+/", q)]
DOTTED = [q for q in QUOTED if re.fullmatch(r"[a-z_]\w*(\.\w+)+", q) and q not in PATHS and not q.startswith("F.")]
FUNCTIONS = [q for q in QUOTED if re.fullmatch(r"\w+\(\)", q)]


def test_the_page_names_many_things() -> None:
    assert len(PATHS) > 40 and len(DOTTED) > 40 and len(FUNCTIONS) > 5


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path: str) -> None:
    assert (HOUSE / path).exists() or (ROOT / path).exists()


@pytest.mark.parametrize("dotted", DOTTED)
def test_a_name_exists(dotted: str) -> None:
    assert is_defined(dotted)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_the_kernel_exists(function: str) -> None:
    files = [*HOUSE.glob("kernels/*.h"), *HOUSE.glob("kernels/*.cpp")]
    assert any(re.search(rf"^[^/]*\b{function[:-2]}\(", file.read_text("utf-8"), re.MULTILINE) for file in files)


def is_defined(dotted: str) -> bool:
    """Whether a module below finallayer, and what is named in it, exist; nothing is imported: some need a framework."""
    parts = dotted.split(".")
    if parts[0] == "finallayer":
        parts = parts[1:]
    for cut in range(len(parts), 0, -1):
        base = HOUSE.joinpath(*parts[:cut])
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if file.exists():
            return _holds(ast.parse(file.read_text("utf-8")), parts[cut:])
    return False


def _holds(tree: ast.Module | ast.ClassDef, names: list[str]) -> bool:
    if not names:
        return True
    first, *rest = names
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) if name == first:
                return _holds(node, rest)
            case ast.FunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()) | ast.alias(name=name) if (
                name == first
            ):
                return not rest
    return False


@pytest.mark.parametrize(
    "dotted", ["expr.Knot", "fix.proof.proves", "rules.nothing", "source.interpreter.Interpreter.recall"]
)
def test_a_name_that_does_not_exist_is_seen(dotted: str) -> None:
    assert not is_defined(dotted)


def run(folder: Path, *arguments: str) -> str:
    (folder / "train.py").write_text(BLOCKS["python"])
    command = [sys.executable, "-m", "finallayer", *arguments, "train.py"]
    environment = {**os.environ, "PYTHONPATH": str(HOUSE.parent)}
    shown = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return shown.stdout


def test_the_finding_is_the_one_shown(tmp_path: Path) -> None:
    assert run(tmp_path, "check", "--no-cache").startswith(BLOCKS["text"])


def test_the_fix_is_the_one_shown(tmp_path: Path) -> None:
    assert BLOCKS["diff"] in run(tmp_path, "fix", "--diff")


def test_every_room_is_on_the_plan() -> None:
    rooms = {p.name + "/" * p.is_dir() for p in HOUSE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__.py", "__main__.py"} <= set(QUOTED)
