"""The NumPy table agrees with the installed NumPy, SciPy and scikit-learn, the standard library's with Python."""

from __future__ import annotations

import pytest

from finallayer.catalog import numpy, standard

from .reality import disagreements, real, resolve

#: built-in types and functions that state no signature
UNSTATED = {
    *("numpy.float16", "numpy.float32", "numpy.float64", "numpy.einsum", "functools.partial", "builtins.float"),
    *("math.log", "builtins.max", "builtins.min"),
}


@pytest.mark.parametrize("table", [numpy.NAMES, standard.NAMES], ids=["numpy", "standard"])
def test_every_line_agrees(table):
    wrong = {}
    for name, line in table.items():
        found = resolve(name)
        if found is None:
            wrong[name] = ["does not exist"]
        elif name not in UNSTATED:
            wrong[name] = disagreements(line, [r for r in [real(found)] if r])
    assert [f"{n}: {w}" for n, w in wrong.items() if w] == []


def test_limits_of_floating_types_are_numpys():
    np = pytest.importorskip("numpy")
    for name, limits in standard.FLOAT_LIMITS.items():
        if name != "bfloat16":
            assert limits == {k: float(getattr(np.finfo(name), k)) for k in limits}, name


def test_constants_are_what_python_says():
    for name, value in standard.CONSTANTS.items():
        if not name.startswith("torch."):  # the PyTorch tests load PyTorch
            found = resolve(name)
            assert found is None or found == value, name  # numpy.Inf and numpy.infty went with NumPy 2
