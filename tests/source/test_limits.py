"""Programs that would take for ever, or all memory, if they were run: the analysis takes a moment, and sees the loss.

Each doubles what it holds in loops that are unrolled, asks for a text of a gigabyte, computes with what no tensor can
hold, or nests what the rules, and the fixers, go through.
"""

from __future__ import annotations

import time

import pytest

from finallayer.check.chunk import contexts
from finallayer.check.judge import Analysis, analyse
from finallayer.source import Project

#: Processor seconds that are too many: each of these takes a tenth of it, and took minutes or all memory before.
TOO_MANY = 5.0

START = """\
from functools import partial
import torch
from torch import nn
import torch.nn.functional as F
fc = nn.Linear(3, 3)
z = fc(x)
p = F.softmax(z, 1)
"""
#: The double softmax that every program ends with: FL101, in its last line.
LOSS = "\nF.cross_entropy(p, y)\n"
LOOPS = "for i in range(24):\n for j in range(24):\n  for k in range(4):\n   "

PROGRAMS = {
    # doubled
    "a tuple of itself": "t = (1,)\n" + LOOPS + "t = (t, t)",
    "a tuple and itself": "t = (1,)\n" + LOOPS + "t = t + t",
    "a tuple unpacked twice": "t = (1,)\n" + LOOPS + "t = (*t, *t)",
    "arguments handed on twice": "def f(*a):\n  return a\nt = (1,)\n" + LOOPS + "t = f(t, t)",
    "a list and itself": "t = [1]\n" + LOOPS + "t = t + t",
    "a list thirty times": "t = [1]\n" + LOOPS + "t = t * 30",
    "a list unpacked twice": "t = [1]\n" + LOOPS + "t = [*t, *t]",
    "a list extended by itself": "t = [1]\n" + LOOPS + "t.extend(t)",
    "a list of itself": "t = [p]\nfor i in range(24):\n t = [t, t]",
    "a list in itself": "t = [p]\nt.append(t)\nfor i in range(24):\n t = [t, t]",
    "a text and itself": "t = 'a'\n" + LOOPS + "t = t + t",
    "a text formatted twice": "t = 'a'\n" + LOOPS + "t = f'{t}{t}'",
    "a text put in twice": "t = 'a'\n" + LOOPS + "t = '{}{}'.format(t, t)",
    "a number squared": "t = 3\n" + LOOPS + "t = t * t",
    "a partial function of itself": "f = fc\n" + "f = partial(f, *(f, f), a=f)\n" * 60 + "q = f if a else z\nf(z)",
    "a choice of choices": "t = (p, z)\n" + "t = t if a else (t, t)\n" * 60,
    # many
    "a large dictionary, item by item": f"d = {dict.fromkeys(range(8000))}\n" + "q = d[u]\n" * 200,
    "a large dictionary of pairs": f"d = { ({i: (i, i) for i in range(3000)}) }\n" + "q = d[u]\n" * 200,
    "a large table": f"d = {[(i, i) for i in range(4000)]}\n" + "q = d[u]\n" * 200,
    "a deep model, often": "m = nn.Sequential(" + "fc, " * 3000 + ")\n" + "m(x)\n" * 8,
    "a dictionary with keys that nobody knows": "d = {}\nif a:\n  d[u] = 0\n" + "if a:\n  d[u] = f(d[u])\n" * 800,
    # texts and numbers
    "a text of a gigabyte": "t = '%999999999d' % 5\nt = '%*d' % (5, 5)\nt = '{:999999999}'.format(5)",
    "a text that can't be formatted": "t = '{0.foo}'.format(5)\nt = '{0[a]}'.format('s')\nt = '{'.format(5)",
    "an integer of 4,000 digits": f"t = {'9' * 4000}\nq = t * z, z + t, z > t, -t * z, z / t\ns = f'{{t * t}}'",
    "a key that each branch takes out": "d = {}\nif a:\n  d[1] = 1\n  d.pop(1)\nelse:\n  d[1] = 2\n  d.pop(1)",
    "a key that is gone after the branch that goes on": "d = {}\nif a:\n  d[1] = 1\n  d.pop(1)\nelse:\n  raise E",
    "infinity": "t = ~1e999\nt = ~(1e999 - 1e999)\nq = torch.log(torch.clamp(p, 1e999)) + 1e999",
}
#: What nests: the last value is p, by many ways.
NESTED = {
    "sums": "z = z + fc(z)\n" * 1000 + "p = F.softmax(z, 1)",
    "sums with themselves": "z = z + z\n" * 200 + "p = F.softmax(z, 1)",
    "either of two": "p = torch.where(a, p, p)\n" * 100,
    "put together": "p = torch.cat([p, p])\n" * 100,
}


def analysed(program: str, fixes: bool) -> Analysis:
    start = time.process_time()
    project = Project()
    analysis = analyse("program.py", project, program.encode(), contexts(project) if fixes else None)
    assert time.process_time() - start < TOO_MANY
    assert not analysis.notes
    return analysis


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_what_grows_is_let_go(program: str) -> None:
    program = START + program + LOSS
    analysis = analysed(program, fixes=False)
    assert program.count("\n") in {f.origin.line for f in analysis.findings if f.rule.code == "FL101"}


@pytest.mark.parametrize("program", NESTED.values(), ids=NESTED)
def test_what_nests_is_gone_through_once(program: str) -> None:
    program = START + program + LOSS
    analysis = analysed(program, fixes=True)
    assert program.count("\n") in {f.origin.line for f in analysis.findings}
