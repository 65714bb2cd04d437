"""The tools as an agent calls them: a real client, and the server in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import finallayer

mcp = pytest.importorskip("mcp")
pytest.importorskip("mcp.server.mcpserver")

PROGRAM = """\
import torch
from torch import nn

net = nn.Linear(4, 3)


def step(x, y):
    return nn.CrossEntropyLoss()(torch.softmax(net(x), 1), y)
"""


async def _called(folder: Path, calls: list[tuple[str, dict[str, Any]]]) -> tuple[list[str], list[str]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
    command = mcp.StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "finallayer", "server", "--mcp"], env=environment, cwd=folder
    )
    async with mcp.stdio_client(command) as (reading, writing), mcp.ClientSession(reading, writing) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        return tools, [(await session.call_tool(name, given)).content[0].text for name, given in calls]


def test_an_agent_checks_fixes_and_has_a_rule_explained(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    calls: list[tuple[str, dict[str, Any]]] = [
        *[("check", {"path": "train.py"}), ("fix", {"path": "train.py"}), ("explain", {"rule": "double-softmax"})],
        *[("check", {"path": "--help"}), ("explain", {"rule": "FL999"}), ("probe", {"loss": "absent:loss"})],
    ]
    tools, (found, fixed, explained, option, unknown, probed) = asyncio.run(_called(tmp_path, calls))
    assert tools == ["check", "fix", "explain", "probe"]
    assert [(f["rule"], f["line"]) for f in json.loads(found)] == [("FL101", 8)]
    assert "+    return nn.CrossEntropyLoss()(net(x), y)" in fixed
    assert path.read_text() == PROGRAM
    assert "FL101" in explained
    assert "--help" in option
    assert "Usage" not in option  # a path, and no option of the command's
    assert "FL999" in unknown
    assert "importing absent, which executes it" in probed
