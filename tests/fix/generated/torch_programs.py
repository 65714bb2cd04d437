"""Random PyTorch programs: ``model``, and ``run(x, y)``, which gives the loss and all that the readers show."""

from __future__ import annotations

import random
import textwrap

from . import Program

#: What a program's readers show, by name; ``out`` is the model's output for ``x``.
SOFTMAX_READERS = (
    "shown.append(out.argmax(dim=1))",
    "shown.append(torch.argmax(out, 1))",
    "_, best = torch.max(out, 1)\nshown.append(best)",
    "shown.append(out.max(1)[1])",
    "confidence, place = out.max(1)\nshown.append(confidence)\nshown.append(place)",
    "shown.append(out.detach().numpy())",
    "shown.append(out[:, 1])",
    "shown.append(out[0])",
    "shown.append(1 - out)",
    "shown.append((out > 0.3).float())",
    "shown.append(out.sum(dim=0))",
    "shown.append(torch.tensor(out.tolist()))",
    "for row in out:\n    shown.append(row)",
    "shown.append(torch.tensor(out.shape))",
    "shown.append(torch.tensor([float(f'{out[0, 0].item():.4f}')]))",
    "shown.append(describe(out))",
    "kept = []\nkept.append(out)\nshown.append(torch.cat(kept))",
    "kept = [out, out]\nshown.append(torch.stack(kept))",
    "pair = (out, 1)\nshown.append(pair[0])",
    "named = {'p': out}\nshown.append(named['p'])",
    "copy = out\nshown.append(copy * 2)",
    "shown.append(-(out * torch.log(out + 1e-12)).sum(1))",
    "shown.append(out.topk(2)[0])",
    "shown.append(out.topk(2).indices)",
    "shown.append(F.mse_loss(out, torch.ones_like(out)))",
    "shown.append(out.reshape(-1))",
    "shown.append(torch.where(out > 0.2, out, torch.zeros_like(out)))",
    "best = out if out.max() > 0.5 else out * 2\nshown.append(best)",
    "shown.append([float(p) for p in out[0]][0] + torch.zeros(1))",
    "shown.append(F.relu(out))",
    "shown.append(out.clamp(0.0, 1.0) + out.abs())",
    "shown.append(again(x))",
    "shown.append(Holder(out).value)",
)
SIGMOID_READERS = (
    "shown.append((out > 0.5).float())",
    "shown.append(out.round())",
    "shown.append(out)",
    "shown.append(out.squeeze(1).detach().numpy())",
    "shown.append(torch.cat([out, 1 - out], dim=1))",
    "shown.append(out[0])",
    "for p in out:\n    shown.append(p)",
    "shown.append(describe(out))",
    "kept = []\nkept.append(out.flatten())\nshown.append(torch.cat(kept))",
    "shown.append(torch.tensor(out.shape))",
    "hits = ((out >= 0.5).float() == y).sum()\nshown.append(hits)",
    "shown.append(again(x))",
    "shown.append(torch.where(out > 0.2, out, torch.zeros_like(out)))",
    "shown.append(F.relu(out).abs())",
    "shown.append(out.clamp(0, 1))",
    "shown.append(1 - (1 - out))",
)
_HELPERS = """
def describe(values):
    return values.mean() + values.max()


def again(x):
    return model(x)


class Holder:
    def __init__(self, value):
        self.value = value
"""
_CLASS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, {classes})
{attribute}
    def forward(self, x):
        x = torch.relu(self.body(x))
{forward}


model = Net()
"""
_SOFTMAX_FORWARDS = (
    "        return F.softmax(self.head(x), dim=1)",
    "        return torch.softmax(self.head(x), dim=-1)",
    "        return self.head(x).softmax(dim=1)",
    "        x = self.head(x)\n        return F.softmax(x, dim=1)",
    "        logits = self.head(x)\n        probs = F.softmax(logits / 2 + 0.1, 1)\n        return probs",
    "        return self.act(self.head(x))",
    "        x = self.act(self.head(x))\n        return x",
)
_SIGMOID_FORWARDS = (
    "        return torch.sigmoid(self.head(x))",
    "        return self.head(x).sigmoid()",
    "        x = self.head(x)\n        return F.sigmoid(x)",
    "        return self.act(self.head(x))",
)


def torch_program(draw: random.Random) -> Program:
    """One PyTorch program."""
    binary = draw.random() < 0.4
    head = "Sigmoid()" if binary else "Softmax(dim=1)"
    forwards, readers = (_SIGMOID_FORWARDS, SIGMOID_READERS) if binary else (_SOFTMAX_FORWARDS, SOFTMAX_READERS)
    classes = 1 if binary else 3
    model = draw.choice((_sequential, _module))(draw, head, forwards, classes)
    setup, loss = draw.choice(_BINARY_LOSSES if binary else _LOSSES)
    chosen = [draw.choice(readers) for _ in range(draw.randint(0, 4))]
    body = "\n".join(chosen)
    lines = [
        "import torch", "import torch.nn.functional as F", "from torch import nn", "", model, setup, _HELPERS, "",
        "def run(x, y):", "    shown = []", "    out = model(x)", f"    loss = {loss}",
        textwrap.indent(body, "    ") or "    pass", "    return loss, shown", "",
    ]  # fmt: skip
    text = "\n".join(lines)
    return Program("torch", text + _calls(draw), _right(text), binary)


def _right(text: str) -> str:
    """The program with another loss and no readers: the cross-entropy by hand, of the probabilities that it had."""
    reduction = "sum" if "reduction='sum'" in text else "mean"
    return text.split("def run(x, y):")[0] + (
        "def run(x, y):\n    p = model(x)\n"
        "    terms = -(y * p.log() + (1 - y) * (1 - p).log()) if y.dtype.is_floating_point else "
        "-p.gather(1, y[:, None])[:, 0].log()\n"
        f"    return terms.{reduction}(), []\n"
    )


_LOSSES = (
    ("criterion = nn.CrossEntropyLoss()", "criterion(out, y)"),
    ("", "F.cross_entropy(out, y)"),
    ("", "F.cross_entropy(input=out, target=y)"),
    ("criterion = nn.CrossEntropyLoss(reduction='sum')", "criterion(model(x), y)"),
)
_BINARY_LOSSES = (
    ("criterion = nn.BCELoss()", "criterion(out, y)"),
    ("", "F.binary_cross_entropy(out, y)"),
    ("criterion = nn.BCELoss()", "criterion(out.squeeze(1), y.squeeze(1))"),
    ("criterion = nn.BCEWithLogitsLoss()", "criterion(out, y)"),
    ("", "F.binary_cross_entropy_with_logits(out, y)"),
)


def _sequential(draw: random.Random, head: str, forwards: tuple[str, ...], classes: int) -> str:
    layers = ["nn.Linear(4, 8)", "nn.ReLU()", f"nn.Linear(8, {classes})", f"nn.{head}"]
    one_line = "model = nn.Sequential(" + ", ".join(layers) + ")"
    lines = "model = nn.Sequential(\n" + "".join(f"    {layer},\n" for layer in layers) + ")"
    commented = "model = nn.Sequential(\n" + "".join(f"    {layer},  # a layer\n" for layer in layers) + ")"
    return draw.choice((one_line, lines, commented)) + "\n"


def _module(draw: random.Random, head: str, forwards: tuple[str, ...], classes: int) -> str:
    forward = draw.choice(forwards)
    attribute = f"        self.act = nn.{head}\n" if "self.act" in forward else ""
    return _CLASS.format(classes=classes, attribute=attribute, forward=forward)


def _calls(draw: random.Random) -> str:
    """The program's own call of ``run``, or none: then nobody is known to call it."""
    return draw.choice(("", "\nif __name__ == '__main__':\n    print(run(torch.zeros(2, 4), torch.zeros(2).long()))\n"))
