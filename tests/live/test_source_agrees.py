"""Source and live agree: of every example of the rules that runs, both say the same of the lines that have run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.runnable import Found, Run, examples, of_run, of_source

EXAMPLES = dict(examples())
OF_JAX = dict(examples("jax"))
#: Where they differ, by a line of the program: what live says besides, what it doesn't say, and why.
DIFFERENCES: dict[str, tuple[Found, Found, str]] = {
    "head = nn.Sequential(nn.Linear(16, 1), nn.Softmax(dim=-1))": (
        {(8, "FL105")},
        {(5, "FL105")},
        "source names the line where a layer is made that stands in a list",
    ),
    "    accuracy = jnp.mean((logits > 0.5) == y)  # FL108": (
        set(),
        {(8, "FL108")},
        "nor has it the loss that says what the accuracy reads",
    ),
    "    positive = torch.exp(torch.diag(scores))": (
        {(10, "FL201"), (10, "FL204")},
        {(10, "FL207")},
        "source doesn't know which entries `diag` takes of what; that they are those of a softmax shows in the run",
    ),
    "    return optax.softmax_cross_entropy(scores, y).mean()  # FL106": (
        set(),
        {(7, "FL106")},
        "a jaxpr has no loss of Optax's, only the formula: a log_softmax of what a sigmoid gives",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_source_and_live_agree(name: str, tmp_path: Path) -> None:
    agree(name, EXAMPLES[name], of_run(EXAMPLES[name], tmp_path / "example.py"))


@pytest.mark.parametrize("name", OF_JAX)
def test_source_and_live_agree_of_jax(name: str, tmp_path: Path) -> None:
    jnp = pytest.importorskip("jax.numpy")
    run = of_run(OF_JAX[name], tmp_path / "example.py", lambda tensor: jnp.asarray(tensor.numpy()))
    agree(name, OF_JAX[name], run)


def agree(name: str, text: str, run: Run) -> None:
    """Both say the same of the lines that have run, but for the differences that are known."""
    said = {(line, code) for line, code in of_source(text) if line in run.lines}
    known = [difference for line, difference in DIFFERENCES.items() if line in text]
    more, less, _ = known[0] if known else (set(), set(), "")
    assert run.found == (said | more) - less
    if " good " in name:
        assert run.found == set()


def test_most_examples_run() -> None:
    assert len(EXAMPLES) >= 150 and len(OF_JAX) >= 30
