"""What of a run a gradient reaches: the parameters that are trained, and all that is made of them.

Of a teacher that is frozen, or a target, nothing is trained: what its formulas do to a gradient harms nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from finallayer.expr import Node, make
from finallayer.findings import Sighting

#: Whether a gradient reaches a value.
Reached = Callable[[Node], bool]


def frozen(parameter: Node) -> Node:
    """A parameter that isn't trained."""
    return make("stop_gradient", parameter)


def reached(by: Reached) -> Reached:
    """Whether a leaf like this is in what a value is made of, and the gradient doesn't stop on the way."""
    known: dict[int, tuple[Node, bool]] = {}  # by identity, which lasts while the node is kept

    def is_reached(root: Node) -> bool:
        way = [(root, _made_of(root))]  # what is looked at, each with what is left to look at
        while way:
            node, left = way[-1]
            found = known[id(node)][1] if id(node) in known else True if by(node) else None
            if found is None and left:
                inner = left.pop()
                way.append((inner, _made_of(inner)))
                continue
            known[id(node)] = node, bool(found)
            way.pop()
            if found:  # and so is all that is made of it
                known.update((id(above), (above, True)) for above, _ in way)
                return True
        return False

    return is_reached


def _made_of(node: Node) -> list[Node]:
    """What a gradient of a value goes on to; weights stand last, and are looked at first."""
    return [] if node.op == "stop_gradient" else list(node.args)


#: How the name of data ends.
_DATA = "@loss"


def data(name: str, rank: int | None) -> Node:
    """A leaf that is data, which a loss is handed or has at hand."""
    return make("opaque", name=f"{name}{_DATA}", rank=rank)


def _is_parameter(leaf: Node) -> bool:
    return leaf.op == "parameter"


def may_be_trained(leaf: Node) -> bool:
    """Whether a leaf is a parameter, or may hold one: what isn't understood, or was made before the run."""
    return leaf.op in ("parameter", "logits") or is_unknown(leaf)


def is_unknown(leaf: Node) -> bool:
    """Whether nobody knows what a leaf is made of: it is no data, as far as that is known."""
    is_data = leaf.attrs.get("fed") or str(leaf.attrs.get("name", "")).endswith(_DATA)
    return leaf.op == "opaque" and not is_data


def as_trained(seen: Sequence[Sighting], losses: Iterable[Node]) -> list[Sighting]:
    """The sightings, with what no gradient reaches marked so, where parameters are known to be trained by the loss."""
    if not any(map(reached(_is_parameter), losses)):
        return list(seen)
    is_reached = reached(may_be_trained)
    return [s if not s.training or is_reached(s.node) else s._replace(training=False) for s in seen]
