"""``finallayer.watch``: what a training run ought to log about its final layer. A module a framework.

``silenced``: the share of samples that are misclassified past the safe margin of the loss, and so teach nothing, or
something wrong. ``collapsed``: the share classified so confidently that the gradient is exactly 0. ``margin_p50``,
``margin_p99``: quantiles of the margin, the best other logit minus the target's, in nats. ``loss_above_floor``: the
mean loss above the lowest that it can reach. ``nonfinite``: the share of samples whose loss is infinite or nan.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = ("jax", "keras", "lightning", "torch", "transformers")


def __getattr__(name: str) -> Any:
    """A framework's module, loaded with its framework when it is asked for."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
