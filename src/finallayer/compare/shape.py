"""Whether something read from JSON has the shape that it was written with."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from finallayer.compare.cliff import MARGINS


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9


def is_some(value: Any) -> bool:
    """A count of what there must be one of."""
    return is_count(value) and value > 0


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


def is_number_or_none(value: Any) -> bool:
    return value is None or is_number(value)


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


#: A shape: a test; a list of one shape, which each item has; or an object's names with their shapes, and maybe more.
Shape = Callable[[Any], bool] | list[Any] | dict[str, Any]

_EPOCH = {
    **dict.fromkeys("epoch skipped".split(), is_count),
    **dict.fromkeys("seconds train_accuracy val_accuracy silenced underflow nonfinite".split(), is_number),
    **dict.fromkeys("loss largest_margin true_loss".split(), is_number_or_none),
}
_CELL = dict.fromkeys("backend precision inputs head".split(), is_text) | {"seed": is_count}
_CURVE = {
    **dict.fromkeys("backend precision head".split(), is_text),
    "gradient": [is_number_or_none],
    **dict.fromkeys("safe_margin overflows_from".split(), is_number_or_none),
}
RESULTS: Shape = {
    "settings": {
        "data": is_text,
        **dict.fromkeys("epochs batch_size seeds".split(), is_count),
        **{name: [is_text] for name in ("backends", "precisions", "inputs", "heads")},
    },
    "data": {"sha256": is_text, "val_samples": is_some},
    "environment": {"versions": is_object},
    "created": is_text,
    "cells": [_CELL | {"seconds": is_number, "epochs": [_EPOCH]}],
    "gradients": {"curves": [_CURVE]},
    "timing": {"seconds": is_number, "estimates": [{"elapsed": is_number, "left": is_number}]},
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def misfit(value: Any, shape: Shape, place: str = "") -> str | None:
    """Where a value has another shape, in dots; None where it fits."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return place
        inner = [(value.get(name), one, f"{place}.{name}".lstrip(".")) for name, one in shape.items()]
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return place
        inner = [(item, shape[0], f"{place}[{i}]") for i, item in enumerate(value)]
    else:
        return None if shape(value) else place
    return next((found for item, one, at in inner if (found := misfit(item, one, at)) is not None), None)


def unfinished(content: Any) -> str | None:
    """Where results of the right shape are not whole: a cell of other epochs, a curve of other margins."""
    epochs = list(range(1, content["settings"]["epochs"] + 1))
    for i, cell in enumerate(content["cells"]):
        if [epoch["epoch"] for epoch in cell["epochs"]] != epochs:
            return f"cells[{i}].epochs"
    for i, curve in enumerate(content["gradients"]["curves"]):
        if len(curve["gradient"]) != len(MARGINS):
            return f"gradients.curves[{i}].gradient"
    return None


def hidden(content: dict[str, Any]) -> str | None:
    """The part, if any, of which a text holds what a terminal or a page obeys, such as a null character."""
    for name in ("data", "environment", "gradients", "timing"):
        waiting = [content[name]]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str) and _CONTROL.search(value):
                return f"{name}: {value!r:.40} holds a control character"
            waiting += (
                [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
            )
    return None
