"""Saved models, read as data: what their outputs give, and their heads taken out or put in.

``read(path)`` gives a :class:`~finallayer.models.model.Model`. Nothing of a file is executed, imported or unpickled,
and no framework is loaded.
"""

from __future__ import annotations

from finallayer.models.model import Model, Output
from finallayer.models.opening import read

__all__ = ["Model", "Output", "read"]
