"""NumPy and its look-alikes (jax.numpy stands here too), SciPy and scikit-learn (see the package's docstring)."""

from __future__ import annotations

from finallayer.catalog.family import each

_REDUCE = "(a: x, axis, *, keepdims)"

NAMES: dict[str, str] = {
    "numpy.random.choice": "sample(a, size, replace, p: x) | from_logits=False",
    "numpy.random.multinomial": "sample(n, pvals: x, size) | from_logits=False",
    # the final layer's own
    "scipy.special.softmax": "softmax(x, axis)",
    "scipy.special.log_softmax": "log_softmax(x, axis)",
    "scipy.special.expit": "sigmoid(x)",
    "scipy.special.log_expit": "log_sigmoid(x)",
    "scipy.special.logsumexp": "logsumexp(a: x, axis, b, keepdims)",
    "scipy.special.xlogy": "xlogy(x1: x, x2: y)",
    # element by element
    "numpy.log": "log(x)",
    "numpy.log2": "log(x) | base=2",
    "numpy.log10": "log(x) | base=10",
    "numpy.log1p": "log1p(x)",
    "numpy.exp": "exp(x)",
    "numpy.sqrt": "sqrt(x)",
    **each("numpy", "abs absolute fabs", "abs(x)"),
    "numpy.square": "pow(x) | value=2",
    **each("numpy", "power float_power", "pow(x1: x, x2: y)"),
    "numpy.negative": "neg(x)",
    "numpy.add": "add(x1: x, x2: y)",
    "numpy.subtract": "sub(x1: x, x2: y)",
    "numpy.multiply": "mul(x1: x, x2: y)",
    **each("numpy", "divide true_divide", "div(x1: x, x2: y)"),
    **each("numpy", "maximum fmax", "maximum(x1: x, x2: y)"),
    **each("numpy", "minimum fmin", "minimum(x1: x, x2: y)"),
    "numpy.logaddexp": "logaddexp(x1: x, x2: y)",
    "numpy.logaddexp.reduce": "logsumexp(array: x, axis=0, dtype, out, *, keepdims)",
    "numpy.clip": "clip(a: x, a_min: low, a_max: high, *, min: low, max: high)",
    "numpy.tanh": "activation(x)",
    "numpy.nan_to_num": "identity(x)",
    "numpy.where": "where(condition, x, y)",
    # contractions
    "numpy.dot": "matmul(a: x, b: y)",
    "numpy.matmul": "matmul(x1: x, x2: y)",
    **each("numpy", "inner tensordot", "matmul(a: x, b: y)"),
    "numpy.einsum": "einsum(subscripts: equation, *operands)",
    # reductions
    **each("numpy", "sum nansum", f"sum{_REDUCE}"),
    **each("numpy", "mean nanmean", f"mean{_REDUCE}"),
    "numpy.average": f"mean{_REDUCE}",
    **each("numpy", "max amax nanmax", f"max{_REDUCE}"),
    **each("numpy", "min amin nanmin", f"min{_REDUCE}"),
    **each("numpy", "argmax argmin nanargmax", "argmax(a: x, axis)"),
    **each("numpy", "sort argsort", "topk(a: x, axis)"),
    "numpy.argpartition": "topk(a: x, kth, axis)",
    **each("numpy", "round around", "threshold(a: x) | value=0.5"),
    "numpy.rint": "threshold(x) | value=0.5",
    **each("numpy", "greater greater_equal", "threshold(x1: x, x2: value) | above=True"),
    **each("numpy", "less less_equal", "threshold(x1: x, x2: value) | above=False"),
    **each("numpy", "equal not_equal", "compare(x1: x, x2: y)"),
    # shape, type and place
    "numpy.reshape": "reshape(a: x, shape, *, newshape: shape)",
    "numpy.ravel": "reshape(a: x) | rank=1",
    **each("numpy", "squeeze expand_dims", "reshape(a: x, axis)"),
    "numpy.transpose": "reshape(a: x, axes)",
    **each("numpy", "swapaxes moveaxis", "reshape(a: x)"),
    "numpy.broadcast_to": "reshape(array: x, shape)",
    "numpy.tile": "reshape(A: x, reps)",
    "numpy.repeat": "reshape(a: x, repeats, axis)",
    "numpy.flip": "reshape(m: x, axis)",
    "numpy.atleast_2d": "reshape(*arys: x)",
    "numpy.concatenate": "concat(arrays: x, axis=0)",
    "numpy.stack": "concat(arrays: x, axis=0)",
    **each("numpy", "hstack vstack", "concat(tup: x)"),
    "numpy.take": "index(a: x, indices, axis)",
    "numpy.take_along_axis": "gather(arr: x, indices: y, axis)",
    "numpy.choose": "gather(a: y, choices: x)",
    **each("numpy", "split array_split", "index(ary: x, indices_or_sections, axis)"),
    "numpy.array": "identity(object: x)",
    **each("numpy", "asarray copy ascontiguousarray asanyarray", "identity(a: x)"),
    **each("numpy", "float16 float32 float64", "cast(x)"),
    "numpy.vectorize": "transform(pyfunc: f)",
    **each("numpy", "ones ones_like", "const() | value=1"),
    **each("numpy", "arange linspace logspace", "numbers()"),
    "numpy.linalg.norm": "length(x, ord, axis, keepdims)",
    "numpy.reciprocal": "pow(x) | value=-1",
    # scikit-learn: what reads a classifier's output
    "sklearn.metrics.log_loss": "metric(y_true: target, y_proba: x, *, y_pred: x) | reads='probs'",
    "sklearn.metrics.brier_score_loss": "metric(y_true: target, y_proba: x) | reads='probs'",
    "sklearn.metrics.roc_auc_score": "metric(y_true: target, y_score: x) | reads='any'",
    **each(
        "sklearn.metrics",
        "average_precision_score roc_curve precision_recall_curve top_k_accuracy_score",
        "metric(y_true: target, y_score: x) | reads='any'",
    ),
    **each(
        "sklearn.metrics",
        "accuracy_score balanced_accuracy_score f1_score precision_score recall_score confusion_matrix "
        "classification_report matthews_corrcoef",
        "metric(y_true: target, y_pred: x) | reads='labels'",
    ),
}

#: array method -> signature; what torch's tensors spell alike stands there
METHODS: dict[str, str] = {
    "dot": "matmul(self: x, b: y)",
    "take": "index(self: x, indices, axis)",
    "astype": "cast(self: x, dtype)",
    "copy": "identity(self: x)",
    "round": "threshold(self: x) | value=0.5",
    "block_until_ready": "identity(self: x)",
}
