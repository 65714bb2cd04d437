"""``finallayer.audit``: the same rules on a loss that runs."""

from finallayer.auditing.auditor import audit
from finallayer.auditing.outcome import Audit

__all__ = ["Audit", "audit"]
