"""TensorFlow 1 and 2 without Keras: signatures (see the package's docstring for how a line reads).

A name that both versions have carries TensorFlow 2's positions, with the parameters that only TensorFlow 1 has behind
them. ``tf.math.f`` and ``tf.linalg.f`` stand here as ``tensorflow.f``.
"""

from __future__ import annotations

from finallayer.catalog.family import each

_REDUCE = "(input_tensor: x, axis, keepdims, *, reduction_indices: axis, keep_dims: keepdims)"
#: tf.contrib.layers hands its activation on as a function; None means none
_CONTRIB_DENSE = "(inputs: x, num_outputs: units, activation_fn: activation='relu')"
_CONTRIB_CONV = "(inputs: x, num_outputs: units, kernel_size, *, activation_fn: activation='relu')"
_CONV = "(inputs: x, filters: units, kernel_size, strides, padding, data_format, dilation_rate, activation)"

#: names that both versions have
_BOTH: dict[str, str] = {
    # the final layer's own
    "tensorflow.nn.softmax": "softmax(logits: x, axis=-1, *, dim: axis)",
    "tensorflow.nn.log_softmax": "log_softmax(logits: x, axis=-1, *, dim: axis)",
    "tensorflow.nn.sigmoid": "sigmoid(x)",
    "tensorflow.math.log_sigmoid": "log_sigmoid(x)",
    "tensorflow.nn.softplus": "softplus(features: x)",
    "tensorflow.reduce_logsumexp": f"logsumexp{_REDUCE}",
    # losses
    "tensorflow.nn.softmax_cross_entropy_with_logits": (
        "xent_logits(labels: target, logits: x, axis=-1, *, dim: axis) | either_order=True"
    ),
    "tensorflow.nn.sparse_softmax_cross_entropy_with_logits": (
        "xent_logits(labels: target, logits: x) | either_order=True"
    ),
    "tensorflow.nn.sigmoid_cross_entropy_with_logits": "bce_logits(labels: target, logits: x) | either_order=True",
    "tensorflow.nn.weighted_cross_entropy_with_logits": (
        "bce_logits(labels: target, logits: x, pos_weight, *, targets: target) | either_order=True"
    ),
    "tensorflow.nn.ctc_loss": "xent_logits(labels: target, logits: x, *, inputs: x)",
    # element by element
    "tensorflow.exp": "exp(x)",
    "tensorflow.xlogy": "xlogy(x, y)",
    "tensorflow.abs": "abs(x)",
    "tensorflow.sqrt": "sqrt(x)",
    "tensorflow.square": "pow(x) | value=2",
    "tensorflow.pow": "pow(x, y)",
    "tensorflow.negative": "neg(x)",
    "tensorflow.add": "add(x, y)",
    "tensorflow.subtract": "sub(x, y)",
    "tensorflow.multiply": "mul(x, y)",
    "tensorflow.divide": "div(x, y)",
    "tensorflow.truediv": "div(x, y)",
    "tensorflow.realdiv": "div(x, y)",
    "tensorflow.maximum": "maximum(x, y)",
    "tensorflow.minimum": "minimum(x, y)",
    "tensorflow.clip_by_value": "clip(t: x, clip_value_min: low, clip_value_max: high)",
    "tensorflow.where": "where(condition, x, y)",
    "tensorflow.cond": "cond(pred: condition, true_fn: x, false_fn: y)",
    "tensorflow.nn.tanh": "activation(x)",
    **each("tensorflow.nn", "relu relu6 elu selu softsign leaky_relu crelu", "activation(features: x)"),
    **each("tensorflow.nn", "silu swish", "activation(features: x)"),
    "tensorflow.nn.dropout": "dropout(x)",
    "tensorflow.nn.l2_normalize": "norm(x, axis, *, dim: axis)",
    "tensorflow.nn.batch_normalization": "norm(x, mean, variance, offset, scale)",
    "tensorflow.nn.local_response_normalization": "norm(input: x)",
    "tensorflow.nn.lrn": "norm(input: x)",
    **each("tensorflow.nn", "avg_pool max_pool avg_pool2d", "pool(input: x, ksize, *, value: x)"),
    **each("tensorflow.nn", "avg_pool1d avg_pool3d max_pool1d max_pool2d max_pool3d", "pool(input: x, ksize)"),
    "tensorflow.image.resize": "pool(images: x) | blends=True",
    # contractions
    "tensorflow.matmul": "matmul(a: x, b: y) | least_rank=2",
    "tensorflow.tensordot": "matmul(a: x, b: y, axes)",
    "tensorflow.einsum": "einsum(equation, *inputs: operands)",
    "tensorflow.nn.conv1d": "affine(input: x, filters, *, value: x)",
    **each("tensorflow.nn", "conv2d conv3d convolution", "affine(input: x, filters, *, filter)"),
    **each("tensorflow.nn", "conv2d_transpose conv3d_transpose", "affine(input: x, filters, *, value: x, filter)"),
    "tensorflow.nn.bias_add": "add(value: x, bias: y)",
    # reductions
    "tensorflow.reduce_sum": f"sum{_REDUCE}",
    "tensorflow.divide_no_nan": "div(x, y)",
    "tensorflow.multiply_no_nan": "mul(x, y)",
    "tensorflow.scalar_mul": "mul(scalar: y, x)",
    "tensorflow.reciprocal": "pow(x) | value=-1",
    **each("tensorflow", "reciprocal_no_nan", "pow(x) | value=-1"),
    "tensorflow.real": "identity(input: x)",
    "tensorflow.conj": "identity(x)",
    "tensorflow.rint": "threshold(x) | value=0.5",
    "tensorflow.sequence_mask": "compare(lengths: x, maxlen)",
    "tensorflow.cumsum": "cumsum(x, axis)",
    "tensorflow.reduce_mean": f"mean{_REDUCE}",
    "tensorflow.reduce_max": f"max{_REDUCE}",
    "tensorflow.reduce_min": f"min{_REDUCE}",
    **each("tensorflow", "argmax argmin", "argmax(input: x, axis, *, dimension: axis)"),
    **each("tensorflow", "arg_max arg_min", "argmax(input: x, dimension: axis)"),
    "tensorflow.nn.top_k": "topk(input: x, k)",
    "tensorflow.nn.in_top_k": "compare(targets: target, predictions: x)",
    **each("tensorflow", "sort argsort", "topk(values: x, axis)"),
    "tensorflow.round": "threshold(x) | value=0.5",
    **each("tensorflow", "greater greater_equal", "threshold(x, y: value) | above=True"),
    **each("tensorflow", "less less_equal", "threshold(x, y: value) | above=False"),
    **each("tensorflow", "equal not_equal", "compare(x, y)"),
    # shape, type and place
    "tensorflow.reshape": "reshape(tensor: x, shape)",
    "tensorflow.squeeze": "reshape(input: x, axis, *, squeeze_dims: axis)",
    "tensorflow.expand_dims": "reshape(input: x, axis, *, dim: axis)",
    "tensorflow.transpose": "reshape(a: x, perm)",
    "tensorflow.tile": "reshape(input: x, multiples)",
    "tensorflow.repeat": "reshape(input: x, repeats, axis)",
    "tensorflow.roll": "reshape(input: x, shift, axis)",
    "tensorflow.reverse_sequence": "reshape(input: x, seq_lengths)",
    "tensorflow.broadcast_to": "reshape(input: x, shape)",
    "tensorflow.reverse": "reshape(tensor: x, axis)",
    "tensorflow.ensure_shape": "reshape(x, shape)",
    "tensorflow.concat": "concat(values: x, axis, *, concat_dim: axis)",
    "tensorflow.stack": "concat(values: x, axis=0)",
    "tensorflow.split": "index(value: x, num_or_size_splits, axis)",
    "tensorflow.unstack": "index(value: x, num, axis)",
    "tensorflow.dynamic_partition": "index(data: x, partitions, num_partitions)",
    "tensorflow.slice": "index(input_: x, begin, size)",
    "tensorflow.strided_slice": "index(input_: x, begin, end)",
    "tensorflow.gather": "gather(params: x, indices: y, *, axis)",
    **each("tensorflow", "diag_part matrix_diag_part tensor_diag_part", "index(input: x)"),
    "tensorflow.scatter_nd": "reshape(indices, updates: x, shape)",
    "tensorflow.gather_nd": "gather(params: x, indices: y)",
    "tensorflow.boolean_mask": "index(tensor: x, mask)",
    "tensorflow.pad": "mask(tensor: x, paddings)",
    "tensorflow.cast": "cast(x, dtype)",
    "tensorflow.saturate_cast": "cast(value: x, dtype)",
    **each("tensorflow", "ones ones_like", "const() | value=1"),
    **each("tensorflow", "range linspace", "numbers()"),
    "tensorflow.identity": "identity(input: x)",
    "tensorflow.convert_to_tensor": "identity(value: x)",
    "tensorflow.constant": "identity(value: x)",
    "tensorflow.stop_gradient": "stop_gradient(input: x)",
    "tensorflow.debugging.check_numerics": "identity(tensor: x)",
    "tensorflow.one_hot": "one_hot(indices: x, depth: units)",
    # programs
    "tensorflow.Variable": "parameter(initial_value)",
    "tensorflow.TensorArray": "array(dtype, size, dynamic_size)",
    "tensorflow.while_loop": "while_loop(cond, body: f, loop_vars: operands)",
    **each("tensorflow", "map_fn vectorized_map", "mapped(fn: f, elems: x)"),
    "tensorflow.Module": "module()",
    "tensorflow.function": "transform(func: f)",
    "tensorflow.recompute_grad": "transform(f)",
    "tensorflow.custom_gradient": "no_grad(f)",
    "tensorflow.autograph.experimental.do_not_convert": "transform(func: f)",
}

#: names of TensorFlow 1 that compat.v1 still has
_ONE: dict[str, str] = {
    "tensorflow.nn.softmax_cross_entropy_with_logits_v2": (
        "xent_logits(labels: target, logits: x, axis=-1, *, dim: axis) | either_order=True"
    ),
    "tensorflow.losses.softmax_cross_entropy": "xent_logits(onehot_labels: target, logits: x, weights)",
    "tensorflow.losses.sparse_softmax_cross_entropy": "xent_logits(labels: target, logits: x, weights)",
    "tensorflow.losses.sigmoid_cross_entropy": "bce_logits(multi_class_labels: target, logits: x, weights)",
    # its epsilon is added, not a clip as Keras': the gradient ends where the sigmoid rounds to 1
    "tensorflow.losses.log_loss": "bce_probs(labels: target, predictions: x, weights, *, epsilon)",
    "tensorflow.losses.mean_squared_error": "mse(labels: target, predictions: x, weights)",
    "tensorflow.losses.absolute_difference": "mae(labels: target, predictions: x, weights)",
    "tensorflow.losses.huber_loss": "mae(labels: target, predictions: x, weights)",
    "tensorflow.losses.hinge_loss": "hinge(labels: target, logits: x, weights)",
    "tensorflow.metrics.accuracy": "metric(labels: target, predictions: x) | reads='labels'",
    "tensorflow.metrics.precision": "metric(labels: target, predictions: x) | reads='labels'",
    "tensorflow.metrics.recall": "metric(labels: target, predictions: x) | reads='labels'",
    "tensorflow.metrics.auc": "metric(labels: target, predictions: x) | reads='probs'",
    "tensorflow.placeholder": "input(dtype, shape)",
    "tensorflow.placeholder_with_default": "input(input, shape)",
    "tensorflow.get_variable": "parameter(name)",
    "tensorflow.log": "log(x)",
    "tensorflow.log1p": "log1p(x)",
    "tensorflow.div": "div(x, y)",
    "tensorflow.div_no_nan": "div(x, y)",
    "tensorflow.to_float": "cast(x) | dtype='float32'",
    "tensorflow.to_double": "cast(x) | dtype='float64'",
    "tensorflow.to_int32": "cast(x) | dtype='int32'",
    "tensorflow.to_int64": "cast(x) | dtype='int64'",
    "tensorflow.check_numerics": "identity(tensor: x)",
    "tensorflow.Print": "identity(input_: x, data, message)",
    "tensorflow.matrix_transpose": "reshape(a: x)",
    "tensorflow.multinomial": "sample(logits: x) | from_logits=True",
    "tensorflow.random.multinomial": "sample(logits: x) | from_logits=True",
    "tensorflow.nn.xw_plus_b": "affine(x, weights, biases)",
    "tensorflow.nn.relu_layer": "affine(x, weights, biases) | activation='relu'",
    "tensorflow.nn.gelu": "activation(features: x)",
    **each("tensorflow.image", "resize_images resize_bilinear", "pool(images: x) | blends=True"),
    "tensorflow.image.resize_nearest_neighbor": "pool(images: x) | blends=True",
}

#: names that only old versions have: no present signature can vouch for them
OLD: dict[str, str] = {
    # TensorFlow 0
    "tensorflow.neg": "neg(x)",
    "tensorflow.sub": "sub(x, y)",
    "tensorflow.mul": "mul(x, y)",
    "tensorflow.concat_v2": "concat(values: x, axis)",
    "tensorflow.pack": "concat(values: x, axis=0)",
    "tensorflow.unpack": "index(value: x, num, axis)",
    "tensorflow.batch_matmul": "matmul(x, y)",
    "tensorflow.select": "where(condition, t: x, e: y)",
    "tensorflow.nn.batch_norm": "norm(x)",
    # tf.layers
    "tensorflow.layers.dense": "affine(inputs: x, units, activation) | least_rank=2",
    "tensorflow.layers.Dense": "affine(units, activation)(inputs: x) | least_rank=2",
    "tensorflow.layers.conv1d": f"affine{_CONV} | rank=3",
    "tensorflow.layers.conv2d": f"affine{_CONV} | rank=4",
    "tensorflow.layers.conv3d": f"affine{_CONV} | rank=5",
    "tensorflow.layers.conv2d_transpose": (
        "affine(inputs: x, filters: units, kernel_size, strides, padding, data_format, activation) | rank=4"
    ),
    "tensorflow.layers.separable_conv2d": ("affine(inputs: x, filters: units, kernel_size, *, activation) | rank=4"),
    "tensorflow.layers.dropout": "dropout(inputs: x, rate)",
    "tensorflow.layers.flatten": "reshape(inputs: x) | rank=2",
    "tensorflow.layers.batch_normalization": "norm(inputs: x)",
    **each(
        "tensorflow.layers",
        "max_pooling1d max_pooling2d max_pooling3d average_pooling1d average_pooling2d average_pooling3d",
        "pool(inputs: x)",
    ),
    # tf.contrib.layers and slim
    **each("tensorflow.contrib.layers", "fully_connected relu", f"affine{_CONTRIB_DENSE}"),
    **each("tensorflow.contrib", "framework.arg_scope layers.arg_scope", "arg_scope(list_ops_or_scope: inputs)"),
    "tensorflow.contrib.layers.linear": "affine(inputs: x, num_outputs: units, activation_fn: activation)",
    "tensorflow.contrib.layers.stack": "opaque(inputs, layer, stack_args)",
    **each("tensorflow.contrib.layers", "conv2d convolution2d", f"affine{_CONTRIB_CONV} | rank=4"),
    **each("tensorflow.contrib.layers", "convolution conv3d convolution3d conv1d", f"affine{_CONTRIB_CONV}"),
    **each("tensorflow.contrib.layers", "conv2d_transpose convolution2d_transpose", f"affine{_CONTRIB_CONV} | rank=4"),
    **each("tensorflow.contrib.layers", "separable_conv2d separable_convolution2d", f"affine{_CONTRIB_CONV} | rank=4"),
    "tensorflow.contrib.layers.softmax": "softmax(logits: x) | axis=-1",
    "tensorflow.contrib.layers.dropout": "dropout(inputs: x, keep_prob)",
    "tensorflow.contrib.layers.flatten": "reshape(inputs: x) | rank=2",
    **each("tensorflow.contrib.layers", "batch_norm layer_norm instance_norm group_norm", "norm(inputs: x)"),
    **each("tensorflow.contrib.layers", "max_pool2d avg_pool2d max_pool3d avg_pool3d", "pool(inputs: x)"),
    "tensorflow.contrib.layers.one_hot_encoding": "one_hot(labels: x, num_classes: units)",
    **each("tensorflow.contrib.framework", "model_variable variable", "parameter(name)"),
    **each("tensorflow.contrib.layers", "model_variable variable", "parameter(name)"),
    # tf.contrib.losses and slim.losses: the prediction comes first
    "tensorflow.contrib.losses.softmax_cross_entropy": "xent_logits(logits: x, onehot_labels: target)",
    "tensorflow.contrib.losses.sparse_softmax_cross_entropy": "xent_logits(logits: x, labels: target)",
    "tensorflow.contrib.losses.sigmoid_cross_entropy": "bce_logits(logits: x, multi_class_labels: target)",
    "tensorflow.contrib.losses.log_loss": "bce_probs(predictions: x, labels: target, *, epsilon)",
    "tensorflow.contrib.losses.mean_squared_error": "mse(predictions: x, labels: target)",
    "tensorflow.contrib.losses.absolute_difference": "mae(predictions: x, labels: target)",
    "tensorflow.contrib.losses.hinge_loss": "hinge(logits: x, labels: target)",
    # sequence-to-sequence
    **each(
        "tensorflow.contrib.seq2seq",
        "sequence_loss sequence_loss_by_example",
        "xent_logits(logits: x, targets: target, weights)",
    ),
    "tensorflow.contrib.nn.deprecated_flipped_softmax_cross_entropy_with_logits": (
        "xent_logits(logits: x, labels: target)"
    ),
    "tensorflow.contrib.nn.deprecated_flipped_sparse_softmax_cross_entropy_with_logits": (
        "xent_logits(logits: x, labels: target)"
    ),
    "tensorflow.contrib.nn.deprecated_flipped_sigmoid_cross_entropy_with_logits": (
        "bce_logits(logits: x, targets: target)"
    ),
    # sonnet
    "sonnet.Linear": "affine(output_size: units)(inputs: x)",
    **each("sonnet", "Conv1D Conv2D Conv3D", "affine(output_channels: units, kernel_shape)(inputs: x)"),
    "sonnet.nets.MLP": "affine(output_sizes)(inputs: x)",
    "sonnet.Sequential": "sequential(layers)(inputs: x)",
    **each("sonnet", "BatchFlatten Flatten", "reshape(preserve_dims)(inputs: x)"),
    **each("sonnet", "AbstractModule Module", "module(name)"),
    # tflearn
    "tflearn.input_data": "input(shape)",
    "tflearn.fully_connected": "affine(incoming: x, n_units: units, activation='linear')",
    "tflearn.single_unit": "affine(incoming: x, activation='linear') | units=1",
    "tflearn.conv_1d": (
        "affine(incoming: x, nb_filter: units, filter_size, strides, padding, activation='linear') | rank=3"
    ),
    "tflearn.conv_2d": (
        "affine(incoming: x, nb_filter: units, filter_size, strides, padding, activation='linear') | rank=4"
    ),
    "tflearn.activation": "applier(incoming: x, activation='linear')",
    "tflearn.dropout": "dropout(incoming: x, keep_prob)",
    "tflearn.reshape": "reshape(incoming: x, new_shape: shape)",
    "tflearn.flatten": "reshape(incoming: x) | rank=2",
    **each("tflearn", "batch_normalization local_response_normalization", "norm(incoming: x)"),
    **each("tflearn", "max_pool_1d max_pool_2d avg_pool_1d avg_pool_2d", "pool(incoming: x)"),
    "tflearn.global_avg_pool": "pool(incoming: x) | rank=2",
    "tflearn.softmax": "softmax(x) | axis=-1",
    "tflearn.sigmoid": "sigmoid(x)",
    "tflearn.softplus": "softplus(x)",
    "tflearn.regression": "fit_loss(incoming: x, placeholder, optimizer, loss='categorical_crossentropy')",
    "tflearn.DNN": "same(network: x)",
    "tflearn.categorical_crossentropy": "xent_probs(y_pred: x, y_true: target) | eps=1e-10",
    "tflearn.softmax_categorical_crossentropy": "xent_logits(y_pred: x, y_true: target)",
    "tflearn.binary_crossentropy": "bce_logits(y_pred: x, y_true: target)",
    "tflearn.weighted_crossentropy": "bce_logits(y_pred: x, y_true: target)",
    "tflearn.mean_square": "mse(y_pred: x, y_true: target)",
    "tflearn.hinge_loss": "hinge(y_pred: x, y_true: target)",
}

#: libraries around TensorFlow that the tests do not install, so that nothing compares these lines with reality
AROUND: dict[str, str] = {
    **each(
        "tensorflow_probability.distributions", "Categorical OneHotCategorical", "distribution_of(logits: y, probs: x)"
    ),
    **each(
        "tensorflow_probability.distributions",
        "Bernoulli Geometric",
        "distribution_of(logits: y, probs: x) | binary=True",
    ),
    "tensorflow_probability.distributions.Multinomial": "distribution_of(total_count, logits: y, probs: x)",
    "tensorflow_probability.distributions.Binomial": (
        "distribution_of(total_count, logits: y, probs: x) | binary=True"
    ),
    **each(
        "tensorflow_probability.distributions",
        "RelaxedOneHotCategorical ExpRelaxedOneHotCategorical",
        "distribution_of(temperature, logits: y, probs: x)",
    ),
    "tensorflow_probability.distributions.RelaxedBernoulli": (
        "distribution_of(temperature, logits: y, probs: x) | binary=True"
    ),
}

NAMES: dict[str, str] = {**_BOTH, **_ONE, **OLD, **AROUND}

#: tensor method -> signature; what torch's tensors spell alike stands there
METHODS: dict[str, str] = {
    "eval": "stop_gradient(self: x, feed_dict, session)",
    "read_value": "identity(self: x)",
    "value": "identity(self: x)",
    "gather_nd": "gather(self: x, indices: y)",
}

#: string -> the loss that tflearn.regression looks up by it
LOSSES: dict[str, str] = {
    name: f"tflearn.{name}"
    for name in (
        "categorical_crossentropy softmax_categorical_crossentropy binary_crossentropy weighted_crossentropy "
        "mean_square hinge_loss"
    ).split()
}
