"""Torch losses that run: what is reported, at which line, of which expression; and nothing of a loss that is right."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import finallayer
from finallayer.live.observation import Blind

#: name -> (the program, whose last expression is the loss; what is reported: rule, line, expression)
HEAD = """\
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
net, teacher = nn.Linear(4, 5), nn.Linear(4, 5)
x, y = torch.randn(8, 4), torch.arange(8) % 5
onehot = F.one_hot(y, 5).float()
"""
FIRST = HEAD.count("\n") + 1  # the line on which a program's own text begins

BAD: dict[str, tuple[str, list[tuple[str, int, str]]]] = {
    "softmax + cross entropy": (
        """
def loss():
    return F.cross_entropy(F.softmax(net(x), 1), y)
""",
        [("FL101", 2, "xent_logits(softmax(affine(data@loss, weight, units=5), axis=1), data@loss)")],
    ),
    "the same in modules": (
        """
model, criterion = nn.Sequential(net, nn.Softmax(1)), nn.CrossEntropyLoss()
def loss():
    p = model(x)
    return criterion(p, y)
""",
        [("FL101", 4, "xent_logits(softmax(affine(data@loss, weight, units=5), axis=1), data@loss)")],
    ),
    "log(softmax + eps)": (
        """
def loss():
    p = F.softmax(net(x), 1)
    return -(torch.log(p + 1e-8) * onehot).sum(1).mean()
""",
        [("FL203", 3, "neg(gather(log(add_eps(softmax(z), eps=1e-08)), y))")],
    ),
    "clamp": (
        """
def loss():
    p = F.softmax(net(x), 1).clamp(1e-7, 1 - 1e-7)
    return -p.log()[torch.arange(8), y].mean()
""",
        [("FL202", 3, "neg(gather(log(clip(softmax(z), low=1e-07, high=0.9999999)), y))")],
    ),
    "in place": (
        """
def loss():
    p = F.softmax(net(x), 1).clone()
    p.clamp_(min=1e-7)
    p.log_()
    return -(p * onehot).sum(1).mean()
""",
        [("FL202", 4, "neg(gather(log(clip(softmax(z), low=1e-07)), y))")],
    ),
    "a custom function": (
        """
class CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        p = z.softmax(1)
        ctx.save_for_backward(p)
        return -(p.log() * onehot).sum(1).mean()

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0] - onehot) / 8

def loss():
    return CrossEntropy.apply(net(x))
""",
        [("FL201", 6, "log(softmax(affine(data@loss, weight, units=5), axis=1))")],
    ),
    "compiled": (
        """
@torch.compile
def of(z):
    return -(torch.log(F.softmax(z, 1) + 1e-8) * onehot).sum(1).mean()

def loss():
    return of(net(x))
""",
        [("FL203", 3, "neg(gather(log(add_eps(softmax(z), eps=1e-08)), y))")],
    ),
    "scripted": (
        """
@torch.jit.script
def of(z, t):
    return -(torch.log(torch.softmax(z, 1) + 1e-8) * t).sum(1).mean()

def loss():
    return of(net(x), onehot)
""",
        [("FL203", 6, "neg(gather(log(add_eps(softmax(z), eps=1e-08)), y))")],
    ),
    "binary cross entropy": (
        """
def loss():
    return F.binary_cross_entropy(torch.sigmoid(net(x)), onehot)
""",
        [("FL302", 2, "bce_probs(sigmoid(z), y)")],
    ),
    "double sigmoid": (
        """
criterion = nn.BCEWithLogitsLoss()
def loss():
    return criterion(torch.sigmoid(net(x)), onehot)
""",
        [("FL104", 3, "bce_logits(sigmoid(affine(data@loss, weight, units=5)), onehot@loss)")],
    ),
    "KL of probabilities": (
        """
def loss():
    return F.kl_div(F.softmax(net(x), 1), onehot, reduction="batchmean")
""",
        [("FL103", 2, "kl(softmax(affine(data@loss, weight, units=5), axis=1), onehot@loss)")],
    ),
    "mapped over the samples": (
        """
def loss():
    return -torch.vmap(lambda a, t: torch.log(F.softmax(net(a), 0)[t]))(x, onehot.long()).sum()
""",
        [("FL201", 2, "neg(gather(log(softmax(z)), y))")],
    ),
    "one bad loss of a sum": (
        """
def loss():
    z = net(x)
    good = F.cross_entropy(z, y, label_smoothing=0.1)
    p = F.softmax(teacher(x), 1)
    return good + 0.3 * F.nll_loss(torch.log(p), y)
""",
        [("FL201", 5, "neg(gather(log(softmax(z)), y))")],
    ),
    "by hand": (
        """
def loss():
    e = net(x).exp()
    p = e / e.sum(1, keepdim=True)
    return -(p.log() * onehot).sum(1).mean()
""",
        [("FL201", 4, "neg(gather(log(softmax(z)), y))"), ("FL204", 3, "")],
    ),
    "a negative log-likelihood of probabilities": (
        """
def loss():
    return F.nll_loss(F.softmax(net(x), 1), y)
""",
        [("FL103", 2, "nll(softmax(affine(data@loss, weight, units=5), axis=1), data@loss)")],
    ),
    "the last axis": (
        """
def loss():
    return F.cross_entropy(net(x).softmax(-1), y)
""",
        [("FL101", 2, "xent_logits(softmax(affine(data@loss, weight, units=5), axis=-1), data@loss)")],
    ),
    "for each row": (
        """
def loss():
    return torch.func.vmap(lambda z, t: -(torch.log(z.softmax(0)) * t).sum())(net(x), onehot).mean()
""",
        [("FL201", 2, "neg(gather(log(softmax(z)), y))")],
    ),
    "a distribution's log_prob of probabilities": (
        """
def loss():
    d = torch.distributions.Categorical(probs=F.softmax(net(x), 1))
    return -d.log_prob(y).mean() - 0.01 * d.entropy().mean()
""",
        [("FL202", 3, "neg(gather(log(clip(softmax(z), low=1.1920928955078125e-07, high=0.9999998807907104)), y))")],
    ),
    "the same of an outcome": (
        """
def loss():
    return -torch.distributions.Bernoulli(probs=torch.sigmoid(net(x))).log_prob(onehot).mean()
""",
        [("FL202", 2, "")],
    ),
}

GOOD: dict[str, str] = {
    "cross entropy": "loss = lambda: F.cross_entropy(net(x), y)",
    "label smoothing": "loss = lambda: F.cross_entropy(net(x), y, label_smoothing=0.1)",
    "soft targets": "loss = lambda: F.cross_entropy(net(x), onehot)",
    "log-softmax + nll": "loss = lambda: F.nll_loss(F.log_softmax(net(x), 1), y)",
    "with logits": "loss = lambda: F.binary_cross_entropy_with_logits(net(x), onehot)",
    "a teacher": """
def loss():
    with torch.no_grad():
        t = F.softmax(teacher(x) / 2, 1)
        confident = torch.log(t + 1e-8).mean()
    return F.kl_div(F.log_softmax(net(x) / 2, 1), t, reduction="batchmean") + 0 * confident
""",
    "attention": """
attention = nn.MultiheadAttention(4, 2, batch_first=True)
def loss():
    h, _ = attention(x[None], x[None], x[None])
    return F.cross_entropy(net(h[0]), y)
""",
    "accuracy beside the loss": """
def loss():
    z = net(x)
    accuracy = (z.argmax(1) == y).float().mean()
    confidence = F.softmax(z.detach(), 1).max(1).values.log().mean()
    return F.cross_entropy(z, y) + 0 * (accuracy + confidence)
""",
    "a library's entropy": """
def loss():
    d = torch.distributions.Categorical(logits=net(x))
    return -d.log_prob(y).mean() - 0.01 * d.entropy().mean()
""",
    "an entropy of probabilities": """
def loss():
    return -torch.distributions.Categorical(probs=F.softmax(net(x), 1)).entropy().mean()
""",
    "a mixture of convolutions": """
body = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
last = nn.Linear(3, 5)
def loss():
    return F.cross_entropy(last(body(x)), y)
""",
    "a teacher that is frozen": """
teacher.requires_grad_(False)
def loss():
    t = F.softmax(teacher(x), 1)
    return (t * (t.log() - F.log_softmax(net(x), 1))).sum(1).mean()
""",
    "similarities of rows of length 1": """
def loss():
    z = net(x) / net(x).norm(dim=1, keepdim=True)
    s = torch.exp(z @ z.T / 0.1)
    return -(s.diag() / (s * (1 - torch.eye(8))).sum(1)).log().mean() - (s / s.sum(1, keepdim=True)).diag().log().mean()
""",
    "the same by a function": """
def loss():
    z = F.normalize(net(x), dim=1)
    s = torch.exp(z @ z.T / 0.1)
    return -(s / s.sum(1, keepdim=True)).diag().log().mean()
""",
    "a regression": "loss = lambda: F.mse_loss(net(x), onehot) + net(x).pow(2).mean() + torch.linalg.det(torch.eye(3))",
}


def program(folder: Path, text: str) -> Any:
    """A program's ``loss``, its source in a file."""
    file = folder / "program.py"
    file.write_text(HEAD + text)
    spec = importlib.util.spec_from_file_location("program", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.loss


def plain(expression: str) -> str:
    """An expression without the numbers by which data and weights are told apart."""
    return re.sub(r"parameter \d+", "weight", re.sub(r"data \d+", "data", expression))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_loss_is_reported_at_its_line_with_what_it_computes(name: str, tmp_path: Path) -> None:
    text, expected = BAD[name]
    audit = finallayer.audit(program(tmp_path, text))
    found = [(f.rule.code, f.origin.line - FIRST, plain(f.expression)) for f in audit.findings]
    told = {(code, line, expression.replace("onehot@loss", "data@loss")) for code, line, expression in expected}
    assert {(c, line, e if any(w == e for *_, w in told) else "") for c, line, e in found} == told
    assert audit.blind == ()


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_reported_of_a_loss_that_is_right(name: str, tmp_path: Path) -> None:
    assert finallayer.audit(program(tmp_path, GOOD[name])).findings == ()


def test_a_finding_names_the_place_in_the_line(tmp_path: Path) -> None:
    audit = finallayer.audit(program(tmp_path, BAD["log(softmax + eps)"][0]))
    (finding,) = audit.findings
    line = Path(finding.origin.path).read_text().splitlines()[finding.origin.line - 1]
    assert line[finding.origin.column : finding.origin.end_column] == "torch.log(p + 1e-8)"


def test_a_value_changed_in_place_through_a_view_is_unknown(tmp_path: Path) -> None:
    text = """
def loss():
    z = net(x)
    p = F.softmax(z, 1)
    whole = p.detach()
    whole.view(-1).mul_(0).add_(1)
    return -(whole.log() * onehot).sum(1).mean() + z.sum()
"""
    assert finallayer.audit(program(tmp_path, text)).findings == ()


def test_what_is_not_understood_on_the_way_to_the_loss_is_named(tmp_path: Path) -> None:
    text = """
def loss():
    return torch.linalg.svdvals(F.softmax(net(x), 1)).sum()
"""
    audit = finallayer.audit(program(tmp_path, text))
    assert [type(b) for b in audit.blind] == [Blind] and "svd" in audit.blind[0].name
    assert "svd" in str(audit)


def test_a_layer_of_which_nothing_is_known_is_not_blind(tmp_path: Path) -> None:
    """What lies before the logits doesn't matter."""
    text = "loss = lambda: F.cross_entropy(net(torch.linalg.svd(x, full_matrices=False)[0][:, :4]), y)"
    assert finallayer.audit(program(tmp_path, text)).blind == ()


def test_the_layer_is_named_that_gives_the_probabilities(tmp_path: Path) -> None:
    text = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Sigmoid()
        self.head = nn.Sequential(nn.Linear(4, 5), nn.Softmax(1))
    def forward(self, x):
        return self.head(self.gate(x) * x)
model = Net()
loss = lambda: F.nll_loss(torch.log(model(x)), y)
"""
    (finding,) = finallayer.audit(program(tmp_path, text)).findings
    assert [r.message for r in finding.related] == ["softmax applied here: layer `Net.head.1`"]


def test_the_expected_class_is_a_loss_without_a_safe_margin() -> None:
    torch = pytest.importorskip("torch")
    head = torch.nn.Linear(4, 10)

    def loss(x: Any, y: Any) -> Any:
        expected = (torch.softmax(head(x), -1) * torch.arange(10)).sum(-1)
        return torch.nn.functional.mse_loss(expected, y.float())

    audit = finallayer.audit(loss, torch.ones(8, 4), torch.arange(8))
    assert not audit.findings and audit.safe_margin is None


def test_a_loss_that_grows_again_with_certainty_has_no_floor_there() -> None:
    torch = pytest.importorskip("torch")
    head = torch.nn.Linear(4, 10)

    def smoothed(x: Any, y: Any) -> Any:
        log_p = torch.log_softmax(head(x), -1)
        return (0.9 * -log_p.gather(1, y[:, None])[:, 0] - 0.1 * log_p.mean(-1)).mean()

    assert finallayer.audit(smoothed, torch.ones(8, 4), torch.arange(8)).floor is None


def test_what_is_drawn_from_a_distribution_is_never_so_unlikely(tmp_path: Path) -> None:
    text = """
def loss():
    d = torch.distributions.Categorical(probs=F.softmax(net(x), 1))
    action = d.sample()
    return -(d.log_prob(action) * torch.randn(8)).mean()
"""
    assert finallayer.audit(program(tmp_path, text)).findings == ()


def test_a_gradient_or_tangent_that_is_minimised_is_named(tmp_path: Path) -> None:
    text = """
def loss():
    return torch.func.jvp(lambda z: F.cross_entropy(net(z), y), (x,), (x,))[1]
"""
    audit = finallayer.audit(program(tmp_path, text))
    assert audit.findings == () and ["gradient" in b.name for b in audit.blind] == [True]


def test_a_model_called_for_each_row_is_followed(tmp_path: Path) -> None:
    text = """
def loss():
    call = lambda a, t: F.cross_entropy(torch.func.functional_call(net, dict(net.named_parameters()), (a,)), t)
    return torch.func.vmap(call)(x, y).mean()
"""
    audit = finallayer.audit(program(tmp_path, text))
    assert audit.blind == () and audit.safe_margin is not None and audit.safe_margin["float32"] == float("inf")
