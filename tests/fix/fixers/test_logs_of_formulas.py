"""Logs of a softmax that NumPy's functions write out, as courses have it: the scores are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ..workbench import fixed

HEAD = "import numpy as np\n\n\ndef loss(z, y):\n    n = z.shape[0]\n"
EXP = "    probs = np.exp(z - np.max(z, axis=1, keepdims=True))\n"
DIVIDED = EXP + "    probs /= np.sum(probs, axis=1, keepdims=True)\n"
NAMED = (
    "    z = z - np.max(z, axis=1, keepdims=True)\n    e = np.exp(z)\n"
    "    probs = e / np.sum(e, axis=1, keepdims=True)\n"
)
GRADIENT = "    probs[np.arange(n), y] -= 1\n    return value, probs\n"
PICKED = "    value = -np.sum(np.log(probs[np.arange(n), y])) / n\n"
LOGS = "    log_probs = z - np.logaddexp.reduce(z, axis=1, keepdims=True)\n"
STABLE = LOGS + "    value = -np.sum(log_probs[np.arange(n), y]) / n\n"
WRITTEN = {
    "divided in place": (DIVIDED + PICKED + GRADIENT, DIVIDED + STABLE + GRADIENT),
    "divided, by another name": (NAMED + PICKED + GRADIENT, NAMED + STABLE + GRADIENT),
    "with an epsilon": (
        DIVIDED + "    value = -np.sum(np.log(probs[np.arange(n), y] + 1e-8)) / n\n" + GRADIENT,
        DIVIDED + STABLE + GRADIENT,
    ),
    "all of it": (
        DIVIDED + "    value = -np.sum(np.eye(3)[y] * np.log(probs)) / n\n    return value, probs\n",
        DIVIDED
        + "    value = -np.sum(np.eye(3)[y] * (z - np.logaddexp.reduce(z, axis=1, keepdims=True))) / n\n"
        + "    return value, probs\n",
    ),
    "the scores have changed": 2 * (DIVIDED + "    z = z * 2\n" + PICKED + GRADIENT,),
    "the scores change in place": 2 * (DIVIDED + "    z *= 2\n" + PICKED + GRADIENT,),
    "something else is divided": 2 * (EXP + "    probs /= np.sum(np.abs(probs), axis=0)\n" + PICKED + GRADIENT,),
}


@pytest.mark.parametrize(("before", "after"), WRITTEN.values(), ids=WRITTEN)
def test_the_log_is_taken_of_the_scores(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, HEAD + before) == HEAD + after


@pytest.mark.parametrize(("before", "after"), WRITTEN.values(), ids=WRITTEN)
def test_what_is_computed_is_the_same(before: str, after: str) -> None:
    z, y = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]]), np.array([2, 0])
    found = []
    for body in (before, after):
        scope: dict[str, object] = {}
        exec(HEAD + body, scope)
        loss = scope["loss"]
        assert callable(loss)
        found.append(loss(z.copy(), y))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1])
