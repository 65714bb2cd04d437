"""A finding as the editor shows it: a squiggle, its message, the places that belong to it, and its rule."""

from __future__ import annotations

from collections.abc import Callable

from lsprotocol import types as lsp
from pygls import uris
from pygls.workspace import PositionCodec

from finallayer.expr import Origin
from finallayer.findings import Finding, Related, Severity
from finallayer.report.places import plain
from finallayer.server.opened import Text, range_of

#: Where a rule says what it does, why that is bad, and what to write instead.
RULES = "https://github.com/finallayer/finallayer/blob/main/src/finallayer/rules"
SOURCE = "finallayer"
_SEVERITY = {
    Severity.ERROR: lsp.DiagnosticSeverity.Error,
    Severity.WARNING: lsp.DiagnosticSeverity.Warning,
    Severity.ADVICE: lsp.DiagnosticSeverity.Information,
}
#: Gives the open text of a file, or None.
Opened = Callable[[str], Text | None]


def diagnostic(finding: Finding, opened: Opened, codec: PositionCodec) -> lsp.Diagnostic:
    """One finding."""
    rule = finding.rule
    return lsp.Diagnostic(
        range=location(finding.origin, opened, codec).range,
        message=f"{plain(finding.message)} ({rule.name})",
        severity=_SEVERITY[finding.severity],
        code=rule.code,
        code_description=lsp.CodeDescription(href=f"{RULES}/{rule.name.replace('-', '_')}.py"),
        source=SOURCE,
        related_information=[_related(r, opened, codec) for r in finding.related],
    )


def location(origin: Origin, opened: Opened, codec: PositionCodec) -> lsp.Location:
    """A place in an open document, or in a file on disk (whose columns are characters there)."""
    text = opened(origin.path)
    uri, content = text.document_of(origin) if text else (uris.from_fs_path(origin.path) or "", None)
    if content is None:
        start = lsp.Position(max(origin.line - 1, 0), origin.column)
        end = lsp.Position(max(origin.line, origin.end_line, 1) - 1, origin.end_column)
        return lsp.Location(uri, lsp.Range(start, end))
    return lsp.Location(uri, range_of(origin, content, codec))


def _related(related: Related, opened: Opened, codec: PositionCodec) -> lsp.DiagnosticRelatedInformation:
    return lsp.DiagnosticRelatedInformation(location(related.origin, opened, codec), plain(related.message))
