"""pyproject.toml and what stands beside it: said once, and true."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import finallayer

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]


def test_the_version_is_said_in_one_place() -> None:
    assert "version" not in PROJECT and PROJECT["dynamic"] == ["version"]
    source = ROOT / PYPROJECT["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'^__version__ = "(.+)"$', source.read_text("utf-8"), re.M) == [finallayer.__version__]


def test_every_dependency_has_a_lower_bound_that_ci_tries() -> None:
    """Of the tests' own tools, whichever is newest is used."""
    extras = {name: stated for name, stated in PROJECT["optional-dependencies"].items() if name != "test"}
    stated = [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]
    bounded = {one for one in stated if not one.startswith("finallayer[")}
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", one) for one in bounded)
    command = [sys.executable, str(ROOT / ".ci" / "lowest.py")]
    tried = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert set(tried) == {one.replace(">=", "==") for one in bounded}


def test_the_changelog_knows_this_version_and_what_comes() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.M)[:2] == ["Unreleased", finallayer.__version__]


def test_links_between_pages_lead_somewhere() -> None:
    for page in ROOT.glob("*.md"):
        links = re.findall(r"\]\(([\w./-]+)\)", page.read_text("utf-8"))
        assert [link for link in links if not (ROOT / link).exists()] == [], page.name


def test_each_promise_of_the_security_page_names_the_tests_that_hold_it() -> None:
    rows = re.findall(r"^\| (?!promise|---)(.+?) \| (.+?) \|$", (ROOT / "SECURITY.md").read_text("utf-8"), re.M)
    assert len(rows) >= 8
    for _, held_by in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", held_by)
        assert named and all((ROOT / path).exists() for path in named)


def test_our_own_hooks_run_what_is_installed_for_the_tests() -> None:
    commands = set(re.findall(r"^ +entry: (\S+)", (ROOT / ".pre-commit-config.yaml").read_text("utf-8"), re.M))
    assert commands == {"ruff", "mypy", "finallayer"} <= {*PROJECT["optional-dependencies"]["test"], "finallayer"}
