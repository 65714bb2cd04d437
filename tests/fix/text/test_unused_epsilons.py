"""A name for an epsilon, or a parameter, goes with the last log that it kept finite, where nothing else may read it."""

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


HELPER = "def loss(z, y{parameter}):\n    return -torch.log(torch.softmax(z, dim=1) + {name})[y].mean()\n\n\n"
MENDED_HELPER = "def loss(z, y{parameter}):\n    return -torch.log_softmax(z, dim=1)[y].mean()\n\n\n"
STEP = "def step(net, x, y):\n    return loss(net(x), y{given})\n"

#: the parameters, what a call gives, what else the file says, and the parameters afterwards
PARAMETERS = {
    "left at its default": (", eps=1e-8", "", "", ""),
    "behind another that has one": (", *, eps=1e-8", "", "", ", *, eps=1e-8"),
    "handed by name": (", eps=1e-8", ", eps=1e-6", "", ", eps=1e-8"),
    "handed by place": (", eps=1e-8", ", 1e-6", "", ", eps=1e-8"),
    "of a function that is handed on": (", eps=1e-8", "", "\n\nsame = loss\n", ", eps=1e-8"),
    "of a function that a text names": (", eps=1e-8", "", '\n\nprint(globals()["loss"])\n', ", eps=1e-8"),
}


@pytest.mark.parametrize(("before", "given", "behind", "after"), PARAMETERS.values(), ids=PARAMETERS)
def test_what_becomes_of_a_parameter(before: str, given: str, behind: str, after: str, tmp_path: Path) -> None:
    step = STEP.format(given=given) + behind
    program = IMPORT + HELPER.format(parameter=before, name="eps") + step
    assert fixed(tmp_path, program) == IMPORT + MENDED_HELPER.format(parameter=after) + step


def test_a_function_that_nobody_calls_here_keeps_its_parameter(tmp_path: Path) -> None:
    program = IMPORT + HELPER.format(parameter=", eps=1e-8", name="eps").rstrip() + "\n"
    assert ", eps=1e-8" in fixed(tmp_path, program)


def test_a_file_that_imports_the_function_keeps_its_parameter(tmp_path: Path) -> None:
    helper = HELPER.format(parameter=", eps=1e-8", name="eps")
    (tmp_path / "losses.py").write_text(IMPORT + helper + STEP.format(given=""))
    (tmp_path / "user.py").write_text("from losses import loss\n\nprint(loss)\n")
    assert all(b", eps=1e-8):" in new for document, new in repaired_together([tmp_path]).changed)
