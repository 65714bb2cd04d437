"""What costs too much is left out and told; all around it is analysed all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.check.chunk import analyse_chunk
from finallayer.check.judge import TOO_LONG, Analysis, analyse
from finallayer.source import Project, budget, interpret, interpreter
from finallayer.source.budget import Shortfall
from finallayer.source.files import SourceFile

START = """\
import torch
from torch import nn
import torch.nn.functional as F
net = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))
"""
STEP = "def step(x, y):\n    return F.cross_entropy(net(x), y)\n"
#: Four loops within each other, each of a length that is run item by item.
LOOPS = "".join("    " * depth + f"for {name} in range(24):\n" for depth, name in enumerate("abcd"))
#: The same where no loop helps: calls that double at each level.
DOUBLED = "def f0(t): return t\n" + "".join(f"def f{n}(t): return f{n - 1}(f{n - 1}(t))\n" for n in range(1, 18))


@pytest.fixture(autouse=True)
def _a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every bound on steps: what runs out of them does so in a tenth of the time."""
    for name in ("MOST_STEPS", "LEAST_STEPS_ALONE", "MOST_STEPS_ALONE", "MOST_STEPS_COARSELY", "MOST_STEPS_ALTOGETHER"):
        monkeypatch.setattr(budget, name, getattr(budget, name) // 10)
    monkeypatch.setattr(interpreter, "MOST_STEPS_COARSELY", budget.MOST_STEPS_COARSELY)


def analysed(program: str) -> Analysis:
    return analyse("program.py", Project(), program.encode())


def left_out(program: str) -> set[tuple[Shortfall, int]]:
    budget = interpret(SourceFile("program.py", program), Project()).budget
    return {(why, place.line) for why, places in budget.shortfalls() for place in places}


def steps(program: str) -> int:
    return interpret(SourceFile("program.py", program), Project()).budget.steps


def found(analysis: Analysis) -> list[tuple[str, int]]:
    return [(f.rule.code, f.origin.line) for f in analysis.findings]


def last_line(program: str) -> int:
    return program.count("\n")


def test_loops_that_cost_too_much_are_run_once() -> None:
    program = START + LOOPS + "                t = a + b * c - d\n" + STEP
    analysis = analysed(program)
    assert found(analysis) == [("FL101", last_line(program))]
    assert not analysis.in_part


@pytest.mark.parametrize("behind", [STEP, "x = torch.ones(1, 8)\nF.cross_entropy(net(x), y)\n"], ids=["def", "run"])
def test_a_statement_that_costs_too_much_is_told_and_what_follows_is_analysed(behind: str) -> None:
    program = START + DOUBLED + "f17(0)\n" + behind
    analysis = analysed(program)
    assert ("FL101", last_line(program)) in found(analysis)
    assert (Shortfall.STEPS, last_line(START + DOUBLED) + 1) in left_out(program)
    assert "takes more steps than it may" in analysis.notes[0]
    assert analysis.in_part


def test_a_function_that_costs_too_much_takes_nothing_from_the_others() -> None:
    costly = DOUBLED + "def first(x):\n    return f17(x)\n"
    program = START + costly + STEP
    analysis = analysed(program)
    assert ("FL101", last_line(program)) in found(analysis)
    assert (Shortfall.STEPS, last_line(START + costly) - 1) in left_out(program)


def test_what_a_statement_binds_that_was_left_out_is_not_known_any_more() -> None:
    program = START + DOUBLED + "net = nn.Linear(8, f17(3))\n" + STEP
    analysis = analysed(program)
    assert not analysis.findings
    assert analysis.in_part


def test_a_whole_file_has_a_bound() -> None:
    costly = "".join(f"def g{n}(x):\n    return f17(x)\n" for n in range(60))
    program = START + DOUBLED + costly
    assert {line for _, line in left_out(program)} > set(range(last_line(START + DOUBLED) + 1, last_line(program), 2))


def test_a_statement_that_is_nested_too_deeply_is_told() -> None:
    program = START + "t = " + "(" * 60 + "1" + ")" * 60 + "+ 1" * 600 + "\n" + STEP
    analysis = analysed(program)
    assert ("FL101", last_line(program)) in found(analysis)
    assert f"line {last_line(START) + 1} is nested too deeply" in analysis.notes[0]


def test_calls_that_nest_too_deeply_are_told() -> None:
    chain = "def h0(x): return x\n" + "".join(f"def h{n}(x): return h{n - 1}(x)\n" for n in range(1, 30))
    analysis = analysed(START + chain + "h29(net)\n")
    assert f"line {last_line(START + chain) + 1} calls functions nested too deeply" in analysis.notes[0]
    assert not analysis.in_part


def test_an_import_costs_nothing_where_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import torch.nn\ndef f(t):\n    return t\n" + "t = [1 + 2 - 3 * 4]\n" * 300)
    train = tmp_path / "train.py"
    program = START + "def step(x, y):\n    import helper\n    return F.cross_entropy(helper.f(net(x)), y)\n"
    analysis = analyse(str(train), Project(), program.encode())
    assert found(analysis) == [("FL101", last_line(program))]
    assert not analysis.notes


def test_an_object_that_costs_too_much_is_not_made_again_for_each_of_its_methods() -> None:
    made = START + DOUBLED + "class Costly:\n    def __init__(self, t):\n        self.t = f17(t)\n"
    methods = [f"    def m{n}(self, x):\n        return x + {n}\n" for n in range(40)]
    one, all_of_them = (made + "".join(some) + STEP for some in (methods[:1], methods))
    more = steps(all_of_them) - steps(one)
    assert more < budget.MOST_STEPS_ALONE + budget.MOST_STEPS_COARSELY
    first = last_line(made) + 1
    told = {line for _, line in left_out(all_of_them)}
    assert told >= set(range(first, first + 2 * len(methods), 2))  # of every method all the same
    assert ("FL101", last_line(all_of_them)) in found(analysed(all_of_them))


@pytest.mark.parametrize(
    "costly", ["def build():\n    return f17(0)\n", "class build:\n    def __init__(self):\n        self.t = f17(0)\n"]
)
def test_what_is_done_alike_runs_out_but_once(costly: str) -> None:
    program = START + DOUBLED + costly
    callers = [f"def m{n}(x):\n    build()\n    return F.cross_entropy(net(x), y{n})\n" for n in range(8)]
    more = steps(program + "".join(callers)) - steps(program + callers[0])
    assert more < 8 * 100
    told = {line for _, line in left_out(program + "".join(callers))}
    assert told >= set(range(last_line(program) + 1, last_line(program + "".join(callers)), 3))  # of every caller


def test_what_is_asked_for_less_may_be_done() -> None:
    program = START + "def f(n):\n    t = 0\n" + LOOPS.replace("range(24)", "range(n)", 4)
    program = "\n".join(line if "range(n)" not in line else "    " + line for line in program.split("\n"))
    program += "                    t = a + b * c - d\n    return t\n"
    behind = "    return F.cross_entropy(net(x), y)\n"
    program += f"def large(x, y):\n    f(24)\n{behind}def small(x, y):\n    f(2)\n{behind}"
    assert ("FL101", last_line(program)) in found(analysed(program))


WRAPPED = """\
class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


"""
#: What is given up without a cost -> the program that makes it, and what the note says.
GIVEN_UP = {
    "a softmax behind many rounds": (
        "def f(t, n):\n    return F.softmax(t, 1) if n == 0 else f(t, n - 1)\n"
        "def step(x, y):\n    return F.cross_entropy(f(x, 9), y)\n",
        "calls itself, and what that gives after two rounds is not known",
    ),
    "models in models": (
        WRAPPED + "for _ in range(9):\n    net = Wrapped(net)\n" + STEP,
        "calls itself, and what that gives after two rounds is not known",
    ),
    "functions in functions": (
        "".join("    " * n + f"def f{n}(t, y):\n" for n in range(10))
        + "    " * 10
        + "return F.cross_entropy(net(t), y)\n",
        "defines functions in each other, and the innermost were not run",
    ),
    "heirs of heirs": (
        "class C0(nn.Softmax): pass\n" + "".join(f"class C{n}(C{n - 1}): pass\n" for n in range(1, 300)),
        "derives from more classes than are looked through",
    ),
}


@pytest.mark.parametrize("what", GIVEN_UP)
def test_what_is_given_up_is_told(what: str) -> None:
    program, said = GIVEN_UP[what]
    analysis = analysed(START + program)
    assert any(said in note for note in analysis.notes) and not analysis.in_part


#: What calls itself -> whether a loss may be handed what that gives after some rounds.
RECURSIVE = {
    "def flat(t):\n    return [flat(u) for u in t] if isinstance(t, list) else t\nflat(x)\n": False,
    # a decision tree: entropies of counts, and what widens an array
    "import math\nimport numpy as np\n"
    "class Tree:\n    def _entropy(self, y):\n        return -sum(q * math.log(q) for q in y)\n"
    "    def grow(self, t):\n        t = np.expand_dims(t, 1) * np.log(len(t)) + self._entropy(t)\n"
    "        logger.log(20, self.expand)\n        return (self.grow(t[:1]), self.grow(t[1:]))\nTree().grow(x)\n": False,
    "def f(t, n):\n    return t if n == 0 else f(torch.log(t), n - 1)\nf(x, 9)\n": True,
    "def f(t, n):\n    return t if n == 0 else f(t.exp(), n - 1)\nf(x, 9)\n": True,
    "def f(t, n):\n    return t if n == 0 else f(my_cross_entropy(t), n - 1)\nf(x, 9)\n": True,
}


@pytest.mark.parametrize("program", RECURSIVE)
def test_of_what_calls_itself_only_that_is_told_which_a_loss_may_be_handed(program: str) -> None:
    assert any("calls itself" in note for note in analysed(START + program + STEP).notes) == RECURSIVE[program]


BROKEN = {
    "not Python": b"import torch\nx = (\n",
    "not text": b"\xff\xfe\x00",
    "a link to nowhere": None,
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_module_that_can_not_be_read_is_told_where_it_is_imported(tmp_path: Path, broken: str) -> None:
    data = BROKEN[broken]
    if data is None:
        (tmp_path / "model.py").symlink_to("nowhere")
    else:
        (tmp_path / "model.py").write_bytes(data)
    program = START + "from model import head\n\n" + STEP.replace("net(x)", "head(net(x))")
    analysis = analyse(str(tmp_path / "train.py"), Project(), program.encode())
    assert analysis.notes == ("analysed in part: it imports model, which can't be read",) and not analysis.in_part


def test_a_program_of_very_many_steps_gets_no_fixes_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text(START + STEP)
    paths = [str(tmp_path / "train.py")]
    assert analyse_chunk(paths, fixes=True)[0].findings[0].fix is not None
    monkeypatch.setattr("finallayer.check.judge.MOST_STEPS_TO_FIX", 5)
    [finding] = analyse_chunk(paths, fixes=True)[0].findings
    assert finding.fix is None and finding.unfixed == TOO_LONG
