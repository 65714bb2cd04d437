"""``check FOLDER`` and ``check FILE`` say the same, whatever a file imports and however it is spelled."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finallayer.check import run
from finallayer.check.config import find
from finallayer.check.glance import Files
from finallayer.check.judge import analyse
from finallayer.rules import all_rules
from finallayer.source import Project

from .programs import lay

RULES = all_rules()

#: Ways to take the log of a softmax: what is imported, the softmax, the log.
SPELLINGS = [
    ("import torch", "torch.softmax(x, 1)", "torch.log({p})"),
    ("import torch as th", "th.softmax(x, 1)", "th.log({p})"),
    ("from torch import log as l, softmax as s", "s(x, 1)", "l({p})"),
    ("from torch import (softmax as s,  # :)\n    log as l)", "s(x, 1)", "l({p})"),
    ("from torch \\\n    import softmax as s, \\\n    log as l", "s(x, 1)", "l({p})"),
    ("if True: import torch", "torch.softmax(x, 1)", "torch.log({p})"),
    ("try: import torch\nexcept ImportError: pass", "torch.softmax(x, 1)", "torch.log({p})"),
    ("from torch import *", "softmax(x, 1)", "log({p})"),
    ("", "x.softmax(1)", "{p}.log()"),
    ("", "(x\n        .softmax(1))", "({p}\n        .log())"),
    ("", "getattr(x, 'softmax')(1)", 'getattr({p}, "log")()'),
    ("", "F.softmax(x, 1)", "{p}.log()"),
    ("", "tf.nn.softmax(x)", "tf.math.log({p})"),
    ("", "jax.nn.softmax(x)", "jnp.log({p})"),
    ("from elsewhere import softmax", "softmax(x)", "{p}.log()"),
    ("from .elsewhere import softmax", "softmax(x)", "{p}.log()"),
    ("from functorch import softmax", "softmax(x)", "{p}.log()"),
    ("from pylab import *", "exp(x) / exp(x).sum()", "log({p})"),
    ("import mxnet as mx", "mx.np.exp(x) / mx.np.exp(x).sum()", "mx.np.log({p})"),
    ("import autograd.numpy as anp", "anp.exp(x) / anp.exp(x).sum()", "anp.log({p})"),
    ("from minpy import numpy", "numpy.exp(x) / numpy.exp(x).sum()", "numpy.log({p})"),
    ("import cupy", "cupy.exp(x) / cupy.exp(x).sum()", "cupy.log({p})"),
    ("from jax.lax import logistic, log", "logistic(x)", "log({p})"),
    ("from keras import ops", "ops.softmax(x)", "ops.log({p})"),
    ("import keras_core as k", "k.ops.softmax(x)", "k.ops.log({p})"),
    ("import tf_keras as k", "k.activations.softmax(x)", "k.backend.log({p})"),
    ("from scipy.special import expit", "expit(x)", "{p}.log()"),
    ("import math", "1 / (1 + math.exp(-x))", "math.log({p})"),
    ("", "1 / (1 + (-x).exp())", "{p}.log()"),
    ("", "1 / (1 + (-x)\\\n        .exp())", "{p}.\\\n        log()"),
    ("", "1 / (1 + getattr(-x, 'exp')())", "getattr({p}, 'log')()"),
]
#: Where the model stands, and ways to get hold of it from main.py.
REACHED = [
    ("model", "import model", "model."),
    ("model", "import model as m", "m."),
    ("model", "from model import net, nll", ""),
    ("model", "from . import model", "model."),
    ("model", "from . model import net, nll", ""),
    ("model", "from model import *", ""),
    ("model", "if True: from model import net, nll", ""),
    ("model", "import os, \\\n    model", "model."),
    ("pkg/model", "import pkg.model", "pkg.model."),
    ("pkg/model", "from pkg import model", "model."),
    ("pkg/model", "import pkg", "pkg.model."),
    ("pkg/model", "import pkg", "pkg.\\\n        model."),
    ("pkg/sub/model", "import pkg as p", "p.sub.model."),
    ("pkg/sub/model", "from pkg import sub", "sub.model."),
    ("pkg/__init__", "import pkg.other", "pkg."),
]

Programs = dict[str, str]


@st.composite
def programs(draw: st.DrawFn) -> Programs:
    """The log of a softmax in one file; or both in another, of which the first hands the one to the other."""
    if draw(st.booleans()):
        return {"main": in_one(*draw(st.sampled_from(SPELLINGS)))}
    return in_two(draw(st.sampled_from(SPELLINGS)), *draw(st.sampled_from(REACHED)))


def in_one(imports: str, softmax: str, log: str) -> str:
    return f"{imports}\ndef step(x, y):\n    p = {softmax}\n    return -(y * {log.format(p='p')}).sum()\n"


def in_two(spelling: tuple[str, str, str], place: str, reach: str, model: str) -> Programs:
    """Nothing is wrong in the other file, nor does anything in the first say what it is about."""
    imports, softmax, log = spelling
    packages = {"pkg/__init__": "", "pkg/sub/__init__": "", "pkg/other": ""} if place.startswith("pkg") else {}
    nll = f"def nll(p, y):\n    return -(y * {log.format(p='p')}).sum()\n"
    return packages | {
        place: f"{imports}\ndef net(x):\n    return {softmax}\n{nll}",
        "main": f"{reach}\ndef step(x, y):\n    return {model}nll({model}net(x), y)\n",
    }


def found(*paths: Path) -> list[tuple[str, str, int]]:
    outcome = run.check(paths, find(paths, RULES), RULES, use_cache=False, jobs=1)
    return [(f.rule.code, f.origin.path, f.origin.line) for f in outcome.findings]


@given(programs())
@settings(max_examples=150, deadline=None)
def test_a_folder_and_its_files_one_by_one_agree(program: Programs) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lay(root, **program)
        files = sorted(root.rglob("*.py"))
        one_by_one = {f for file in files for f in found(file)}
        assert set(found(root)) == one_by_one
        for file in files:  # and the glance has left out nothing that the analysis would have found
            if analyse(str(file), Project()).findings:
                assert Files(Project()).matters(str(file)), program


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda s: s[1])
def test_every_spelling_is_one_that_something_is_found_in(tmp_path: Path, spelling: tuple[str, str, str]) -> None:
    """Or the test above would compare nothing with nothing."""
    lay(tmp_path, main=in_one(*spelling))
    assert found(tmp_path)


@pytest.mark.parametrize("reached", REACHED, ids=lambda r: f"{r[1]}; {r[2]}")
def test_every_way_to_another_file_is_followed(tmp_path: Path, reached: tuple[str, str, str]) -> None:
    lay(tmp_path, **in_two(SPELLINGS[0], *reached))
    assert found(tmp_path / "main.py") == found(tmp_path) != []
