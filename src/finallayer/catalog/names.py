"""One spelling for each dotted name: aliases, moved modules and older package layouts, as data."""

from __future__ import annotations

import re
from functools import cache

from finallayer.catalog.family import each
from finallayer.catalog.frameworks import SAME_AS

#: what flax and others hand on from jax.nn
_JAX_ACTIVATIONS = (
    "celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid log_softmax relu relu6 selu "
    "sigmoid silu soft_sign softmax softplus swish tanh standardize one_hot logsumexp normalize"
)

#: TF1 functions whose module is called as Keras' in TF2: they stay what they are
_TF1_LOSSES = (
    "absolute_difference add_loss compute_weighted_loss cosine_distance get_losses get_regularization_loss "
    "get_regularization_losses get_total_loss hinge_loss huber_loss log_loss mean_pairwise_squared_error "
    "mean_squared_error sigmoid_cross_entropy softmax_cross_entropy sparse_softmax_cross_entropy"
)
_TF1_METRICS = "accuracy auc precision recall mean mean_iou mean_per_class_accuracy root_mean_squared_error"


def _kept(prefix: str, names: str) -> dict[str, str]:
    return {f"{prefix}.{name}": f"{prefix}.{name}" for name in names.split()}


def _moved(old: str, new: str, names: str) -> dict[str, str]:
    return {f"{old}.{name}": f"{new}.{name}" for name in names.split()}


#: prefix (whole parts of the name) -> what stands for it; the longest that fits is taken, until none changes anything
PREFIXES: dict[str, str] = {
    **SAME_AS,
    **each("skorch", "net classifier regressor", "skorch"),
    "transformers.trainer": "transformers",
    "segmentation_models_pytorch.decoders": "segmentation_models_pytorch",
    # TensorFlow's versions and inner modules
    "tensorflow.compat.v1": "tensorflow",
    "tensorflow.compat.v2": "tensorflow",
    "tensorflow._api.v1": "tensorflow",
    "tensorflow._api.v2": "tensorflow",
    "tensorflow.math": "tensorflow",
    "tensorflow.linalg": "tensorflow",
    "tensorflow.dtypes": "tensorflow",
    "tensorflow.python.ops.nn": "tensorflow.nn",
    "tensorflow.python.ops.nn_ops": "tensorflow.nn",
    "tensorflow.python.ops.nn_impl": "tensorflow.nn",
    "tensorflow.python.ops.gen_nn_ops": "tensorflow.nn",
    **each(
        "tensorflow.python.ops",
        "math_ops array_ops clip_ops control_flow_ops tensor_array_ops variables variable_scope",
        "tensorflow",
    ),
    **each("tensorflow.python.ops", "gen_math_ops standard_ops special_math_ops", "tensorflow"),
    "tensorflow.python.ops.losses.losses": "tensorflow.losses",
    "tensorflow.python.ops.losses.losses_impl": "tensorflow.losses",
    "tensorflow.python.layers.core": "tensorflow.layers",
    "tensorflow.python.layers.layers": "tensorflow.layers",
    "tensorflow.python.eager.def_function": "tensorflow",
    "tensorflow.python.framework.ops": "tensorflow",
    **_moved("tensorflow", "tensorflow.nn", "softplus softsign log_softmax softmax top_k in_top_k l2_normalize"),
    "tensorflow.log_sigmoid": "tensorflow.math.log_sigmoid",
    "tensorflow.math.log_sigmoid": "tensorflow.math.log_sigmoid",
    "tensorflow.sigmoid": "tensorflow.nn.sigmoid",
    "tensorflow.tanh": "tensorflow.nn.tanh",
    "tensorflow.random.categorical": "tensorflow.multinomial",
    **each("tensorflow", "distributions contrib.distributions", "tensorflow_probability.distributions"),
    "tensorflow_probability.substrates.jax": "tensorflow_probability",
    "tensorflow.experimental.numpy": "numpy",
    # TF1's contrib
    "tensorflow.contrib.slim": "tensorflow.contrib.layers",
    "tensorflow.contrib.slim.losses": "tensorflow.contrib.losses",
    "tensorflow.contrib.slim.metrics": "tensorflow.contrib.metrics",
    "tf_slim.layers": "tensorflow.contrib.layers",
    "tf_slim.losses": "tensorflow.contrib.losses",
    "tensorflow.contrib.layers.python.layers": "tensorflow.contrib.layers",
    "tensorflow.contrib.layers.layers": "tensorflow.contrib.layers",
    "tensorflow.contrib.layers.python.layers.layers": "tensorflow.contrib.layers",
    "tensorflow.contrib.framework.python.ops.variables": "tensorflow.contrib.framework",
    "tensorflow.contrib.legacy_seq2seq": "tensorflow.contrib.seq2seq",
    "tensorflow.contrib.legacy_seq2seq.python.ops.seq2seq": "tensorflow.contrib.seq2seq",
    "tensorflow.nn.seq2seq": "tensorflow.contrib.seq2seq",
    "tensorflow.models.rnn.seq2seq": "tensorflow.contrib.seq2seq",
    "tensorflow.python.ops.seq2seq": "tensorflow.contrib.seq2seq",
    "tensorflow_addons.seq2seq": "tensorflow.contrib.seq2seq",
    "tensorflow.nn.rnn_cell": "tensorflow.contrib.rnn",
    # Keras' homes
    "tensorflow.keras": "keras",
    "tensorflow.python.keras": "keras",
    "tensorflow.contrib.keras": "keras",
    "tensorflow.contrib.keras.api.keras": "keras",
    "tensorflow.contrib.keras.python.keras": "keras",
    "keras.api": "keras",
    "keras.api._v1.keras": "keras",
    "keras.api._v2.keras": "keras",
    "keras.src": "keras",
    "keras._tf_keras.keras": "keras",
    "keras.compat.v1": "keras",
    "keras._legacy.backend": "keras.backend",
    "tensorflow.losses": "keras.losses",
    "tensorflow.metrics": "keras.metrics",
    **_kept("tensorflow.losses", _TF1_LOSSES),
    **_kept("tensorflow.metrics", _TF1_METRICS),
    # Keras' inner modules
    **each(
        "keras",
        "models.Model engine.Model engine.training.Model engine.topology.Model models.model.Model",
        "keras.Model",
    ),
    **each("keras", "engine.functional.Functional models.Functional training.Model", "keras.Model"),
    **each("keras", "models.Sequential engine.sequential.Sequential models.sequential.Sequential", "keras.Sequential"),
    **each("keras", "models.Graph legacy.models.Graph", "keras.Graph"),
    **each("keras", "Layer engine.Layer engine.topology.Layer engine.base_layer.Layer", "keras.layers.Layer"),
    **each("keras", "engine.base_layer_v1.Layer layers.Layer", "keras.layers.Layer"),
    **each("keras", "layers.Input engine.Input engine.topology.Input engine.input_layer.Input", "keras.Input"),
    "keras.layers.core.input_layer.Input": "keras.Input",
    "keras.engine.topology.merge": "keras.layers.merge",
    "keras.engine.merge": "keras.layers.merge",
    "keras.objectives": "keras.losses",
    "keras.metrics.metrics": "keras.metrics",
    "keras.utils.np_utils": "keras.utils",
    "keras.utils.numerical_utils": "keras.utils",
    **each("keras.layers", "Convolution1D", "keras.layers.Conv1D"),
    **each("keras.layers", "Convolution2D", "keras.layers.Conv2D"),
    **each("keras.layers", "Convolution3D", "keras.layers.Conv3D"),
    **each("keras.layers", "SeparableConvolution2D", "keras.layers.SeparableConv2D"),
    **each("keras.layers", "Deconvolution2D Convolution2DTranspose", "keras.layers.Conv2DTranspose"),
    "keras.losses.MSE": "keras.losses.mean_squared_error",
    "keras.losses.mse": "keras.losses.mean_squared_error",
    "keras.losses.MAE": "keras.losses.mean_absolute_error",
    "keras.losses.mae": "keras.losses.mean_absolute_error",
    **each("keras.losses", "KLD kld kullback_leibler_divergence", "keras.losses.kl_divergence"),
    "keras.losses.bce": "keras.losses.binary_crossentropy",
    "keras.losses.BCE": "keras.losses.binary_crossentropy",
    # tf.keras.metrics also holds the losses' functions
    **_moved(
        "keras.metrics",
        "keras.losses",
        "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy kl_divergence mean_squared_error "
        "mean_absolute_error kullback_leibler_divergence mse mae kld categorical_hinge hinge squared_hinge poisson",
    ),
    # PyTorch
    "torch.nn.parameter.Parameter": "torch.nn.Parameter",
    "torch.nn.parallel.data_parallel.DataParallel": "torch.nn.parallel.DataParallel",
    "torch.nn.parallel.data_parallel.data_parallel": "torch.nn.parallel.data_parallel",
    "torch.nn.parallel.distributed": "torch.nn.parallel",
    "torch.autograd.variable.Variable": "torch.autograd.Variable",
    "torch.autograd.function.Function": "torch.autograd.Function",
    "torch.autograd.no_grad": "torch.no_grad",
    "torch.autograd.grad_mode.no_grad": "torch.no_grad",
    "torch.autograd.inference_mode": "torch.inference_mode",
    "torch.autograd.grad_mode.inference_mode": "torch.inference_mode",
    "torch.distributed.fsdp.FullyShardedDataParallel": "torch.nn.parallel.DistributedDataParallel",
    "apex.parallel.DistributedDataParallel": "torch.nn.parallel.DistributedDataParallel",
    "torch.utils.checkpoint.checkpoint": "torch.utils.checkpoint.checkpoint",
    "torch.utils.checkpoint": "torch.utils.checkpoint",
    "torch.func.vmap": "torch.vmap",
    "pyro.distributions": "torch.distributions",
    "torchvision.ops.focal_loss": "torchvision.ops",
    "torchvision.ops.misc": "torchvision.ops",
    "kornia.losses.focal": "kornia.losses",
    "timm.loss.cross_entropy": "timm.loss",
    "timm.loss.binary_cross_entropy": "timm.loss",
    "segmentation_models_pytorch.losses.soft_ce": "segmentation_models_pytorch.losses",
    "segmentation_models_pytorch.losses.soft_bce": "segmentation_models_pytorch.losses",
    "segmentation_models_pytorch.utils.losses": "segmentation_models_pytorch.utils.losses",
    "lightning.pytorch": "pytorch_lightning",
    **each(
        "pytorch_lightning", "core.LightningModule core.lightning.LightningModule", "pytorch_lightning.LightningModule"
    ),
    "pytorch_lightning.core.module.LightningModule": "pytorch_lightning.LightningModule",
    "pytorch_lightning.metrics": "torchmetrics",
    "torchmetrics.classification": "torchmetrics",
    # NumPy's look-alikes
    "jax.numpy": "numpy",
    "jax.experimental.numpy": "numpy",
    "autograd.numpy": "numpy",
    "mxnet.np": "numpy",
    "mxnet.numpy": "numpy",
    "minpy.numpy": "numpy",
    "scipy.misc.logsumexp": "scipy.special.logsumexp",
    "autograd.scipy.misc.logsumexp": "scipy.special.logsumexp",
    "autograd.scipy.special": "scipy.special",
    "cupyx.scipy.special": "scipy.special",
    "jax.scipy.special": "scipy.special",
    "jax.scipy.misc.logsumexp": "scipy.special.logsumexp",
    **each("sklearn.metrics", "classification _classification ranking _ranking", "sklearn.metrics"),
    # JAX and around it
    "jax.api": "jax",
    "jax._src.nn.functions": "jax.nn",
    "jax.nn.functions": "jax.nn",
    "jax.experimental.stax": "jax.example_libraries.stax",
    "jax.ad_checkpoint.checkpoint": "jax.checkpoint",
    "jax.nn.logsumexp": "scipy.special.logsumexp",
    "jax.scipy.special.logsumexp": "scipy.special.logsumexp",
    "flax.experimental.nnx": "flax.nnx",
    **_moved("flax.linen", "jax.nn", _JAX_ACTIVATIONS),
    **_moved("flax.linen.activation", "jax.nn", _JAX_ACTIVATIONS),
    **_moved("flax.nnx", "jax.nn", _JAX_ACTIVATIONS),
    **_moved("flax.nn", "jax.nn", _JAX_ACTIVATIONS),
    **each("flax.linen", "linear normalization stochastic pooling module transforms", "flax.linen"),
    "flax.linen.Module": "flax.linen.Module",
    "flax.nnx.nn.linear": "flax.nnx",
    "flax.nnx.nn.activations": "jax.nn",
    **each("haiku", "one_hot", "jax.nn.one_hot"),
    "optax.losses": "optax",
    "optax.loss": "optax",
    "optax._src.loss": "optax",
    **each("optax.losses", "_classification _regression _ranking _fenchel_young", "optax"),
}

#: what is left of a name whose inner modules don't matter: (pattern, replacement)
COLLAPSED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (
            r"keras\.(layers|losses|metrics|activations|backend|ops|applications)(?:\.[a-z_0-9]+)+\.(\w+)",
            r"keras.\1.\2",
        ),
        (r"torch\.nn\.modules(?:\.[a-z_0-9]+)*\.([A-Z]\w*)", r"torch.nn.\1"),
        (r"torch\.distributions\.[a-z_]+\.([A-Z]\w*)", r"torch.distributions.\1"),
        (r"haiku\._src\.[a-z_]+\.(\w+)", r"haiku.\1"),
        (r"equinox\.nn\.[a-z_]+\.([A-Z]\w*)", r"equinox.nn.\1"),
        (r"tflearn\.(?:layers(?:\.[a-z_]+)?|activations|objectives)\.(\w+)", r"tflearn.\1"),
        (r"fastai2?(?:\.[a-z_0-9]+)+\.([A-Z]\w*)", r"fastai.\1"),
    )
)

_LONGEST = max(len(prefix.split(".")) for prefix in PREFIXES)


@cache
def canonical(dotted: str) -> str:
    """The spelling of a dotted name that the tables use; the name itself where none is known."""
    for _ in range(8):  # each step shortens or moves the name; no chain is as long
        step = _collapse(_replace_prefix(dotted))
        if step == dotted:
            break
        dotted = step
    return dotted


def _replace_prefix(dotted: str) -> str:
    parts = dotted.split(".")
    for n in range(min(len(parts), _LONGEST), 0, -1):
        found = PREFIXES.get(".".join(parts[:n]))
        if found is not None:
            return ".".join([found, *parts[n:]])
    return dotted


def _collapse(dotted: str) -> str:
    for pattern, replacement in COLLAPSED:
        found = pattern.fullmatch(dotted)
        if found is not None:
            return found.expand(replacement)
    return dotted
