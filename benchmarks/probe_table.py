"""What popular losses get from `finallayer.probe`: the table of docs/probe.md.

    python benchmarks/probe_table.py [--write] [--dtype float32] [--classes 10]

Each group of losses is measured in a process of its own, since Keras has one backend a process. What isn't installed is
named and left out. ``--write`` puts the table into docs/probe.md, between its two marks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "probe.md"
BEGIN, END = "<!-- made by benchmarks/probe_table.py -->", "<!-- end -->"

#: what is to be imported -> the environment of its process
GROUPS: dict[str, dict[str, str]] = {
    "torch": {},
    "jax": {},
    "tensorflow": {"TF_CPP_MIN_LOG_LEVEL": "3"},
    **{
        f"keras on {backend}": {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        for backend in ("tensorflow", "jax", "torch")
    },
    "finallayer": {},
}

Loss = Callable[..., Any]


def torch() -> dict[str, Loss]:
    torch = import_module("torch")
    functional = torch.nn.functional

    def at(p: Any, y: Any) -> Any:
        return p[torch.arange(len(y)), y]

    def focal(z: Any, y: Any) -> Any:
        each = functional.cross_entropy(z, y, reduction="none")
        return ((1 - torch.exp(-each)) ** 2 * each).mean()

    return {
        "`cross_entropy`": functional.cross_entropy,
        "`cross_entropy`, label smoothing 0.1": torch.nn.CrossEntropyLoss(label_smoothing=0.1),
        "`log_softmax` and `nll_loss`": torch.nn.NLLLoss(),
        "`logsumexp(z) - z_t`, as Liger's kernel": lambda z, y: (torch.logsumexp(z, -1) - at(z, y)).mean(),
        "focal loss of `cross_entropy`, gamma 2": focal,
        "`log(softmax(z))`": lambda z, y: -at(torch.log(torch.softmax(z, -1)), y).mean(),
        "`log(softmax(z) + 1e-8)`": lambda z, y: -at(torch.log(torch.softmax(z, -1) + 1e-8), y).mean(),
        "`log(softmax(z).clamp(1e-7))`": lambda z, y: -at(torch.log(torch.softmax(z, -1).clamp(1e-7)), y).mean(),
        "`cross_entropy(softmax(z))`": lambda z, y: functional.cross_entropy(torch.softmax(z, -1), y),
        "`binary_cross_entropy_with_logits`": functional.binary_cross_entropy_with_logits,
        "`sigmoid` and `binary_cross_entropy`": functional.binary_cross_entropy,
    }


def jax() -> dict[str, Loss]:
    optax, jax = import_module("optax"), import_module("jax")

    def with_epsilon(z: Any, y: Any) -> Any:
        return -jax.numpy.log((jax.nn.softmax(z) + 1e-8)[jax.numpy.arange(len(y)), y]).mean()

    return {
        "optax `softmax_cross_entropy`": optax.softmax_cross_entropy,
        "optax `softmax_cross_entropy_with_integer_labels`": optax.softmax_cross_entropy_with_integer_labels,
        "optax `sigmoid_binary_cross_entropy`": optax.sigmoid_binary_cross_entropy,
        "`log(softmax(z) + 1e-8)`": with_epsilon,
    }


def tensorflow() -> dict[str, Loss]:
    tf = import_module("tensorflow")
    return {
        "`sparse_softmax_cross_entropy_with_logits`": tf.nn.sparse_softmax_cross_entropy_with_logits,
        "`sigmoid_cross_entropy_with_logits`": tf.nn.sigmoid_cross_entropy_with_logits,
    }


def keras() -> dict[str, Loss]:
    losses = import_module("keras").losses
    return {
        "softmax and `SparseCategoricalCrossentropy`": losses.SparseCategoricalCrossentropy(),
        "`SparseCategoricalCrossentropy(from_logits=True)`": losses.SparseCategoricalCrossentropy(from_logits=True),
        "softmax and `CategoricalCrossentropy(label_smoothing=0.1)`": losses.CategoricalCrossentropy(
            label_smoothing=0.1
        ),
        "softmax and `CategoricalFocalCrossentropy`": losses.CategoricalFocalCrossentropy(alpha=1.0),
        "sigmoid and `BinaryCrossentropy`": losses.BinaryCrossentropy(),
    }


def finallayer() -> dict[str, Loss]:
    ours = import_module("finallayer.losses.torch")
    return {
        "`losses.torch.cross_entropy`": ours.cross_entropy,
        "`losses.torch.binary_cross_entropy_with_logits`": ours.binary_cross_entropy_with_logits,
    }


LOSSES: dict[str, Callable[[], dict[str, Loss]]] = {
    "torch": torch,
    "jax": jax,
    "tensorflow": tensorflow,
    "keras": keras,
    "finallayer": finallayer,
}


def measured(group: str, classes: int, dtype: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cards of a group's losses, measured in this process."""
    from finallayer import probe

    family = group.split()[0]
    for name, loss in LOSSES[family]().items():
        framework = {"finallayer": "torch"}.get(family, family)
        yield name, probe(loss, classes, dtype, framework).as_dict()


def row(group: str, name: str, card: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [
        f"{group}: {name}",
        margin(card, "safe_margin"),
        margin(card, "confident_margin"),
        "" if card["collapsed_from"] is None else f"{card['collapsed_from']:.1f}",
        offset(card, "10000"),
        offset(card, "1e+06"),
        ""
        if card["worst_ulp"] is None
        else f"{card['worst_ulp']:.1e}"
        if card["worst_ulp"] > 100
        else f"{card['worst_ulp']:.1f}",
        "0" if abs(card["floor"]) < 1e-6 else f"{card['floor']:.3g}",
    ]
    return f"| {' | '.join(cells)} |"


def margin(card: dict[str, Any], name: str) -> str:
    return "no limit" if name in card["unlimited"] else f"{card[name]:.1f}"


def offset(card: dict[str, Any], at: str) -> str:
    error = card["offset_error"].get(at, "")
    return "not finite" if error is None else error and f"{error:.0e}"


def table(classes: int, dtype: str) -> list[str]:
    """The table: the head, and a line a loss."""
    versions: dict[str, None] = {}
    lines = [
        "| loss | safe margin | confident margin | gradient 0 from | off at 1e4 | off at 1e6 | worst ulp | floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group, environment in GROUPS.items():
        command = [sys.executable, __file__, "--only", group, "--classes", str(classes), "--dtype", dtype]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{group}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        for name, card in json.loads(done.stdout):
            lines.append(row(group, name, card))
            versions[card["framework"]] = None
        print(group, "done", file=sys.stderr)
    measured_with = ", ".join(dict.fromkeys(_version(v) for v in versions))
    return [f"{dtype}, {classes} classes, on the CPU; {measured_with}.", "", *lines]


def _version(framework: str) -> str:
    """``keras on jax 3.15.1, jax 0.10.2`` is told of Keras alone: the backends have rows of their own."""
    name, _, version = framework.split(",")[0].rpartition(" ")
    return f"{name.split()[0]} {version}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/probe.md")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--only", choices=GROUPS, help="measure this group here, and print its cards as JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(list(measured(options.only, options.classes, options.dtype))))
        return
    lines = table(options.classes, options.dtype)
    print(*lines, sep="\n")
    if options.write:
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]), "utf-8")


if __name__ == "__main__":
    main()
