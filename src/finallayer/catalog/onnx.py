"""Signatures of ONNX's operators, and of the domains beside it: as data, like the catalogue's other tables.

An operator's inputs stand in their order, then its attributes by name. An operator of another domain than ONNX's own
is spelled with it. Where versions differ (Softmax before 13, axes that were attributes), the front end says how.
"""

from __future__ import annotations

from functools import cache

from finallayer.catalog import Signature, parse
from finallayer.catalog.family import each

_REDUCED = "(data: x, axes: axis, *, keepdims=1)"

OPERATORS: dict[str, str] = {
    # the final layer's own
    "Softmax": "softmax(input: x, *, axis)",
    "LogSoftmax": "log_softmax(input: x, *, axis)",
    "Sigmoid": "sigmoid(X: x)",
    "Softplus": "softplus(X: x)",
    "ReduceLogSumExp": f"logsumexp{_REDUCED}",
    # losses
    "SoftmaxCrossEntropyLoss": "xent_logits(scores: x, labels: target, weights)",
    "NegativeLogLikelihoodLoss": "nll(input: x, target, weight)",
    # element by element
    **{name: f"{name.lower()}(X: x)" for name in ("Exp", "Log", "Neg", "Abs", "Sqrt")},
    "Reciprocal": "pow(X: x) | value=-1",
    "Pow": "pow(X: x, Y: y)",
    "Add": "add(A: x, B: y)",
    "Sub": "sub(A: x, B: y)",
    "Mul": "mul(A: x, B: y)",
    "Div": "div(A: x, B: y)",
    "Max": "maximum(x, y)",
    "Min": "minimum(x, y)",
    "Clip": "clip(input: x, min: low, max: high)",
    "Where": "where(condition, X: x, Y: y)",
    **each(
        "",
        "Relu LeakyRelu PRelu Elu Selu Celu Gelu Mish HardSigmoid HardSwish Swish Tanh Softsign ThresholdedRelu Erf "
        "Sin Cos com.microsoft.Gelu com.microsoft.FastGelu com.microsoft.QuickGelu com.microsoft.BiasGelu",
        "activation(X: x)",
    ),
    **each("", "Floor Ceil Round Sign", "compare(X: x)"),
    # contractions
    **each("", "MatMul com.microsoft.FusedMatMul", "matmul(A: x, B: y)"),
    **each("", "Gemm com.microsoft.FusedGemm", "affine(A: x, B, C)"),
    "Einsum": "matmul(A: x, B: y)",
    **each("", "Conv ConvTranspose com.microsoft.FusedConv", "affine(X: x, W, B)"),
    "MatMulInteger": "matmul(A: x, B: y)",
    "ConvInteger": "affine(x, w)",
    "com.microsoft.MatMulNBits": "affine(A: x, B)",
    "com.microsoft.DynamicQuantizeMatMul": "matmul(A: x, B: y)",
    "com.microsoft.MatMulIntegerToFloat": "matmul(A: x, B: y)",
    # what leaves scores scores
    **each(
        "",
        "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization LRN LpNormalization "
        "MeanVarianceNormalization RMSNormalization SimplifiedLayerNormalization "
        "com.microsoft.SkipLayerNormalization com.microsoft.SkipSimplifiedLayerNormalization",
        "norm(X: x)",
    ),
    "Dropout": "dropout(data: x)",
    **each(
        "",
        "AveragePool MaxPool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool Resize Upsample",
        "pool(X: x)",
    ),
    # numbers in fewer bits
    "com.microsoft.QLinearSoftmax": "softmax(X: x, X_scale, X_zero_point, Y_scale, Y_zero_point, *, axis)",
    "com.microsoft.QLinearSigmoid": "sigmoid(X: x)",
    **each("", "QLinearMatMul QLinearConv com.microsoft.QGemm", "affine(A: x)"),
    **each("", "com.microsoft.QLinearGlobalAveragePool com.microsoft.QLinearAveragePool", "pool(X: x)"),
    **each(
        "",
        "QuantizeLinear DequantizeLinear com.microsoft.QuantizeLinear com.microsoft.DequantizeLinear",
        "cast(x)",
    ),
    "DynamicQuantizeLinear": "cast(x)",
    # reductions
    "ReduceSum": f"sum{_REDUCED}",
    "ReduceMean": f"mean{_REDUCED}",
    "ReduceMax": f"max{_REDUCED}",
    "ReduceMin": f"min{_REDUCED}",
    "CumSum": "cumsum(x, axis)",
    **each("", "ArgMax ArgMin", "argmax(data: x, *, axis=0, keepdims=1)"),
    "TopK": "topk(X: x, K, *, axis=-1)",
    # comparisons
    **each("", "Greater GreaterOrEqual", "threshold(A: x, B: value) | above=True"),
    **each("", "Less LessOrEqual", "threshold(A: x, B: value) | above=False"),
    **each("", "Equal And Or Xor", "compare(A: x, B: y)"),
    **each("", "Not IsNaN IsInf", "compare(X: x)"),
    # shape, type and place
    **each("", "Reshape Flatten Squeeze Unsqueeze Transpose Expand Tile DepthToSpace SpaceToDepth", "reshape(data: x)"),
    **each("", "Identity ai.onnx.ml.ZipMap", "identity(input: x)"),
    **each("", "Cast CastLike", "cast(input: x)"),
    "Concat": "concat(*inputs: x)",
    **each("", "Slice Gather Split GatherND Compress", "index(data: x)"),
    "GatherElements": "index(data: x)",
    "Pad": "mask(data: x)",
    "OneHot": "one_hot(indices: x)",
    "Range": "numbers()",
    "Multinomial": "sample(input: x) | from_logits=True",
}
#: Operators that hold a whole head of scikit-learn's: an affine map and what is applied to it.
CLASSIFIERS = frozenset({"ai.onnx.ml.LinearClassifier"})
#: What the parts of one are called, beside the affine map.
OF_CLASSIFIERS = "classifier's "
#: Of these, what an attribute (post_transform) has applied to the scores.
POST_TRANSFORMS = {"NONE": "identity", "SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}


@cache
def signature(operator: str) -> Signature | None:
    """What an operator does; None where that isn't known."""
    line = OPERATORS.get(operator)
    return None if line is None else parse(line)
