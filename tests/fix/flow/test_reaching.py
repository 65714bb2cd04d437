"""What is looked through for a head's readers is all that may read it, give it or hold it, and little else."""

from __future__ import annotations

import ast

from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.head import Head, Output
from finallayer.fix.flow.reaching import expressions
from finallayer.fix.text.syntax import Syntax
from finallayer.source import Project, Uses, sightings
from finallayer.source.files import SourceFile

PROGRAM = """
import torch
from torch import nn

net = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))
other = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))

def step(x, scale, flag):
    p, q = net(x), other(x)
    moved = torch.cat([p.view(-1), p[0]]).detach()
    chosen = p if flag else q
    kept = {"p": p, "rows": (p, q)}
    z = torch.exp(x) * scale + 1
    shown = moved if flag > 3 else z
    return [shown, kept, chosen.argmax(1), q * 2]
"""


def test_all_that_has_to_do_with_a_head_is_met() -> None:
    file, uses = SourceFile("program.py", PROGRAM), Uses()
    project = Project()
    project.adopt(file)
    heads = {s.node.origin for s in sightings(file, project, uses) if s.node.op == "softmax"}
    module = AnalysedModule(Syntax(file), uses)
    assert len(heads) == 2
    for origin in heads:
        assert origin is not None
        head = Head("softmax", frozenset({origin}))
        output = Output(head, {file.path: module}, uses)
        met = list(expressions(uses, file.path, head))
        touching = [n for n in uses.values[file.path] if any(map(output.touches, module.values(n)))]
        assert [n for n in met if n in touching] == touching
        written = {ast.unparse(n) for n in met}
        assert {"net", "other", "kept", "chosen"} <= written
        assert written.isdisjoint({"x", "scale", "z", "torch.exp(x)", "flag", "torch", "nn", "-1", "p.view", "dim"})
        assert ("p" in written) == ("moved" in written) == ("shown" in written) != ("q" in written)
