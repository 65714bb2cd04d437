"""Keras 1 to 3 and tf.keras: signatures and names by string (see the package's docstring for how a line reads)."""

from __future__ import annotations

from finallayer.catalog.family import each

#: the clip of Keras' losses on probabilities (keras.config.epsilon())
_EPS = "| eps=1e-7"
#: how a loss or metric that takes either is told that it gets logits; where a loss goes back to them by itself
_TOLD = "on_logits='from_logits=True'"
_EITHER = f'{_EPS}, {_TOLD}, rescued_by="Keras\' TensorFlow backend in float32"'
_PAIR = "(y_true: target, y_pred: x)"
_REDUCE = "(x, axis, keepdims)"

#: (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
_APPLICATIONS = (
    "DenseNet121 DenseNet169 DenseNet201 EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 "
    "EfficientNetB5 EfficientNetB6 EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 "
    "EfficientNetV2L EfficientNetV2M EfficientNetV2S InceptionResNetV2 InceptionV3 ResNet101 ResNet101V2 ResNet152 "
    "ResNet152V2 ResNet50 ResNet50V2 VGG16 VGG19 Xception"
)

_KERAS: dict[str, str] = {
    # programs
    "keras.Model": "model(inputs, outputs, name, *, input: inputs, output: outputs)(inputs: x)",
    "keras.Sequential": "sequential(layers, *, name)(inputs: x)",
    "keras.layers.Layer": "module()",
    "keras.Input": "input(shape) | batch_axes=1",
    "keras.layers.InputLayer": "identity(shape)(inputs: x)",
    "keras.losses.Loss": "module()",
    # layers: affine maps
    "keras.layers.Dense": "affine(units, activation, use_bias, *, output_dim: units)(inputs: x) | least_rank=2",
    "keras.layers.EinsumDense": "affine(equation, output_shape, activation)(inputs: x)",
    "keras.layers.Conv1D": (
        "affine(filters: units, kernel_size, strides, padding, data_format, dilation_rate, groups, activation, *, "
        "nb_filter: units)(inputs: x) | rank=3"
    ),
    "keras.layers.Conv2D": (
        "affine(filters: units, kernel_size, strides, padding, data_format, dilation_rate, groups, activation, *, "
        "nb_filter: units)(inputs: x) | rank=4"
    ),
    "keras.layers.Conv3D": (
        "affine(filters: units, kernel_size, strides, padding, data_format, dilation_rate, groups, activation, *, "
        "nb_filter: units)(inputs: x) | rank=5"
    ),
    "keras.layers.Conv1DTranspose": (
        "affine(filters: units, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation)"
        "(inputs: x) | rank=3"
    ),
    "keras.layers.Conv2DTranspose": (
        "affine(filters: units, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation)"
        "(inputs: x) | rank=4"
    ),
    "keras.layers.Conv3DTranspose": (
        "affine(filters: units, kernel_size, strides, padding, data_format, output_padding, dilation_rate, activation)"
        "(inputs: x) | rank=5"
    ),
    "keras.layers.SeparableConv1D": (
        "affine(filters: units, kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier, "
        "activation)(inputs: x) | rank=3"
    ),
    "keras.layers.SeparableConv2D": (
        "affine(filters: units, kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier, "
        "activation)(inputs: x) | rank=4"
    ),
    "keras.layers.DepthwiseConv2D": (
        "affine(kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate, activation)(inputs: x) "
        "| rank=4"
    ),
    # layers: activations
    "keras.layers.Activation": "applier(activation)(inputs: x)",
    "keras.layers.Softmax": "softmax(axis=-1)(inputs: x, mask)",
    **each("keras.layers", "ReLU LeakyReLU PReLU ELU", "activation()(inputs: x)"),
    # layers: what leaves scores scores
    **each("keras.layers", "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D", "dropout(rate)(inputs: x)"),
    **each("keras.layers", "AlphaDropout GaussianDropout", "dropout(rate)(inputs: x)"),
    "keras.layers.GaussianNoise": "dropout(stddev)(inputs: x)",
    **each(
        "keras.layers",
        "BatchNormalization LayerNormalization UnitNormalization Normalization",
        "norm(axis)(inputs: x)",
    ),
    "keras.layers.RMSNormalization": "norm(axis)(x)",
    "keras.layers.GroupNormalization": "norm(groups)(inputs: x)",
    **each(
        "keras.layers",
        "AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D",
        "pool(pool_size)(inputs: x) | blends=True",
    ),
    **each(
        "keras.layers",
        "MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D",
        "pool(pool_size)(inputs: x)",
    ),
    **each(
        "keras.layers",
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D "
        "GlobalAvgPool3D",
        "pool(data_format, keepdims)(inputs: x) | blends=True",
    ),
    **each(
        "keras.layers",
        "GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D",
        "pool(data_format, keepdims)(inputs: x)",
    ),
    **each("keras.layers", "UpSampling1D UpSampling2D UpSampling3D", "pool(size)(inputs: x) | blends=True"),
    "keras.layers.Resizing": "pool(height, width)(data: x) | blends=True",
    "keras.layers.Rescaling": "norm(scale, offset)(inputs: x)",
    # layers: shape
    "keras.layers.Flatten": "reshape(data_format)(inputs: x) | rank=2",
    "keras.layers.Reshape": "reshape(target_shape: shape)(inputs: x) | batch_axes=1",
    "keras.layers.Permute": "reshape(dims)(inputs: x)",
    "keras.layers.RepeatVector": "reshape(n)(inputs: x) | rank=3",
    **each("keras.layers", "Cropping1D Cropping2D Cropping3D", "index(cropping)(inputs: x)"),
    **each("keras.layers", "ZeroPadding1D ZeroPadding2D ZeroPadding3D", "mask(padding)(inputs: x)"),
    "keras.layers.Masking": "identity(mask_value)(inputs: x)",
    "keras.layers.Identity": "identity()(inputs: x)",
    "keras.layers.ActivityRegularization": "identity(l1, l2)(inputs: x)",
    "keras.layers.Concatenate": "concat(axis=-1)(inputs: x)",
    "keras.layers.concatenate": "concat(inputs: x, axis=-1)",
    # layers: wrappers
    "keras.layers.Lambda": "transform(function: f)",
    "keras.layers.TimeDistributed": "same(layer: x)",
    "keras.layers.SpectralNormalization": "same(layer: x)",
    # networks that end in a softmax unless told otherwise
    **each(
        "keras.applications",
        _APPLICATIONS,
        "application(include_top=True, weights, input_tensor, input_shape, pooling, classes: units=1000, "
        "classifier_activation: activation='softmax')",
    ),
    **each(
        "keras.applications",
        "ConvNeXtTiny ConvNeXtSmall ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge",
        "application(include_top=True, include_preprocessing, weights, input_tensor, input_shape, pooling, "
        "classes: units=1000, classifier_activation: activation='softmax')",
    ),
    "keras.applications.MobileNet": (
        "application(input_shape, alpha, depth_multiplier, dropout, include_top=True, weights, input_tensor, pooling, "
        "classes: units=1000, classifier_activation: activation='softmax')"
    ),
    "keras.applications.MobileNetV2": (
        "application(input_shape, alpha, include_top=True, weights, input_tensor, pooling, classes: units=1000, "
        "classifier_activation: activation='softmax')"
    ),
    **each(
        "keras.applications",
        "MobileNetV3Small MobileNetV3Large",
        "application(input_shape, alpha, minimalistic, include_top=True, weights, input_tensor, classes: units=1000, "
        "pooling, dropout_rate, classifier_activation: activation='softmax')",
    ),
    **each(
        "keras.applications",
        "NASNetLarge NASNetMobile",
        "application(input_shape, include_top=True, weights, input_tensor, pooling, classes: units=1000, "
        "classifier_activation: activation='softmax')",
    ),
    # activations
    "keras.activations.get": "applier(identifier: activation)",
    "keras.activations.deserialize": "applier(config: activation)",
    "keras.activations.softmax": "softmax(x, axis=-1)",
    "keras.activations.log_softmax": "log_softmax(x, axis=-1)",
    "keras.activations.sigmoid": "sigmoid(x)",
    "keras.activations.log_sigmoid": "log_sigmoid(x)",
    "keras.activations.softplus": "softplus(x)",
    "keras.activations.exponential": "exp(x)",
    "keras.activations.linear": "identity(x)",
    **each(
        "keras.activations",
        "relu relu6 tanh elu selu celu gelu silu swish mish softsign hard_sigmoid hard_silu hard_swish hard_tanh "
        "hard_shrink soft_shrink leaky_relu squareplus tanh_shrink",
        "activation(x)",
    ),
    # losses on probabilities or logits
    "keras.losses.CategoricalCrossentropy": f"xent(from_logits=False, label_smoothing, axis=-1){_PAIR} {_EITHER}",
    "keras.losses.SparseCategoricalCrossentropy": f"xent(from_logits=False, ignore_class, *, axis=-1){_PAIR} {_EITHER}",
    "keras.losses.CategoricalFocalCrossentropy": (
        f"xent(alpha, gamma, from_logits=False, label_smoothing, axis=-1){_PAIR} {_EITHER}"
    ),
    "keras.losses.BinaryCrossentropy": f"bce(from_logits=False, label_smoothing, axis=-1){_PAIR} {_EITHER}",
    "keras.losses.BinaryFocalCrossentropy": (
        f"bce(apply_class_balancing, alpha, gamma, from_logits=False){_PAIR} {_EITHER}"
    ),
    "keras.losses.categorical_crossentropy": (
        f"xent(y_true: target, y_pred: x, from_logits=False, label_smoothing, axis=-1) {_EITHER}"
    ),
    "keras.losses.sparse_categorical_crossentropy": (
        f"xent(y_true: target, y_pred: x, from_logits=False, *, axis=-1) {_EITHER}"
    ),
    "keras.losses.categorical_focal_crossentropy": (
        f"xent(y_true: target, y_pred: x, alpha, gamma, from_logits=False, label_smoothing, axis=-1) {_EITHER}"
    ),
    "keras.losses.binary_crossentropy": (
        f"bce(y_true: target, y_pred: x, from_logits=False, label_smoothing, axis=-1) {_EITHER}"
    ),
    "keras.losses.binary_focal_crossentropy": (
        f"bce(y_true: target, y_pred: x, apply_class_balancing, alpha, gamma, from_logits=False) {_EITHER}"
    ),
    # other losses
    "keras.losses.KLDivergence": f"kl_probs(){_PAIR} {_EPS}",
    "keras.losses.kl_divergence": f"kl_probs(y_true: target, y_pred: x) {_EPS}",
    "keras.losses.MeanSquaredError": f"mse(){_PAIR}",
    "keras.losses.mean_squared_error": "mse(y_true: target, y_pred: x)",
    **each("keras.losses", "MeanAbsoluteError Huber LogCosh", f"mae(){_PAIR}"),
    **each("keras.losses", "mean_absolute_error huber log_cosh", "mae(y_true: target, y_pred: x)"),
    **each("keras.losses", "Hinge SquaredHinge CategoricalHinge", f"hinge(){_PAIR}"),
    **each("keras.losses", "hinge squared_hinge categorical_hinge", "hinge(y_true: target, y_pred: x)"),
    "keras.losses.CTC": f"xent_logits(){_PAIR}",
    "keras.losses.ctc": "xent_logits(y_true: target, y_pred: x)",
    # backend (K)
    "keras.backend.epsilon": "const() | value=1e-7",
    "keras.config.epsilon": "const() | value=1e-7",
    "keras.backend.softmax": "softmax(x, axis=-1)",
    "keras.backend.sigmoid": "sigmoid(x)",
    "keras.backend.softplus": "softplus(x)",
    "keras.backend.log": "log(x)",
    "keras.backend.exp": "exp(x)",
    "keras.backend.sqrt": "sqrt(x)",
    "keras.backend.abs": "abs(x)",
    "keras.backend.square": "pow(x) | value=2",
    "keras.backend.pow": "pow(x, a: y)",
    "keras.backend.clip": "clip(x, min_value: low, max_value: high)",
    "keras.backend.maximum": "maximum(x, y)",
    "keras.backend.minimum": "minimum(x, y)",
    **each("keras.backend", "relu elu tanh softsign hard_sigmoid", "activation(x)"),
    "keras.backend.dropout": "dropout(x, level)",
    "keras.backend.l2_normalize": "norm(x, axis)",
    "keras.backend.batch_normalization": "norm(x, mean, var)",
    "keras.backend.dot": "matmul(x, y)",
    "keras.backend.batch_dot": "matmul(x, y)",
    "keras.backend.bias_add": "add(x, bias: y)",
    **each("keras.backend", "conv1d conv2d conv3d", "affine(x, kernel)"),
    "keras.backend.pool2d": "pool(x)",
    "keras.backend.resize_images": "pool(x) | blends=True",
    "keras.backend.sum": f"sum{_REDUCE}",
    "keras.backend.mean": f"mean{_REDUCE}",
    "keras.backend.max": f"max{_REDUCE}",
    "keras.backend.min": f"min{_REDUCE}",
    "keras.backend.argmax": "argmax(x, axis=-1)",
    "keras.backend.argmin": "argmax(x, axis=-1)",
    "keras.backend.round": "threshold(x) | value=0.5",
    **each("keras.backend", "greater greater_equal", "threshold(x, y: value) | above=True"),
    **each("keras.backend", "less less_equal", "threshold(x, y: value) | above=False"),
    **each("keras.backend", "equal not_equal", "compare(x, y)"),
    "keras.backend.switch": "cond(condition, then_expression: x, else_expression: y)",
    "keras.backend.reshape": "reshape(x, shape)",
    "keras.backend.flatten": "reshape(x) | rank=1",
    "keras.backend.batch_flatten": "reshape(x) | rank=2",
    "keras.backend.expand_dims": "reshape(x, axis)",
    "keras.backend.squeeze": "reshape(x, axis)",
    "keras.backend.permute_dimensions": "reshape(x, pattern)",
    "keras.backend.transpose": "reshape(x)",
    "keras.backend.repeat": "reshape(x, n)",
    "keras.backend.repeat_elements": "reshape(x, rep, axis)",
    "keras.backend.tile": "reshape(x, n)",
    "keras.backend.reverse": "reshape(x, axes)",
    "keras.backend.concatenate": "concat(tensors: x, axis=-1)",
    "keras.backend.stack": "concat(x, axis=0)",
    "keras.backend.gather": "index(reference: x, indices)",
    "keras.backend.one_hot": "one_hot(indices: x, num_classes: units)",
    "keras.backend.cast": "cast(x, dtype)",
    "keras.backend.cast_to_floatx": "cast(x)",
    **each("keras.backend", "ones ones_like", "const() | value=1"),
    "keras.backend.stop_gradient": "stop_gradient(variables: x)",
    **each("keras.backend", "eval get_value", "stop_gradient(x)"),
    "keras.backend.variable": "parameter(value: initial)",
    "keras.backend.constant": "identity(value: x)",
    "keras.backend.categorical_crossentropy": (f"xent(target, output: x, from_logits=False, axis=-1) {_EITHER}"),
    "keras.backend.sparse_categorical_crossentropy": (f"xent(target, output: x, from_logits=False, axis=-1) {_EITHER}"),
    "keras.backend.categorical_focal_crossentropy": (
        f"xent(target, output: x, alpha, gamma, from_logits=False, axis=-1) {_EITHER}"
    ),
    "keras.backend.binary_crossentropy": f"bce(target, output: x, from_logits=False) {_EITHER}",
    "keras.backend.binary_focal_crossentropy": (
        f"bce(target, output: x, apply_class_balancing, alpha, gamma, from_logits=False) {_EITHER}"
    ),
    # ops (Keras 3)
    "keras.ops.softmax": "softmax(x, axis=-1)",
    "keras.ops.log_softmax": "log_softmax(x, axis=-1)",
    "keras.ops.sigmoid": "sigmoid(x)",
    "keras.ops.log_sigmoid": "log_sigmoid(x)",
    "keras.ops.softplus": "softplus(x)",
    "keras.ops.logsumexp": f"logsumexp{_REDUCE}",
    "keras.ops.log": "log(x)",
    "keras.ops.log1p": "log1p(x)",
    "keras.ops.log2": "log(x) | base=2",
    "keras.ops.log10": "log(x) | base=10",
    "keras.ops.logaddexp": "logaddexp(x1: x, x2: y)",
    **each("keras.ops", "ones ones_like", "const() | value=1"),
    "keras.ops.exp": "exp(x)",
    "keras.ops.negative": "neg(x)",
    "keras.ops.sqrt": "sqrt(x)",
    **each("keras.ops", "abs absolute", "abs(x)"),
    "keras.ops.square": "pow(x) | value=2",
    "keras.ops.power": "pow(x1: x, x2: y)",
    "keras.ops.clip": "clip(x, x_min: low, x_max: high)",
    "keras.ops.maximum": "maximum(x1: x, x2: y)",
    "keras.ops.minimum": "minimum(x1: x, x2: y)",
    "keras.ops.add": "add(x1: x, x2: y)",
    "keras.ops.subtract": "sub(x1: x, x2: y)",
    "keras.ops.multiply": "mul(x1: x, x2: y)",
    **each("keras.ops", "divide true_divide divide_no_nan", "div(x1: x, x2: y)"),
    **each("keras.ops", "matmul dot", "matmul(x1: x, x2: y)"),
    "keras.ops.tensordot": "matmul(x1: x, x2: y, axes)",
    "keras.ops.einsum": "einsum(subscripts: equation, *operands)",
    "keras.ops.where": "where(condition, x1: x, x2: y)",
    "keras.ops.cond": "cond(pred: condition, true_fn: x, false_fn: y)",
    "keras.ops.sum": f"sum{_REDUCE}",
    "keras.ops.mean": f"mean{_REDUCE}",
    **each("keras.ops", "max amax", f"max{_REDUCE}"),
    **each("keras.ops", "min amin", f"min{_REDUCE}"),
    **each("keras.ops", "argmax argmin", f"argmax{_REDUCE}"),
    "keras.ops.top_k": "topk(x, k)",
    **each("keras.ops", "sort argsort", "topk(x, axis)"),
    "keras.ops.round": "threshold(x) | value=0.5",
    **each("keras.ops", "greater greater_equal", "threshold(x1: x, x2: value) | above=True"),
    **each("keras.ops", "less less_equal", "threshold(x1: x, x2: value) | above=False"),
    **each("keras.ops", "equal not_equal", "compare(x1: x, x2: y)"),
    "keras.ops.in_top_k": "compare(targets: target, predictions: x)",
    **each(
        "keras.ops",
        "relu relu6 tanh elu selu celu gelu silu swish softsign hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu",
        "activation(x)",
    ),
    "keras.ops.normalize": "norm(x)",
    **each("keras.ops", "average_pool max_pool adaptive_average_pool adaptive_max_pool", "pool(inputs: x)"),
    **each("keras.ops", "conv conv_transpose", "affine(inputs: x, kernel)"),
    "keras.ops.reshape": "reshape(x, newshape: shape)",
    "keras.ops.ravel": "reshape(x) | rank=1",
    **each("keras.ops", "squeeze expand_dims", "reshape(x, axis)"),
    "keras.ops.transpose": "reshape(x, axes)",
    "keras.ops.swapaxes": "reshape(x, axis1, axis2)",
    "keras.ops.moveaxis": "reshape(x, source, destination)",
    "keras.ops.broadcast_to": "reshape(x, shape)",
    "keras.ops.tile": "reshape(x, repeats)",
    "keras.ops.repeat": "reshape(x, repeats, axis)",
    "keras.ops.concatenate": "concat(xs: x, axis=0)",
    "keras.ops.stack": "concat(x, axis=0)",
    **each("keras.ops", "hstack vstack dstack", "concat(xs: x)"),
    **each("keras.ops", "flip", "reshape(x, axis)"),
    **each("keras.ops", "fliplr flipud", "reshape(x)"),
    "keras.ops.roll": "reshape(x, shift, axis)",
    "keras.ops.rot90": "reshape(array: x, k, axes)",
    **each("keras.ops", "hsplit vsplit dsplit", "index(x, indices_or_sections)"),
    "keras.ops.array_split": "index(x, indices_or_sections, axis)",
    "keras.ops.diagonal": "index(x, offset, axis1, axis2)",
    "keras.ops.view": "reshape(x, dtype)",
    **each("keras.ops", "conj conjugate real", "identity(x)"),
    "keras.ops.cumsum": "cumsum(x, axis)",
    "keras.ops.nansum": f"sum{_REDUCE}",
    "keras.ops.nanmean": f"mean{_REDUCE}",
    "keras.ops.average": "mean(x, axis)",
    "keras.ops.nanmax": f"max{_REDUCE}",
    "keras.ops.nanmin": f"min{_REDUCE}",
    **each("keras.ops", "nanargmax nanargmin", f"argmax{_REDUCE}"),
    "keras.ops.reciprocal": "pow(x) | value=-1",
    **each("keras.ops", "hard_shrink soft_shrink tanh_shrink squareplus threshold", "activation(x)"),
    **each("keras.ops", "depthwise_conv", "affine(inputs: x, kernel)"),
    "keras.ops.separable_conv": "affine(inputs: x, depthwise_kernel, pointwise_kernel)",
    **each("keras.ops", "split", "index(x, indices_or_sections, axis)"),
    "keras.ops.unstack": "index(x, num, axis)",
    "keras.ops.slice": "index(inputs: x, start_indices)",
    "keras.ops.take": "index(x, indices, axis)",
    "keras.ops.take_along_axis": "gather(x, indices: y, axis)",
    **each("keras.ops", "cast saturate_cast", "cast(x, dtype)"),
    **each("keras.ops", "convert_to_tensor copy array nan_to_num", "identity(x)"),
    "keras.ops.convert_to_numpy": "stop_gradient(x)",
    "keras.ops.stop_gradient": "stop_gradient(variable: x)",
    **each("keras.ops", "one_hot", "one_hot(x, num_classes: units)"),
    "keras.ops.categorical_crossentropy": f"xent(target, output: x, from_logits=False, axis=-1) {_EITHER}",
    "keras.ops.sparse_categorical_crossentropy": f"xent(target, output: x, from_logits=False, axis=-1) {_EITHER}",
    "keras.ops.binary_crossentropy": f"bce(target, output: x, from_logits=False) {_EITHER}",
    "keras.ops.ctc_loss": "xent_logits(target, output: x)",
    "keras.utils.to_categorical": "one_hot(x, num_classes: units)",
    "keras.random.categorical": "sample(logits: x) | from_logits=True",
    "keras.random.dropout": "dropout(inputs: x, rate)",
    # metrics that compare with a threshold, or expect values in [0, 1]
    "keras.metrics.BinaryAccuracy": f"metric(name, dtype, threshold: value=0.5){_PAIR} | reads='probs'",
    **each("keras.metrics", "Precision Recall", f"metric(thresholds: value){_PAIR} | reads='probs'"),
    **each(
        "keras.metrics",
        "TruePositives TrueNegatives FalsePositives FalseNegatives",
        f"metric(thresholds: value){_PAIR} | reads='probs'",
    ),
    "keras.metrics.BinaryIoU": f"metric(target_class_ids, threshold: value=0.5){_PAIR} | reads='probs'",
    "keras.metrics.AUC": f"metric(num_thresholds, *, from_logits=False){_PAIR} | reads='probs', {_TOLD}",
    **each("keras.metrics", "PrecisionAtRecall RecallAtPrecision", f"metric(){_PAIR} | reads='probs'"),
    **each("keras.metrics", "SensitivityAtSpecificity SpecificityAtSensitivity", f"metric(){_PAIR} | reads='probs'"),
    **each(
        "keras.metrics",
        "BinaryCrossentropy CategoricalCrossentropy SparseCategoricalCrossentropy",
        f"metric(name, dtype, from_logits=False){_PAIR} | reads='logs', {_TOLD}",
    ),
    "keras.metrics.KLDivergence": f"metric(){_PAIR} | reads='probs'",
    "keras.metrics.binary_accuracy": "metric(y_true: target, y_pred: x, threshold: value=0.5) | reads='probs'",
    # metrics that only ask which is the greatest
    **each(
        "keras.metrics",
        "CategoricalAccuracy SparseCategoricalAccuracy TopKCategoricalAccuracy SparseTopKCategoricalAccuracy",
        f"metric(){_PAIR} | reads='any'",
    ),
    **each(
        "keras.metrics",
        "categorical_accuracy sparse_categorical_accuracy top_k_categorical_accuracy sparse_top_k_categorical_accuracy",
        "metric(y_true: target, y_pred: x) | reads='any'",
    ),
    # metrics of numbers, whatever they mean
    **each(
        "keras.metrics",
        "MeanSquaredError RootMeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError "
        "MeanSquaredLogarithmicError Hinge SquaredHinge CategoricalHinge",
        f"metric(){_PAIR} | reads='any'",
    ),
    # metrics that compare labels
    "keras.metrics.Accuracy": f"metric(){_PAIR} | reads='labels'",
    "keras.metrics.MeanIoU": f"metric(num_classes){_PAIR} | reads='labels'",
    **each("keras.metrics", "IoU OneHotIoU", f"metric(num_classes, target_class_ids){_PAIR} | reads='any'"),
    "keras.metrics.OneHotMeanIoU": f"metric(num_classes){_PAIR} | reads='any'",
}

#: names that only old versions and TensorFlow Addons have: no present signature can vouch for them
OLD: dict[str, str] = {
    "keras.metrics.accuracy": "metric(y_true: target, y_pred: x) | reads='labels'",
    "keras.backend.in_train_phase": "cond(x, alt: y, training: condition)",
    "keras.backend.in_test_phase": "cond(x, alt: y, training: condition)",
    "keras.backend.logsumexp": f"logsumexp{_REDUCE}",
    "keras.backend.identity": "identity(x)",
    "keras.backend.placeholder": "input(shape)",
    "tensorflow_addons.layers.SpectralNormalization": "same(layer: x)",
    "tensorflow_addons.layers.WeightNormalization": "same(layer: x)",
    "tensorflow_addons.losses.SigmoidFocalCrossEntropy": f"bce(from_logits=False, alpha, gamma){_PAIR} {_EITHER}",
    "tensorflow_addons.losses.sigmoid_focal_crossentropy": (
        f"bce(y_true: target, y_pred: x, alpha, gamma, from_logits=False) {_EITHER}"
    ),
}

NAMES: dict[str, str] = {**_KERAS, **OLD}

#: tensors' methods stand with the framework that makes them; these are of models that aren't at hand
METHODS: dict[str, str] = {
    "predict": "stop_gradient(self: x, inputs, batch_size, verbose, steps)",
    "predict_on_batch": "stop_gradient(self: x, inputs)",
}

#: string -> the loss that Keras looks up by it
LOSSES: dict[str, str] = {
    **each("", "categorical_crossentropy CategoricalCrossentropy", "keras.losses.categorical_crossentropy"),
    **each(
        "",
        "sparse_categorical_crossentropy SparseCategoricalCrossentropy",
        "keras.losses.sparse_categorical_crossentropy",
    ),
    **each("", "binary_crossentropy BinaryCrossentropy bce BCE", "keras.losses.binary_crossentropy"),
    "categorical_focal_crossentropy": "keras.losses.categorical_focal_crossentropy",
    "binary_focal_crossentropy": "keras.losses.binary_focal_crossentropy",
    **each("", "kl_divergence kullback_leibler_divergence KLDivergence kld KLD", "keras.losses.kl_divergence"),
    **each("", "mean_squared_error MeanSquaredError mse MSE", "keras.losses.mean_squared_error"),
    **each("", "mean_absolute_error MeanAbsoluteError mae MAE", "keras.losses.mean_absolute_error"),
    **each("", "huber huber_loss Huber", "keras.losses.huber"),
    **each("", "log_cosh logcosh LogCosh", "keras.losses.log_cosh"),
    **each("", "hinge Hinge", "keras.losses.hinge"),
    **each("", "squared_hinge SquaredHinge", "keras.losses.squared_hinge"),
    **each("", "categorical_hinge CategoricalHinge", "keras.losses.categorical_hinge"),
    **each("", "ctc CTC", "keras.losses.ctc"),
}

#: string -> the activation that Keras looks up by it
ACTIVATIONS: dict[str, str] = {
    name: f"keras.activations.{name}"
    for name in (
        "softmax log_softmax sigmoid log_sigmoid softplus exponential linear relu relu6 tanh elu selu celu gelu silu "
        "swish mish softsign hard_sigmoid hard_silu hard_swish hard_tanh hard_shrink soft_shrink leaky_relu squareplus "
        "tanh_shrink"
    ).split()
}

#: string -> the metric that Keras looks up by it
METRICS: dict[str, str] = {
    **each("", "binary_accuracy BinaryAccuracy", "keras.metrics.binary_accuracy"),
    **each("", "categorical_accuracy CategoricalAccuracy", "keras.metrics.categorical_accuracy"),
    **each("", "sparse_categorical_accuracy SparseCategoricalAccuracy", "keras.metrics.sparse_categorical_accuracy"),
    **each("", "top_k_categorical_accuracy TopKCategoricalAccuracy", "keras.metrics.top_k_categorical_accuracy"),
    "sparse_top_k_categorical_accuracy": "keras.metrics.sparse_top_k_categorical_accuracy",
    **each("", "binary_crossentropy BinaryCrossentropy bce BCE", "keras.metrics.BinaryCrossentropy"),
    **each("", "categorical_crossentropy CategoricalCrossentropy", "keras.metrics.CategoricalCrossentropy"),
    **each(
        "",
        "sparse_categorical_crossentropy SparseCategoricalCrossentropy",
        "keras.metrics.SparseCategoricalCrossentropy",
    ),
    **each("", "mean_squared_error MeanSquaredError mse MSE", "keras.metrics.MeanSquaredError"),
    **each("", "mean_absolute_error MeanAbsoluteError mae MAE", "keras.metrics.MeanAbsoluteError"),
    **each("", "mape MAPE", "keras.metrics.MeanAbsolutePercentageError"),
    **each("", "msle MSLE", "keras.metrics.MeanSquaredLogarithmicError"),
    **each("", "hinge Hinge", "keras.metrics.Hinge"),
    **each("", "squared_hinge SquaredHinge", "keras.metrics.SquaredHinge"),
    **each("", "categorical_hinge CategoricalHinge", "keras.metrics.CategoricalHinge"),
    "AUC": "keras.metrics.AUC",
    "auc": "keras.metrics.AUC",
    "Precision": "keras.metrics.Precision",
    "precision": "keras.metrics.Precision",
    "Recall": "keras.metrics.Recall",
    "recall": "keras.metrics.Recall",
}

#: string -> the metric that Keras takes where the output has one unit, and elsewhere
METRICS_BY_UNITS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("accuracy", "acc", "Accuracy"), ("keras.metrics.binary_accuracy", "keras.metrics.categorical_accuracy")
    ),
}

#: A head -> the metrics that Keras can read from its logits, and the argument that says so. (AUC applies a sigmoid.)
METRICS_ON_LOGITS: dict[str, dict[str, tuple[str, object]]] = {
    "sigmoid": {
        "BinaryAccuracy": ("threshold", 0),
        "AUC": ("from_logits", True),
        "BinaryCrossentropy": ("from_logits", True),
    },
    "softmax": {
        "CategoricalCrossentropy": ("from_logits", True),
        "SparseCategoricalCrossentropy": ("from_logits", True),
    },
}
