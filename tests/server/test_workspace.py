"""What the server knows between two requests, while one thread analyses and another hears what has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pygls")

from finallayer.check import judge
from finallayer.server import workspace
from finallayer.server.opened import Text
from finallayer.server.workspace import Analyses

RIGHT = "import torch\n\n\ndef model(z):\n    return z\n"
WRONG = RIGHT.replace("return z", "return torch.softmax(z, 1)")
TRAIN = """\
import torch
from model import model


def step(z, y):
    return torch.nn.functional.cross_entropy(model(z), y)
"""


@pytest.fixture
def train(tmp_path: Path) -> Text:
    (tmp_path / "model.py").write_text(RIGHT)
    file = tmp_path / "train.py"
    return Text(str(file), file.as_uri(), TRAIN)


def rules_of(analyses: Analyses, text: Text) -> list[str]:
    found, _ = analyses.check(text.path)
    return [f.rule.code for f in found]


def test_a_file_on_disk_is_read_again_when_it_is_said_to_have_changed(train: Text) -> None:
    analyses = Analyses()
    analyses.put(train)
    assert rules_of(analyses, train) == []
    Path(train.path).with_name("model.py").write_text(WRONG)
    analyses.look_again()
    assert rules_of(analyses, train) == ["FL101"]


def test_what_an_analysis_has_read_before_that_is_not_kept(train: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    analyses = Analyses()

    def interrupted(*arguments: Any) -> Any:
        """The file changes, and that is heard, when its analysis has read it."""
        found = judge.analyse(*arguments)
        Path(train.path).with_name("model.py").write_text(WRONG)
        analyses.look_again()
        return found

    analyses.put(train)
    with monkeypatch.context() as during:
        during.setattr(workspace, "analyse", interrupted)
        assert rules_of(analyses, train) == []
    assert rules_of(analyses, train) == ["FL101"]


def test_what_is_open_counts_and_not_what_is_on_disk(train: Text) -> None:
    analyses = Analyses()
    analyses.put(train)
    file = Path(train.path).with_name("model.py")
    analyses.put(Text(str(file), file.as_uri(), WRONG))
    assert rules_of(analyses, train) == ["FL101"]
    analyses.drop(str(file))
    assert rules_of(analyses, train) == []


def test_fixes_are_worked_out_once_a_version(train: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    analyses = Analyses()
    asked: list[Any] = []

    def found_in(*arguments: Any) -> tuple[()]:
        asked.append(arguments)
        return ()

    monkeypatch.setattr(workspace, "found_in", found_in)
    analyses.put(train)
    assert analyses.with_fixes(train.path) == analyses.with_fixes(train.path) == ()
    assert len(asked) == 1
    analyses.put(Text(train.path, train.uri, TRAIN + "\n"))
    analyses.with_fixes(train.path)
    assert len(asked) == 2
