"""Formulas that are written out, where the framework's function would say something else, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

PROGRAM = (
    "import torch\n\nz = {}\np = torch.exp(z) / torch.exp(z).sum({}, keepdim=True)\ns = torch.log(1 + torch.exp(z))\n"
)


@pytest.mark.parametrize(
    "z", ["torch.tensor([[1, 2, 3]])", "torch.arange(6).reshape(2, 3)", "torch.randint(9, (2, 3))"]
)
def test_whole_numbers_have_no_softmax(tmp_path: Path, z: str) -> None:
    import torch

    assert fixed(tmp_path, PROGRAM.format(z, 1)) == PROGRAM.format(z, 1)
    with pytest.raises(NotImplementedError):
        torch.softmax(torch.tensor([[1, 2, 3]]), dim=1)


@pytest.mark.parametrize(
    "z",
    [
        "torch.tensor([[1, 2000.0]])",
        "torch.arange(6).float().reshape(2, 3)",
        "torch.tensor([[1, 2000]], dtype=torch.float32)",
    ],
)
def test_real_numbers_have_one(tmp_path: Path, z: str) -> None:
    mended = fixed(tmp_path, PROGRAM.format(z, 1))
    assert "p = torch.softmax(z, dim=1)" in mended and "softplus(z)" in mended
    exec(mended, {})


def test_there_is_no_softmax_over_two_axes(tmp_path: Path) -> None:
    program = PROGRAM.format("torch.randn(2, 3, 4)", "(1, 2)")
    assert "p = torch.exp(z) / torch.exp(z).sum((1, 2), keepdim=True)" in fixed(tmp_path, program)


ATTRIBUTE = """import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.z = None
        self.linear = nn.Linear(3, 3)

    def forward(self, x, y):
        {}
        return -torch.log(self.p[range(3), y]).mean()

    def sharpen(self):
        {}
"""
MADE = "self.z = self.linear(x); self.p = torch.softmax(self.z, 1); {}"


@pytest.mark.parametrize(
    ("then", "does", "stays"),
    [
        ("self.sharpen()", "self.z = self.z * 2", True),
        ("model = self; model.z = self.z * 2", "pass", True),
        ("self.sharpen()", "pass", False),
        ("pass", "return self.z", False),
    ],
)
def test_an_attribute_may_be_bound_from_afar(tmp_path: Path, then: str, does: str, stays: bool) -> None:
    program = ATTRIBUTE.format(MADE.format(then), does)
    assert ("log_softmax(self.z, 1)" not in fixed(tmp_path, program)) is stays


NUMPY = "import numpy as np\n\n"
#: A softmax in a file of NumPy's alone: what its body becomes, which is the same where nothing is certain.
WITHOUT_SCIPY: dict[str, tuple[str, str]] = {
    "an exp with a name": (
        "    e = np.exp(x)\n    return e / e.sum(axis=1, keepdims=True)\n",
        "    e = np.exp(x - np.max(x, axis=1, keepdims=True))\n    return e / e.sum(axis=1, keepdims=True)\n",
    ),
    "a sum with a name, too": (
        "    e = np.exp(x)\n    s = np.sum(e, axis=-1)[:, None]\n    return e / s\n",
        "    e = np.exp(x - np.max(x, axis=-1, keepdims=True))\n"
        "    s = np.sum(e, axis=-1)[:, None]\n    return e / s\n",
    ),
    "an axis that is worked out": (
        "    e = np.exp(x)\n    return e / np.sum(e, axis=len(x.shape) - 1, keepdims=True)\n",
        "    e = np.exp(x - np.max(x, axis=len(x.shape) - 1, keepdims=True))\n"
        "    return e / np.sum(e, axis=len(x.shape) - 1, keepdims=True)\n",
    ),
    "an exp written twice": (
        "    return np.exp(x) / np.sum(np.exp(x))\n",
        "    shifted = x - np.max(x)\n    return np.exp(shifted) / np.sum(np.exp(shifted))\n",
    ),
    "an exp in each of two lines": (
        "    e = np.exp(x)\n    s = np.sum(np.exp(x))\n    return e / s\n",
        "    shifted = x - np.max(x)\n    e = np.exp(shifted)\n    s = np.sum(np.exp(shifted))\n    return e / s\n",
    ),
    "the sum comes first": 2 * ("    s = np.sum(np.exp(x))\n    e = np.exp(x)\n    return e / s\n",),
    "of an expression": (
        "    e = np.exp(x @ x.T)\n    return e / e.sum(axis=0)\n",
        "    logits = x @ x.T\n    e = np.exp(logits - np.max(logits, axis=0, keepdims=True))\n"
        "    return e / e.sum(axis=0)\n",
    ),
    "a logsumexp": (
        "    return np.log(np.sum(np.exp(x), axis=1, keepdims=True))\n",
        "    return np.logaddexp.reduce(x, axis=1, keepdims=True)\n",
    ),
    "the powers are read besides": 2 * ("    e = np.exp(x)\n    return e / e.sum(axis=1, keepdims=True), e\n",),
    "their sum is read besides": 2
    * ("    e = np.exp(x)\n    s = e.sum(axis=1, keepdims=True)\n    return e / s, np.log2(s)\n",),
    "the powers change in between": 2
    * ("    e = np.exp(x)\n    e[0] = 1\n    return e / e.sum(axis=1, keepdims=True)\n",),
    "the names are shown": 2
    * ("    e = np.exp(x)\n    print(locals())\n    return e / e.sum(axis=1, keepdims=True)\n",),
    "the sum is of other powers": 2 * ("    return np.exp(x) / np.sum(np.exp(2 * x), axis=1, keepdims=True)\n",),
}


@pytest.mark.parametrize(("before", "after"), WITHOUT_SCIPY.values(), ids=WITHOUT_SCIPY)
def test_numpy_alone_subtracts_the_maximum(tmp_path: Path, before: str, after: str) -> None:
    head = f"{NUMPY}def softmax(x):\n"
    assert fixed(tmp_path, head + before) == head + after


@pytest.mark.parametrize("body", [after for before, after in WITHOUT_SCIPY.values() if before != after])
def test_what_numpy_computes_is_right(body: str) -> None:
    import numpy as np

    scope: dict[str, object] = {}
    exec(f"{NUMPY}def softmax(x):\n{body}", scope)
    f = scope["softmax"]
    assert callable(f)
    x = np.array([[900.0, 1.0, -3.0], [2.0, 899.0, 0.0], [1.0, 2.0, 3.0]])
    assert np.isfinite(f(x)).all()


#: what a helper is handed -> whether NumPy can take the maximum from it
HANDED = {
    "scores": ("softmax(scores)", True),
    "whole numbers": ("softmax(np.array([[1, 2]]))", True),
    "a list": ("softmax([[1, 2]])", True),
    "numbers without a sign": ("softmax(np.array([[1, 2]], dtype=np.uint8))", False),
    "those, by a name": ("pixels = np.ones((2, 3), 'uint8')\nprobs = softmax(pixels)", False),
    "an image": ("import cv2\n\nsoftmax(cv2.imread('a.png'))", False),
    "an image, converted": ("import cv2\n\nsoftmax(cv2.imread('a.png').astype(float))", True),
    "truth values": ("softmax(scores > 0)", False),
    "those, handed on": ("def votes(s):\n    return softmax(s)\n\n\nvotes(s=np.isnan(scores))", False),
    "none": ("softmax(np.zeros(0))", False),
    "an empty list": ("softmax([])", False),
    "zeros": ("softmax(np.zeros((2, 3)))", True),
}


@pytest.mark.parametrize(("calls", "safe"), HANDED.values(), ids=HANDED)
def test_what_numpy_cannot_shift_isnt_unasked(tmp_path: Path, calls: str, safe: bool) -> None:
    program = f"{NUMPY}def softmax(x):\n    return np.exp(x) / np.sum(np.exp(x))\n\n\n{calls}\n"
    assert (fixed(tmp_path, program) != program) is safe


@pytest.mark.parametrize(
    ("comment", "stays"),
    [("log1p(x) is exact near 0", False), ("softplus", True), ("log1p(x), as logaddexp(0, x)", True)],
)
def test_a_comment_on_a_call_goes_with_it(tmp_path: Path, comment: str, stays: bool) -> None:
    before = NUMPY + f"def f(x):\n    return np.log1p(np.exp(x))  # {comment}\n"
    after = NUMPY + f"def f(x):\n    return np.logaddexp(0, x){f'  # {comment}' if stays else ''}\n"
    assert fixed(tmp_path, before) == after
