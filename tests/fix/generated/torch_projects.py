"""Random PyTorch projects: head x loss x targets x readers x layout."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

from .projects import RATE, Parts, Project, laid_over_files, readers, script

_IMPORTS = "import numpy as np\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n"


class Head(NamedTuple):
    """A model with its head, or without (``right``): its text, how it is made, how its output is had."""

    name: str
    text: str
    exports: tuple[str, ...]
    made: str
    call: str
    right_text: str
    right_call: str = "net(x)"


_NET = """

class Net(nn.Module):
    def __init__(self{parameter}):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.fc = nn.Linear(8, {units})
{attribute}
    def forward(self, x):
        x = torch.tanh(self.body(x))
{forward}
"""


def _net(forward: str, units: int, attribute: str = "", parameter: str = "") -> str:
    made = "".join(f"        {line}\n" for line in attribute.split("\n")) if attribute else ""
    lines = "\n".join(f"        {line}" for line in forward.split("\n"))
    return _NET.format(forward=lines, units=units, attribute=made, parameter=parameter)


def _heads(act: str, function: str, units: int) -> tuple[Head, ...]:
    """``act``: nn.Softmax(dim=1) or nn.Sigmoid(); ``function``: F.softmax({z}, dim=1) or torch.sigmoid({z})."""
    plain = _net("return self.fc(x)", units)
    layers = f"nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, {units})"
    one = f"\n\ndef build():\n    return nn.Sequential({layers}{{}})\n"
    ordered = (
        "\n\ndef build():\n    return nn.Sequential(OrderedDict([('body', nn.Linear(4, 8)), ('tanh', nn.Tanh()), "
        f"('fc', nn.Linear(8, {units})), ('prob', {act})]))\n"
    )
    added = (
        "\n\ndef build():\n    net = nn.Sequential()\n    net.add_module('body', nn.Linear(4, 8))\n"
        f"    net.add_module('tanh', nn.Tanh())\n    net.add_module('fc', nn.Linear(8, {units}))\n"
        f"    net.add_module('prob', {act})\n    return net\n"
    )
    of_fc, of_z, of_x = (function.format(z=z) for z in ("self.fc(x)", "z", "x"))
    bare = one.format("")

    def net(name: str, forward: str, attribute: str = "", call: str = "net(x)") -> Head:
        return Head(name, _net(forward, units, attribute), ("Net",), "net = Net()\n", call, plain)

    return (
        net("function", f"return {of_fc}"),
        net("named", f"z = self.fc(x)\nreturn {of_z}"),
        net("overwritten", f"x = self.fc(x)\nx = {of_x}\nreturn x"),
        net("attribute", "return self.act(self.fc(x))", f"self.act = {act}"),
        net("inner_sequential", "return self.last(self.fc(x))", f"self.last = nn.Sequential({act})"),
        net("two_returned", f"z = self.fc(x)\nreturn {of_z}, x", call="net(x)[0]"),
        net("logits_and_output", f"z = self.fc(x)\nreturn z, {of_z}", call="net(x)[1]"),
        net("dict", f"return {{'p': {of_fc}, 'h': x}}", call="net(x)['p']"),
        net("branches", f"z = self.fc(x)\nif self.training:\n    return {of_z}\nreturn {of_z}"),
        net("trained_only", f"z = self.fc(x)\nif not self.training:\n    return {of_z} * 1.0\nreturn {of_z}"),
        Head("parameter", _net("return self.act(self.fc(x))", units, "self.act = act", ", act"), ("Net",),
             f"net = Net({act})\nother = Net(nn.ReLU())\n", "net(x)", plain),
        Head("default", _net("return self.act(self.fc(x))", units, "self.act = act", f", act={act}"), ("Net",),
             "net = Net()\n", "net(x)", plain),
        Head("sequential", one.format(f", {act}"), ("build",), "net = build()\n", "net(x)", bare),
        Head("ordered", "\nfrom collections import OrderedDict\n" + ordered, ("build",), "net = "
        "build()\n", "net(x)", bare),
        Head("add_module", added, ("build",), "net = build()\n", "net(x)", bare),
        Head("at_call", plain, ("Net",), "net = Net()\n", function.format(z="net(x)"), plain),
        Head("module_at_call", plain, ("Net",), "net = Net()\n", f"{act}(net(x))", plain),
        Head("two_statements", plain, ("Net",), "net = Net()\n", 
             "torch.stack([p for p in " + function.format(z="net(x)") + "])", plain),
    )  # fmt: skip


_SOFTMAX = (
    *_heads("nn.Softmax(dim=1)", "F.softmax({z}, dim=1)", 3),
    *_heads("nn.Softmax(dim=-1)", "{z}.softmax(-1)", 3)[:4],
    *_heads("nn.Softmax(dim=1)", "torch.softmax({z} / 2.0, 1)", 3)[15:16],
)
_SIGMOID = {
    1: _heads("nn.Sigmoid()", "torch.sigmoid({z})", 1),
    3: _heads("nn.Sigmoid()", "{z}.sigmoid()", 3),
}


class Loss(NamedTuple):
    """A loss of ``p``; ``right``, of logits ``z``, where it isn't what was meant ("?": nobody can say)."""

    text: str
    right: str = ""
    helpers: str = ""
    names: tuple[str, ...] = ()


def _helper(body: str, more: str = "") -> Loss:
    return Loss("loss_of(p, {t})", "", f"\n\ndef loss_of(p, t):\n{body}\n{more}", ("loss_of",))


_INDEX = (
    Loss("F.cross_entropy(p, y)", "F.cross_entropy(z, y)"),
    Loss("nn.CrossEntropyLoss()(p, y)", "F.cross_entropy(z, y)"),
    Loss("nn.CrossEntropyLoss(weight=w)(p, y)", "F.cross_entropy(z, y, weight=w)"),
    Loss(
        "F.cross_entropy(p, y, weight=w, label_smoothing=0.1)", "F.cross_entropy(z, y, weight=w, label_smoothing=0.1)"
    ),
    Loss("F.cross_entropy(p, void)", "F.cross_entropy(z, void)"),
    Loss(
        "F.cross_entropy(p, y, reduction='none')[y > 0].sum()", "F.cross_entropy(z, y, reduction='none')[y > 0].sum()"
    ),
    Loss("F.cross_entropy(p, void, ignore_index=-100, reduction='sum')", "F.cross_entropy(z, void, reduction='sum')"),
    Loss("F.nll_loss(p, y)", "F.nll_loss(F.log_softmax(z, 1), y)"),
    Loss("nn.NLLLoss(weight=w)(p, y)", "F.nll_loss(F.log_softmax(z, 1), y, weight=w)"),
    Loss("F.nll_loss(torch.log(p), y)"),
    Loss("F.nll_loss(torch.log(p + 1e-9), y, weight=w)"),
    Loss("nn.NLLLoss()(p.log(), void)"),
    Loss("F.cross_entropy(p.log(), y)"),
    Loss("-torch.log(p.gather(1, y[:, None])).mean()"),
    Loss("-torch.log(p.gather(1, y[:, None]).squeeze(1) + 1e-10).mean()"),
    Loss("-torch.log(p[torch.arange(len(y)), y]).sum()"),
    Loss("-(w[y] * torch.log(p[range(len(y)), y])).sum() / w[y].sum()"),
    Loss("-torch.log(torch.clamp(p[torch.arange(len(y)), y], 1e-8, 1.0)).mean()"),
    _helper("    pt = p.gather(1, t.view(-1, 1)).view(-1)\n    return (-((1 - pt) ** 2) * pt.log()).mean()"),
    _helper(
        "    pt = p[torch.arange(len(t)), t]\n    ce = -torch.log(pt + 1e-8)\n"
        "    return (0.25 * (1 - pt) ** 2 * ce).mean()"
    ),
    _helper("    return F.nll_loss(torch.log(p), t)"),
    _helper(
        "    return -torch.log(p)[range(len(t)), t].mean()", "\n\ndef entropy(p):\n    return -(p * p.log()).sum(1)\n"
    ),
    _helper("    return F.cross_entropy(p, t)")._replace(right="F.cross_entropy(z, {t})"),
)
_DENSE = (
    Loss("F.cross_entropy(p, {t})", "F.cross_entropy(z, {t})"),
    Loss("-({t} * torch.log(p)).sum(dim=1).mean()"),
    Loss("-({t} * torch.log(p + 1e-10)).sum(1).mean()"),
    Loss("-torch.mean(torch.sum({t} * p.log(), dim=-1))"),
    Loss("-({t} * p.clamp(1e-9, 1.0).log()).sum() / len(x)"),
    Loss("-({t} * torch.log(p.clamp(min=1e-9))).mean()"),
    Loss("-(w * {t} * torch.log(p)).sum(1).mean()"),
    Loss("F.kl_div(p.log(), {t}, reduction='batchmean')"),
    Loss("-({t} * p.log()).sum(1).mean() - 0.1 * -(p * torch.log(p + 1e-9)).sum(1).mean()"),
    Loss("-({t} * (1 - p) ** 2 * torch.log(p)).sum(1).mean()"),
    _helper("    return -(t * torch.log(p)).sum(1).mean()"),
    _helper("    p = p + 1e-8\n    return -(t * p.log()).sum(1).mean()"),
    _helper("    p = torch.clamp(p, 1e-7, 1 - 1e-7)\n    return torch.mean(-torch.sum(t * torch.log(p), 1))"),
    _helper("    q = p / p.sum(1, keepdim=True)\n    return -(t * torch.log(q)).sum(1).mean()"),
    Loss("F.binary_cross_entropy(p, {t})", "?"),
)
_BINARY = (
    Loss("F.binary_cross_entropy(p, {t})"),
    Loss("nn.BCELoss()(p, {t})"),
    Loss("nn.BCELoss(reduction='sum')(p, {t})"),
    Loss("F.binary_cross_entropy(p, {t}, weight=w[0] * torch.ones_like({t}))"),
    Loss("F.binary_cross_entropy(p.view(-1), {t}.view(-1))"),
    Loss("F.binary_cross_entropy(p, {t}, reduction='none').mean(0).sum()"),
    Loss("F.binary_cross_entropy_with_logits(p, {t})", "F.binary_cross_entropy_with_logits(z, {t})"),
    Loss("nn.BCEWithLogitsLoss(pos_weight=w[1])(p, {t})", "F.binary_cross_entropy_with_logits(z, {t}, "
    "pos_weight=w[1])"),
    Loss("-({t} * torch.log(p) + (1 - {t}) * torch.log(1 - p)).mean()"),
    Loss("-({t} * torch.log(p + 1e-10) + (1 - {t}) * torch.log(1 - p + 1e-10)).mean()"),
    Loss("-(3.0 * {t} * p.log() + (1.0 - {t}) * (1.0 - p).log()).sum(1).mean()"),
    Loss("-torch.log(torch.where({t} > 0.5, p, 1 - p)).mean()"),
    _helper("    return -(t * torch.log(p) + (1 - t) * torch.log(1 - p)).mean()"),
    _helper("    ce = F.binary_cross_entropy(p, t, reduction='none')\n"
    "    pt = p * t + (1 - p) * (1 - t)\n    return (ce * (1 - pt) ** 2).mean()"),
    _helper("    pt = torch.where(t == 1, p, 1 - p)\n    return (-((1 - pt) ** 2) * torch.log(pt)).mean()"),
    _helper("    return F.binary_cross_entropy(p, t)", "\n\ndef of_real(q):\n"
    "    return F.binary_cross_entropy(q, torch.ones_like(q))\n"),
)  # fmt: skip
#: Targets by how they are dense; of several classes, and of each by itself.
_TARGETS = ("hot", "soft", "empty", "several", "counts")
_BINARY_TARGETS = ("several", "maybe")
_DATA = """x = torch.tensor(np.random.RandomState(1).randn(6, 4))
y = torch.tensor([0, 1, 2, 1, 0, 2])
void = torch.tensor([0, -100, 2, 1, -100, 2])
w = torch.tensor([0.5, 1.0, 2.0])
hot = F.one_hot(y, 3).double()
soft = torch.tensor(np.random.RandomState(2).dirichlet([1, 1, 1], 6))
empty = hot * torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])[:, None]
several = torch.tensor([[1.0, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0]])
maybe = several * 0.8 + 0.1
counts = several * 3 + hot
"""
#: Readers of ``{p}``, an expression or a name; some write into it, or a file.
_READERS = readers(r"""
{p}
{p}.detach().numpy()
{p}[0]
{p}[:, 0] > 0.9
({p} > 0.5).sum()
{p}.argmax(1)
[round(v.item(), 3) for v in {p}[:, 0]]
[v.tolist() for v in {p}]
[i for i, v in enumerate({p}) if v.max() > 0.4]
{{i: float(v[0]) for i, v in enumerate({p})}}
sum(v[0].item() for v in {p})
any(v.max() > 0.5 for v in {p})
q = {p}\nq / q.sum(1, keepdim=True)
q = {p}\n(1 - q) ** 2
q = {p}\n0.5 * q + 0.5 / 3
q = {p}\n-(q * q.log()).sum(1)
q = {p}.detach()\nq *= 2\nq
q = {p}.detach().clone()\nq[q < 0.3] = 0\nq
q = {p}.detach()\nq.mul_(3.0).clamp_(0, 1)\nq
f'{{{p}[0, 0].item():.4f}}'
'%.3f' % {p}[0, 0]
'sure' if {p}[0].max() > 0.4 else 'unsure'
{p}.shape
len({p})
np.save('p.npy', {p}.detach().numpy())
np.savetxt('p.txt', {p}.detach().numpy(), fmt='%.8f')
import json\njson.dumps({p}.tolist())
torch.save({p}.detach(), 'p.pt')
{p}.softmax(1)
torch.sigmoid({p})
{p}.log()
torch.multinomial(torch.cat([{p}, 1 - {p}], 1), 1)
torch.distributions.Bernoulli({p}).entropy()
q = {p}\ntorch.stack([q, 1 - q])
kept = []\nfor row in x:\n    kept.append({p})\ntorch.cat(kept).mean(0)
F.mse_loss({p}, torch.zeros_like({p}))
({p} >= 0.5).float().mean()
torch.where({p} > 0.3, {p}, torch.zeros_like({p}))
(lambda q: q.max())({p})
list(map(float, {p}[0]))
max({p}, key=lambda v: v.max())
{p}.max(1).values
{p}.topk(1)
str({p}.tolist()[0][:1])
torch.round({p})
q = {p}\nassert q.min() >= 0 and q.max() <= 1\nq.std()
np.allclose({p}.detach().sum(1), 1)
from collections import Counter\nCounter((({p}) > 0.4).flatten().tolist())
""")
_HOLDER = """class Holder(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)

Holder(net)(x)"""
#: Readers of the model itself; not of what modules it has, since that is what a fix changes.
_OF_MODEL = (
    _HOLDER,
    *readers(r"""
net.state_dict().keys()
torch.save(net.state_dict(), 'net.pt')
sum(v.numel() for v in net.parameters())
torch.jit.trace(net, x).save('net.ts')
net.eval()\nwith torch.no_grad():\n    q = net(x)\nq
[m(x) for m in [net, net]][0]
nn.Sequential(net)(x)
net.train()\nnet.training
torch.jit.script(net)(x)
seen = []\nhook = net.register_forward_hook(lambda m, i, o: seen.append(o))\n_ = net(x)\nhook.remove()\nseen[0]
import copy\ncopy.deepcopy(net)(x)
(lambda m: m(x))(net)
from functools import partial\npartial(net, x)()
"""),
)


def torch_project(draw: random.Random) -> Project:
    """One PyTorch project."""
    units = draw.choice((0, 0, 0, 1, 3))
    head = draw.choice(_SIGMOID[units] if units else _SOFTMAX)
    target, loss = _target_and_loss(draw, units)
    spelled = loss._replace(text=loss.text.replace("{t}", target), right=loss.right.replace("{t}", target))
    data = _DATA if units != 1 else _DATA + "several, maybe = several[:, :1], maybe[:, :1]\n"
    data += _OPTIMIZER
    steps = draw.choice((1, 1, 3))
    inside = draw.choice(
        ("", "", "", "print(float(p.max()))", "best = p.argmax(1)", "p.detach().numpy()", "kept = [v for v in p]")
    )
    train = _trained(draw, spelled.text, head.call, steps, inside, exact=not loss.right)
    read, served = (_read(draw, head.call, most) for most in draw.choice(((0, 0), (1, 1), (2, 0), (3, 2))))
    kind = f"{head.name} | {loss.text.split('(')[0]}{'*' if loss.helpers else ''} | {target}"
    parts = Parts(
        kind, _IMPORTS, head.text, head.exports, head.made, data, spelled.helpers, loss.names, train, read, served
    )
    name, files, entries, checked = laid_over_files(parts, draw)
    right = None
    if loss.right not in ("", "?") and "/ 2.0" not in head.call:
        step = _STEP.format(steps=steps, name="z", call=head.right_call, loss=spelled.right)
        made = head.made.partition("(")[0] + "()"
        right = script(parts._replace(model=head.right_text, made=made + "\n", helpers="", train=step, readers=()))
    return Project("torch", f"{name}: {kind}", files, entries, checked, not loss.right, True, right)


def _target_and_loss(draw: random.Random, units: int) -> tuple[str, Loss]:
    if units:
        return draw.choice(_BINARY_TARGETS), draw.choice(_BINARY)
    if draw.random() < 0.5:
        return "y", draw.choice(_INDEX)
    return draw.choice(_TARGETS), draw.choice(_DENSE)


_OPTIMIZER = f"optimizer = torch.optim.SGD(net.parameters(), lr={RATE})\n"
_STEP = """for epoch in range({steps}):
    {name} = {call}
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def _trained(draw: random.Random, loss: str, call: str, steps: int, inside: str, exact: bool) -> str:
    """The training loop; what the loss comes to is shown where a fix is to keep it."""
    text = _STEP.format(steps=steps, name="p", call=call, loss=loss)
    if draw.random() < 0.3 and len(re.findall(r"\bp\b", loss)) == 1:
        text = text.replace(f"    p = {call}\n", "").replace(loss, re.sub(r"\bp\b", call, loss))
    elif inside:
        text += f"    {inside}\n"
    return text + ("    print(loss.item())\n" if exact and draw.random() < 0.7 else "")


def _read(draw: random.Random, call: str, most: int) -> tuple[str, ...]:
    chosen = []
    for _ in range(draw.randint(0, most)):
        if draw.random() < 0.2:
            chosen.append(draw.choice(_OF_MODEL))
            continue
        form = draw.choice(_READERS)
        if draw.random() < 0.5:
            chosen.append(form.format(p=call))
        else:
            chosen.append(f"out = {call}\n" + form.format(p="out"))
    return tuple(chosen)
