"""The scan of bytes that skips what can't matter: never a file in which something could be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer import catalog
from finallayer.catalog.frameworks import BY_ROOT, STAR_IMPORTS
from finallayer.catalog.names import PREFIXES
from finallayer.check.glance import Files
from finallayer.expr import LOSSES
from finallayer.rules import all_rules, rules_by_operation
from finallayer.rules.examples import bad_examples
from finallayer.source import Project
from finallayer.source.imported import imported

from .programs import DOUBLE, MODEL, TRAIN, lay


def matters(path: Path) -> bool:
    return Files(Project()).matters(str(path))


@pytest.mark.parametrize("program", [bad.before for rule in all_rules().values() for bad in bad_examples(rule)])
def test_every_rules_own_bad_examples_matter(tmp_path: Path, program: str) -> None:
    lay(tmp_path, bad=program)
    assert matters(tmp_path / "bad.py")


@pytest.mark.parametrize(
    "program",
    [
        "model = Sequential()\nmodel.add(Dense(1))\nmodel.add(Activation('softmax'))\nmodel.compile(loss='mse')\n",
        "loss = F.cross_entropy(F.softmax(z, 1), y)\n",
        "loss = nn.BCELoss()(nn.Linear(3, 1)(x), y)\n",
        "y = tf.nn.softmax(z)\nloss = -(y_ * tf.log(y))\n",
    ],
)
def test_a_snippet_that_imports_nothing_matters(tmp_path: Path, program: str) -> None:
    lay(tmp_path, snippet=program)
    assert matters(tmp_path / "snippet.py")


def test_a_loss_that_the_framework_brings_along_matters(tmp_path: Path) -> None:
    lay(tmp_path, net="import tflearn\nnet = tflearn.fully_connected(x, 1)\nnet = tflearn.regression(net)\n")
    assert matters(tmp_path / "net.py")


LOGGER = "import logging\nimport re\nimport torch\nlog = logging.getLogger(__name__)\nlog.info(re.compile('a'))\n"


def test_a_loggers_name_and_a_compiled_pattern_are_nothing_to_find(tmp_path: Path) -> None:
    lay(tmp_path, told=LOGGER, taken=LOGGER + "log = torch.log\n", called=LOGGER + "y = log (x)\n")
    assert [matters(tmp_path / f"{name}.py") for name in ("told", "taken", "called")] == [False, True, True]


#: Of Python itself; they compute nothing.
HELPERS = frozenset("builtins contextlib copy functools itertools random typing".split())


def test_every_package_of_the_catalogue_has_a_row() -> None:
    names, _ = catalog._tables()
    roots = {name.partition(".")[0] for name in (*names, *PREFIXES, *STAR_IMPORTS)}
    assert roots - BY_ROOT.keys() == HELPERS & roots


@pytest.mark.parametrize("root", BY_ROOT)
def test_the_import_of_every_package_is_seen(tmp_path: Path, root: str) -> None:
    lay(tmp_path, a=f"from {root} import a\nloss = a\n")
    assert matters(tmp_path / "a.py")


#: What makes a value whose kind is known, or one that a rule takes for a softmax, a softplus, a logsumexp by hand.
MAKERS = frozenset("softmax log_softmax sigmoid log_sigmoid softplus logsumexp log log1p exp xlogy logaddexp".split())


def test_every_method_that_makes_what_a_rule_judges_is_seen_without_an_import(tmp_path: Path) -> None:
    _, methods = catalog._tables()
    telling = [name for name, line in methods.items() if line.partition("(")[0] in MAKERS | {"affine", "one_hot"}]
    assert len(telling) > 10
    for name in telling:
        lay(tmp_path, a=f"def loss(x):\n    return x.{name}\n")
        assert matters(tmp_path / "a.py"), name


def test_every_loss_and_maker_of_the_catalogue_is_a_word_of_the_trade(tmp_path: Path) -> None:
    names, _ = catalog._tables()
    losses = rules_by_operation().keys() & (LOSSES | {"distribution"}) - {"mse"}  # sums and readers are nothing alone
    judged = MAKERS | losses | {"xent", "bce", "fit_loss"}
    for name, line in names.items():
        module, _, member = name.rpartition(".")
        by_its_argument = module == "builtins" or member == "choice"  # of which the file that makes it speaks
        if line.partition("(")[0] in judged and not by_its_argument:
            lay(tmp_path, a=f"from {module} import (a,\n    {member} as f)\n")
            assert matters(tmp_path / "a.py"), name


@pytest.mark.parametrize(
    "program",
    [
        "",
        "import os\nprint(os.sep)\n",
        "import logging\nlogging.info('loss')\n",  # our words, and no framework
        "import numpy as np\nx = np.zeros(3)\n",  # a framework, and none of our words
        "import missing\nfrom . import absent\n",
    ],
)
def test_what_holds_only_half_of_a_finding_is_skipped(tmp_path: Path, program: str) -> None:
    lay(tmp_path, a=program)
    assert not matters(tmp_path / "a.py")


def test_a_file_that_only_joins_two_others_matters(tmp_path: Path) -> None:
    lay(tmp_path, main="import engine\nfrom model import Net\nengine.run(Net())\n", model=MODEL)
    lay(tmp_path, engine="def run(net):\n    pass\n", other="import engine\n")
    assert matters(tmp_path / "main.py")
    assert not matters(tmp_path / "other.py")


def test_reach_goes_through_packages_and_round_in_circles(tmp_path: Path) -> None:
    package = {"pkg/__init__": "from .a import *\n", "pkg/a": "from . import b\n", "pkg/b": "from .a import x\n"}
    lay(tmp_path, main="import pkg\n", **package)
    assert not matters(tmp_path / "main.py")
    lay(tmp_path, **{"pkg/b": "from .a import x\n" + DOUBLE})
    assert matters(tmp_path / "main.py")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b as c, d", {("a", 0), ("a.b", 0), ("d", 0)}),
        ("from a import b as c, d", {("a", 0), ("a.b", 0), ("a.d", 0)}),
        ("from a import (\n    b,  # why\n    c as d,\n)", {("a", 0), ("a.b", 0), ("a.c", 0)}),
        ("from a import *", {("a", 0)}),
        ("from . import a", {("", 1), ("a", 1)}),
        ("from ..a.b import c", {("a.b", 2), ("a.b.c", 2)}),
        ("if x:\n\tfrom a import b; import c", {("a", 0), ("a.b", 0), ("c", 0)}),
        ('   "from a import b\\n",', {("a", 0), ("a.b", 0)}),
        ('"source": "import a\\nfrom b import c"', {("a", 0), ("b", 0), ("b.c", 0)}),
        ('{"source":["import a\\n","from b import c"]}', {("a", 0), ("b", 0), ("b.c", 0)}),
        ("if x: import a", {("a", 0)}),
        ("from.a import b", {("a", 1), ("a.b", 1)}),
        ("from . a import b", {("a", 1), ("a.b", 1)}),
        ("from a \\\n import b, \\\n c", {("a", 0), ("a.b", 0), ("a.c", 0)}),
        ("import a, \\\n b", {("a", 0), ("b", 0)}),
        ("from a import (  # :)\n    b\n)", {("a", 0), ("a.b", 0)}),
        ("x = important\nfromage = 1", set()),
        ("important.x()", set()),
    ],
)
def test_imports_are_read_off_the_bytes(source: str, names: set[tuple[str, int]]) -> None:
    assert names <= set(imported(source.encode()))
    assert {n for n, _ in imported(source.encode())} <= {n for n, _ in names} | {"a.why"}


def test_a_fingerprint_changes_with_the_content_and_with_where_imports_lead(tmp_path: Path) -> None:
    lay(tmp_path, train=TRAIN)

    def state() -> str:
        return Files(Project()).fingerprint(str(tmp_path / "train.py"), "model\ntorch")

    alone = state()
    assert state() == alone
    lay(tmp_path, model=MODEL)
    found = state()
    assert found != alone
    lay(tmp_path, train=TRAIN + "\n")
    assert state() not in (alone, found)
