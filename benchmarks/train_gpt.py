"""A small GPT on real text, trained with torch's cross-entropy and with ours: one curve, time and memory beside it.

    python benchmarks/train_gpt.py [--steps 20] [--rows 1024] [--dtype float32] [--threads N] [--out RESULTS.json]

The text is the Python language reference that comes with every Python (`pydoc_data.topics`); its words are numbered on
the spot, among the 50,257 commonest of the standard library's source. Each contender trains in a process of its own,
from the same weights, on the same batches; the order in which they run is repeated in reverse.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import resource
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from statistics import median

VOCABULARY = 50_257
CONTEXT, WIDTH, HEADS, LAYERS = 128, 128, 4, 2
CONTENDERS = ("torch", "ours", "ours, in place")
WORDS = re.compile(r" ?\w+|[^\w\s]|\s+")


def tokens() -> list[int]:
    """The text as numbers below `VOCABULARY`; 0 stands for a word that is not among the commonest."""
    from pydoc_data.topics import topics

    library = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    counts: collections.Counter[str] = collections.Counter()
    for source in library:
        if "site-packages" not in source.parts:
            counts.update(WORDS.findall(source.read_text(encoding="utf-8", errors="ignore")))
    number = {word: i for i, (word, _) in enumerate(counts.most_common(VOCABULARY - 1), start=1)}
    return [number.get(word, 0) for word in WORDS.findall("\n".join(topics.values()))]


def build_model():
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch, length, _ = x.shape
            q, k, v = self.qkv(self.norm_1(x)).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
            return x + self.mlp(self.norm_2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = self.words(x) + self.places(torch.arange(x.shape[1]))
            return self.head(self.norm(self.blocks(hidden)))

    return GPT()


def train(contender: str, steps: int, rows: int, dtype: str) -> dict[str, object]:
    import torch

    from finallayer.losses import torch as ours

    cross_entropy = {
        "torch": torch.nn.functional.cross_entropy,
        "ours": ours.cross_entropy,
        "ours, in place": lambda z, target: ours.cross_entropy(z, target, in_place=True),
    }[contender]
    torch.manual_seed(0)
    text = torch.tensor(tokens())
    model = build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses, times, loss_times = [], [], []
    for _ in range(steps):
        starts = torch.randint(len(text) - CONTEXT - 1, (rows // CONTEXT,))
        batch = torch.stack([text[s : s + CONTEXT + 1] for s in starts])
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            logits = model(batch[:, :-1]).flatten(0, 1)
        marks = [time.perf_counter()]
        logits.grad_fn.register_prehook(lambda _, marks=marks: marks.append(time.perf_counter()))
        loss = cross_entropy(logits, batch[:, 1:].flatten())
        del logits
        optimizer.zero_grad()
        loss.backward()
        loss_times.append(marks[1] - marks[0])  # until the logits' gradient is there: the loss, both ways
        optimizer.step()
        times.append(time.perf_counter() - started)
        losses.append(loss.item())
    return {
        "losses": losses,
        "step_ms": 1e3 * median(times[1:]),
        "loss_ms": 1e3 * median(loss_times[1:]),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1024, help="tokens a step, a multiple of the context, 128")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the logits")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="write the results there as JSON")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)  # the child's
    options = parser.parse_args()
    if options.contender:
        import torch

        torch.set_num_threads(options.threads)
        print(json.dumps(train(options.contender, options.steps, options.rows, options.dtype)))
        return

    runs: dict[str, list[dict]] = {contender: [] for contender in CONTENDERS}
    for contender in (*CONTENDERS, *reversed(CONTENDERS)):
        command = [sys.executable, __file__, *sys.argv[1:], "--contender", contender]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{contender}: {done.stderr.strip()}")
        runs[contender].append(json.loads(done.stdout))
    reference = runs["torch"][0]["losses"]
    print(f"GPT, {LAYERS} layers of {WIDTH}, vocabulary {VOCABULARY:,}, {options.rows} rows a step, {options.dtype},")
    print(f"{options.threads} threads, {options.steps} steps; loss {reference[0]:.4f} to {reference[-1]:.4f}")
    print("| loss | step, ms | of which loss, ms | peak memory, MiB | largest relative difference of the curve |")
    print("|---|---|---|---|---|")
    for contender, (first, second) in runs.items():
        step, loss = (min(first[key], second[key]) for key in ("step_ms", "loss_ms"))
        apart = max(abs(a / b - 1) for a, b in zip(first["losses"], reference, strict=True))
        print(f"| {contender} | {step:.0f} | {loss:.1f} | {first['peak_mib']:.0f} | {apart:.1e} |")
    if options.out:
        options.out.write_text(json.dumps(runs, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
