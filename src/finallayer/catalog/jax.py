"""JAX, Flax, Haiku, Equinox, Optax and stax: signatures (see the package's docstring for how a line reads).

``jax.numpy`` stands in the NumPy table and ``jax.scipy.special`` with SciPy; functions that Flax hands on from
``jax.nn`` are spelled so.
"""

from __future__ import annotations

from finallayer.catalog.family import each

_CONVOLUTIONS = "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose"
_LOGITS = "(logits: x, labels: target"

NAMES: dict[str, str] = {
    # the final layer's own
    "jax.nn.softmax": "softmax(x, axis=-1, where)",
    "jax.nn.log_softmax": "log_softmax(x, axis=-1, where)",
    "jax.nn.sigmoid": "sigmoid(x)",
    "jax.nn.log_sigmoid": "log_sigmoid(x)",
    "jax.nn.softplus": "softplus(x)",
    "jax.lax.logistic": "sigmoid(x)",
    "jax.nn.one_hot": "one_hot(x, num_classes: units)",
    "flax.training.common_utils.onehot": "one_hot(labels: x, num_classes: units)",
    # element by element
    **each(
        "jax.nn",
        "relu relu6 elu selu celu gelu silu swish mish tanh soft_sign leaky_relu hard_sigmoid hard_silu hard_swish "
        "hard_tanh squareplus",
        "activation(x)",
    ),
    "jax.nn.standardize": "norm(x)",
    "jax.lax.log": "log(x)",
    "jax.lax.log1p": "log1p(x)",
    "jax.lax.exp": "exp(x)",
    "jax.lax.tanh": "activation(x)",
    "jax.lax.neg": "neg(x)",
    "jax.lax.add": "add(x, y)",
    "jax.lax.sub": "sub(x, y)",
    "jax.lax.mul": "mul(x, y)",
    "jax.lax.div": "div(x, y)",
    "jax.lax.max": "maximum(x, y)",
    "jax.lax.min": "minimum(x, y)",
    "jax.lax.clamp": "clip(min: low, x, max: high)",
    "jax.lax.select": "choose(pred: condition, on_true: x, on_false: y)",
    "jax.lax.cond": "cond(pred: condition, true_fun: x, false_fun: y, *operands)",
    # contractions
    **each("jax.lax", "dot dot_general batch_matmul", "matmul(lhs: x, rhs: y)"),
    **each("jax.lax", "conv conv_general_dilated", "affine(lhs: x, rhs)"),
    # shape, type and place
    "jax.lax.reshape": "reshape(operand: x, new_sizes: shape)",
    "jax.lax.expand_dims": "reshape(array: x, dimensions)",
    "jax.lax.squeeze": "reshape(array: x, dimensions)",
    "jax.lax.concatenate": "concat(operands: x, dimension: axis)",
    "jax.lax.convert_element_type": "cast(operand: x, new_dtype: dtype)",
    "jax.lax.stop_gradient": "stop_gradient(x)",
    "jax.lax.argmax": "argmax(operand: x, axis)",
    "jax.lax.top_k": "topk(operand: x, k)",
    **each("jax.lax", "pmean psum", "identity(x, axis_name)"),
    **each("jax", "device_put block_until_ready", "identity(x)"),
    "jax.device_get": "stop_gradient(x)",
    "jax.random.categorical": "sample(key, logits: x, axis=-1)",
    # functions of functions
    "jax.jit": "transform(fun: f)",
    **each("jax", "vmap pmap", "vmap(fun: f)"),
    **each("jax", "checkpoint remat named_call", "transform(fun: f)"),
    **each("jax", "custom_jvp custom_vjp custom_gradient", "no_grad(fun: f)"),
    "jax.value_and_grad": "value_and_grad(fun: f, argnums, has_aux)",
    **each("jax", "grad jacfwd jacrev hessian", "grad(fun: f, argnums, has_aux)"),
    "jax.vjp": "vjp(fun: f, *primals: operands)",
    # losses
    "optax.softmax_cross_entropy": f"xent_logits{_LOGITS}, axis=-1)",
    "optax.softmax_cross_entropy_with_integer_labels": f"xent_logits{_LOGITS}, axis=-1)",
    "optax.safe_softmax_cross_entropy": f"xent_logits{_LOGITS})",
    "optax.poly_loss_cross_entropy": f"xent_logits{_LOGITS}, *, axis=-1)",
    "optax.ctc_loss": "xent_logits(logits: x, logit_paddings, labels: target)",
    "optax.sigmoid_binary_cross_entropy": f"bce_logits{_LOGITS})",
    "optax.sigmoid_focal_loss": f"bce_logits{_LOGITS})",
    "optax.kl_divergence": "kl(log_predictions: x, targets: target, axis=-1)",
    "optax.convex_kl_divergence": "kl(log_predictions: x, targets: target, axis=-1)",
    "optax.kl_divergence_with_log_targets": "kl(log_predictions: x, log_targets: target, axis=-1)",
    **each("optax", "squared_error l2_loss", "mse(predictions: x, targets: target)"),
    **each("optax", "huber_loss log_cosh", "mae(predictions: x, targets: target)"),
    **each("optax", "hinge_loss perceptron_loss", "hinge(predictor_outputs: x, targets: target)"),
    **each("optax", "multiclass_hinge_loss multiclass_perceptron_loss", "hinge(scores: x, labels: target)"),
    "optax.smooth_labels": "identity(labels: x)",
    # Flax: programs
    "flax.linen.Module": "module()",
    "flax.nnx.Module": "module()",
    "flax.linen.Sequential": "sequential(layers)(x)",
    "flax.nnx.Sequential": "sequential(*fns: layers)(x)",
    "flax.nnx.List": "layers(it: layers)",
    "flax.linen.compact": "same(fun: x)",
    "flax.linen.nowrap": "same(fun: x)",
    **each("flax.linen", "jit remat checkpoint", "transform(target: f)"),
    "flax.linen.vmap": "vmap(target: f)",
    "flax.linen.cond": "cond(pred: condition, true_fun: x, false_fun: y, mdl, *operands)",
    "flax.nnx.cond": "cond(pred: condition, true_fun: x, false_fun: y, *operands)",
    "flax.nnx.jit": "transform(fun: f)",
    "flax.nnx.remat": "transform(f)",
    **each("flax.nnx", "vmap pmap", "vmap(f)"),
    "flax.nnx.value_and_grad": "value_and_grad(f, *, argnums, has_aux)",
    "flax.nnx.grad": "grad(f, *, argnums, has_aux)",
    # Flax: layers
    "flax.linen.Dense": "affine(features: units, use_bias)(inputs: x)",
    "flax.linen.DenseGeneral": "affine(features: units, axis)(inputs: x)",
    **each("flax.linen", "Conv ConvTranspose ConvLocal", "affine(features: units, kernel_size)(inputs: x)"),
    "flax.nnx.Linear": "affine(in_features, out_features: units)(inputs: x)",
    "flax.nnx.LinearGeneral": "affine(in_features, out_features: units)(inputs: x)",
    **each("flax.nnx", "Conv ConvTranspose", "affine(in_features, out_features: units, kernel_size)(inputs: x)"),
    **each("flax.linen", "BatchNorm LayerNorm GroupNorm RMSNorm InstanceNorm", "norm()(x)"),
    **each("flax.nnx", "BatchNorm LayerNorm GroupNorm RMSNorm InstanceNorm", "norm()(x)"),
    **each("flax.linen", "Dropout", "dropout(rate)(inputs: x)"),
    **each("flax.nnx", "Dropout", "dropout(rate)(inputs: x)"),
    **each("flax.linen", "PReLU", "activation()(inputs: x)"),
    **each("flax.linen", "avg_pool max_pool pool", "pool(inputs: x)"),
    **each("flax.nnx", "avg_pool max_pool", "pool(inputs: x)"),
    **each("flax.linen", "SpectralNorm WeightNorm", "same(layer_instance: x)"),
    "flax.nnx.Param": "parameter(value: initial)",
    # Haiku
    "haiku.Module": "module()",
    "haiku.Sequential": "sequential(layers)(inputs: x)",
    "haiku.Linear": "affine(output_size: units, with_bias)(inputs: x)",
    **each("haiku", _CONVOLUTIONS, "affine(output_channels: units, kernel_shape)(inputs: x)"),
    "haiku.nets.MLP": "affine(output_sizes)(inputs: x)",
    **each("haiku", "BatchNorm LayerNorm InstanceNorm RMSNorm", "norm()(inputs: x)"),
    "haiku.GroupNorm": "norm()(x)",
    **each("haiku", "AvgPool MaxPool", "pool(window_shape)(value: x)"),
    **each("haiku", "avg_pool max_pool", "pool(value: x)"),
    "haiku.Flatten": "reshape(preserve_dims)(inputs: x)",
    "haiku.Reshape": "reshape(output_shape: shape)(inputs: x) | batch_axes=1",
    "haiku.dropout": "dropout(rng, rate, x)",
    "haiku.get_parameter": "parameter(name)",
    **each("haiku", "transform transform_with_state", "pure(f)"),
    "haiku.without_apply_rng": "pure(f) | rng=False",
    **each("haiku", "remat", "transform(fun: f)"),
    "haiku.value_and_grad": "value_and_grad(fun: f, argnums, has_aux)",
    "haiku.grad": "grad(fun: f, argnums, has_aux)",
    "haiku.vmap": "vmap(fun: f)",
    # Equinox
    "equinox.Module": "module()",
    "equinox.nn.Sequential": "sequential(layers)(x)",
    "equinox.nn.Lambda": "transform(fn: f)",
    "equinox.nn.Linear": "affine(in_features, out_features: units)(x)",
    **each(
        "equinox.nn",
        "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
        "affine(in_channels, out_channels: units, kernel_size)(x)",
    ),
    "equinox.nn.MLP": (
        "affine(in_size, out_size: units, width_size, depth, activation: hidden, final_activation: activation)(x)"
    ),
    **each("equinox.nn", "LayerNorm GroupNorm RMSNorm BatchNorm", "norm()(x)"),
    "equinox.nn.Dropout": "dropout(p)(x)",
    "equinox.nn.Identity": "identity()(x)",
    "equinox.nn.PReLU": "activation()(x)",
    **each(
        "equinox.nn",
        "AvgPool1d AvgPool2d AvgPool3d MaxPool1d MaxPool2d MaxPool3d AdaptiveAvgPool1d AdaptiveAvgPool2d "
        "AdaptiveMaxPool1d AdaptiveMaxPool2d",
        "pool()(x)",
    ),
    "equinox.filter_jit": "transform(fun: f)",
    "equinox.filter_checkpoint": "transform(fun: f)",
    "equinox.filter_vmap": "vmap(fun: f)",
    "equinox.filter_pmap": "vmap(fun: f)",
    "equinox.filter_value_and_grad": "value_and_grad(fun: f, *, has_aux)",
    "equinox.filter_grad": "grad(fun: f, *, has_aux)",
    # stax: layers are (init, apply) pairs, some of them without being called
    "jax.example_libraries.stax.serial": "serial(*layers)",
    "jax.example_libraries.stax.Dense": "affine(out_dim: units)(inputs: x)",
    "jax.example_libraries.stax.Conv": "affine(out_chan: units, filter_shape)(inputs: x)",
    "jax.example_libraries.stax.ConvTranspose": "affine(out_chan: units, filter_shape)(inputs: x)",
    "jax.example_libraries.stax.GeneralConv": "affine(dimension_numbers, out_chan: units)(inputs: x)",
    "jax.example_libraries.stax.Softmax": "softmax()(inputs: x) | axis=-1",
    "jax.example_libraries.stax.LogSoftmax": "log_softmax()(inputs: x) | axis=-1",
    "jax.example_libraries.stax.Sigmoid": "sigmoid()(inputs: x)",
    "jax.example_libraries.stax.Softplus": "softplus()(inputs: x)",
    "jax.example_libraries.stax.Exp": "exp()(inputs: x)",
    **each("jax.example_libraries.stax", "Relu LeakyRelu Tanh Elu Selu Gelu", "activation()(inputs: x)"),
    **each("jax.example_libraries.stax", "BatchNorm", "norm()(inputs: x)"),
    **each("jax.example_libraries.stax", "AvgPool MaxPool", "pool()(inputs: x)"),
    **each("jax.example_libraries.stax", "Dropout", "dropout(rate)(inputs: x)"),
    "jax.example_libraries.stax.Flatten": "reshape()(inputs: x) | rank=2",
    "jax.example_libraries.stax.Identity": "identity()(inputs: x)",
    "jax.example_libraries.stax.softmax": "softmax(x, axis=-1)",
    **each("jax.example_libraries.stax", "logsoftmax log_softmax", "log_softmax(x, axis=-1)"),
    "jax.example_libraries.stax.relu": "activation(x)",
}

#: arrays' methods stand with NumPy's and torch's
METHODS: dict[str, str] = {}

#: method of a user's module -> signature
MODULE_METHODS: dict[str, str] = {
    "param": "parameter(name)",
    "variable": "opaque(col, name)",
}
