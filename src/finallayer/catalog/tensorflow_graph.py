"""Signatures of TensorFlow's operations, which its functions are made of: as data, like the catalogue's tables.

An operation's inputs stand in their order, then its attributes by name.
"""

from __future__ import annotations

from finallayer.catalog import Signature, parse
from finallayer.catalog.family import each

_REDUCED = "(input: x, reduction_indices: axis, *, keep_dims: keepdims)"

OPERATIONS: dict[str, str] = {
    # the final layer's own
    "Softmax": "softmax(logits: x) | axis=-1",
    "LogSoftmax": "log_softmax(logits: x) | axis=-1",
    "Sigmoid": "sigmoid(x)",
    "Softplus": "softplus(features: x)",
    # losses
    "SparseSoftmaxCrossEntropyWithLogits": "xent_logits(features: x, labels: target)",
    "SoftmaxCrossEntropyWithLogits": "xent_logits(features: x, labels: target) | axis=-1",
    **each("", "CTCLoss CTCLossV2", "xent_logits(inputs: x, labels_indices, labels_values: target)"),
    # element by element
    "Exp": "exp(x)",
    "Log": "log(x)",
    "Log1p": "log1p(x)",
    "Sqrt": "sqrt(x)",
    "Rsqrt": "pow(x) | value=-0.5",
    "Square": "pow(x) | value=2",
    "Neg": "neg(x)",
    "Abs": "abs(x)",
    **each("", "Inv Reciprocal", "pow(x) | value=-1"),
    "Pow": "pow(x, y)",
    "Xlogy": "xlogy(x, y)",
    **each("", "Add AddV2", "add(x, y)"),
    "AddN": "add(x, y)",
    "Sub": "sub(x, y)",
    **each("", "Mul MulNoNan", "mul(x, y)"),
    **each("", "Div RealDiv DivNoNan", "div(x, y)"),
    "Maximum": "maximum(x, y)",
    "Minimum": "minimum(x, y)",
    "ClipByValue": "clip(t: x, clip_value_min: low, clip_value_max: high)",
    **each("", "Select SelectV2", "where(condition, x, y)"),
    **each("", "Relu Relu6 Elu Selu LeakyRelu Softsign Tanh Erf Sin Cos", "activation(x)"),
    **each("", "Floor Ceil Round Rint Sign", "compare(x)"),
    # contractions, and the bias after them
    **each("", "MatMul BatchMatMulV2 BatchMatMulV3", "matmul(a: x, b: y)"),
    "Einsum": "matmul(a: x, b: y)",
    **each("", "Conv2D Conv3D DepthwiseConv2dNative Conv", "matmul(input: x, filter: y)"),
    **each("", "Conv2DBackpropInput Conv3DBackpropInputV2", "matmul(input_sizes, filter: y, out_backprop: x)"),
    "BiasAdd": "add(value: x, bias: y)",
    **each("", "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 LRN", "norm(x)"),
    **each(
        "",
        "MaxPool MaxPoolV2 MaxPool3D AvgPool AvgPool3D ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea",
        "pool(input: x)",
    ),
    # reductions
    "Sum": f"sum{_REDUCED}",
    "Mean": f"mean{_REDUCED}",
    "Max": f"max{_REDUCED}",
    "Min": f"min{_REDUCED}",
    "Cumsum": "cumsum(x, axis)",
    **each("", "ArgMax ArgMin", "argmax(input: x, dimension: axis)"),
    **each("", "TopK TopKV2", "topk(input: x)"),
    **each("", "InTopK InTopKV2", "compare(predictions: x, targets: y)"),
    # comparisons
    **each("", "Greater GreaterEqual", "threshold(x, y: value) | above=True"),
    **each("", "Less LessEqual", "threshold(x, y: value) | above=False"),
    **each("", "Equal NotEqual LogicalAnd LogicalOr", "compare(x, y)"),
    **each("", "LogicalNot IsFinite IsNan IsInf Where All Any", "compare(x)"),
    # shape, type and place
    **each("", "Reshape Squeeze ExpandDims Transpose Tile BroadcastTo ReverseV2 EnsureShape Roll", "reshape(x)"),
    "ConcatV2": "concat(*values: x)",
    "Pack": "concat(*values: x)",
    "Split": "index(axis, value: x)",
    **each("", "SplitV Unpack Slice StridedSlice DynamicPartition", "index(value: x)"),
    "ResourceGather": "index(resource: x, indices)",
    "Cast": "cast(x)",
    **each("", "Identity Snapshot CheckNumerics CheckNumericsV2 PlaceholderWithDefault", "identity(x)"),
    **each("", "StopGradient PreventGradient", "stop_gradient(x)"),
    **each("", "Pad PadV2 MirrorPad ScatterNd TensorScatterUpdate", "mask(x)"),
    "OneHot": "one_hot(indices: x)",
    "OnesLike": "const() | value=1",
    "ZerosLike": "const() | value=0",
    **each("", "Range LinSpace", "numbers()"),
    # readers
    **each("", "Multinomial StatelessMultinomial", "sample(logits: x) | from_logits=True"),
}

#: What an operation gives has nothing to do with the numbers that it is handed: data of the program's own.
DATA = frozenset(
    "Const Fill Shape ShapeN Size Rank VarHandleOp Placeholder IteratorGetNext RandomUniform RandomUniformInt "
    "RandomStandardNormal TruncatedNormal StatelessRandomUniformV2 StatelessRandomNormalV2 "
    "StatelessTruncatedNormalV2 StatelessRandomUniformFullIntV2 StatelessRandomGetKeyCounter "
    "StatelessRandomGetAlg StatefulUniform StatefulStandardNormalV2 BroadcastArgs InvertPermutation".split()
)
#: Of these, what tells how many there are: so does whatever is reckoned with nothing else.
SIZES = frozenset("Shape ShapeN Size Rank".split())
#: Operations that give some of what they are handed first, or all of it in another form.
PARTS = frozenset("Prod Slice StridedSlice GatherV2 Reshape Squeeze Unpack Split SplitV".split())
#: Operations that spell numbers out, of sizes.
NUMBERS = frozenset({"Range", "LinSpace"})
#: Operations that reduce along axes, which they are handed.
REDUCTIONS = frozenset("Sum Mean Max Min".split())
#: Operations that pick single entries, or parts.
PICKS = frozenset({"GatherV2", "GatherNd"})
#: Operations that change no variable that they are handed.
READS = frozenset("ReadVariableOp ResourceGather ResourceGatherNd VarIsInitializedOp VariableShape".split())

_FUNCTIONS = {
    "SparseSoftmaxCrossEntropyWithLogits": "tensorflow.nn.sparse_softmax_cross_entropy_with_logits",
    "SoftmaxCrossEntropyWithLogits": "tensorflow.nn.softmax_cross_entropy_with_logits",
    "LeakyRelu": "tensorflow.nn.leaky_relu",
    **each("", "CTCLoss CTCLossV2", "tensorflow.nn.ctc_loss"),
}

_SIGNATURES: dict[str, Signature] = {name: parse(line) for name, line in OPERATIONS.items()}


def signature(operation: str) -> Signature | None:
    """What an operation does; None where that isn't known."""
    return _SIGNATURES.get(operation)


def function(operation: str) -> str:
    """The function of TensorFlow's that a program calls to have an operation done."""
    return _FUNCTIONS.get(operation, f"tensorflow.nn.{operation.lower()}")
