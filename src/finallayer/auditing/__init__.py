"""``finallayer.audit``: the same rules on a loss that runs."""

from finallayer.auditing.outcome import Audit
from finallayer.auditing.auditor import audit

__all__ = ["Audit", "audit"]
