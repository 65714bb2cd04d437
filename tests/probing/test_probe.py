"""A card against losses whose ends are known by hand."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import finallayer
from finallayer.cli import main

Loss = Callable[[Any, Any], Any]


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def picked(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return p[np.arange(len(y)), y]


def with_gradient(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = softmax(z)
    return -np.log(picked(p, y)).mean(), (p - np.eye(z.shape[1])[y]) / len(y)


def torch_on_probabilities(low: float = 0.0, added: float = 0.0) -> Loss:
    import torch

    def loss(z: Any, y: Any) -> Any:
        p = torch.softmax(z, -1).clamp(min=low) + added
        return -torch.log(p[torch.arange(len(y)), y]).mean()

    return loss


def test_a_fused_loss_has_no_limit_but_at_the_confident_end() -> None:
    from torch.nn import functional

    card = finallayer.probe(functional.cross_entropy)
    assert (card.takes, card.reference) == ("logits", "cross-entropy")
    assert card.safe_margin == math.inf and card.silent_from is None
    assert card.confident_margin is not None and 10 < card.confident_margin < 15
    assert card.collapsed_from is not None and 15 < card.collapsed_from < 20
    assert card.floor == 0 and max(card.offset_error.values()) < 1e-6
    assert card.worst_ulp is not None and card.worst_ulp > 1e4
    assert {b.case: b.verdict for b in card.behaviours} == {
        "-inf at another class": "right",
        "-inf at the target": "right",
        "all classes tie": "right",
        "all are -inf": "nan",
        "all labels are -100": "nan",
    }


def test_our_own_loss_is_right_at_both_ends() -> None:
    from finallayer.losses.torch import cross_entropy

    card = finallayer.probe(cross_entropy)
    assert card.safe_margin == card.confident_margin == math.inf
    assert card.worst_ulp is not None and card.worst_ulp <= 4
    assert card.behaviours[-1].verdict == "loss and gradient 0"


@pytest.mark.parametrize(
    ("options", "safe", "silent"),
    [({"low": 1e-7}, math.log(1e7), math.log(1e7)), ({"added": 1e-8}, math.log(1e8) - math.log(100), None)],
)
def test_a_clip_and_an_epsilon_end_the_safe_margin(options: Any, safe: float, silent: float | None) -> None:
    card = finallayer.probe(torch_on_probabilities(**options))
    assert card.safe_margin == pytest.approx(safe, abs=0.02)
    if silent is not None:
        assert card.silent_from == pytest.approx(silent, abs=0.02)
    masked = card.behaviours[1]
    assert (masked.case, masked.verdict, masked.true_loss) == ("-inf at the target", "wrong", math.inf)


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_a_large_epsilon_ends_it_where_its_gradient_is_off_by_a_hundredth(factor: float) -> None:
    pytest.importorskip("torch")
    for classes in (2, 3, 10):
        card = finallayer.probe(lambda z, y: factor * torch_on_probabilities(added=1e-3)(z, y), classes=classes)
        assert card.safe_margin == pytest.approx(math.log(10.1 - (classes - 1)), abs=0.01)


def test_a_double_softmax_is_right_nowhere_and_has_a_floor() -> None:
    from torch.nn import functional

    card = finallayer.probe(lambda z, y: functional.cross_entropy(z.softmax(1), y))
    assert card.reference is not None and "twice" in card.reference
    assert card.safe_margin == 0 and card.floor == pytest.approx(math.log(math.e + 9) - 1, abs=1e-4)


def test_what_takes_probabilities_is_told_of() -> None:
    import torch

    for loss, takes in (
        (torch.nn.NLLLoss, "log-probabilities"),
        (torch.nn.BCELoss, "sigmoid-probabilities"),
        (lambda p, y: -torch.log(p[torch.arange(len(y)), y]).mean(), "probabilities"),
    ):
        card = finallayer.probe(loss, classes=3)
        assert card.takes == takes and f"{takes}, not logits" in str(card)


@pytest.mark.parametrize("smoothing", [0.1, 0.3])
def test_label_smoothing_is_judged_as_such(smoothing: float) -> None:
    import torch

    card = finallayer.probe(torch.nn.CrossEntropyLoss(label_smoothing=smoothing), classes=5)
    assert card.reference == f"cross-entropy with label smoothing {smoothing}"
    assert card.safe_margin == card.confident_margin == math.inf
    assert card.floor == pytest.approx(_entropy(smoothing, 5), rel=0.01)


def _entropy(smoothing: float, classes: int) -> float:
    rest = smoothing / classes
    top = 1 - smoothing + rest
    return -top * math.log(top) - (classes - 1) * rest * math.log(rest)


def test_a_focal_loss_is_judged_as_such() -> None:
    import torch
    from torch.nn import functional

    def focal(z: Any, y: Any) -> Any:
        each = functional.cross_entropy(z, y, reduction="none")
        return (0.25 * (1 - torch.exp(-each)) ** 2 * each).mean()

    card = finallayer.probe(focal, classes=3)
    assert card.reference == "focal loss, gamma 2" and card.safe_margin == math.inf
    assert card.confident_margin is not None and card.confident_margin < 15


def test_a_loss_that_nobody_knows_is_compared_with_its_own_float64() -> None:
    from torch.nn import functional

    card = finallayer.probe(functional.multi_margin_loss, classes=3)
    assert card.reference is None and card.safe_margin == math.inf and card.worst_ulp is None
    assert card.collapsed_from == pytest.approx(1, abs=0.01)
    assert finallayer.probe(functional.multi_margin_loss, classes=3, dtype="float64").safe_margin is None


@pytest.mark.parametrize(
    ("loss", "called"),
    [
        (lambda z, y: -np.log(picked(softmax(z), y)), "loss(logits, class indices)"),
        (lambda y_true, z: -np.log(picked(softmax(z), y_true)).sum(), "loss(class indices, logits)"),
        (lambda z, y: -(np.log(softmax(z)) * y).sum(-1).mean(), "loss(logits, one-hot labels)"),
        (lambda y, z: -(np.log(softmax(z)) * y).sum(-1), "loss(one-hot labels, logits)"),
        (lambda z, y: -np.log(softmax(z[None])[0][int(y)]), "loss(logits, class indices) of a single row"),
    ],
)
def test_the_way_to_call_it_is_found_out(loss: Loss, called: str) -> None:
    card = finallayer.probe(loss, classes=3, framework="numpy")
    assert (card.called, card.reference, card.differences) == (called, "cross-entropy", True)


def test_without_gradients_the_losss_changes_are_judged() -> None:
    clipped = finallayer.probe(lambda z, y: -np.log(picked(softmax(z), y).clip(1e-7)).mean(), framework="numpy")
    assert clipped.differences and clipped.safe_margin == pytest.approx(math.log(1e7), abs=0.2)
    assert "ulp" in str(clipped) and "gradient" not in clipped.ulps
    own = finallayer.probe(with_gradient, framework="numpy")
    assert not own.differences and own.safe_margin == math.inf and "gradient" in own.ulps


def test_jaxs_losses() -> None:
    import optax

    card = finallayer.probe(optax.softmax_cross_entropy_with_integer_labels)
    assert card.framework.startswith("jax") and card.safe_margin == math.inf
    assert 1e-3 < card.offset_error[1e6] < 1
    binary = finallayer.probe(optax.sigmoid_binary_cross_entropy, classes=1, dtype="bfloat16")
    assert binary.reference == "binary cross-entropy" and binary.confident_margin == math.inf
    assert finallayer.probe(optax.softmax_cross_entropy, classes=3, dtype="float64").worst_ulp is not None


def test_tensorflows_losses() -> None:
    import tensorflow as tf

    card = finallayer.probe(tf.nn.sparse_softmax_cross_entropy_with_logits)
    assert card.called == "loss(class indices, logits)" and card.safe_margin == math.inf


@pytest.mark.parametrize(("backend", "rescued"), [("jax", False), ("tensorflow", True)])
def test_keras_loss_on_probabilities_is_rescued_on_tensorflow_alone(backend: str, rescued: bool) -> None:
    code = (
        "import finallayer, keras; card = finallayer.probe(keras.losses.SparseCategoricalCrossentropy);"
        "print(card.takes, card.safe_margin, card.framework)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**_environment(), "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named" in done.stderr:
        pytest.skip(f"Keras on {backend} is not installed")
    takes, margin, framework = done.stdout.split(maxsplit=2)
    assert takes == "probabilities" and framework.startswith(f"keras on {backend}")
    assert float(margin) == (math.inf if rescued else pytest.approx(math.log(1e7), abs=0.02))


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}


@pytest.mark.parametrize(
    ("loss", "options", "said"),
    [
        (3, {}, "not int"),
        (lambda z: z, {}, "takes 1 positional argument"),
        (lambda z, y: "a text", {}, "no number of NumPy's"),
        (lambda z, y: z.sum(), {}, "no less for a label that leads"),
        (with_gradient, {"classes": 0}, "1 to 100000"),
        (with_gradient, {"dtype": "int8"}, "unknown dtype 'int8'"),
        (with_gradient, {"framework": "pandas"}, "expected one of torch"),
    ],
)
def test_what_cant_be_measured_is_one_line(loss: Any, options: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said) as raised:
        finallayer.probe(loss, **{"framework": "numpy", **options})
    assert "\n" not in str(raised.value)


def test_the_card_as_json_and_as_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    card = finallayer.probe(with_gradient, framework="numpy")
    said = json.loads(card.to_json())
    assert said["safe_margin"] is None and "safe_margin" in said["unlimited"]
    assert len(said["curve"]["margins"]) == len(said["curve"]["gradient"]) == len(said["curve"]["true_loss"])
    for name in ("card.png", "card.svg"):
        card.plot(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    assert "true gradient" in card._repr_html_()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_losses.py").write_text(
        "import numpy as np\n\n"
        "def mine(z, y):\n    e = np.exp(z)\n    return -np.log(e / e.sum(-1, keepdims=True))[np.arange(len(y)), y]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    asked = ["probe", "my_losses:mine", "--classes", "3", "--framework", "numpy"]
    done = CliRunner().invoke(main, [*asked, "--output-format", "json"])
    assert done.exit_code == 0 and "executes" in done.stderr
    assert 80 < json.loads(done.stdout)["safe_margin"] < 90  # exp overflows
    for place, said in (("my_losses:no", "has no no"), ("my_losses", "expected MODULE"), ("nowhere:x", "No module")):
        failed = CliRunner().invoke(main, ["probe", place])
        assert failed.exit_code == 2 and said in failed.stderr
