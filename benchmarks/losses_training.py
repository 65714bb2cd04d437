"""Two real trainings, with torch's cross-entropy and with ours as the drop-in: curves, step time, peak memory.

    python benchmarks/losses_training.py [--steps 30]

1. The article's network on scikit-learn's digits: a multilayer perceptron with a logits head.
2. A small GPT with a vocabulary of 50,257 on English text that every Python carries (the language reference in
   ``pydoc_data``), tokenized on the spot into words and ranked by frequency.

The seeds are the same, so both curves are the same to float noise. Each training runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from finallayer.losses.torch import cross_entropy, linear_cross_entropy

VOCABULARY = 50_257
CONTEXT, BATCH, WIDTH, HEADS, LAYERS = 128, 4, 128, 4, 2


def tokens() -> Tensor:
    """The text as ranks of words and signs, most frequent first."""
    from pydoc_data import topics

    words = re.findall(r"\w+|[^\w\s]|\s+", " ".join(topics.topics.values()))
    ranks = {w: i for i, (w, _) in enumerate(Counter(words).most_common(VOCABULARY))}
    return torch.tensor([ranks[w] for w in words if w in ranks])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.shape[0], x.shape[1], HEADS, WIDTH // HEADS)
        q, k, v = (t.reshape(shape).transpose(1, 2) for t in self.qkv(self.norms[0](x)).split(WIDTH, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
        x = x + self.out(mixed)
        x = x + self.mlp(self.norms[1](x))
        return x


class Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH))
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.blocks(self.words(x) + self.places.weight)
        return hidden


Loss = Callable[[nn.Linear, Tensor, Tensor], Any]
LOSSES: dict[str, Loss] = {
    "torch": lambda head, hidden, target: F.cross_entropy(head(hidden), target),
    "ours": lambda head, hidden, target: cross_entropy(head(hidden), target),
    "ours in place": lambda head, hidden, target: cross_entropy(head(hidden), target, in_place=True),
    "ours linear": lambda head, hidden, target: linear_cross_entropy(hidden, head.weight, target, head.bias),
}


def gpt(loss: Loss, steps: int) -> Iterator[float]:
    text, model = tokens(), Gpt()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(steps):
        starts = torch.randint(len(text) - CONTEXT - 1, (BATCH,))
        batch = torch.stack([text[s : s + CONTEXT + 1] for s in starts])
        value = loss(model.head, model(batch[:, :-1]).reshape(-1, WIDTH), batch[:, 1:].reshape(-1))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        yield value.item()


def perceptron(loss: Loss, steps: int) -> Iterator[float]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
    body = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    head = nn.Linear(64, 10)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], 1e-3)
    for _ in range(10 * steps):
        batch = torch.randint(len(images), (32,))
        value = loss(head, body(images[batch]), labels[batch])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        yield value.item()


TRAININGS = {"perceptron": perceptron, "gpt": gpt}


def train(training: str, loss: str, steps: int) -> None:
    """One training: prints its losses, seconds of processor time a step and peak memory as JSON."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    losses, seconds = [], []
    start = time.process_time()
    for value in TRAININGS[training](LOSSES[loss], steps):
        losses.append(value)
        seconds.append(time.process_time() - start)
        start = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"losses": losses, "step": statistics.median(seconds), "peak": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        training, loss = arguments.one
        return train(training, loss, arguments.steps)
    for training in TRAININGS:
        theirs: list[float] = []
        for loss in LOSSES:
            command = [sys.executable, __file__, "--steps", str(arguments.steps), "--one", training, loss]
            run = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            theirs = theirs or run["losses"]
            apart = max(abs(a - b) / b for a, b in zip(run["losses"], theirs, strict=True))
            print(
                f"{training:11}{loss:14} loss {run['losses'][0]:.4f} -> {run['losses'][-1]:.4f}, "
                f"largest relative distance from torch's curve {apart:.1e}; "
                f"{run['step'] * 1e3:8.2f} ms a step, peak {run['peak']:.0f} MB",
                flush=True,
            )
    return None


if __name__ == "__main__":
    main()
