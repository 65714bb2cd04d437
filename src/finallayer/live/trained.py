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
        waiting = [root]
        while waiting:
            node = waiting[-1]
            args = () if node.op == "stop_gradient" else node.args
            unknown = [arg for arg in args if id(arg) not in known]
            if unknown and id(node) not in known:
                waiting += unknown
                continue
            waiting.pop()
            known[id(node)] = node, any(known[id(arg)][1] for arg in args) or by(node)
        return known[id(root)][1]

    return is_reached


#: How the name of data ends, that a loss is handed or has at hand.
DATA = "@loss"


def _is_parameter(leaf: Node) -> bool:
    return leaf.op == "parameter"


def may_be_trained(leaf: Node) -> bool:
    """Whether a leaf is a parameter, or may hold one: what isn't understood, or was made before the run."""
    return leaf.op in ("parameter", "logits") or is_unknown(leaf)


def is_unknown(leaf: Node) -> bool:
    """Whether nobody knows what a leaf is made of: it is no data, as far as that is known."""
    is_data = leaf.attrs.get("fed") or str(leaf.attrs.get("name", "")).endswith(DATA)
    return leaf.op == "opaque" and not is_data


def as_trained(seen: Sequence[Sighting], losses: Iterable[Node]) -> list[Sighting]:
    """The sightings, with what no gradient reaches marked so, where parameters are known to be trained by the loss."""
    if not any(map(reached(_is_parameter), losses)):
        return list(seen)
    is_reached = reached(may_be_trained)
    return [s if not s.training or is_reached(s.node) else s._replace(training=False) for s in seen]
