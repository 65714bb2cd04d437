"""The verbs as an agent's tools, by the Model Context Protocol on standard input and output.

Each is the command itself in a process of its own: it says what the command says, and what ``probe`` imports is gone
with its process.

Protocol: https://modelcontextprotocol.io/specification
"""

from __future__ import annotations

import subprocess
import sys

from mcp.server.mcpserver import MCPServer

#: What runs longer, in seconds, is ended.
LONGEST = 600


def check(path: str) -> str:
    """Findings in a Python file, a notebook, a saved model or a folder, as JSON. Executes and changes nothing."""
    return _said("check", "--exit-zero", "--output-format", "json", "--", path)


def fix(path: str) -> str:
    """The proven fixes of a file or folder as a unified diff, and what has none. Executes and changes nothing."""
    return _said("fix", "--diff", "--", path)


def explain(rule: str) -> str:
    """What a rule (FL203, or epsilon-log) finds, why it is bad, and what to write instead."""
    return _said("explain", "--", rule)


def probe(loss: str, classes: int = 10) -> str:
    """Measure a loss of logits and labels, MODULE:FUNCTION. This EXECUTES the module: only for code that may run."""
    return _said("probe", "--classes", str(classes), "--", loss)


def _said(*arguments: str) -> str:
    """What the command prints, with what it says beside it."""
    command = [sys.executable, "-P", "-m", "finallayer", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return f"finallayer {arguments[0]} took longer than {LONGEST} s"
    return "\n".join(text.strip() for text in (done.stdout, done.stderr) if text.strip())


SERVER = MCPServer(
    "finallayer",
    instructions="Finds where a classifier's final layer and its loss disagree (softmax twice, clipped or naive logs "
    "of probabilities), and fixes it with proof. Read before you change: check, then fix shows a diff.",
)
for tool in (check, fix, explain, probe):
    SERVER.add_tool(tool)
