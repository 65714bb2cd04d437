"""Should softmax still be the final layer? Keep softmax in the loss."""

__version__ = "0.1.0"
