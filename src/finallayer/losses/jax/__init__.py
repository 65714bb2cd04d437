"""XentLogits for JAX: optax's classification losses, exact at both ends, and what large vocabularies need besides.

Same names, arguments and shapes as ``optax.losses``. The loss comes in float32 (float64 for float64 logits), the
gradient in the dtype of the logits, rounded once. Works under ``jit``, ``vmap``, ``grad``, ``jvp`` and any nesting of
them, under ``shard_map`` and sharded by ``jit``, and is serialized by ``jax.export``.
"""

from finallayer.losses.jax._binary import sigmoid_binary_cross_entropy
from finallayer.losses.jax._cross_entropy import softmax_cross_entropy, softmax_cross_entropy_with_integer_labels
from finallayer.losses.jax._linear import linear_softmax_cross_entropy_with_integer_labels

__all__ = [
    "linear_softmax_cross_entropy_with_integer_labels",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
]
