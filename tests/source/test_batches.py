"""How many axes values have: of tensors that a program makes, of what layers give, and of a loader's batches."""

from __future__ import annotations

import pytest

from finallayer.source import Project, sightings
from finallayer.source.files import SourceFile

TORCH = "import torch\nfrom torch import nn\nfrom torch.utils.data import DataLoader, TensorDataset\n"
LOADER = TORCH + "pairs = TensorDataset(torch.randn(64, 20), torch.zeros(64))\n"

#: program (what is read is the argument of its last log) -> how many axes that has, and how many at the least
PROGRAMS: dict[str, tuple[int | None, int]] = {
    "torch.randn(64, 20)": (2, 2),
    "torch.zeros((64, 20, 3))": (3, 3),
    "torch.rand(size)": (None, 0),
    "torch.stack([torch.rand(3), torch.zeros(3)])": (2, 2),
    "torch.stack(rows)": (None, 1),
    "torch.cat([torch.rand(3, 4), torch.zeros(5, 4)])": (2, 2),
    "nn.Embedding(100, 8)(torch.zeros(4, 5).long())": (3, 3),
    "nn.EmbeddingBag(100, 8)(tokens, offsets)": (2, 2),
    "nn.LSTM(8, 3)(torch.rand(5, 4, 8))[0]": (3, 3),
    "nn.LSTM(8, 3)(torch.rand(5, 4, 8))[1][0][-1]": (2, 2),
    "nn.GRU(8, 3)(torch.rand(5, 4, 8))[1][-1]": (2, 2),
    "nn.GRU(8, 3)(x)[1][-1]": (None, 0),
}
#: how a loop begins over a loader of pairs -> what is known of the first and the second of each
LOOPS: dict[str, tuple[tuple[int | None, int], tuple[int | None, int]]] = {
    "for x, y in DataLoader(pairs):": ((2, 2), (1, 1)),
    "for x, y in DataLoader(dataset=pairs, batch_size=size):": ((2, 2), (1, 1)),
    "for i, (x, y) in enumerate(DataLoader(pairs, 8)):": ((2, 2), (1, 1)),
    "from tqdm import tqdm\nfor i, (x, y) in tqdm(enumerate(DataLoader(pairs, 8))):": ((2, 2), (1, 1)),
    "from tqdm.auto import tqdm\nfor x, y in tqdm(DataLoader(pairs, 8), desc='train'):": ((2, 2), (1, 1)),
    "for _ in range(99):\n    x, y = next(iter(DataLoader(pairs, 8)))": ((2, 2), (1, 1)),
    "for x, y in DataLoader(torch.utils.data.random_split(pairs, [9, 1])[0], 8):": ((None, 1), (None, 1)),
    "for batch in DataLoader(own(), 8):\n    x, y = batch": ((None, 1), (None, 1)),
    "for batch in DataLoader(own(), 8):\n    x, y = batch['x'].cuda(), batch['y'].long()": ((None, 1), (None, 1)),
    "for batch in DataLoader(own(), 8):\n    x, y = batch[0], batch[1]": ((None, 0), (None, 0)),  # rows, perhaps
    "for xs, ys in DataLoader(pairs):\n    x, y = xs[0], ys[0]": ((1, 1), (0, 0)),
    "for x, y in DataLoader(pairs, batch_size=None):": ((None, 0), (None, 0)),
    "for x, y in DataLoader(pairs, 8, collate_fn=own):": ((None, 0), (None, 0)),
    "for x, y in pairs:": ((None, 0), (None, 0)),
}


def axes(program: str) -> list[tuple[int | None, int]]:
    """Of what each log is taken of: how many axes it has, and how many at the least."""
    found = (s.node.args[0] for s in sightings(SourceFile("program.py", program), Project()) if s.node.op == "log")
    return [(x.rank, x.least_rank) for x in found]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_axes_of_what_a_program_makes(program: str) -> None:
    assert axes(f"{TORCH}torch.log({program})\n") == [PROGRAMS[program]]


@pytest.mark.parametrize("loop", LOOPS)
def test_the_axes_of_a_batch(loop: str) -> None:
    body = "\n    torch.log(x)\n    torch.log(y)\n"
    assert axes(LOADER + loop + body) == [*LOOPS[loop]]
