"""The first loss that a program minimises, audited: what it is, and up to which margin it teaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, isfinite
from typing import Any

from finallayer.auditing import audit
from finallayer.running.ledger import Ledger


def audited(ledger: Ledger, dtype: str, *loss: Any, by: Callable[..., Any] = audit) -> None:
    """Have a loss audited, and the ledger know its limit. One that can't be audited is noted, and has none.

    ``dtype``: the format that the loss is computed in. ``loss``: what ``finallayer.audit`` takes.
    """
    ledger.audit = {}
    try:
        seen = by(*loss)
    except Exception as error:  # of the program's, or of what we don't know: its training isn't our business
        ledger.note(f"the loss could not be audited ({type(error).__name__}), so its safe margin isn't known")
        return
    margins = seen.safe_margin or {}
    margin = margins.get(dtype, margins.get("float32", inf))
    ledger.limits = replace(ledger.limits, silenced=margin)
    ledger.audit = {
        "expressions": list(seen.expressions),
        "findings": list(dict.fromkeys(f.rule.code for f in seen.findings)),
        "safe_margin": margin if isfinite(margin) else None,
        "dtype": dtype,
    }
