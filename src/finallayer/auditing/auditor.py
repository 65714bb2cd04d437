"""From a loss that runs to its audit: which framework it is of, one run under observation, and every rule's verdict."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from finallayer.auditing.judgement import judged
from finallayer.auditing.outcome import Audit


def audit(loss: Any, /, *args: Any, **kwargs: Any) -> Audit:
    """Audit what a loss really computes.

    ``loss``: any callable that gives a scalar loss; it is run once, on these arguments, under observation. What it
    changes of models, optimizers, gradients, random numbers and modes is put back.

    Raises ``TypeError`` for what is no loss of a framework that is loaded, and whatever the loss itself raises.
    """
    if not callable(loss):
        raise TypeError(f"audit takes a loss function, not {type(loss).__name__}")
    observe = _front_end(loss, args, kwargs)
    return judged(observe(loss, args, kwargs))


def _front_end(loss: Any, _args: Sequence[Any], _kwargs: Mapping[str, Any]) -> Any:
    """The front end for a loss's framework."""
    if "torch" in sys.modules:
        from finallayer.live.torch import observe

        return observe
    raise TypeError(f"{getattr(loss, '__name__', loss)!r} is no loss of a framework that is loaded: PyTorch")
