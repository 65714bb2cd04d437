"""What the tests of hostile inputs share: a command that is run in this process, and how it may end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from finallayer.cli import main

#: A fix changes this one, in this file alone.
UNSTABLE = """\
import torch
import torch.nn.functional as F


def loss(net, x, y):
    return -(y * torch.log(F.softmax(net(x), dim=1))).sum()
"""


class Ended(NamedTuple):
    """How a command ended, and what it wrote to standard output and to standard error."""

    code: int
    out: str
    err: str


def command(folder: Path, *arguments: str) -> Ended:
    """What a command does in a folder. Fails where it ends with a traceback."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        ended = CliRunner().invoke(main, list(arguments))
    finally:
        os.chdir(before)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    assert "Traceback" not in ended.output
    return Ended(ended.exit_code, ended.stdout, ended.stderr)
