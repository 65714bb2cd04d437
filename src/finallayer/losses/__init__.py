"""XentLogits for torch, JAX, Keras and NumPy: cross-entropy on logits, exact at both ends.

Each framework has a module of its own with that framework's conventions: `finallayer.losses.torch`, `.jax`,
`.keras`, `.numpy`. None is imported here.
"""

from finallayer.kernels import backend

__all__ = ["backend"]
