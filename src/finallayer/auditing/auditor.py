"""From a loss that runs to its audit: which framework it is of, one run under observation, and every rule's verdict."""

from __future__ import annotations

import sys
from typing import Any

from finallayer.auditing.judgement import judged
from finallayer.auditing.outcome import Audit


def audit(loss: Any, /, *args: Any, **kwargs: Any) -> Audit:
    """Audit what a loss really computes.

    ``loss``: any callable that gives a scalar loss; it is run once, on these arguments, under observation. What it
    changes of models, optimizers, gradients, random numbers and modes is put back. A loss of JAX's (arrays of JAX's are
    among its arguments) is traced instead, with the first argument's leaves for the parameters. Or a compiled Keras
    model with a batch, ``audit(model, x, y)``: its loss on its own backend. Or a PyTorch loss tensor before its
    ``backward()``: its autograd graph is read, and what that doesn't show is ``blind``.

    Raises ``TypeError`` for what is no loss of a framework that is loaded, and whatever the loss itself raises.
    """
    if "keras" in sys.modules:
        from finallayer.live import keras as compiled

        if compiled.is_model(loss) and compiled.is_compiled(loss):
            return judged(compiled.observe(loss, *args, **kwargs))
    if callable(loss) and "jax" in sys.modules:
        from finallayer.live import jax as traced

        if traced.holds_arrays(args, kwargs) or "torch" not in sys.modules:
            return judged(traced.observe(loss, args, kwargs))
    if "torch" in sys.modules:
        from finallayer.live import torch as live

        if live.is_tensor(loss):
            return judged(live.read(loss))
        if callable(loss):
            return judged(live.observe(loss, args, kwargs))
    what = "a loss function" if not callable(loss) else "a loss of a framework that is loaded (PyTorch, JAX, Keras)"
    raise TypeError(f"audit takes {what}, not {getattr(loss, '__name__', None) or type(loss).__name__}")
