"""``finallayer server``: findings and fixes in the editor, by the Language Server Protocol on standard input/output."""

from __future__ import annotations

import sys

import click

from finallayer.cli.terminal import COULD_NOT_RUN, say


@click.command(epilog="docs/editors.md has the settings for VS Code, Neovim, Helix and Emacs.")
def command() -> None:
    """Speak the Language Server Protocol on standard input and output, for an editor.

    Nothing of yours is executed or imported.
    """
    try:
        from finallayer.server.language_server import SERVER
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] not in ("pygls", "lsprotocol"):
            raise
        say("the language server needs pygls: pip install 'finallayer[lsp]'")
        sys.exit(COULD_NOT_RUN)
    SERVER.start_io()
