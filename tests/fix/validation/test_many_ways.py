"""A value that many ways lead to is looked at once: each ``if`` that may move it would double the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import repaired

HEAD = "import torch\nimport torch.nn.functional as F\ndef step(net, x, y):\n    h = net(x)\n"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "loss",
    [
        "F.cross_entropy(torch.softmax(h, dim=1), y)",
        "F.nll_loss(torch.log(torch.softmax(h, dim=1)), y), torch.softmax(h, dim=1).argmax(dim=1)",
        "F.nll_loss(torch.softmax(h, dim=1), y)",
    ],
)
def test_twenty_four_ifs_are_no_more_than_twenty_four(tmp_path: Path, loss: str) -> None:
    ways = "".join(f"    if x == {i}:\n        h = h.view(-1)\n" for i in range(24))
    file = tmp_path / "train.py"
    file.write_text(f"{HEAD}{ways}    return {loss}\n")
    done = repaired(file, unsafe=True)
    assert done.changed or all(finding.unfixed for finding in done.remaining)
