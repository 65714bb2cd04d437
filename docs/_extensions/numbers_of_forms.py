"""The numbers behind the interactive figures: every form of the loss and both blocks, evaluated by finallayer.numerics.

Nothing is computed in the browser: what a slider shows was evaluated in that format, operation by operation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from finallayer.expr import Node, logits, make, target
from finallayer.numerics.arithmetic import rounding_to
from finallayer.numerics.evaluate import evaluate, expression_safe_margin
from finallayer.numerics.forward_backward import OPERATIONS

#: The margin by which the rival leads: negative where the target does. A row has three classes, the third at 0.
MARGINS = [m / 2 for m in range(-60, 81)] + [float(m) for m in range(41, 121)]
DTYPES = ("float32", "bfloat16", "float16", "float64")
CONSTANTS = (1e-3, 1e-4, 1e-7, 1e-8, 1e-12, 1e-15, 1e-30)


class Form(NamedTuple):
    """A way to write cross-entropy; ``constant``: whether it has a clip or an epsilon to choose."""

    name: str
    code: str
    constant: bool = False

    def loss(self, constant: float | None) -> Node:
        """The form as a loss expression."""
        p = make("softmax", logits())
        inner = {
            "log of softmax": lambda: make("log", p),
            "clipped": lambda: make("log", make("clip", p, low=constant, high=1 - (constant or 0))),
            "epsilon": lambda: make("log", make("add_eps", p, eps=constant)),
            "softmax twice": lambda: make("log_softmax", p),
            "by hand": lambda: make("log", make("div", make("exp", logits()), make("sum", make("exp", logits())))),
            "in the loss": lambda: make("log_softmax", logits()),
        }[self.name]()
        return make("neg", make("gather", inner, target()))


FORMS = (
    Form("in the loss", "cross_entropy(z, y)"),
    Form("clipped", "-log(clip(softmax(z), c, 1 - c))[y]", constant=True),
    Form("epsilon", "-log(softmax(z) + c)[y]", constant=True),
    Form("log of softmax", "-log(softmax(z))[y]"),
    Form("by hand", "-log(exp(z) / exp(z).sum())[y]"),
    Form("softmax twice", "cross_entropy(softmax(z), y)"),
)


def setup(app: Any) -> dict[str, bool]:
    app.connect("build-finished", _when_built)
    return {"parallel_read_safe": True}


def _when_built(app: Any, error: Exception | None) -> None:
    if error is None:
        write(Path(app.outdir) / "_static" / "numbers")


def write(folder: Path) -> None:
    """``forms.json`` and ``blocks.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "forms.json").write_text(json.dumps(forms()), encoding="utf-8")
    (folder / "blocks.json").write_text(json.dumps(blocks()), encoding="utf-8")


def forms() -> dict[str, Any]:
    """Loss and gradient at the target of every form, constant and dtype at all margins, and the truth."""
    truth = [evaluate(FORMS[0].loss(None), _row(m), 1, "exact") for m in MARGINS]
    return {
        "margins": MARGINS,
        "truth": {"loss": [float(t.loss) for t in truth], "gradient": [float(t.grad[1]) for t in truth]},
        "constants": CONSTANTS,
        "dtypes": DTYPES,
        "forms": [{"name": form.name, "code": form.code, "curves": list(_curves(form))} for form in FORMS],
    }


def _curves(form: Form) -> Iterator[dict[str, Any]]:
    for constant in CONSTANTS if form.constant else (None,):
        loss = form.loss(constant)
        for dtype in DTYPES:
            got = [evaluate(loss, _row(m), 1, dtype) for m in MARGINS]
            margin = expression_safe_margin(loss, dtype)
            yield {
                "constant": constant,
                "dtype": dtype,
                "safe_margin": _number(margin),
                "loss": [_number(g.loss) for g in got],
                "gradient": [_number(g.grad[1]) for g in got],
            }


def blocks() -> dict[str, Any]:
    """What flows through the two blocks, forward and back, and through the one: at every margin in float32."""
    m = rounding_to("float32")
    rows = []
    for margin in MARGINS:
        z = [m.round(v) for v in _row(margin)]
        x, softmax_back = OPERATIONS["softmax"](m, [z], {})
        upstream = [0.0, m.round(m.div(-1.0, x[1])), 0.0]
        two = softmax_back(upstream)[0]
        one = evaluate(FORMS[0].loss(None), z, 1, "float32")
        rows.append(
            {
                "margin": margin,
                "z": z,
                "x": [_number(v) for v in x],
                "two": {
                    "loss": _number(-m.round(m.log(x[1]))),
                    "dx": list(map(_number, upstream)),
                    "dz": list(map(_number, two)),
                },
                "one": {"loss": _number(one.loss), "dz": list(map(_number, one.grad))},
            }
        )
    return {"rows": rows}


def _row(margin: float) -> list[float]:
    """Class 1 is the target; class 0 leads it by the margin, or trails it."""
    return [max(margin, 0.0), max(-margin, 0.0), 0.0]


def _number(value: float | None) -> float | str | None:
    """JSON has neither infinities nor NaN."""
    if value is None or math.isfinite(value):
        return value if value is None else float(f"{value:.9g}")
    return str(value)
