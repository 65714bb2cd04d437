"""What CI services run: the action's steps, the hooks, and the lines of docs/ci.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import finallayer

from .programs import CLEAN, DOUBLE

yaml = pytest.importorskip("yaml")
HERE = Path(__file__).parents[2]
ACTION = yaml.safe_load((HERE / "action.yml").read_text())
GUIDE = (HERE / "docs" / "ci.md").read_text()
#: The environment of a process that imports this finallayer.
OURS = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")


def blocks() -> list[Any]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)]


def step(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in ACTION["runs"]["steps"] if s["name"] == name)
    return found


def run(name: str, folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run one of the action's steps as a runner does: inputs replaced in ``env``, then bash."""
    given = {f"inputs.{key}": value["default"] for key, value in ACTION["inputs"].items()}
    given |= {f"inputs.{key}": value for key, value in inputs.items()}
    env = {k: EXPRESSION.sub(lambda m: given[m[1]], v) for k, v in step(name)["env"].items()}
    installed = folder / "runner" / "finallayer" / "bin"
    installed.mkdir(parents=True, exist_ok=True)
    command = installed / "finallayer"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m finallayer "$@"\n')
    command.chmod(0o755)
    runner = {"RUNNER_TEMP": str(folder / "runner"), "GITHUB_OUTPUT": str(folder / "output")}
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]]
    return subprocess.run(bash, cwd=folder, env={**OURS, **env, **runner}, capture_output=True, text=True)


def test_the_action_annotates_and_fails_where_there_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(DOUBLE)
    done = run("Check", tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("::error file=train.py,line=6,")
    (tmp_path / "train.py").write_text(CLEAN)
    assert run("Check", tmp_path).returncode == 0


def test_the_action_writes_sarif_whatever_is_found(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(DOUBLE)
    assert run("Write SARIF", tmp_path, args="--severity error train.py").returncode == 0
    (result,) = json.loads((tmp_path / "finallayer.sarif").read_text())["runs"][0]["results"]
    assert result["ruleId"] == "FL101"
    assert (tmp_path / "output").read_text() == "file=finallayer.sarif\n"


def test_what_the_action_is_given_is_never_evaluated(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(CLEAN)
    run("Check", tmp_path, args="train.py ; touch ran $(touch ran) `touch ran` *")
    assert not (tmp_path / "ran").exists()
    assert all("${{" not in s.get("run", "") for s in ACTION["runs"]["steps"])


def test_every_step_has_what_a_composite_action_needs() -> None:
    for each in ACTION["runs"]["steps"]:
        assert ("uses" in each) != (each.get("shell") == "bash")
    assert subprocess.run(["bash", "-n", "-c", step("Install finallayer")["run"]]).returncode == 0


def test_the_guide_gives_the_action_inputs_that_it_has() -> None:
    (use,) = [s for s in blocks()[0]["jobs"]["finallayer"]["steps"] if "with" in s]
    assert set(use["with"]) <= set(ACTION["inputs"])


def test_the_guides_commands_are_ours(tmp_path: Path) -> None:
    """Every ``finallayer check`` line of the guide is understood, and does what its sentence says."""
    (tmp_path / "train.py").write_text(DOUBLE)
    line = next(s for s in blocks()[1]["finallayer"]["script"] if s.startswith("finallayer"))
    command = line.replace("finallayer", f'"{sys.executable}" -P -m finallayer', 1)
    assert subprocess.run(["bash", "-ec", command], cwd=tmp_path, env=OURS).returncode == 0
    assert json.loads((tmp_path / "gl-code-quality-report.json").read_text())[0]["check_name"] == "FL101"


def test_the_hooks_of_the_guide_exist_and_run_our_verbs() -> None:
    hooks = {h["id"]: h for h in yaml.safe_load((HERE / ".pre-commit-hooks.yaml").read_text())}
    assert {h["id"] for h in blocks()[2][0]["hooks"]} <= set(hooks) == {"finallayer", "finallayer-fix"}
    assert hooks["finallayer"]["entry"] == "finallayer check"
    assert hooks["finallayer-fix"]["entry"] == "finallayer check --fix --exit-non-zero-on-fix"
