"""``finallayer server``: findings and fixes for an editor, or an agent, on standard input and output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from finallayer.cli.terminal import COULD_NOT_RUN, say


@click.command(epilog="docs/editors.md has the settings for VS Code, Neovim, Helix and Emacs, and for agents.")
@click.option("--mcp", "for_agents", is_flag=True, help="Speak the Model Context Protocol: check, fix, explain, probe.")
def command(for_agents: bool) -> None:
    """Speak the Language Server Protocol on standard input and output, for an editor.

    Nothing of yours is executed or imported. (With --mcp, `probe` does, where an agent calls it.)
    """
    if for_agents:
        with _needing("mcp", "--mcp", "mcp"):
            from finallayer.server.for_agents import SERVER as AGENTS
        AGENTS.run()
    else:
        with _needing("pygls", "the language server", "lsp", "lsprotocol"):
            from finallayer.server.language_server import SERVER
        SERVER.start_io()


@contextmanager
def _needing(package: str, who: str, extra: str, *others: str) -> Iterator[None]:
    """Whoever is imported needs a package, which an extra installs."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] not in (package, *others):
            raise
        say(f"{who} needs {package}: pip install 'finallayer[{extra}]'")
        sys.exit(COULD_NOT_RUN)
