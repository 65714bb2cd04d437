"""Signatures of what torch runs beneath its functions, and of operators: as data, like the catalogue's tables.

Most operators of ATen are called as the tensor's method is, and found there; a line here is for one that isn't.
"""

from __future__ import annotations

from functools import cache

from finallayer.catalog import Signature, method, parse
from finallayer.catalog.applying import is_applicable
from finallayer.catalog.family import each

#: Methods that operators of Python's call, and properties.
METHODS: dict[str, str] = {
    **each("", "__add__ __iadd__", "add(self: x, other: y)"),
    **each("", "__sub__ __isub__", "sub(self: x, other: y)"),
    **each("", "__mul__ __imul__", "mul(self: x, other: y)"),
    **each("", "__truediv__ __itruediv__ __idiv__ __div__", "div(self: x, other: y)"),
    **each("", "__pow__ __ipow__", "pow(self: x, exponent: y)"),
    "__matmul__": "matmul(self: x, other: y)",
    "__radd__": "add(self: y, other: x)",
    "__rsub__": "sub(self: y, other: x)",
    "__rmul__": "mul(self: y, other: x)",
    **each("", "__rdiv__ __rtruediv__", "div(self: y, other: x)"),
    "__rpow__": "pow(self: y, exponent: x)",
    "__rmatmul__": "matmul(self: y, other: x)",
    "__neg__": "neg(self: x)",
    "__pos__": "identity(self: x)",
    "__abs__": "abs(self: x)",
    **each("", "__gt__ __ge__", "threshold(self: x, other: value) | above=True"),
    **each("", "__lt__ __le__", "threshold(self: x, other: value) | above=False"),
    **each("", "__eq__ __ne__", "compare(self: x, other: y)"),
    **each("", "__and__ __or__ __xor__ logical_and logical_or logical_xor", "compare(self: x, other: y)"),
    **each("", "__invert__ logical_not", "compare(self: x)"),
    **each("", "T mT H mH", "reshape(self: x)"),
    "__getitem__": "index(self: x, indices)",
    "data": "stop_gradient(self: x)",
    "log_sigmoid": "log_sigmoid(self: x)",
    "clamp_max": "clip(self: x, max: high)",
    "scatter": "one_hot(self, dim, index, src: x)",
    "expm1": "sub(self: x)",
}

#: Operators of ATen that no method is spelled as.
OPERATORS: dict[str, str] = {
    "_softmax": "softmax(self: x, dim: axis, half_to_float)",
    "_safe_softmax": "softmax(self: x, dim: axis, dtype)",
    "_log_softmax": "log_softmax(self: x, dim: axis, half_to_float)",
    "log_sigmoid_forward": "log_sigmoid(self: x)",
    "softplus": "softplus(self: x, beta, threshold)",
    "special_xlogy": "xlogy(self: x, other: y)",
    **each("", "linalg_vector_norm linalg_norm", "length(self: x, ord, dim: axis, keepdim: keepdims)"),
    "rsub": "sub(self: y, other: x, alpha)",
    # losses
    **each("", "nll_loss_forward nll_loss2d_forward nll_loss nll_loss2d", "nll(self: x, target)"),
    "binary_cross_entropy": "bce_probs(self: x, target) | on_logits='binary_cross_entropy_with_logits'",
    "binary_cross_entropy_with_logits": "bce_logits(self: x, target)",
    "soft_margin_loss": "bce_logits(self: x, target)",
    "mse_loss": "mse(self: x, target)",
    **each("", "smooth_l1_loss huber_loss", "mae(self: x, target)"),
    **each("", "multi_margin_loss multilabel_margin_loss_forward", "hinge(self: x, target)"),
    "_ctc_loss": "nll(log_probs: x, targets: target) | axis=-1",
    # layers
    "addmm": "affine(self, mat1: x, mat2: y)",
    "linear": "affine(input: x, weight, bias)",
    **each(
        "",
        "convolution _convolution conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
        "affine(input: x, weight, bias)",
    ),
    **each(
        "",
        "gelu silu mish hardswish hardsigmoid hardtanh elu celu selu leaky_relu rrelu_with_noise softshrink prelu "
        "_prelu_kernel glu threshold hardshrink sin cos erf",
        "activation(self: x)",
    ),
    **each(
        "",
        "native_batch_norm native_layer_norm native_group_norm _native_batch_norm_legit "
        "_native_batch_norm_legit_functional _native_batch_norm_legit_no_training _batch_norm_with_update "
        "_batch_norm_no_update cudnn_batch_norm miopen_batch_norm _fused_rms_norm",
        "norm(input: x)",
    ),
    "native_dropout": "dropout(input: x, p, train)",
    **each(
        "",
        "avg_pool2d avg_pool3d max_pool2d_with_indices max_pool3d_with_indices _adaptive_avg_pool2d "
        "_adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d upsample_nearest1d upsample_nearest2d "
        "upsample_nearest3d upsample_bilinear2d upsample_bicubic2d upsample_linear1d upsample_trilinear3d "
        "grid_sampler_2d grid_sampler_3d",
        "pool(self: x)",
    ),
    "constant_pad_nd": "mask(self: x, pad, value)",
    # shape, type and place
    **each("", "_unsafe_view alias lift_fresh detach detach_", "identity(self: x)"),
    **each("", "_to_copy _conj", "cast(self: x)"),
    "cat": "concat(tensors: x, dim: axis)",
    "stack": "concat(tensors: x, dim: axis)",
    "slice": "index(self: x, dim, start, end, step)",
    "index": "index(self: x, indices)",
    "_index_put_impl_": "mask(self: x)",
    **each("", "index_put index_put_ masked_scatter masked_scatter_", "mask(self: x)"),
    **each("", "ones ones_like", "const() | value=1"),
    **each("", "arange linspace", "numbers()"),
    "one_hot": "one_hot(self: x, num_classes: units)",
}


@cache
def operator(name: str) -> Signature | None:
    """What an operator of ATen's does, by its name; None where that isn't known."""
    line = OPERATORS.get(name) or OPERATORS.get(out_of_place(name))
    signature = tensor_method(name) if line is None else parse(line)
    if signature is None and name.endswith("_copy"):  # of a view
        return operator(name.removesuffix("_copy"))
    return signature if signature is not None and is_applicable(signature) else None


def tensor_method(name: str) -> Signature | None:
    """The same of a tensor's method."""
    return tensor_property(name) or method(name) or method(out_of_place(name))


def tensor_property(name: str) -> Signature | None:
    """The same of a tensor's property, or of a method that an operator of Python's calls."""
    line = METHODS.get(name)
    return None if line is None else parse(line)


def out_of_place(name: str) -> str:
    """The name of what does the same and leaves its argument as it is: ``exp`` of ``exp_``."""
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name
