"""The losses as modules, drop-ins for those of ``torch.nn``."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.loss import _Loss, _WeightedLoss

from finallayer.losses.torch._arguments import check_reduction, terms_of
from finallayer.losses.torch._binary import binary_cross_entropy_with_logits
from finallayer.losses.torch._cross_entropy import CrossEntropyOutput, cross_entropy
from finallayer.losses.torch._linear import linear_cross_entropy


class _NotScriptable:
    def __prepare_scriptable__(self) -> Any:
        raise RuntimeError(
            f"{type(self).__name__} cannot be compiled by torch.jit.script, since it calls a kernel of its own: "
            "use torch.compile, torch.export or torch.jit.trace, or torch.nn's loss of the same name"
        )


def _options_of(module: torch.nn.Module, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}={getattr(module, name)!r}" for name in names)


class CrossEntropyLoss(_NotScriptable, _WeightedLoss):
    """`cross_entropy` as a module: a drop-in for ``nn.CrossEntropyLoss``; see there for every argument."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        z_loss: float = 0.0,
        softcap: float | None = None,
        temperature: float = 1.0,
        return_lse: bool = False,
        return_accuracy: bool = False,
        in_place: bool = False,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        terms_of(self.reduction, ignore_index, label_smoothing, z_loss, softcap, temperature)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss
        self.softcap = softcap
        self.temperature = temperature
        self.return_lse = return_lse
        self.return_accuracy = return_accuracy
        self.in_place = in_place

    def forward(self, input: Tensor, target: Tensor, token_weight: Tensor | None = None) -> Tensor | CrossEntropyOutput:
        """The loss of ``input`` (logits) against ``target``, with the lse or accuracy if they are wanted."""
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            softcap=self.softcap,
            temperature=self.temperature,
            token_weight=token_weight,
            return_lse=self.return_lse,
            return_accuracy=self.return_accuracy,
            in_place=self.in_place,
        )

    def extra_repr(self) -> str:
        names = (
            "ignore_index",
            "reduction",
            "label_smoothing",
            "z_loss",
            "softcap",
            "temperature",
            "return_lse",
            "return_accuracy",
            "in_place",
        )
        weighted = "" if self.weight is None else f"weight of {len(self.weight)} classes, "
        return weighted + _options_of(self, names)


class LinearCrossEntropyLoss(_NotScriptable, _WeightedLoss):
    """`linear_cross_entropy` as a module that holds the last linear layer: a drop-in for ``nn.LinearCrossEntropyLoss``.

    Args:
        in_features: Size d of what the layer is given.
        num_classes: Number of classes C.
        out_features: (d1, ..., dk), where each input has that many targets.
        bias: Whether the layer has one.
        device, dtype: Of the layer's parameters, as in ``nn.Linear``.
        reduction, weight, ignore_index, label_smoothing: As in `linear_cross_entropy`.
        options: Accepted and not used: the logits are never held at once, whatever it says.
        z_loss, softcap, temperature, return_lse, return_accuracy: As in `linear_cross_entropy`.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
        z_loss: float = 0.0,
        softcap: float | None = None,
        temperature: float = 1.0,
        return_lse: bool = False,
        return_accuracy: bool = False,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        super().__init__(weight, None, None, reduction)
        terms_of(
            reduction, -100 if ignore_index is None else ignore_index, label_smoothing, z_loss, softcap, temperature
        )
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        self.z_loss = z_loss
        self.softcap = softcap
        self.temperature = temperature
        self.return_lse = return_lse
        self.return_accuracy = return_accuracy
        outputs = math.prod(self.out_features, start=num_classes)
        self.linear = torch.nn.Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor, token_weight: Tensor | None = None) -> Tensor | CrossEntropyOutput:
        """The loss of the layer's logits for ``input`` (N, d) against ``target``."""
        shape = (self.num_classes, *self.out_features)
        bias: Tensor | None = self.linear.bias
        return linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            softcap=self.softcap,
            temperature=self.temperature,
            token_weight=token_weight,
            return_lse=self.return_lse,
            return_accuracy=self.return_accuracy,
        )

    def extra_repr(self) -> str:
        names = (
            "num_classes",
            "out_features",
            "reduction",
            "ignore_index",
            "label_smoothing",
            "z_loss",
            "softcap",
            "temperature",
            "return_lse",
            "return_accuracy",
        )
        return _options_of(self, names)


class BCEWithLogitsLoss(_NotScriptable, _Loss):
    """`binary_cross_entropy_with_logits` as a module: a drop-in for ``nn.BCEWithLogitsLoss``."""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        check_reduction(self.reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input`` (logits) against ``target``."""
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
