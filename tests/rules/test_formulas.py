"""Losses that are written out: how they are nested, signed, weighed and picked makes no difference to what is found."""

from __future__ import annotations

import pytest

from finallayer.rules.judging import judge, outermost
from finallayer.source import Project, sightings
from finallayer.source.files import SourceFile

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn

net, unit, positive = nn.Linear(8, 4), nn.Linear(8, 1), nn.Sequential(nn.Linear(8, 1), nn.ReLU())

def loss(x, y, w, n, a):
    s, u, r = net(x), unit(x), positive(x) + 1e-6
    p, g = torch.softmax(net(x), dim=1), torch.sigmoid(unit(x))
    one, rows = F.one_hot(y, 4), torch.arange(len(y))
    return """


def found(formula: str) -> set[str]:
    """The rules that a formula breaks, advice aside."""
    seen = sightings(SourceFile("program.py", HEAD + formula + "\n"), Project())
    return {f.rule.code for f in outermost([j.finding for j in judge(seen)]) if f.rule.code < "FL3"}


@pytest.mark.parametrize(
    "formula",
    [
        "-(y * torch.log(s)).sum(1).mean()",
        "torch.mean(torch.sum(-y * torch.log(s), dim=1))",
        "torch.sum(y * torch.log(s)) * (-1 / n)",
        "-torch.log(s[rows, y]).mean()",
        "(-w * torch.log(s[range(n), y])).sum() / w.sum()",
        "-s.gather(1, y[:, None]).log().mean()",
        "-torch.log(s.gather(1, y[:, None]) + 1e-8).sum() / n",
        "-(one * s).sum(1).log().mean()",
        "-torch.einsum('bc,bc->b', y, s.log()).mean()",
        "(y * torch.log(y / s)).sum(1).mean()",
        "(y * (torch.log(y) - torch.log(s))).sum(1).mean()",
        "-(w * (y * torch.log(u) + (1 - y) * torch.log(1 - u))).mean()",
        "(-y * u.log() - (1 - y) * (1 - u).log()).mean()",
        "-(torch.log(unit(x)) + torch.log(1 - unit(w))).mean()",
        "-(a * w * y * torch.log(s)).sum()",
    ],
)
def test_logs_of_scores_in_a_cross_entropy(formula: str) -> None:
    assert found(formula) == {"FL102"}


@pytest.mark.parametrize(
    "formula",
    [
        "(r - y * torch.log(r)).mean()",  # Poisson's: a count's rate
        "-(w * (y * torch.log(r) - r)).mean()",
        "-(y * torch.log(r)).sum() + r.sum()",
        "(torch.log(r) + ((y - s) / r) ** 2).mean()",  # a scale
        "(y / r + torch.log(r)).mean()",
        "((torch.log(r + 1) - torch.log(y + 1)) ** 2).mean()",
        "-(y * torch.log(s.clamp(1e-6, 1 - 1e-6))).sum(1).mean()",
        "-(y * torch.log(torch.softmax(s, 1) @ nn.Parameter(w))).sum(1).mean()",  # by way of a table of confusions
        "-(w * torch.log(y)).sum()",
        "-0.5 * torch.log(r).mean() / n",
    ],
)
def test_logs_of_scores_in_something_else(formula: str) -> None:
    assert found(formula) == set()


@pytest.mark.parametrize(
    "formula",
    [
        "-p[rows, y].mean()",
        "torch.mean(-p.gather(1, y.view(-1, 1)))",
        "-(one * p).sum(1).mean()",
        "torch.mean(torch.sum(-one.float() * p, dim=1))",
        "-(p * one).sum() / n",
        "(w * F.nll_loss(p, y, reduction='none')).sum() / w.sum()",
        "nn.NLLLoss(reduction='none')(p, y).mean()",
    ],
)
def test_probabilities_without_a_log(formula: str) -> None:
    assert found(formula) == {"FL103"}


@pytest.mark.parametrize(
    "formula",
    [
        "(1 - p[rows, y]).mean()",  # an absolute error
        "1 - p[rows, y].mean()",
        "1.0 + -p[rows, y].mean()",
        "torch.exp(-p[rows, y].mean())",
        "-(p * y).sum(1).mean()",  # what an action is expected to bring
        "-(p[rows, y] * a).mean()",
        "-2 * (p * one).sum() / (p.sum() + one.sum() + 1)",  # an overlap
        "torch.argsort(-p[rows, y])",
        "-p[:, y].mean()",  # an attack
        "(p.max(1).values - p[rows, y]).mean()",
        "(q := F.nll_loss(p, y, reduction='none')).mean() + torch.exp(-q).mean()",  # the probability, fetched
        "((1 + F.nll_loss(p, y, reduction='none')) ** 2 * F.cross_entropy(s, y, reduction='none')).mean()",  # focal
    ],
)
def test_probabilities_that_need_no_log(formula: str) -> None:
    assert found(formula) == set()


STABLE = "torch.clamp({z}, min=0) - {z} * y + torch.log(1 + torch.exp(-torch.abs({z})))"
SHIFTED = (
    "{z} - {z} * y + (-{z}).clamp(min=0) + ((-(-{z}).clamp(min=0)).exp() + (-{z} - (-{z}).clamp(min=0)).exp()).log()"
)


@pytest.mark.parametrize(
    "formula",
    [
        f"({STABLE}).mean()",
        SHIFTED,
        "(F.relu({z}) - {z} * y + torch.log1p(torch.exp(-{z}.abs()))).mean()",
        "(F.softplus({z}) - y * {z}).mean()",
        "((1 - y) * {z} + F.softplus(-{z})).mean()",
        "(y * F.softplus(-{z}) + (1 - y) * F.softplus({z})).mean()",
    ],
)
def test_a_stable_binary_cross_entropy_takes_logits(formula: str) -> None:
    assert found(formula.replace("{z}", "g")) == {"FL104"}
    assert found(formula.replace("{z}", "u")) == set()


@pytest.mark.parametrize("formula", ["F.softplus(g) + g", "F.softplus(unit(y) - g).mean()", "F.softplus(u) + g * y"])
def test_a_softplus_that_is_no_loss(formula: str) -> None:
    assert found(formula) == set()


def test_a_cross_entropy_by_hand_of_a_softmax() -> None:
    assert found("(torch.logsumexp(p, 1) - p[rows, y]).mean()") == {"FL101"}
    assert found("(torch.logsumexp(s, 1) - s[rows, y]).mean()") == set()


@pytest.mark.parametrize(
    ("formula", "codes"),
    [
        ("(y * torch.log(y / p)).sum(1).mean()", {"FL201"}),
        ("(y * torch.log(y / (p + 1e-8))).sum(1).mean()", {"FL203"}),
        ("(p * torch.log((p + 1e-8) / (y + 1e-8))).sum(1).mean()", set()),  # weighed by itself
        ("torch.log(g / (1 - g)).mean()", set()),  # the inverse of a sigmoid
        ("(y * torch.log(y / w)).sum(1).mean()", set()),
        ("-torch.log((y * p).sum(1)).mean()", {"FL201"}),  # picked by labels
        ("-torch.log((torch.exp(-y) * p).sum(1)).mean()", set()),
        ("-(y * torch.log(p ** (1 / n) / (p ** (1 / n)).sum(1, keepdim=True))).sum()", {"FL201"}),
        ("-(y * torch.log(w ** (1 / n) / (w ** (1 / n)).sum(1, keepdim=True))).sum()", set()),
        ("F.nll_loss(torch.log((p + torch.softmax(s, 1)) / 2), y)", {"FL201"}),
        ("F.nll_loss(torch.log(torch.stack([p, torch.softmax(s, 1)]).mean(0) + 1e-8), y)", {"FL203"}),
        ("F.nll_loss(torch.log(w * p + (1 - w) * torch.softmax(s, 1)), y)", {"FL201"}),
        ("torch.log((p * torch.exp(-s**2)).sum(1)).mean()", set()),  # a mixture of densities
        ("torch.log((w + y) / 2).mean()", set()),
    ],
)
def test_logs_of_quotients_and_means_of_softmaxes(formula: str, codes: set[str]) -> None:
    assert found(formula) == codes


@pytest.mark.parametrize(
    ("formula", "codes"),
    [
        ("s.exp() / (s.exp() * w).sum(1, keepdim=True)", {"FL204"}),
        ("(s.exp() * w) / ((s.exp() * w).sum(1, keepdim=True) + 1e-8)", {"FL204"}),
        ("((s - s.max()).exp() * w) / ((s - s.max()).exp() * w).sum(1, keepdim=True)", set()),
        ("(torch.tanh(s).exp() * w) / (torch.tanh(s).exp() * w).sum(1, keepdim=True)", set()),
        ("torch.exp(F.normalize(x) / 0.5) / torch.exp(F.normalize(x) / 0.5).sum()", set()),
        ("torch.exp(F.normalize(x) / 0.01) / torch.exp(F.normalize(x) / 0.01).sum()", {"FL204"}),
        ("torch.exp(-(x / x.max())) / torch.exp(-(x / x.max())).sum()", set()),
        ("torch.exp(-x / w.max()) / torch.exp(-x / w.max()).sum()", {"FL204"}),
    ],
)
def test_softmaxes_by_hand_with_weights_and_bounds(formula: str, codes: set[str]) -> None:
    assert found(formula) == codes


@pytest.mark.parametrize("call", ["softmax(None, z)", "softmax(z)", "softmax(1, z)"])
def test_a_foreign_softmax_is_of_its_first_tensor(call: str) -> None:
    program = f"import torch\nfrom elsewhere import softmax\ndef f(z, y):\n    return -(y * torch.log({call})).sum()\n"
    assert {j.finding.rule.code for j in judge(sightings(SourceFile("program.py", program), Project()))} == {"FL201"}


@pytest.mark.parametrize(
    ("formula", "codes"),
    [
        ("-torch.log(torch.sigmoid(torch.tanh(u)) + 1e-8).mean()", set()),
        ("-torch.log(1 - torch.sigmoid(5 * torch.tanh(u))).mean()", set()),
        ("-torch.log(torch.sigmoid(20 * torch.tanh(u)) + 1e-8).mean()", {"FL203"}),
        ("-torch.log(torch.sigmoid(g - g.mean()) + 1e-8).mean()", set()),
        ("-torch.log(torch.sigmoid(1 - g) + 1e-8).mean()", {"FL104"}),
        ("F.nll_loss(torch.log(torch.softmax(torch.tanh(s), 1)), y)", set()),
        ("F.nll_loss(torch.log(torch.softmax(F.relu(s), 1)), y)", {"FL201"}),
    ],
)
def test_a_log_of_bounded_scores_is_as_good_as_any(formula: str, codes: set[str]) -> None:
    assert found(formula) == codes


@pytest.mark.parametrize(
    ("scores", "codes"),
    [
        ("s + torch.log(torch.clamp(1 - p, 1e-30))", set()),  # what was chosen before is masked
        ("(s + torch.log(1 - p)) / n", set()),
        ("s + torch.log(p)", {"FL201"}),
        ("s + torch.log(p + 1e-8)", set()),  # where the epsilon outweighs p, so little is chosen that p has no say
    ],
)
def test_a_log_that_masks_the_scores_of_another_softmax_is_no_loss(scores: str, codes: set[str]) -> None:
    assert found(f"torch.softmax({scores}, dim=1)") == codes


@pytest.mark.parametrize(
    ("bounded", "codes"),
    [
        ("torch.clamp(w, 1e-4, 1 - 1e-4)", {"FL202"}),
        ("(w >= 1e-4).float() * w + (w < 1e-4).float() * 1e-4", set()),  # a clip, too
        ("(g >= 1e-4).float() * g + (g < 1e-4) * 1e-4", set()),
        ("w * (w < n) + n * (w >= n)", set()),
        ("w / n", {"FL205"}),
    ],
)
def test_a_formula_says_that_its_probability_is_one_unless_comparisons_bound_it(bounded: str, codes: set[str]) -> None:
    assert (
        found(f"bce({bounded}, y)\n\ndef bce(p, t):\n    return -t * torch.log(p) - (1 - t) * torch.log(1 - p)")
        == codes
    )


NUMPY = """
import {numpy} as np

def cost(w, x, y):
    p = 1 / (1 + np.exp(-x @ w))
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)), x.T @ (p - y)
"""


@pytest.mark.parametrize(("numpy", "severities"), [("numpy", ["advice"]), ("autograd.numpy", ["warning"] * 2)])
def test_a_formula_in_numpy_is_told_once_and_as_advice(numpy: str, severities: list[str]) -> None:
    seen = sightings(SourceFile("program.py", NUMPY.format(numpy=numpy)), Project())
    assert [str(j.finding.severity) for j in judge(seen) if j.finding.rule.code == "FL205"] == severities


@pytest.mark.parametrize(
    ("base", "severities"), [("torch.autograd.Function", ["advice"]), ("object", ["warning"]), ("Own", ["advice"])]
)
def test_a_gradient_that_is_written_beside_the_loss_is_not_the_losss(base: str, severities: list[str]) -> None:
    program = f"""
import torch

class Own(torch.autograd.Function):
    pass

class Entropy({base}):
    @staticmethod
    def forward(ctx, z, y):
        p = torch.softmax(z, dim=1)
        return -torch.log(p.gather(1, y)).mean()

    @staticmethod
    def backward(ctx, grad):
        return grad, None
"""
    seen = sightings(SourceFile("program.py", program), Project())
    assert [str(j.finding.severity) for j in judge(seen) if j.finding.rule.code == "FL201"] == severities


CLIPPED = "p.clamp(1e-7, 1 - 1e-7)"


@pytest.mark.parametrize(
    ("formula", "rules"),
    [
        # one log that a policy's loss reads, and its entropy
        ("(p * (q := torch.log(p + 1e-8))).sum(1).mean() - ((q * a).sum(1) * w).mean()", {"FL203"}),
        (f"(p * (q := torch.log({CLIPPED}))).sum(1).mean() - (q * y).sum(1).mean()", {"FL202"}),
        ("(p * torch.log(p + 1e-8) * a).sum(1).mean()", set()),
        ("(p * (torch.log(p + 1e-8) * a)).sum(1).mean()", set()),
        ("((p * torch.log(p + 1e-8)).sum(1) * a).mean()", set()),
        # joint and conditional probabilities, and what a share mixes
        ("-torch.log(p[rows, y] * g[:, 0] + 1e-8).mean()", {"FL203"}),
        ("-torch.log(p[rows, y] / n + 1e-8).mean()", {"FL203"}),
        ("-torch.log(p[rows, y] * a).mean()", set()),
        ("-torch.log((g * p).scatter_add(1, a, (1 - g) * w).gather(1, y) + 1e-8).mean()", {"FL203"}),
        (
            "-torch.log((torch.cat([g * p, w], 1) if a else g * p).scatter_add(1, a, (1 - g) * w).gather(1, y)).mean()",
            {"FL201"},
        ),
        ("-torch.log((p * y).sum(1) * (torch.softmax(net(w), 1) * w).sum(2).sum(1) + 1e-8).mean()", {"FL203"}),
        ("-torch.log((p * y).sum(1) * (p + a).sum(1) + 1e-8).mean()", set()),
        ("F.kl_div(torch.log(torch.cat([(p * one.bool()).sum(1), 1 - (p * one.bool()).sum(1)])), w)", {"FL201"}),
        ("-torch.log((g * p + g * w).gather(1, y) + 1e-8).mean()", set()),
        ("-torch.log((torch.softmax(net(w), 1) @ one.float()).gather(1, y)).mean()", {"FL201"}),
        ("-torch.log((torch.softmax(net(w), 1) @ w).gather(1, y)).mean()", set()),
        ("F.binary_cross_entropy_with_logits((p * torch.sigmoid(net(w))).sum(1), y)", {"FL104"}),
        ("F.cross_entropy(torch.softmax(net(w), 1) @ one.float(), y)", {"FL101"}),
        # the probability of what happened, of each class by itself
        (f"-torch.log(y * (q := {CLIPPED}) + (1 - y) * (1 - q)).mean()", {"FL202"}),
    ],
)
def test_probabilities_weighed_mixed_and_multiplied(formula: str, rules: set[str]) -> None:
    assert found(formula) == rules


def test_a_contrastive_loss_by_hand_is_told_of_once() -> None:
    seen = sightings(SourceFile("program.py", HEAD + "-torch.log(s.exp() / net(w).exp().sum(1)).mean()\n"), Project())
    assert [f.rule.code for f in outermost([j.finding for j in judge(seen)])] == ["FL207"]


@pytest.mark.parametrize(
    ("masked", "rules"),
    [
        ("p[p < 1e-7] = 1e-7; return -torch.log(p)[rows, y].mean()", {"FL202"}),
        ("p[(p > 0.9).data] = 0.9; return -torch.log(1 - p)[rows, y].mean()", {"FL202"}),
        ("p[y < 1e-7] = 1e-7; return -torch.log(p)[rows, y].mean()", {"FL201"}),
        ("p = p[rows, y]; small = p <= 0.1; a[~small] = -torch.log(p[~small]); return a.mean()", set()),
        ("p = p[rows, y]; return -torch.log(p[p > 0.1]).mean()", set()),
        ("p = p[rows, y]; return -torch.log(p[p <= 0.1]).mean()", {"FL201"}),
        ("p = p[rows, y]; return -torch.log(p[p > 0]).mean()", set()),  # no infinity, which FL201 would tell of
        ("return -(p[p > 0] * torch.log(p[p > 0])).sum()", set()),
        ("p = p[rows, y]; return -torch.log(p[y > 0.1]).mean()", {"FL201"}),
    ],
)
def test_a_mask_of_the_sizes_clips_what_it_sets_and_guards_what_it_picks(masked: str, rules: set[str]) -> None:
    program = HEAD.removesuffix("return ") + masked
    seen = sightings(SourceFile("program.py", program + "\n"), Project())
    assert {f.rule.code for f in outermost([j.finding for j in judge(seen)])} == rules
