"""Saved models among the files of a check: their graphs are read as data, and put before the same rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from finallayer.check.judge import Analysis, not_analysed, unread
from finallayer.findings import Finding, Related
from finallayer.rules.judging import judge, outermost

if TYPE_CHECKING:
    from finallayer.models.steps import Graph

#: The ends of names by which a folder's saved models are found.
SUFFIXES = (".keras", ".onnx", ".pt2")
#: Why a finding in a saved model has no fix.
UNFIXED = "a saved model isn't edited as text: `finallayer head --strip` takes a head out"


def is_saved(path: str) -> bool:
    """Whether a file is a saved model, by its name."""
    return path.endswith(SUFFIXES)


def analyse_saved(path: str) -> Analysis:
    """What the rules find in a saved model. Never raises for what the file holds.

    A place in it is its node's or layer's number, from 1 on, and each finding names it.
    """
    from finallayer import models
    from finallayer.models.refusals import NotInstalled, NotRead

    try:
        model = models.read(path)
        findings = () if model.graph is None else tuple(_findings(model.graph))
    except NotInstalled as why:
        return Analysis(path, notes=(str(why),))
    except NotRead as why:
        return unread(path, f"can't be read: {why}")
    except OSError as error:
        return unread(path, f"can't be read: {error.strerror or error}")
    except (Exception, RecursionError) as error:  # ours to mend, but no reason to leave the other files unchecked
        return not_analysed(path, error)
    return Analysis(path, findings)


def _findings(graph: Graph) -> Iterator[Finding]:
    for finding in outermost([finding for finding, _, _ in judge(graph.recorder.sightings())]):
        yield _named(finding, graph)


def _named(finding: Finding, graph: Graph) -> Finding:
    """A finding that says at which node or layer it stands."""
    related = tuple(Related(r.origin, f"{r.message}, {_place(r.origin.line, graph)}") for r in finding.related)
    message = f"{finding.message} ({_place(finding.origin.line, graph)})"
    return replace(finding, message=message, related=related, unfixed=UNFIXED)


def _place(number: int, graph: Graph) -> str:
    return f"at {graph.place(number)!r}"
