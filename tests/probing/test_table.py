"""The table of docs/probe.md: some of its numbers, measured again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("probe_table", ROOT / "benchmarks" / "probe_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["`cross_entropy`", "`log(softmax(z).clamp(1e-7))`", "`cross_entropy(softmax(z))`"])
def test_a_row_is_what_the_loss_gets(name: str) -> None:
    pytest.importorskip("torch")
    from finallayer import probe

    module = benchmark()
    card = probe(module.torch()[name], framework="torch").as_dict()
    wanted = module.row("torch", name, card).split(" | ")
    (row,) = [line for line in module.PAGE.read_text("utf-8").splitlines() if line.startswith(f"| torch: {name} |")]
    got = row.split(" | ")
    assert len(got) == len(wanted) == 8
    assert got[1] == wanted[1] and got[7] == wanted[7]  # safe margin and floor; the rest may differ with the processor
    assert got[2][:2] == wanted[2][:2]


def test_every_group_has_its_rows() -> None:
    module = benchmark()
    lines = module.PAGE.read_text("utf-8").splitlines()
    assert all(any(line.startswith(f"| {group}: ") for line in lines) for group in module.GROUPS)
