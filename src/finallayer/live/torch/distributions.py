"""Distributions: by probabilities or by logits, whichever their constructors are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any, Protocol

import torch

from finallayer.catalog import Signature, bind_signature, lookup
from finallayer.catalog.torch import NAMES
from finallayer.expr import MOVES, Node, through
from finallayer.live.replacing import replaced
from finallayer.recording import Recorder


class Recording(Protocol):
    """Who is told of the distributions that a program makes."""

    recorder: Recorder

    def node(self, value: Any) -> Node | None: ...
    def record(self, op: str, args: list[Node], attrs: dict[str, Any]) -> Node: ...


@cache
def _known() -> dict[str, Signature]:
    lines = ((name, lookup(name)) for name in NAMES if name.startswith("torch.distributions."))
    return {name: line for name, line in lines if line is not None and line.op == "distribution_of"}


@contextmanager
def told(recording: Recording) -> Iterator[None]:
    """While every distribution that is made is recorded."""
    with ExitStack() as undo:
        for name, signature in _known().items():
            cls = getattr(torch.distributions, name.rpartition(".")[2], None)
            telling = partial(_telling, name=name, signature=signature, recording=recording)
            for method, by in (("__init__", telling), ("log_prob", partial(_of_drawn, recording=recording))):
                if cls is not None and method in vars(cls):
                    undo.enter_context(replaced(cls, method, by))
        yield


def _telling(
    original: Callable[..., None], name: str, signature: Signature, recording: Recording
) -> Callable[..., None]:
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        given = {
            k: recording.node(v) for k, v in bind_signature(signature.params, args, kwargs).items() if k in ("x", "y")
        }
        nodes = [(k, node) for k, node in given.items() if node is not None]
        if len(nodes) == 1:
            ((which, node),) = nodes
            recording.record("distribution", [node], {**signature.attrs, "from_logits": which == "y", "name": name})
        original(self, *args, **kwargs)

    return made


def _of_drawn(original: Callable[..., Any], recording: Recording) -> Callable[..., Any]:
    """``log_prob``: what was drawn from a distribution is never so unlikely that the clip on the way matters."""

    def log_prob(self: Any, value: Any) -> Any:
        result = original(self, value)
        made, of = recording.node(result), recording.node(value)
        if made is not None and of is not None and through(of, MOVES).op == "sample":
            for log in [part for part in made.walk() if part.op == "log"]:
                recording.recorder.note(log, "no_loss")
        return result

    return log_prob
