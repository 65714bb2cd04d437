"""Source and live agree: of every example of the rules that runs, both say the same of the lines that have run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.runnable import Found, examples, of_run, of_source

EXAMPLES = dict(examples())
#: Where they differ, by a line of the program: what live says besides, what it doesn't say, and why.
DIFFERENCES: dict[str, tuple[Found, Found, str]] = {
    "head = nn.Sequential(nn.Linear(16, 1), nn.Softmax(dim=-1))": (
        {(8, "FL105")},
        {(5, "FL105")},
        "source names the line where a layer is made that stands in a list",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_source_and_live_agree(name: str, tmp_path: Path) -> None:
    run = of_run(EXAMPLES[name], tmp_path / "example.py")
    said = {(line, code) for line, code in of_source(EXAMPLES[name]) if line in run.lines}
    known = [difference for line, difference in DIFFERENCES.items() if line in EXAMPLES[name]]
    more, less, _ = known[0] if known else (set(), set(), "")
    assert run.found == (said | more) - less
    if " good " in name:
        assert run.found == set()


def test_most_examples_run() -> None:
    assert len(EXAMPLES) >= 150
