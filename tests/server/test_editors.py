"""The server as editors speak to it: a real process, a real client, with the capabilities of Neovim and of VS Code."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

import finallayer

pytest.importorskip("pytest_lsp")
pytest.importorskip("pygls")

import pytest_lsp
from lsprotocol import types as lsp
from pygls.workspace import PositionCodec
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

from ..check.programs import DOUBLE, MODEL, TRAIN

pytestmark = pytest.mark.asyncio(loop_scope="module")

RIGHT = MODEL.replace("torch.softmax(self.head(x), dim=1)", "self.head(x)")
EPSILON = """\
import torch
import torch.nn.functional as F


def step(z, y):
    p = F.softmax(z, dim=1)
    return -torch.log(p + 1e-8)[torch.arange(len(y)), y].mean()


step(torch.nn.Linear(4, 3)(torch.ones(2, 4)), torch.zeros(2).long()).backward()
"""
SOURCE = str(Path(finallayer.__file__).parents[1])
CONFIG = ClientServerConfig(
    server_command=[sys.executable, "-m", "finallayer", "server"], server_env={"PYTHONPATH": SOURCE}
)
#: What client and server agreed to count columns in.
ENCODINGS: dict[int, str | None] = {}


class Editor:
    """A client that opens and changes texts, and waits for what it is told of them."""

    def __init__(self, client: LanguageClient, encoding: str | None) -> None:
        self.client = client
        self.codec = PositionCodec(encoding)
        self._version = 0
        self._open: list[str] = []

    async def open(self, path: Path, text: str) -> list[lsp.Diagnostic]:
        """Open a text, be it on disk or not, and give what is told of it."""
        uri = path.as_uri()
        self.client.diagnostics.pop(uri, None)
        self._open.append(uri)
        self._version += 1
        self.client.text_document_did_open(
            lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "python", self._version, text))
        )
        return await self.told(uri)

    async def change(self, path: Path, text: str, also: Path | None = None) -> list[lsp.Diagnostic]:
        """Replace an open text, and give what is told of it, or of another that is open."""
        uri, waited = path.as_uri(), (also or path).as_uri()
        self.client.diagnostics.pop(waited, None)
        self._version += 1
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(self._version, uri),
                [lsp.TextDocumentContentChangeWholeDocument(text)],
            )
        )
        return await self.told(waited)

    async def told(self, uri: str) -> list[lsp.Diagnostic]:
        while uri not in self.client.diagnostics:
            faults = [m.message for m in self.client.log_messages if "could not be checked" in m.message]
            assert not faults, faults
            await asyncio.sleep(0.005)
        return list(self.client.diagnostics[uri])

    async def actions(self, uri: str, at: lsp.Range, only: str | None = None) -> list[lsp.CodeAction]:
        context = lsp.CodeActionContext([], None if only is None else [only])
        asked = lsp.CodeActionParams(lsp.TextDocumentIdentifier(uri), at, context)
        found = await self.client.text_document_code_action_async(asked) or []
        return [each for each in found if isinstance(each, lsp.CodeAction)]

    def applied(self, action: lsp.CodeAction, uri: str, text: str) -> str:
        """A document's text after an action's edits."""
        assert action.edit is not None and action.edit.document_changes is not None
        changes = [d for d in action.edit.document_changes if isinstance(d, lsp.TextDocumentEdit)]
        edits = [e for d in changes if d.text_document.uri == uri for e in d.edits if isinstance(e, lsp.TextEdit)]
        lines = text.splitlines(keepends=True)
        starts = [sum(map(len, lines[:i])) for i in range(len(lines) + 1)]
        for edit in sorted(edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
            found = self.codec.range_from_client_units([*lines, ""], edit.range)
            first, last = (starts[p.line] + p.character for p in (found.start, found.end))
            text = text[:first] + edit.new_text + text[last:]
        return text

    def close_all(self) -> None:
        for uri in self._open:
            self.client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))
        self._open.clear()
        self.client.log_messages.clear()


@pytest_lsp.fixture(config=CONFIG, params=["neovim", "visual_studio_code"], scope="module", loop_scope="module")  # type: ignore[untyped-decorator]
async def client(lsp_client: LanguageClient, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    asked = lsp.InitializeParams(client_capabilities(request.param), initialization_options={"inlayHints": True})
    said = await lsp_client.initialize_session(asked)
    ENCODINGS[id(lsp_client)] = said.capabilities.position_encoding
    yield
    await lsp_client.shutdown_session()


@pytest.fixture
def editor(client: LanguageClient) -> Iterator[Editor]:
    opened = Editor(client, ENCODINGS[id(client)])
    yield opened
    opened.close_all()


def shown(diagnostics: Sequence[lsp.Diagnostic]) -> list[tuple[str, int]]:
    return [(str(d.code), d.range.start.line + 1) for d in diagnostics]


def fixed_by_the_command(path: Path, text: str) -> str:
    """What ``finallayer fix`` makes of a text."""
    command = [sys.executable, "-m", "finallayer", "fix", "-", "--stdin-filename", str(path)]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    return subprocess.run(command, input=text, env=environment, capture_output=True, text=True).stdout


async def test_what_is_found_is_shown_as_it_is_typed_and_goes_when_it_is_mended(editor: Editor, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    (found,) = await editor.open(file, DOUBLE)
    assert (found.code, found.severity, found.source) == ("FL101", lsp.DiagnosticSeverity.Error, "finallayer")
    assert found.range == lsp.Range(lsp.Position(5, 11), lsp.Position(5, 59))
    assert found.code_description is not None and found.code_description.href.endswith("/double_softmax.py")
    (softmax,) = found.related_information or ()
    assert softmax.message == "softmax applied here" and softmax.location.range.start == lsp.Position(5, 27)
    assert await editor.change(file, DOUBLE.replace("torch.softmax(net(x), dim=1)", "net(x)")) == []


async def test_a_model_that_is_not_saved_counts_for_the_loss_in_another_file(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(RIGHT)
    assert await editor.open(tmp_path / "model.py", RIGHT) == []
    assert await editor.open(tmp_path / "train.py", TRAIN) == []
    found = await editor.change(tmp_path / "model.py", MODEL, also=tmp_path / "train.py")
    assert shown(found) == [("FL101", 9)]
    (softmax, *_) = found[0].related_information or ()
    assert softmax.location.uri == (tmp_path / "model.py").as_uri()


async def test_a_quick_fix_is_what_the_command_makes(editor: Editor, tmp_path: Path) -> None:
    for name, text in {"double.py": DOUBLE + "torch.manual_seed(0)\n", "epsilon.py": EPSILON}.items():
        file = tmp_path / name
        (found,) = await editor.open(file, text)
        fix = (await editor.actions(file.as_uri(), found.range))[0]
        assert fix.is_preferred and fix.kind == lsp.CodeActionKind.QuickFix
        assert editor.applied(fix, file.as_uri(), text) == fixed_by_the_command(file, text) != text


async def test_a_fix_of_two_files_changes_the_one_that_is_not_open_on_disk(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "train.py").write_text(TRAIN)
    (found,) = await editor.open(tmp_path / "train.py", TRAIN)
    fix = (await editor.actions((tmp_path / "train.py").as_uri(), found.range))[0]
    assert editor.applied(fix, (tmp_path / "model.py").as_uri(), MODEL) == RIGHT


async def test_to_ignore_it_keeps_it_quiet(editor: Editor, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    (found,) = await editor.open(file, DOUBLE)
    (ignore,) = [a for a in await editor.actions(file.as_uri(), found.range) if a.title == "Ignore FL101 here"]
    assert await editor.change(file, editor.applied(ignore, file.as_uri(), DOUBLE)) == []


async def test_all_safe_fixes_at_once_when_a_file_is_saved(editor: Editor, tmp_path: Path) -> None:
    file, text = tmp_path / "train.py", EPSILON + DOUBLE.partition("\n\n\n")[2]
    found = await editor.open(file, text)
    assert [code for code, _ in shown(found)] == ["FL203", "FL101"]
    (every,) = await editor.actions(file.as_uri(), found[0].range, "source.fixAll.finallayer")
    new = editor.applied(every, file.as_uri(), text)
    assert await editor.change(file, new) == []
    assert new == fixed_by_the_command(file, text)


async def test_columns_are_counted_as_the_editor_counts(editor: Editor, tmp_path: Path) -> None:
    file, text = tmp_path / "train.py", DOUBLE.replace("return F", 's = "\U0001f600é"; return F')
    (found,) = await editor.open(file, text)
    line = text.splitlines()[5]
    start, end = (
        editor.codec.position_from_client_units([line], p).character
        for p in (lsp.Position(0, found.range.start.character), lsp.Position(0, found.range.end.character))
    )
    assert line[start:end] == "F.cross_entropy(torch.softmax(net(x), dim=1), y)"
    fix = (await editor.actions(file.as_uri(), found.range))[0]
    assert editor.applied(fix, file.as_uri(), text) == text.replace("torch.softmax(net(x), dim=1)", "net(x)")


async def test_a_notebooks_findings_stand_in_its_cells(editor: Editor, tmp_path: Path) -> None:
    book = (tmp_path / "book.ipynb").as_uri()
    texts = [
        "# text",
        "%matplotlib inline\nimport torch\nimport torch.nn.functional as F",
        DOUBLE.partition("\n\n\n")[2],
    ]
    kinds = [lsp.NotebookCellKind.Markup, lsp.NotebookCellKind.Code, lsp.NotebookCellKind.Code]
    uris = [f"vscode-notebook-cell:{book[7:]}#{n}" for n in range(3)]
    cells = [lsp.NotebookCell(kind, uri) for kind, uri in zip(kinds, uris, strict=True)]
    texts_of = [lsp.TextDocumentItem(uri, "python", 1, text) for uri, text in zip(uris, texts, strict=True)]
    editor.client.notebook_document_did_open(
        lsp.DidOpenNotebookDocumentParams(lsp.NotebookDocument(book, "jupyter-notebook", 1, cells), texts_of)
    )
    (found,) = await editor.told(uris[2])
    assert shown([found]) == [("FL101", 2)]
    assert await editor.told(uris[1]) == []
    fix, ignore = await editor.actions(uris[2], found.range)
    assert "cross_entropy(net(x), y)" in editor.applied(fix, uris[2], texts[2])
    assert editor.applied(ignore, uris[2], texts[2]).endswith("# finallayer: ignore[FL101]\n")
    editor.client.notebook_document_did_close(
        lsp.DidCloseNotebookDocumentParams(
            lsp.NotebookDocumentIdentifier(book), [lsp.TextDocumentIdentifier(uri) for uri in uris]
        )
    )


async def test_what_is_known_of_a_value_is_shown_where_the_cursor_is(editor: Editor, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    await editor.open(file, EPSILON)

    async def at(line: int, column: int) -> str:
        asked = lsp.HoverParams(lsp.TextDocumentIdentifier(file.as_uri()), lsp.Position(line, column))
        hover = await editor.client.text_document_hover_async(asked)
        return hover.contents.value if hover and isinstance(hover.contents, lsp.MarkupContent) else ""

    assert "`F.softmax(z, dim=1)`: probabilities" in await at(5, 10)
    assert "safe margin: " in await at(6, 18) and "13.8" in await at(6, 18)
    assert await at(3, 0) == ""


async def test_what_is_open_counts_for_what_is_known_of_a_value(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(RIGHT)
    await editor.open(tmp_path / "model.py", MODEL)
    await editor.open(tmp_path / "train.py", TRAIN)
    asked = lsp.TextDocumentIdentifier((tmp_path / "train.py").as_uri())
    hover = await editor.client.text_document_hover_async(lsp.HoverParams(asked, lsp.Position(8, 24)))
    assert hover is not None and isinstance(hover.contents, lsp.MarkupContent)
    assert "`net(x)`: probabilities" in hover.contents.value
    whole = lsp.Range(lsp.Position(0, 0), lsp.Position(9, 0))
    hints = await editor.client.text_document_inlay_hint_async(lsp.InlayHintParams(asked, whole))
    assert [hint.label for hint in hints or ()] == [": probabilities"]


async def test_hints_say_what_a_loss_is_handed(editor: Editor, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    await editor.open(file, DOUBLE)
    whole = lsp.Range(lsp.Position(0, 0), lsp.Position(6, 0))
    hints = await editor.client.text_document_inlay_hint_async(
        lsp.InlayHintParams(lsp.TextDocumentIdentifier(file.as_uri()), whole)
    )
    assert [(h.label, h.position.line, h.position.character) for h in hints or ()] == [(": probabilities", 5, 55)]


async def test_settings_that_can_not_be_read_are_told_and_change_nothing(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.finallayer]\nselekt = []\n")
    assert shown(await editor.open(tmp_path / "train.py", DOUBLE)) == [("FL101", 6)]
    while not any("has no key 'selekt'" in m.message for m in editor.client.log_messages):
        await asyncio.sleep(0.005)
    (tmp_path / "pyproject.toml").write_text('[tool.finallayer]\nignore = ["FL1"]\n')
    assert await editor.change(tmp_path / "train.py", DOUBLE + "\n") == []


async def test_text_that_is_not_python_yet_is_no_fault(editor: Editor, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    assert await editor.open(file, DOUBLE + "x = (") == []
    assert shown(await editor.change(file, DOUBLE + "x = ()")) == [("FL101", 6)]
