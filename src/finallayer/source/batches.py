"""What a loop over a loader gets: batches, whose parts have an axis for the examples."""

from __future__ import annotations

from finallayer.expr import Node
from finallayer.source.values import Built, Value, opaque, tuple_in


def is_loader(value: Value) -> bool:
    """Whether a value gives batches when a loop goes over it."""
    return isinstance(value, Built) and value.signature.op == "loader"


def batch_of(loader: Built) -> Value:
    """A batch: of a dataset of tensors as many as these, each with its axes; of any other nobody knows how many."""
    batch = opaque("each", loader)
    if not _collates(loader):
        return batch
    dataset = loader.bound.get("inputs")
    if not isinstance(dataset, Built) or dataset.signature.op != "rows":
        return Node("opaque", (), {**batch.attrs, "batched": True}, None)
    tensors = tuple_in(dataset.bound, "operands")
    return tuple(_with_axes(opaque(f"each[{i}]", loader), tensor) for i, tensor in enumerate(tensors))


def part_of(batch: Node, key: int | str) -> Node:
    """One part of a batch, such as its labels: it has an axis for the examples."""
    part = opaque(f"{batch.attrs['name']}[{key}]", batch, key)
    return Node("opaque", (), {**part.attrs, "least_rank": 1}, None)


def _collates(loader: Built) -> bool:
    """Whether the examples of a batch are put together as the loader does it by itself, along a new first axis."""
    own = loader.bound.get("collate_fn") is not None
    single = "batch_size" in loader.bound and not isinstance(loader.bound["batch_size"], (int, Node))
    return not own and (not single or loader.bound.get("batch_sampler") is not None)


def _with_axes(part: Node, tensor: Value) -> Node:
    rank = tensor.rank if isinstance(tensor, Node) else None
    axes = {"least_rank": 1} if rank is None else {"rank": rank}
    return Node("opaque", (), {**part.attrs, **axes}, None)
