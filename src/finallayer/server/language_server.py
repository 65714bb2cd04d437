"""The protocol's side: what the editor says and asks, and what it is answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from lsprotocol import types as lsp
from pygls import uris
from pygls.lsp.server import LanguageServer
from pygls.workspace import PositionCodec

from finallayer import __version__
from finallayer.findings import Finding
from finallayer.server import actions
from finallayer.server.diagnostics import diagnostic
from finallayer.server.hover import hover
from finallayer.server.opened import Cell, Text, character_of, range_of
from finallayer.server.workspace import Analyses
from finallayer.source.files import Unreadable
from finallayer.source.reading import read

#: How long after the last key a file is checked, in seconds.
PAUSE = 0.02
#: An analysis nests deeply.
_STACK = 64 * 1024 * 1024
_PYTHON = lsp.NotebookDocumentFilterWithCells(cells=[lsp.NotebookCellLanguage(language="python")])
T = TypeVar("T")


class Server(LanguageServer):
    """Checks what is open, one analysis at a time, off the loop that listens to the editor."""

    def __init__(self) -> None:
        sync = lsp.NotebookDocumentSyncOptions(notebook_selector=[_PYTHON])
        super().__init__("finallayer", __version__, notebook_document_sync=sync)
        self.analyses = Analyses()
        self.shows_hints = False
        threading.stack_size(_STACK)
        self._analyst = ThreadPoolExecutor(1, "finallayer")
        self._due: asyncio.Task[None] | None = None

    @property
    def codec(self) -> PositionCodec:
        return self.workspace.position_codec

    async def worked_out(self, work: Callable[..., T], *arguments: Any) -> T:
        """What the analyst gives, in its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._analyst, work, *arguments)

    def take_in(self, uri: str) -> Text | None:
        """The text that a document belongs to, at its present version; None where it is no file."""
        book = self.workspace.get_notebook_document(cell_uri=uri) or self.workspace.get_notebook_document(
            notebook_uri=uri
        )
        path = uris.to_fs_path(book.uri if book else uri)
        if path is None:
            return None
        text = self._book(path, book) if book else self._file(path, uri)
        self.analyses.put(text)
        return text

    def _file(self, path: str, uri: str) -> Text:
        document = self.workspace.get_text_document(uri)
        return Text(path, uri, document.source, versions={uri: document.version})

    def _book(self, path: str, book: lsp.NotebookDocument) -> Text:
        documents = {c.document: self.workspace.get_text_document(c.document) for c in book.cells}
        code = {c.document: c.kind == lsp.NotebookCellKind.Code for c in book.cells}
        cells = tuple(Cell(uri, d.source if code[uri] else "", code[uri]) for uri, d in documents.items())
        path = path if path.endswith(".ipynb") else f"{path}.ipynb"
        return Text(path, book.uri, cells=cells, versions={uri: d.version for uri, d in documents.items()})

    def check_soon(self, path: str) -> None:
        """Check a text when no key has come for a moment, and then all others that are open: they may import it."""
        if self._due is not None:
            self._due.cancel()
        self._due = asyncio.get_running_loop().create_task(self._check(path))

    async def _check(self, path: str) -> None:
        await asyncio.sleep(PAUSE)
        for each in (path, *(t.path for t in self.analyses.texts if t.path != path)):
            if (text := self.analyses.text(each)) is None:
                continue
            try:
                self._publish(text, *await self.worked_out(self.analyses.check, each))
            except Exception as error:  # ours to mend, but no reason to fall silent for the rest
                said = f"{each}: could not be checked ({type(error).__name__}: {error}); please report this"
                self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Error, said))

    def _publish(self, text: Text, findings: Sequence[Finding], notes: Sequence[str]) -> None:
        by_document: dict[str, list[lsp.Diagnostic]] = {uri: [] for uri, _ in text.documents()}
        for finding in findings:
            if finding.origin.path == text.path:
                uri, _ = text.document_of(finding.origin)
                by_document[uri].append(diagnostic(finding, self.analyses.text, self.codec))
        for uri, found in by_document.items():
            version = text.versions.get(uri)
            self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found, version))
        for note in notes:
            self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Info, f"{text.path}: {note}"))


SERVER = Server()


@SERVER.feature(lsp.INITIALIZE)
def _initialize(server: Server, params: lsp.InitializeParams) -> None:
    options = params.initialization_options
    server.shows_hints = isinstance(options, dict) and bool(options.get("inlayHints"))


@SERVER.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
@SERVER.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
async def _changed(server: Server, params: lsp.DidOpenTextDocumentParams | lsp.DidChangeTextDocumentParams) -> None:
    if (text := server.take_in(params.text_document.uri)) is not None:
        server.check_soon(text.path)


@SERVER.feature(lsp.NOTEBOOK_DOCUMENT_DID_OPEN)
@SERVER.feature(lsp.NOTEBOOK_DOCUMENT_DID_CHANGE)
async def _book_changed(
    server: Server, params: lsp.DidOpenNotebookDocumentParams | lsp.DidChangeNotebookDocumentParams
) -> None:
    if (text := server.take_in(params.notebook_document.uri)) is not None:
        server.check_soon(text.path)


@SERVER.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
async def _saved(server: Server, params: lsp.DidSaveTextDocumentParams) -> None:
    server.analyses.look_again()
    if (text := server.take_in(params.text_document.uri)) is not None:
        server.check_soon(text.path)


@SERVER.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
async def _disk_changed(server: Server, _params: lsp.DidChangeWatchedFilesParams) -> None:
    server.analyses.look_again()
    if texts := server.analyses.texts:
        server.check_soon(texts[0].path)  # and then the others


@SERVER.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
@SERVER.feature(lsp.NOTEBOOK_DOCUMENT_DID_CLOSE)
async def _closed(server: Server, params: lsp.DidCloseTextDocumentParams | lsp.DidCloseNotebookDocumentParams) -> None:
    closed = params.text_document if isinstance(params, lsp.DidCloseTextDocumentParams) else params.notebook_document
    for text in [t for t in server.analyses.texts if t.uri == closed.uri]:
        server.analyses.drop(text.path)
        for document, _ in text.documents():
            server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(document, []))


@SERVER.feature(
    lsp.TEXT_DOCUMENT_CODE_ACTION,
    lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix, actions.FIX_ALL]),
)
async def _actions(server: Server, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    uri, lines = params.text_document.uri, range(params.range.start.line, params.range.end.line + 1)
    text = server.take_in(uri)
    only = params.context.only
    found: list[lsp.CodeAction] = []
    if text is not None and _wants(only, lsp.CodeActionKind.QuickFix):
        found += await server.worked_out(
            lambda: list(actions.quick_fixes(server.analyses, text, uri, lines, server.codec))
        )
    if text is not None and only is not None and _wants(only, actions.FIX_ALL):
        every = await server.worked_out(actions.fix_all, server.analyses, text, server.codec)
        found += [every] if every else []
    return found


def _wants(only: Any, kind: str) -> bool:
    """Whether a kind of action is asked for, by itself or with all that its name begins with."""
    return only is None or any(kind == o or kind.startswith(f"{o}.") for o in only)


@SERVER.feature(lsp.TEXT_DOCUMENT_HOVER)
async def _hover(server: Server, params: lsp.HoverParams) -> lsp.Hover | None:
    uri = params.text_document.uri
    text = server.take_in(uri)
    return None if text is None else await server.worked_out(_hovered, server, text, uri, params.position)


def _hovered(server: Server, text: Text, uri: str, position: lsp.Position) -> lsp.Hover | None:
    content = dict(text.documents()).get(uri)
    if content is None:
        return None
    line, column = character_of(position, content, server.codec)
    try:
        file = read(text.path, text.data)
        place = file.in_module(text.origin_of(uri, line)._replace(column=column))
        known = server.analyses.why(text, file, place.line)
    except Unreadable:
        return None
    findings, _ = server.analyses.check(text.path)
    ours = [replace(f, origin=file.in_module(f.origin)) for f in findings if f.origin.path == text.path]
    found = hover(known, place, ours)
    if found is None:
        return None
    origin, markdown = found
    shown = range_of(file.in_cell(origin), content, server.codec)
    return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, markdown), shown)


@SERVER.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
async def _hints(server: Server, params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
    uri = params.text_document.uri
    text = server.take_in(uri) if server.shows_hints else None
    return [] if text is None else await server.worked_out(_hinted, server, text, uri)


def _hinted(server: Server, text: Text, uri: str) -> list[lsp.InlayHint]:
    found: list[lsp.InlayHint] = []
    try:
        file = read(text.path, text.data)
        known = server.analyses.hints(text, file)
    except Unreadable:
        return found
    for origin, kind in known:
        place = file.in_cell(origin)
        at, content = text.document_of(place)
        if at == uri:
            end = range_of(place, content, server.codec).end
            found.append(lsp.InlayHint(end, f": {kind}", lsp.InlayHintKind.Type))
    return found
