"""What an audit says of the batch and the loss, and how it is shown."""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema
import numpy as np
import pytest

import finallayer


def batch(margins: list[float], classes: int = 4) -> tuple[Any, Any]:
    """Logits whose target trails by these margins, and labels."""
    import torch

    z = torch.zeros(len(margins), classes)
    y = torch.arange(len(margins)) % classes
    for row, (margin, label) in enumerate(zip(margins, y.tolist(), strict=True)):
        z[row, label] = -margin
    return z, y


def with_epsilon(z: Any, y: Any) -> Any:
    import torch

    p = torch.softmax(z, 1)
    return -torch.log(p[torch.arange(len(y)), y] + 1e-8).mean()


def test_the_batchs_margins_are_those_of_its_logits() -> None:
    from torch.nn import functional

    wanted = [-20.0, -1.0, 0.5, 3.0, 14.0, 40.0]
    z, y = batch(wanted)
    onehot = functional.one_hot(y, 4).float()
    losses = [
        with_epsilon,
        functional.cross_entropy,
        lambda z, y: functional.cross_entropy(z, onehot),
        lambda z, y: functional.nll_loss(functional.log_softmax(z, 1), y),
        lambda z, y: -(functional.log_softmax(z, -1) * onehot).sum(-1).mean(),
        lambda z, y: -functional.log_softmax(z, 1).gather(1, y[:, None]).mean(),
        lambda z, y: functional.cross_entropy(z.softmax(1), y),
        lambda z, y: functional.cross_entropy(z.T[None], y[None]),
    ]
    for loss in losses:
        np.testing.assert_allclose(finallayer.audit(loss, z, y).margins, wanted, atol=1e-5)


def weights() -> Any:
    import torch

    return torch.linspace(-1, 1, 16).reshape(4, 4).requires_grad_()


def test_a_margin_is_told_of_a_classifiers_loss_on_a_target_alone() -> None:
    import torch
    from torch.nn import functional

    z, y = batch([-3.0, 0.5, 2.0, 20.0])
    w, onehot = weights(), functional.one_hot(y, 4).float()

    def entropy(z: Any) -> Any:
        return -(z.softmax(1) * z.log_softmax(1)).sum(1).mean()

    def chain(z: Any, y: Any) -> Any:
        ends = z[0]
        for row in z[1:]:
            ends = torch.logsumexp(ends[:, None] + w + row, 0)
        return torch.logsumexp(ends, 0) - z[torch.arange(4), y].sum() - w[y[:-1], y[1:]].sum()

    def attention(z: Any, y: Any) -> Any:
        return functional.cross_entropy((z @ w).softmax(1) * z, y)

    def smoothed(z: Any, y: Any) -> Any:
        log = z.log_softmax(1)
        return (0.9 * functional.nll_loss(log, y, reduction="none") - 0.1 * log.mean(1)).mean()

    def by_parts(z: Any, y: Any) -> Any:
        return (torch.logsumexp(z, 1) - z.gather(1, y[:, None])[:, 0]).mean()

    told = {
        "entropy": (lambda z, y: entropy(z @ w), None, 0),
        "with an entropy": (lambda z, y: functional.cross_entropy(z, y) - 0.1 * entropy(z), math.inf, 4),
        "entropy of itself": (lambda z, y: functional.cross_entropy(z, z.softmax(1)), None, 0),
        "chain": (chain, None, 0),
        "attention": (attention, math.inf, 4),
        "smoothed": (smoothed, math.inf, 4),
        "smoothed labels": (lambda z, y: -(z.log_softmax(1) * (0.9 * onehot + 0.025)).sum(1).mean(), math.inf, 4),
        "by parts": (by_parts, math.inf, None),
        "regression": (lambda z, y: functional.mse_loss(z @ w, onehot), None, 0),
        "focal": (lambda z, y: -((1 - z.softmax(1)) ** 2 * z.log_softmax(1) * onehot).sum(1).mean(), None, 0),
    }
    for name, (loss, margin, samples) in told.items():
        audit = finallayer.audit(loss, z, y)
        assert (audit.safe_margin and audit.safe_margin["float32"]) == margin, name
        assert samples is None or len(audit.margins) == samples, name
        assert ("safe margin: not known" in str(audit)) == (margin is None), name
    assert "without a target" in str(finallayer.audit(told["with an entropy"][0], z, y))


def test_silenced_is_the_share_past_the_safe_margin() -> None:
    z, y = batch([-3.0, 5.0, 13.0, 14.0, 30.0])
    audit = finallayer.audit(with_epsilon, z, y)
    assert audit.safe_margin is not None and 13 < audit.safe_margin["float32"] < 14
    assert audit.silenced == pytest.approx(2 / 5)


def test_nothing_is_silenced_by_a_fused_loss() -> None:
    from torch.nn import functional

    audit = finallayer.audit(functional.cross_entropy, *batch([-3.0, 5.0, 500.0]))
    assert audit.safe_margin is not None and math.isinf(audit.safe_margin["float32"])
    assert audit.silenced == 0


def test_collapsed_is_the_share_whose_gradient_is_0_as_torch_computes_it() -> None:
    import torch
    from torch.nn import functional

    z, y = batch([-10.0, -15.0, -17.0, -19.0, -30.0, 2.0])
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(functional.cross_entropy(z, y), z)
    lost = float((gradient[torch.arange(6), y] == 0).float().mean())
    assert finallayer.audit(functional.cross_entropy, z.detach(), y).collapsed == pytest.approx(lost)


def test_the_floor_of_a_double_softmax_is_what_no_model_gets_below() -> None:
    from torch.nn import functional

    z, y = batch([-200.0] * 6, classes=10)
    audit = finallayer.audit(lambda z, y: functional.cross_entropy(z.softmax(1), y), z, y)
    assert audit.floor == pytest.approx(math.log(math.e + 9) - 1, rel=1e-6)
    assert finallayer.audit(functional.cross_entropy, z, y).floor == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("option", [{"label_smoothing": 0.1}, {"reduction": "sum"}])
def test_a_floor_that_is_not_known_is_not_told(option: dict[str, Any]) -> None:
    from torch.nn import functional

    z, y = batch([1.0, -1.0])
    assert finallayer.audit(lambda: functional.cross_entropy(z, y, **option)).floor is None
    soft = z.softmax(1)
    assert finallayer.audit(lambda: functional.cross_entropy(z, soft)).floor is None


def test_an_audit_is_text_json_sarif_and_html() -> None:
    audit = finallayer.audit(with_epsilon, *batch([1.0, 20.0]))
    assert "FL203" in str(audit) and "torch.log(p[torch.arange(len(y)), y] + 1e-8)" in str(audit)
    assert "silenced 50.0%" in str(audit)
    said = json.loads(audit.to_json())
    assert said["findings"][0]["rule"] == "FL203" and said["silenced"] == 0.5
    assert json.loads(audit.sarif())["runs"][0]["results"][0]["ruleId"] == "FL203"
    assert "&#x27;" in audit._repr_html_() or "FL203" in audit._repr_html_()
    jsonschema.validate(said, {"type": "object", "required": ["findings", "blind", "floor", "margins"]})


def test_raise_for_raises_what_is_as_severe() -> None:
    from torch.nn import functional

    z, y = batch([1.0, 2.0])
    warned = finallayer.audit(with_epsilon, z, y)
    assert warned.raise_for("error") is warned
    with pytest.raises(AssertionError, match="FL203"):
        warned.raise_for("warning")
    with pytest.raises(AssertionError, match="FL101"):
        finallayer.audit(lambda: functional.cross_entropy(z.softmax(1), y)).raise_for()
    with pytest.raises(ValueError, match="fatal"):
        warned.raise_for("fatal")


def test_a_comment_keeps_a_finding_quiet() -> None:
    import torch

    def loss(z: Any, y: Any) -> Any:
        return -torch.log(z.softmax(1)[torch.arange(2), y]).mean()  # finallayer: ignore[FL201]

    assert finallayer.audit(loss, *batch([1.0, 2.0])).findings == ()


def test_what_is_no_loss_is_told() -> None:
    with pytest.raises(TypeError, match="loss function"):
        finallayer.audit(3)
