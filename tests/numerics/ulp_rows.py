"""Rows of logits on which the exact losses make their promise, as a hypothesis strategy and at random.

2 to 1,000 classes; the target up to 80 nats (float32) or 700 (float64) below or above the best other class;
common offsets from 0 to 1e6; exact ties; masked (-inf) classes.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

MARGINS = {"float32": 80.0, "float64": 700.0}
OFFSETS = (0.0, 1.0, 37.5, 1e3, 1e4, 1e6)


def random_row(rng: np.random.Generator, dtype: str, classes: int) -> tuple[int, np.ndarray]:
    """A label and a row of ``classes`` logits, with scale, offset, margin, ties and masks from ``rng``."""
    widest = MARGINS[dtype]
    spread = float(rng.choice([0.0, 1e-3, 1.0, 10.0, widest]))
    z = -rng.uniform(0, 1, classes) * spread
    label = int(rng.integers(classes))
    z[label] = np.max(np.delete(z, label)) + rng.uniform(-widest, widest) * rng.choice([1.0, 0.1, 1e-3])
    tied = rng.random(classes) < rng.choice([0.0, 0.5])
    z[tied] = z[rng.integers(classes)]
    masked = rng.random(classes) < rng.choice([0.0, 0.3])
    masked[label] = False
    z += rng.choice(OFFSETS) * rng.choice([-1, 1]) * rng.choice([1.0, rng.random()])
    z[masked] = -np.inf
    return label, z.astype(dtype)


def random_target(rng: np.random.Generator, z: np.ndarray) -> np.ndarray:
    """A target distribution for a row, nearly one-hot to uniform; masked classes carry no mass."""
    p = rng.random(z.size) ** float(rng.choice([1.0, 10.0, 100.0]))
    p[(rng.random(z.size) < 0.2) | np.isneginf(z)] = 0
    p[np.argmax(z)] += float(rng.choice([1e-3, 1.0, 1e6]))
    return (p / p.sum()).astype(z.dtype)


@st.composite
def rows(draw: st.DrawFn, dtype: str, max_classes: int = 1000) -> tuple[int, np.ndarray]:
    """A label and a row of logits; hypothesis shrinks towards few classes."""
    classes = draw(st.one_of(st.integers(2, 12), st.integers(2, max_classes)))
    return random_row(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), dtype, classes)
