"""CONTRIBUTING.md: every recipe, applied to a copy of the source, does what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
RECIPES: dict[str, str] = dict(
    re.findall(r"^## (\w[\w ]*)\n(?:(?!^## ).)*?^```diff\n(.*?)^```$", PAGE, re.M | re.S)  # title, diff
)
CLIPPED = """\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 4)


def step(x, y):
    return F.cross_entropy(net(x).clamp(-10, 10), y)
"""
CUBE_ROOT = """\
import numpy as np


def loss(w, x, y):
    z = np.cbrt(x @ w)
    return np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[y]
"""
ALIAS = """\
import oneflow


def step(net, x, y):
    return oneflow.nn.functional.cross_entropy(oneflow.softmax(net(x), dim=1), y)
"""
NAMED = """\
import torch


def loss(net, x, y, jitter):
    return -(y * torch.log(torch.softmax(net(x), 1) + jitter)).sum()
"""
JSON = ["check", "--no-cache", "--output-format", "json"]
#: recipe -> a program, a command, and what it prints with the recipe, but not without
SHOWS = {
    "A rule": (CLIPPED, ["check", "--no-cache"], "8:12: FL299"),
    "A fixer": (CLIPPED, ["fix", "--diff"], "+    return F.cross_entropy(net(x), y)"),
    "An operation": (CUBE_ROOT, JSON, "softmax(cbrt("),
    "A framework": (ALIAS, ["check", "--no-cache"], "FL101"),
    "A convention": (NAMED, ["check", "--no-cache"], "FL203"),
    "A head": ("", ["compare", "--help"], "smoothed"),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source and its tests, with every recipe applied."""
    copy = tmp_path_factory.mktemp("house")
    leave_out = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=leave_out)
    for title, diff in RECIPES.items():
        command = ["git", "apply", "--whitespace=nowarn", "-"]
        done = subprocess.run(command, cwd=copy, input=diff, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{title}: {done.stderr}"
    return copy


def shown(house: Path, program: Path, arguments: list[str]) -> str:
    """What the command prints of a program, by the finallayer of a house."""
    start = f"import sys; sys.path.insert(0, {str(house / 'src')!r}); from finallayer.cli import main; main()"
    command = [sys.executable, "-c", start, *arguments, *([str(program)] if program.read_text() else [])]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout


def test_there_is_a_recipe_for_each_thing_that_is_added() -> None:
    assert [*RECIPES] == [*SHOWS, "A kernel"]


@pytest.mark.parametrize("title", SHOWS)
def test_a_recipe_does_what_it_says(house: Path, tmp_path: Path, title: str) -> None:
    text, arguments, expected = SHOWS[title]
    program = tmp_path / "program.py"
    program.write_text(text)
    assert expected in shown(house, program, arguments)
    assert expected not in shown(ROOT, program, arguments)


def test_the_tests_of_what_is_added_come_with_it(house: Path) -> None:
    added = "FL299 or jitter or cbrt"
    folders = ["tests/rules/test_examples.py", "tests/fix/test_examples_of_rules.py", "tests/catalog"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", added, *folders]
    start = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(house / 'src')!r}); import pytest; "]
    start[-1] += f"sys.exit(pytest.main({command[3:]}))"
    done = subprocess.run(start, cwd=house, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 12


def test_every_file_and_folder_that_is_named_exists() -> None:
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.M | re.S)
    named = re.findall(r"[`(]([\w./]+(?:\.(?:py|md|cpp|toml)|/))[`)]", prose)
    assert len(named) >= 10
    assert [path for path in named if not (ROOT / path).exists()] == []
