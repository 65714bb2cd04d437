"""The source front end: Python files and notebooks to loss expressions, by abstract interpretation."""

from finallayer.source.analysis import interpret, sightings
from finallayer.source.project import Project
from finallayer.source.uses import Uses

__all__ = ["Project", "Uses", "interpret", "sightings"]
