"""Every argument of the torch losses that does not fit is refused in torch's own error type, in one clear line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from finallayer.losses import torch as ours  # noqa: E402
from finallayer.losses.torch import _kernel, _quick  # noqa: E402

Z, T, SOFT = torch.randn(4, 3), torch.tensor([0, 2, 1, 0]), torch.softmax(torch.randn(4, 3), 1)
H, W = torch.randn(4, 8), torch.randn(3, 8)
LEARNED = torch.ones(3, requires_grad=True)


def meta(tensor: Any) -> Any:
    return tensor.to("meta")


def refused(call: Callable[[], Any], error: type[Exception], *words: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error or (error is RuntimeError and caught.type is NotImplementedError)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


#: What to change of good arguments; what is raised (by torch, too, where it takes the argument); words of the message.
CROSS_ENTROPY: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "fewer targets": ({"target": T[:3]}, ValueError, ("(4,)", "(3,)")),
    "targets in a column": ({"target": T[:, None]}, RuntimeError, ("(4, 1)",)),
    "float labels": ({"target": T.float()}, RuntimeError, ("integer", "float32")),
    "bool labels": ({"target": T > 0}, RuntimeError, ("integer", "bool")),
    "complex labels": ({"target": SOFT.cfloat()}, RuntimeError, ("floating point", "complex64")),
    "integer probabilities": ({"target": torch.ones(4, 3).long()}, RuntimeError, ("floating point",)),
    "bool probabilities": ({"target": torch.ones(4, 3).bool()}, RuntimeError, ("floating point",)),
    "float8 probabilities": ({"target": SOFT.to(torch.float8_e5m2)}, RuntimeError, ("floating point",)),
    "probabilities of fewer classes": ({"target": SOFT[:, :2]}, RuntimeError, ("shape of the logits", "(4, 2)")),
    "a list of labels": ({"target": [0, 2, 1, 0]}, TypeError, ("'target'", "list")),
    "labels elsewhere": ({"target": meta(T)}, RuntimeError, ("target", "meta")),
    "sparse probabilities": ({"target": SOFT.to_sparse()}, RuntimeError, ("dense",)),
    "label too large": ({"target": T + 1}, IndexError, ("Target 3", "row 1")),
    "label negative": ({"target": T - 1}, IndexError, ("Target -1", "row 0")),
    "label beyond 32 bits": ({"target": T + 2**32}, IndexError, ("Target 4294967296",)),
    "class weight of 2": ({"weight": torch.ones(2)}, RuntimeError, ("all 3 classes", "[2]")),
    "class weight in a row": ({"weight": torch.ones(1, 3)}, RuntimeError, ("[1, 3]",)),
    "integer class weight": ({"weight": torch.ones(3).long()}, RuntimeError, ("floating point", "int64")),
    "class weight elsewhere": ({"weight": meta(torch.ones(3))}, RuntimeError, ("weight", "meta")),
    "class weight a number": ({"weight": 2.0}, TypeError, ("'weight'", "float")),
    "learned class weight": ({"weight": LEARNED}, RuntimeError, ("differentiable", "requires_grad")),
    "learned class weight, smoothed": ({"weight": LEARNED, "label_smoothing": 0.1}, RuntimeError, ("requires_grad",)),
    "token weight of 3": ({"token_weight": torch.ones(3)}, ValueError, ("token_weight", "(4,)", "(3,)")),
    "integer token weight": ({"token_weight": torch.ones(4).long()}, RuntimeError, ("floating point",)),
    "token weight elsewhere": ({"token_weight": meta(torch.ones(4))}, RuntimeError, ("token_weight", "meta")),
    "reduction": ({"reduction": "avg"}, ValueError, ("avg is not a valid value for reduction",)),
    "smoothing 2": ({"label_smoothing": 2.0}, RuntimeError, ("between 0.0 and 1.0",)),
    "smoothing -1": ({"label_smoothing": -1.0}, RuntimeError, ("between 0.0 and 1.0",)),
    "smoothing NaN": ({"label_smoothing": float("nan")}, RuntimeError, ("between 0.0 and 1.0",)),
    "smoothing a word": ({"label_smoothing": "a"}, TypeError, ("label_smoothing",)),
    "z_loss infinite": ({"z_loss": float("inf")}, ValueError, ("z_loss",)),
    "softcap 0": ({"softcap": 0.0}, ValueError, ("softcap must be above 0",)),
    "softcap negative": ({"softcap": -3.0}, ValueError, ("softcap must be above 0",)),
    "softcap NaN": ({"softcap": float("nan")}, ValueError, ("softcap must be above 0",)),
    "temperature 0": ({"temperature": 0.0}, ValueError, ("temperature must be above 0",)),
    "temperature infinite": ({"temperature": float("inf")}, ValueError, ("temperature must be above 0",)),
    "temperature a tensor": ({"temperature": torch.ones(())}, TypeError, ("temperature",)),
    "ignore_index None": ({"ignore_index": None}, TypeError, ("ignore_index must be int",)),
    "ignore_index 1.5": ({"ignore_index": 1.5}, TypeError, ("ignore_index must be int",)),
    "ignore_index beyond 64 bits": ({"ignore_index": 2**70}, RuntimeError, ("64 bits",)),
    "ignore_index with probabilities": ({"target": SOFT, "ignore_index": 1}, RuntimeError, ("not supported",)),
    "integer logits": ({"input": Z.long()}, NotImplementedError, ("int64",)),
    "bool logits": ({"input": Z > 0}, NotImplementedError, ("bool",)),
    "complex logits": ({"input": Z.cfloat()}, NotImplementedError, ("complex64",)),
    "float8 logits": ({"input": Z.to(torch.float8_e4m3fn)}, NotImplementedError, ("float8",)),
    "sparse logits": ({"input": Z.to_sparse()}, NotImplementedError, ("dense",)),
    "logits a number": ({"input": torch.ones(()), "target": T[0]}, RuntimeError, ()),
    "logits elsewhere": ({"input": meta(Z)}, RuntimeError, ("meta",)),
    "logits an array": ({"input": Z.numpy()}, TypeError, ("'input'", "ndarray")),
    "images, targets of another size": (
        {"input": torch.randn(2, 3, 4, 4), "target": torch.zeros(2, 4, 5).long()},
        RuntimeError,
        ("(2, 4, 4)", "(2, 4, 5)"),
    ),
    "no classes": ({"input": torch.randn(4, 0), "target": T * 0}, IndexError, ("Target 0",)),
}
#: Which of these are ours alone: torch has no such argument, or takes it, or says it in another way.
_NOT_TORCHS = {"z_loss", "softcap", "temperature", "token_weight"}
_TAKEN_BY_TORCH = {
    "ignore_index beyond 64 bits",
    "smoothing -1",
    "smoothing NaN",
    "float8 probabilities",
    "sparse probabilities",
}


@pytest.mark.parametrize("rows", [1, 12000], ids=["small", "large"])
@pytest.mark.parametrize("case", CROSS_ENTROPY)
def test_cross_entropy_refuses(case: str, rows: int) -> None:
    changed, error, words = CROSS_ENTROPY[case]
    arguments = {"input": Z, "target": T} | changed
    if rows > 1:  # past what the short way to the kernel takes
        if set(changed) & {"target", "input", "token_weight"}:
            pytest.skip("made for four rows")
        arguments |= {"input": Z.repeat(rows, 1), "target": T.repeat(rows)}
    refused(lambda: ours.cross_entropy(**arguments), error, *words)
    if not set(changed) & _NOT_TORCHS and case not in _TAKEN_BY_TORCH:
        with pytest.raises(error):
            F.cross_entropy(**arguments)


LINEAR: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "float labels": ({"target": T.float()}, RuntimeError, ("integer", "float32")),
    "float labels, one class": ({"target": T.float(), "linear_weight": W[:1]}, RuntimeError, ("integer", "float32")),
    "fewer targets": ({"target": T[:3]}, ValueError, ("(4,)", "(3,)")),
    "label too large": ({"target": T + 1}, IndexError, ("Target 3",)),
    "bool labels": ({"target": T > 0}, RuntimeError, ("bool",)),
    "other features": ({"linear_weight": W[:, :5]}, RuntimeError, ("8 and 5",)),
    "a vector for the layer": ({"linear_weight": W[0]}, RuntimeError, ("at least 2",)),
    "layer in another dtype": ({"linear_weight": W.double()}, RuntimeError, ("float64",)),
    "layer elsewhere": ({"linear_weight": meta(W)}, RuntimeError, ("meta",)),
    "bias of 4": ({"linear_bias": torch.ones(4)}, RuntimeError, ("(3,)", "(4,)")),
    "bias in another dtype": ({"linear_bias": torch.ones(3).double()}, RuntimeError, ("float64",)),
    "bias elsewhere": ({"linear_bias": meta(torch.ones(3))}, RuntimeError, ("meta",)),
    "class weight of 2": ({"weight": torch.ones(2)}, RuntimeError, ("all 3 classes", "[2]")),
    "learned class weight": ({"weight": LEARNED}, RuntimeError, ("requires_grad",)),
    "token weight of 3": ({"token_weight": torch.ones(3)}, ValueError, ("(4,)", "(3,)")),
    "reduction": ({"reduction": "avg"}, ValueError, ("avg is not a valid value",)),
    "smoothing 2": ({"label_smoothing": 2.0}, RuntimeError, ("between",)),
    "temperature 0": ({"temperature": 0.0}, ValueError, ("temperature",)),
    "ignore_index with probabilities": ({"target": SOFT, "ignore_index": 1}, RuntimeError, ("probabilities",)),
    "integer hidden": ({"input": H.long()}, NotImplementedError, ("int64",)),
    "several targets, one input": ({"input": H[0], "linear_weight": torch.randn(3, 2, 8)}, RuntimeError, ("batched",)),
}


@pytest.mark.parametrize("case", LINEAR)
def test_linear_cross_entropy_refuses(case: str) -> None:
    changed, error, words = LINEAR[case]
    refused(
        lambda: ours.linear_cross_entropy(**({"input": H, "linear_weight": W, "target": T} | changed)), error, *words
    )


BINARY: dict[str, tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = {
    "another shape": ({"target": SOFT[:3]}, ValueError, ("must be the same as input size",)),
    "integer targets": ({"target": torch.ones(4, 3).long()}, RuntimeError, ("floating point", "int64")),
    "bool targets": ({"target": SOFT > 0}, RuntimeError, ("floating point", "bool")),
    "targets elsewhere": ({"target": meta(SOFT)}, RuntimeError, ("meta",)),
    "weight of 5": ({"weight": torch.ones(5)}, RuntimeError, ("weight", "(5,)")),
    "weight with more dimensions": ({"weight": torch.ones(2, 4, 3)}, RuntimeError, ("(2, 4, 3)",)),
    "pos_weight of 5": ({"pos_weight": torch.ones(5)}, RuntimeError, ("pos_weight", "(5,)")),
    "weight elsewhere": ({"weight": meta(torch.ones(3))}, RuntimeError, ("meta",)),
    "reduction": ({"reduction": "avg"}, ValueError, ("avg is not a valid value",)),
    "integer logits": ({"input": Z.long()}, NotImplementedError, ("int64",)),
    "complex logits": ({"input": Z.cfloat()}, NotImplementedError, ("complex64",)),
    "float8 logits": ({"input": Z.to(torch.float8_e5m2)}, NotImplementedError, ("float8",)),
}


@pytest.mark.parametrize("case", BINARY)
def test_binary_cross_entropy_refuses(case: str) -> None:
    changed, error, words = BINARY[case]
    arguments = {"input": Z, "target": SOFT} | changed
    refused(lambda: ours.binary_cross_entropy_with_logits(**arguments), error, *words)
    with pytest.raises(error):
        F.binary_cross_entropy_with_logits(**arguments)


def test_modules_refuse_when_they_are_made() -> None:
    refused(lambda: ours.CrossEntropyLoss(label_smoothing=2), RuntimeError, "between")
    refused(lambda: ours.CrossEntropyLoss(temperature=0), ValueError, "temperature")
    refused(lambda: ours.CrossEntropyLoss(reduction="avg"), ValueError, "avg")
    refused(lambda: ours.BCEWithLogitsLoss(reduction="avg"), ValueError, "avg")
    refused(lambda: ours.LinearCrossEntropyLoss(8, 3, weight=torch.ones(2)), RuntimeError, "(3,)")
    refused(lambda: torch.jit.script(ours.CrossEntropyLoss()), RuntimeError, "torch.jit.script")


def test_a_class_weight_that_is_learned_beside_probabilities() -> None:
    for reduction in ("mean", "sum", "none"):
        grads = []
        for f in (ours, F):
            weight = torch.tensor([0.5, 2.0, 1.0], requires_grad=True)
            loss = f.cross_entropy(Z, SOFT, weight, reduction=reduction, label_smoothing=0.1)
            grads.append(torch.autograd.grad(loss.sum(), weight)[0])
        torch.testing.assert_close(*grads)


def test_one_target_in_a_vector_for_one_row_of_logits() -> None:
    for reduction in ("mean", "sum", "none"):
        got, expected = (f.cross_entropy(Z[0], T[:1], reduction=reduction) for f in (ours, F))
        assert got.shape == expected.shape
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64], ids=str)
def test_labels_of_every_integer_dtype(dtype: Any) -> None:
    assert ours.cross_entropy(Z, T.to(dtype)) == ours.cross_entropy(Z, T)


def test_views_that_stand_for_other_numbers_than_memory_holds() -> None:
    """The negative bit, as of the imaginary part of a conjugate; one element seen many times."""
    z = torch.randn(4, 3, dtype=torch.complex64)
    imaginary, negated = z.conj().imag, torch._neg_view(Z)
    weight = torch._neg_view(torch.tensor([-1.0, -2.0, -0.5]))
    assert imaginary.is_neg() and negated.is_neg() and weight.is_neg()
    torch.testing.assert_close(ours.cross_entropy(imaginary, T), F.cross_entropy(-z.imag, T))
    torch.testing.assert_close(ours.cross_entropy(negated, T), F.cross_entropy(-Z, T))
    torch.testing.assert_close(ours.cross_entropy(Z, T, weight), F.cross_entropy(Z, T, weight.resolve_neg()))
    token = torch._neg_view(-torch.arange(1.0, 5))
    torch.testing.assert_close(
        ours.cross_entropy(Z, T, token_weight=token), ours.cross_entropy(Z, T, token_weight=token.resolve_neg())
    )
    torch.testing.assert_close(
        ours.binary_cross_entropy_with_logits(negated, SOFT), F.binary_cross_entropy_with_logits(-Z, SOFT)
    )
    leaf = Z.clone().requires_grad_()
    ours.cross_entropy(leaf, T, reduction="none").backward(torch._neg_view(-torch.ones(4)))
    torch.testing.assert_close(leaf.grad, torch.autograd.grad(F.cross_entropy(leaf, T, reduction="sum"), leaf)[0])
    expanded = torch.randn(1, 3).expand(4, 3)
    torch.testing.assert_close(ours.cross_entropy(expanded, T), F.cross_entropy(expanded, T))


@pytest.mark.parametrize("path", ["kernel", "framework"])
@pytest.mark.parametrize("rows", [4, 4000])
def test_storage_that_is_gone_is_not_read(path: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By no loss, whichever of its tensors it is: torch's own operations end the process over some of these."""
    if path == "framework":
        monkeypatch.setattr(_kernel, "serves", lambda *tensors: False)
        monkeypatch.setattr(_quick, "LIBRARY", None)
    elif _kernel.LIBRARY is None:
        pytest.skip("the kernel is not built")
    z, t, weight, token = torch.randn(rows, 3), torch.randint(3, (rows,)), torch.rand(3), torch.rand(rows)
    calls = {
        ours.cross_entropy: {"input": z, "target": t, "weight": weight, "token_weight": token},
        ours.binary_cross_entropy_with_logits: {"input": z, "target": z.sigmoid(), "weight": weight},
        ours.linear_cross_entropy: {
            "input": torch.randn(rows, 5), "linear_weight": torch.randn(3, 5), "target": t, "linear_bias": weight
        },
    }  # fmt: skip
    for loss, arguments in calls.items():
        for name in arguments:
            gone = arguments[name].clone()
            gone.untyped_storage().resize_(0)
            given = {**arguments, name: gone}
            refused(lambda loss=loss, given=given: loss(**given), RuntimeError, "storage")


@pytest.mark.parametrize("deprecated", [{"reduce": False}, {"size_average": False}, {"size_average": True}])
def test_torchs_deprecated_arguments(deprecated: dict[str, bool]) -> None:
    with pytest.warns(UserWarning, match="deprecated"):
        torch.testing.assert_close(ours.cross_entropy(Z, T, **deprecated), F.cross_entropy(Z, T, **deprecated))
    with pytest.warns(UserWarning, match="deprecated"):
        got, expected = (f.binary_cross_entropy_with_logits(Z, SOFT, **deprecated) for f in (ours, F))
    torch.testing.assert_close(got, expected)


def test_type_checkers_know_what_comes_back() -> None:
    from torch import Tensor

    z: Tensor = Z
    t: Tensor = T
    assert isinstance(assert_type(ours.cross_entropy(z, t, z_loss=0.1), Tensor), Tensor)
    with_lse = assert_type(ours.cross_entropy(z, t, return_lse=True), ours.CrossEntropyOutput)
    with_accuracy = assert_type(ours.cross_entropy(z, t, return_accuracy=True), ours.CrossEntropyOutput)
    assert with_lse.accuracy is None and with_accuracy.lse is None


def test_what_the_linear_loss_returns_is_known_to_type_checkers() -> None:
    from torch import Tensor

    hidden, weight, t = torch.randn(3, 4), torch.randn(5, 4), torch.tensor([0, 4, 2])
    loss = ours.linear_cross_entropy
    assert isinstance(assert_type(loss(hidden, weight, t, label_smoothing=0.1), Tensor), Tensor)
    with_lse = assert_type(loss(hidden, weight, t, return_lse=True), ours.CrossEntropyOutput)
    with_accuracy = assert_type(loss(hidden, weight, t, return_accuracy=True), ours.CrossEntropyOutput)
    assert with_lse.lse is not None and with_accuracy.accuracy is not None
    either: bool = bool(len(t))
    assert_type(loss(hidden, weight, t, return_lse=either), Tensor | ours.CrossEntropyOutput)


def test_subclasses_and_plain_tensors_are_not_mixed() -> None:
    from torch.testing._internal.two_tensor import TwoTensor

    for name in ("target", "weight", "token_weight"):
        plain = {"target": T, "weight": torch.ones(3), "token_weight": torch.ones(4)}
        arguments = {"input": Z, **plain, name: TwoTensor(plain[name], plain[name])}
        refused(lambda arguments=arguments: ours.cross_entropy(**arguments), RuntimeError, "mixed", "TwoTensor")
    wrapped = TwoTensor(W, W)
    refused(lambda: ours.linear_cross_entropy(H, wrapped, T), RuntimeError, "mixed", "TwoTensor")
