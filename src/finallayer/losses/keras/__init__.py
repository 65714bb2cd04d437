"""XentLogits for Keras, on every backend: Keras' classification losses, on logits, exact at both ends.

Same names and arguments as ``keras.losses``, classes and functions; the classes are real ``keras.losses.Loss``
subclasses: serializable, with sample weights and masks. They take logits only. A model that ends in softmax or sigmoid
is refused when its training step is traced (on the torch backend: at its first step), by looking at what made
``y_pred``; where a backend keeps no record of that, predictions that look like probabilities are warned of.
"""

from finallayer.losses.keras._functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    sparse_categorical_crossentropy,
)
from finallayer.losses.keras._losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
]
