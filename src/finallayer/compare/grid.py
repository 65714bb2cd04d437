"""The grid: a cell is one training run, and this is the order they run in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from finallayer.compare.backends import BY_NAME, Backend
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.heads import DOSES, EPSILONS, STATUS_QUO, all_names, heads_of

# What the model computes in (Keras' dtype policies; torch.autocast in plain PyTorch).
PRECISIONS = {
    "float32": "float32",
    "mixed_bfloat16": "float32 weights, bfloat16 arithmetic",
    "mixed_float16": "float32 weights, float16 arithmetic with loss scaling",
}
# What happens to the pixels before training: the step the article takes, and the same program without it.
INPUTS = {
    "raw": "as stored (pixels 0 to 255)",
    "scaled": "divided to lie in 0 to 1",
}


@dataclass(frozen=True)
class Setting:
    """Everything about a run but its head and its seed: heads are compared within a setting."""

    backend: str
    precision: str
    inputs: str


@dataclass(frozen=True)
class Cell:
    """One training run. Cells that differ in ``head`` only share initial weights, batches and dropout."""

    backend: str
    precision: str
    inputs: str
    head: str
    seed: int

    @property
    def setting(self) -> Setting:
        return Setting(self.backend, self.precision, self.inputs)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan(
    backends: Iterable[Backend],
    precisions: Sequence[str],
    inputs: Sequence[str],
    heads: Sequence[str],
    seeds: int,
) -> list[Cell]:
    """All cells, seeds outermost, so that a run cut short leaves whole comparisons of fewer seeds."""
    return [
        Cell(backend.name, precision, kind, head.name, seed)
        for backend in backends
        for seed in range(seeds)
        for precision in precisions
        for kind in inputs
        for head in heads_of(backend.framework, heads)
        if head.differs_in(precision)
    ]


def doses(cells: Sequence[Cell], heads: Sequence[str]) -> list[Cell]:
    """The status quo once more with every other epsilon, in the first setting where nothing rescues it from the clip;
    none where they aren't among the ``heads`` asked for.

    Which settings those are is known before any has run: Keras in float32 on any backend but TensorFlow, with inputs as
    stored, for scaled ones stay short of the clip.
    """
    suited = [cell for cell in cells if (cell.precision, cell.inputs, cell.head) == ("float32", "raw", STATUS_QUO)]
    unrescued = (cell.setting for cell in suited if BY_NAME[cell.backend].keras_backend in ("jax", "torch"))
    place = next(unrescued, None) if EPSILONS in heads else None
    return [replace(cell, head=dose.name) for cell in suited if cell.setting == place for dose in DOSES]


def order(cell: Cell) -> tuple[int, ...]:
    """Where a cell stands among others in tables and pictures: as its parts stand in theirs, seeds last."""
    return (
        list(BY_NAME).index(cell.backend),
        list(PRECISIONS).index(cell.precision),
        list(INPUTS).index(cell.inputs),
        all_names().index(cell.head),
        cell.seed,
    )


def parse_choices(option: str, names: Sequence[str], table: Iterable[str]) -> list[str]:
    """Names as the user gave them, checked against a table, in the table's order."""
    known = list(table)
    if not names:
        raise BadInputError(f"{option}: empty; expected some of: {', '.join(known)}")
    wanted = set(names)
    for name in names:
        if name not in known:
            raise BadInputError(f"{option}: unknown value {name!r}; expected some of: {', '.join(known)}")
    return [name for name in known if name in wanted]
