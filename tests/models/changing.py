"""A changed model, written, compared with the old one, and read again."""

from __future__ import annotations

from pathlib import Path

from finallayer import models
from finallayer.models.model import Edited


def changed(edited: Edited, path: Path) -> models.Model:
    with path.open("wb") as file:
        edited.write(file)
    edited.compare(str(path))
    return models.read(path)
