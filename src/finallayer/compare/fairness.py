"""What every head of a pair shares: initial weights, and the order of the samples, both a function of the seed alone.

The draws are NumPy's, so they are the same on every backend too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

HIDDEN_UNITS = 128
DROPOUT = 0.2
LEARNING_RATE = 1e-3  # Keras' "adam"
ADAM_EPSILON = 1e-7  # Keras' "adam"; PyTorch's own default is 1e-8

_WEIGHTS, _ORDER = 0, 1  # streams of random numbers


def initial_weights(seed: int, features: int, classes: int) -> list[NDArray[np.float32]]:
    """Kernel and bias of the two Dense layers, as Keras draws them: Glorot uniform and zeros.

    Shapes ``(features, 128)``, ``(128,)``, ``(128, classes)``, ``(classes,)``; float32.
    Source: Glorot and Bengio (2010), https://proceedings.mlr.press/v9/glorot10a.html
    """
    rng = np.random.default_rng([seed, _WEIGHTS])
    weights: list[NDArray[np.float32]] = []
    for fan_in, fan_out in ((features, HIDDEN_UNITS), (HIDDEN_UNITS, classes)):
        limit = math.sqrt(6 / (fan_in + fan_out))
        weights.append(rng.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32))
        weights.append(np.zeros(fan_out, np.float32))
    return weights


def epoch_order(seed: int, epoch: int, samples: int) -> NDArray[Any]:
    """The order in which an epoch visits the training samples: a permutation of ``range(samples)``."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(samples)
