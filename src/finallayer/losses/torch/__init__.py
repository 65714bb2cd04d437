"""XentLogits for PyTorch: drop-ins for ``torch.nn.functional``'s and ``torch.nn``'s cross-entropies on logits."""

from finallayer.losses.torch._binary import binary_cross_entropy_with_logits
from finallayer.losses.torch._cross_entropy import CrossEntropyOutput, cross_entropy
from finallayer.losses.torch._linear import linear_cross_entropy
from finallayer.losses.torch._modules import BCEWithLogitsLoss, CrossEntropyLoss, LinearCrossEntropyLoss

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "CrossEntropyOutput",
    "LinearCrossEntropyLoss",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "linear_cross_entropy",
]
