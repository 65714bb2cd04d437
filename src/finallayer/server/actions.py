"""What the editor offers to do: make a proven fix, make all safe ones, or ignore a finding here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path

from lsprotocol import types as lsp
from pygls import uris
from pygls.workspace import PositionCodec

from finallayer.check.silencing import CannotSilenceError, silenced
from finallayer.findings import Finding
from finallayer.fix.text.documents import Document
from finallayer.fix.text.edits import lines_of
from finallayer.report.places import plain, replaced
from finallayer.server.diagnostics import Opened, diagnostic
from finallayer.server.opened import Text, range_of
from finallayer.server.workspace import Analyses

#: The kind of :func:`fix_all`, for editors that make it when a file is saved.
FIX_ALL = "source.fixAll.finallayer"


def quick_fixes(
    analyses: Analyses, text: Text, uri: str, lines: range, codec: PositionCodec
) -> Iterator[lsp.CodeAction]:
    """For each finding on some lines of a document: its fix, and a comment that ignores it."""
    for finding in analyses.with_fixes(text.path):
        at, content = text.document_of(finding.origin)
        if finding.origin.path != text.path or at != uri:
            continue
        place = range_of(finding.origin, content, codec)
        if place.start.line >= lines.stop or place.end.line < lines.start:
            continue
        shown = [diagnostic(finding, analyses.text, codec)]
        if finding.fix is not None:
            yield lsp.CodeAction(
                title=_title(finding),
                kind=lsp.CodeActionKind.QuickFix,
                diagnostics=shown,
                is_preferred=finding.fix.safe,
                edit=_edit_of(finding, analyses.text, codec),
            )
        if (ignoring := _ignoring(finding, text, codec)) is not None:
            title = f"Ignore {finding.rule.code} here"
            yield lsp.CodeAction(title=title, kind=lsp.CodeActionKind.QuickFix, diagnostics=shown, edit=ignoring)


def fix_all(analyses: Analyses, text: Text, codec: PositionCodec) -> lsp.CodeAction | None:
    """All safe fixes of a file at once; None where there is none."""
    changed = {str(document.path): new for document, new in analyses.repaired(text.path).changed}
    if not changed:
        return None
    edit = _workspace_edit(_replaced(changed, analyses.text, codec))
    return lsp.CodeAction(title="Make all safe fixes of finallayer", kind=FIX_ALL, edit=edit)


def _title(finding: Finding) -> str:
    assert finding.fix is not None
    how = "" if finding.fix.safe else f" (unsafe: {plain(finding.fix.note)})"
    return f"Fix {finding.rule.code} {finding.rule.name}{how}"


def _edit_of(finding: Finding, opened: Opened, codec: PositionCodec) -> lsp.WorkspaceEdit:
    assert finding.fix is not None
    edits: dict[tuple[str, int | None], list[lsp.TextEdit]] = {}
    for edit in finding.fix.edits:
        text = opened(edit.path) or _on_disk(edit.path)
        uri, content = text.document_of(replaced(edit))
        new = lsp.TextEdit(range_of(replaced(edit), content, codec), edit.text)
        edits.setdefault((uri, text.versions.get(uri)), []).append(new)
    return _workspace_edit(edits)


def _ignoring(finding: Finding, text: Text, codec: PositionCodec) -> lsp.WorkspaceEdit | None:
    try:
        _, new = silenced(text.path, [finding], text.data)
    except (CannotSilenceError, OSError):
        return None
    return _workspace_edit(_replaced({text.path: new}, {text.path: text}.get, codec))


def _replaced(
    changed: Mapping[str, bytes], opened: Opened, codec: PositionCodec
) -> dict[tuple[str, int | None], list[lsp.TextEdit]]:
    """Line by line, what makes the documents of files what the files are to become."""
    edits: dict[tuple[str, int | None], list[lsp.TextEdit]] = {}
    for path, new in changed.items():
        text = opened(path) or _on_disk(path)
        for (uri, before), after in zip(text.documents(), _texts_of(text, new), strict=True):
            if found := list(_differences(before, after, codec)):
                edits[uri, text.versions.get(uri)] = found
    return edits


def _texts_of(text: Text, data: bytes) -> list[str]:
    """The documents' texts in a file's new bytes."""
    if not text.cells:
        return [Document(Path(text.path), data).text.removeprefix("\ufeff")]
    cells = json.loads(data)["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def _differences(before: str, after: str, codec: PositionCodec) -> Iterator[lsp.TextEdit]:
    old, new = lines_of(before), lines_of(after)
    for kind, a, b, c, d in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind != "equal":
            yield lsp.TextEdit(_whole_lines(old, a, b, codec), "".join(new[c:d]))


def _whole_lines(lines: list[str], first: int, last: int, codec: PositionCodec) -> lsp.Range:
    """Lines with their ends; behind the last line is its end."""
    return lsp.Range(*(_line_start(lines, line, codec) for line in (first, last)))


def _line_start(lines: list[str], line: int, codec: PositionCodec) -> lsp.Position:
    if line < len(lines) or lines[-1].endswith(("\n", "\r")):
        return lsp.Position(line, 0)
    return lsp.Position(len(lines) - 1, codec.client_num_units(lines[-1]))


def _workspace_edit(edits: Mapping[tuple[str, int | None], Iterable[lsp.TextEdit]]) -> lsp.WorkspaceEdit:
    changes = [
        lsp.TextDocumentEdit(lsp.OptionalVersionedTextDocumentIdentifier(uri, version), list(found))
        for (uri, version), found in edits.items()
    ]
    return lsp.WorkspaceEdit(document_changes=changes)


def _on_disk(path: str) -> Text:
    """A file that isn't open."""
    return Text(path, uris.from_fs_path(path) or "", Document.read(Path(path)).text)
