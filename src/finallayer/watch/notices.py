"""What is said, once, when a training run passes a threshold: what happens, by which rule, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import TYPE_CHECKING

from finallayer.watch.quantities import PREFIX

if TYPE_CHECKING:
    from finallayer.findings import Finding


class FinalLayerWarning(UserWarning):
    """A training run doesn't learn from some of its samples."""


class Notices:
    """Says of each quantity once that it has passed its threshold. ``fix``: what to do, and by which rule."""

    def __init__(self, fix: str) -> None:
        self.fix = fix
        self._said: set[str] = set()

    def audited(self, findings: Iterable[Finding], margin: float) -> None:
        """Say what the audit of the first loss has found."""
        for found in findings:
            self._say(found.rule.code, f"{found.rule.code} ({found.rule.name}): {found.message}")
        if isfinite(margin):
            self.fix = f"The safe margin is {margin:.1f}. {self.fix}"

    def after_epoch(self, values: Mapping[str, float]) -> None:
        """Look at an epoch's values."""
        silenced = values.get(f"{PREFIX}silenced", 0)
        if silenced > 0:
            self._say(
                "silenced",
                f"{_percent(silenced)} of this epoch's samples are silenced: they are misclassified by more than the "
                f"loss's safe margin, so their gradient is 0 or wrong, and they teach nothing. {self.fix}",
            )
        nonfinite = values.get(f"{PREFIX}nonfinite", 0)
        if nonfinite > 0:
            self._say("nonfinite", f"{_percent(nonfinite)} of this epoch's samples have a loss that is not finite.")

    def _say(self, what: str, message: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warnings.warn(f"finallayer: {message}", FinalLayerWarning, stacklevel=3)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1 %"
