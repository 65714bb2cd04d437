"""The plugin of pytest's: it audits the losses that a test suite minimises, and fails the run where it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import finallayer
from finallayer.testing import AuditedLosses, audited_losses

PLUGIN = "finallayer.testing"
SUITE = """\
import torch
import torch.nn.functional as F
from torch import nn

net, x, y = nn.Linear(4, 5), torch.ones(8, 4), torch.arange(8) % 5

def bad():
    return F.cross_entropy(F.softmax(net(x), 1), y)

def test_bad():
    bad().backward()

def test_bad_again():
    bad().backward()

def test_unstable():
    F.nll_loss(torch.log(F.softmax(net(x), 1)), y).backward()

def test_good():
    F.cross_entropy(net(x), y).backward()

def test_that_minimises_nothing():
    assert 1 + 1 == 2
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    (tmp_path / "test_suite.py").write_text(SUITE)
    return tmp_path


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    needless = ["-p", "no:cacheprovider", "-p", "no:pytest-lsp"]  # the latter takes a second to load
    command = [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, *needless, *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)


def test_what_is_found_is_told_once_with_the_test_that_met_it_first_and_fails_the_run(suite: Path) -> None:
    done = run(suite, "--audit-losses")
    assert done.returncode == 1, done.stderr
    assert "test_suite.py:8:12: FL101" in done.stdout and done.stdout.count("FL101") == 1
    assert "error, first met in test_suite.py::test_bad\n" in done.stdout
    assert "test_suite.py:17:16: FL201" in done.stdout
    assert "4 losses were audited, 2 findings." in done.stdout and "5 passed" in done.stdout


def test_workers_hand_on_what_they_have_found_and_what_counts_is_asked_for(suite: Path) -> None:
    done = run(suite, "--audit-losses=never", "-n", "1")
    assert done.returncode == 0, done.stdout
    assert "FL101" in done.stdout and "4 losses were audited, 2 findings." in done.stdout


def test_without_the_option_nothing_is_watched(suite: Path) -> None:
    done = run(suite)
    assert done.returncode == 0 and "audited" not in done.stdout


def test_a_test_asks_for_its_own_audits(audited_losses: AuditedLosses) -> None:
    torch = pytest.importorskip("torch")
    z = torch.zeros(8, 5, requires_grad=True)
    torch.nn.functional.cross_entropy(z.softmax(1), torch.arange(8) % 5).backward()
    assert [[f.rule.code for f in audit.findings] for audit in audited_losses] == [["FL101"]]
    with pytest.raises(AssertionError, match="FL101"):
        audited_losses.raise_for("error")


__all__ = ["audited_losses"]
