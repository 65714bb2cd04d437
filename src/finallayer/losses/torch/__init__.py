"""XentLogits for PyTorch: drop-ins for ``torch.nn.functional``'s and ``torch.nn``'s cross-entropies on logits."""

from finallayer.losses.torch._cross_entropy import CrossEntropyLoss, CrossEntropyOutput, cross_entropy

__all__ = [
    "CrossEntropyLoss",
    "CrossEntropyOutput",
    "cross_entropy",
]
