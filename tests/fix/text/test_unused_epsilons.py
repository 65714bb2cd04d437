"""A name for an epsilon goes with the last log that was kept finite by it, where nothing else may read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired_together

LOSS = "def loss(z, y):\n    return -torch.log(torch.softmax(z, dim=1) + {name})[y].mean()\n"
MENDED = "def loss(z, y):\n    return -torch.log_softmax(z, dim=1)[y].mean()\n"
IMPORT = "import torch\n\n"

#: what stands before the loss, behind it, and before it afterwards
NAMES = {
    "read by the loss alone": ("eps = 1e-8\n", "", ""),
    "read by somebody else": ("eps = 1e-8\n", "print(eps)\n", "eps = 1e-8\n"),
    "a number that is more than a guard": ("eps = 1e-8\nmargin = 0.5\n", "", "margin = 0.5\n"),
    "named in a text": ("eps = 1e-8\n", 'print(globals()["eps"])\n', "eps = 1e-8\n"),
    "never read": ("eps = 1e-8\nepsilon = 1e-8\n", "", "epsilon = 1e-8\n"),
}


@pytest.mark.parametrize(("before", "behind", "after"), NAMES.values(), ids=NAMES)
def test_what_becomes_of_the_name(before: str, behind: str, after: str, tmp_path: Path) -> None:
    program = IMPORT + before + LOSS.format(name="eps") + behind
    assert fixed(tmp_path, program) == IMPORT + after + MENDED + behind


def test_a_file_that_imports_it_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "losses.py").write_text(IMPORT + "eps = 1e-8\n" + LOSS.format(name="eps"))
    (tmp_path / "user.py").write_text("from losses import eps\n\nprint(eps)\n")
    (change,) = repaired_together([tmp_path]).changed
    assert b"eps = 1e-8" in change[1]
