"""The heads: what stands between a classifier's last Dense layer and its loss. Adding one is one entry.

A head is named after what it hands to the loss. ``logits`` is the one every other head is measured against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from finallayer.compare.compare_error import BadInputError

Framework = Literal["keras", "torch"]

BASELINE = "logits"
STATUS_QUO = "softmax"
KERAS_EPSILON = 1e-7  # keras.config.epsilon() as it comes


@dataclass(frozen=True)
class Head:
    """One way to end a classifier.

    ``loss(framework, **options)`` gives the framework's own loss object, called with (labels, outputs) in Keras and
    with (outputs, labels) in PyTorch; ``options`` reach its constructor (``reduction``). ``softmax_dtype`` is what the
    softmax layer computes in where that isn't the model's precision, and such a head only differs from one that has
    none in mixed precision. ``epsilon`` is where Keras' losses clip, if not where they do by default.
    """

    name: str
    framework: Framework
    title: str
    code: str
    softmax_in_model: bool
    loss: Callable[..., Any]
    softmax_dtype: str | None = None
    epsilon: float = KERAS_EPSILON

    def differs_in(self, precision: str) -> bool:
        """Whether it is another program than its namesake without ``softmax_dtype``."""
        return self.softmax_dtype != precision


def _nll_of(log_probs: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """NLLLoss of hand-made log-probabilities: ``log_probs(torch, probabilities)``."""

    def make(torch: Any, **options: Any) -> Any:
        nll = torch.nn.NLLLoss(**options)
        return lambda outputs, labels: nll(log_probs(torch, outputs), labels)

    return make


HEADS: tuple[Head, ...] = (
    Head(
        name="softmax",
        framework="keras",
        title="softmax in the model",
        code="Dense(10), Softmax() + SparseCategoricalCrossentropy()",
        softmax_in_model=True,
        loss=lambda keras, **options: keras.losses.SparseCategoricalCrossentropy(**options),
    ),
    Head(
        name="softmax-float32",
        framework="keras",
        title="softmax in the model, kept in float32",
        code='Dense(10), Softmax(dtype="float32") + SparseCategoricalCrossentropy()',
        softmax_in_model=True,
        softmax_dtype="float32",
        loss=lambda keras, **options: keras.losses.SparseCategoricalCrossentropy(**options),
    ),
    Head(
        name="logits",
        framework="keras",
        title="softmax in the loss",
        code="Dense(10) + SparseCategoricalCrossentropy(from_logits=True)",
        softmax_in_model=False,
        loss=lambda keras, **options: keras.losses.SparseCategoricalCrossentropy(from_logits=True, **options),
    ),
    Head(
        name="double-softmax",
        framework="keras",
        title="softmax twice",
        code="Dense(10), Softmax() + SparseCategoricalCrossentropy(from_logits=True)",
        softmax_in_model=True,
        loss=lambda keras, **options: keras.losses.SparseCategoricalCrossentropy(from_logits=True, **options),
    ),
    Head(
        name="no-softmax",
        framework="keras",
        title="softmax nowhere",
        code="Dense(10) + SparseCategoricalCrossentropy()",
        softmax_in_model=False,
        loss=lambda keras, **options: keras.losses.SparseCategoricalCrossentropy(**options),
    ),
    Head(
        name="logits",
        framework="torch",
        title="softmax in the loss",
        code="Linear(128, 10) + CrossEntropyLoss()",
        softmax_in_model=False,
        loss=lambda torch, **options: torch.nn.CrossEntropyLoss(**options),
    ),
    Head(
        name="double-softmax",
        framework="torch",
        title="softmax twice",
        code="Linear(128, 10), Softmax(-1) + CrossEntropyLoss()",
        softmax_in_model=True,
        loss=lambda torch, **options: torch.nn.CrossEntropyLoss(**options),
    ),
    Head(
        name="log-of-softmax",
        framework="torch",
        title="log of softmax",
        code="Linear(128, 10), Softmax(-1) + NLLLoss()(log(x))",
        softmax_in_model=True,
        loss=_nll_of(lambda torch, x: torch.log(x)),
    ),
    Head(
        name="epsilon-log",
        framework="torch",
        title="log of softmax + 1e-10",
        code="Linear(128, 10), Softmax(-1) + NLLLoss()(log(x + 1e-10))",
        softmax_in_model=True,
        loss=_nll_of(lambda torch, x: torch.log(x + 1e-10)),
    ),
    Head(
        name="clipped-log",
        framework="torch",
        title="log of clamped softmax",
        code="Linear(128, 10), Softmax(-1) + NLLLoss()(log(clamp(x, 1e-7)))",
        softmax_in_model=True,
        loss=_nll_of(lambda torch, x: torch.log(torch.clamp(x, 1e-7))),
    ),
)


def written(epsilon: float) -> str:
    """``1e-4``, as one writes it, and not ``1e-04``."""
    return f"{epsilon:.0e}".replace("e-0", "e-")


def _dose(head: Head, epsilon: float) -> Head:
    return replace(
        head,
        name=f"{head.name}-eps-{written(epsilon)}",
        title=f"{head.title}, epsilon {written(epsilon)}",
        code=f"keras.config.set_epsilon({written(epsilon)}); {head.code}",
        epsilon=epsilon,
    )


EPSILONS = "epsilons"  # asks for all of them
# The status quo with another epsilon: if it is the clip that costs, less of a clip must cost less. A dose each.
DOSES: tuple[Head, ...] = tuple(
    _dose(head, epsilon) for head in HEADS if head.name == STATUS_QUO for epsilon in (1e-4, 1e-15, 1e-30)
)


#: What runs unasked: the article's question, Keras' advice for mixed precision, and the same clip in PyTorch.
DEFAULT = ("softmax", "softmax-float32", "logits", "clipped-log", EPSILONS)
ALL = "all"


def choices() -> list[str]:
    """What may be asked for: every head, and the doses as one."""
    return [*head_names(), EPSILONS]


def head_names() -> list[str]:
    """The name of every head that is compared with logits, in the table's order, once."""
    return list(dict.fromkeys(head.name for head in HEADS))


def all_names() -> list[str]:
    """Every head's name, the doses' last."""
    return head_names() + [head.name for head in DOSES]


def is_dose(name: str) -> bool:
    """Whether a head is run to see what the status quo owes to its epsilon, not to be compared with logits."""
    return any(head.name == name for head in DOSES)


def find_head(framework: Framework, name: str) -> Head:
    """The head of that name in that framework; ``KeyError`` where the framework has none."""
    for head in HEADS + DOSES:
        if (head.framework, head.name) == (framework, name):
            return head
    raise KeyError(f"{framework} has no head {name!r}")


def heads_of(framework: Framework, chosen: Iterable[str]) -> list[Head]:
    """Those of the framework's heads that were chosen, in the table's order."""
    wanted = set(chosen)
    return [head for head in HEADS if head.framework == framework and head.name in wanted]


def parse_heads(names: Sequence[str]) -> list[str]:
    """Head names as the user gave them, checked; the baseline always runs, as the others are measured against it."""
    known = choices()
    if ALL in names:
        return known
    if not names:
        raise BadInputError(f"--heads: empty; expected some of: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise BadInputError(f"--heads: unknown head {name!r}; expected some of: {', '.join(known)}")
    wanted = {*names, BASELINE}
    return [name for name in known if name in wanted]
