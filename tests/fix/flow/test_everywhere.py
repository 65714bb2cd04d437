"""The whole project is asked who reads a model: what does is changed along, what can't be followed is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from finallayer.source import importers

from ..workbench import repaired

NET = (
    "import torch.nn.functional as F\nfrom torch import nn\n\n\nclass Scorer(nn.Module):\n"
    "    def __init__(self):\n        super().__init__()\n        self.top = nn.Linear(6, 4)\n\n"
    "    def forward(self, x):\n        return {}\n\n\n"
    "CLASSES = ['a', 'b', 'c', 'd']\n\n\ndef title(i):\n    return CLASSES[i]\n"
)
PROBABILITIES, LOGITS = NET.format("F.softmax(self.top(x), dim=-1)"), NET.format("self.top(x)")
TRAIN = (
    "import torch.nn.functional as F\nfrom {} import Scorer\n\nscorer = Scorer()\n\n\ndef step(x, y):\n"
    "    return F.cross_entropy(scorer(x), y)\n"
)
READER = "from {} import Scorer\n\n\ndef sure(x):\n    return Scorer()(x){} > 0.8\n"


class Project:
    """A project on disk, whose ``train.py`` is fixed."""

    def __init__(self, root: Path, **files: str) -> None:
        self.root = root
        (root / ".git").mkdir()
        for name, text in {"net": PROBABILITIES, "train": TRAIN.format("net")}.items():
            self.write(f"{name}.py", files.pop(name, text))
        for name, text in files.items():
            self.write(f"{name}.py", text)

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def fixed(self, start: str = "train.py", unsafe: bool = False) -> dict[str, str]:
        """The files that the fix changes."""
        changed = repaired(self.root / start, unsafe).changed
        return {document.path.relative_to(self.root).as_posix(): new.decode() for document, new in changed}

    def note(self, start: str = "train.py") -> str:
        """What makes the fix unsafe."""
        (finding,) = repaired(self.root / start).remaining
        assert finding.fix is not None
        return finding.fix.note


@pytest.mark.parametrize(
    ("net", "imported", "reader", "imports"),
    [
        ("net.py", "net", "serve.py", "net"),
        ("net.py", "net", "tools/web/serve.py", "net"),
        ("models/net.py", "models.net", "serve.py", "models.net"),  # no __init__.py
        ("models/net.py", "models.net", "models/demo.py", ".net"),
        ("models/net.py", "models.net", "models/deep/er/demo.py", "...net"),
        ("src/models/net.py", "src.models.net", "demo/demo.py", "models.net"),
    ],
)
def test_a_reader_anywhere_is_changed_along(tmp_path: Path, net: str, imported: str, reader: str, imports: str) -> None:
    project = Project(tmp_path, train=TRAIN.format(imported))
    (tmp_path / "net.py").unlink()
    project.write(net, PROBABILITIES)
    project.write(reader, READER.format(imports, ""))
    assert project.fixed() == {
        net: LOGITS,
        reader: READER.format(imports, ".softmax(dim=-1)"),
    }


def test_readers_of_readers_are(tmp_path: Path) -> None:
    project = Project(tmp_path, api="from net import Scorer\n\n\ndef score(x):\n    return Scorer()(x)\n")
    project.write("app/serve.py", "from api import score\n\n\ndef show(x):\n    print(score(x))\n")
    changed = project.fixed()
    assert "api.py" not in changed
    assert changed["app/serve.py"].endswith("    print(score(x).softmax(dim=-1))\n")


def test_what_only_another_program_calls_gets_its_softmax_there(tmp_path: Path) -> None:
    train = TRAIN.format("net") + "\n\ndef scores(x):\n    return scorer(x)\n"
    project = Project(
        tmp_path, train=train, show="from train import scores\n\nprint(scores(3), scores(4).argmax(-1))\n"
    )
    changed = project.fixed()
    assert "train.py" not in changed
    assert changed["show.py"].endswith("print(scores(3).softmax(dim=-1), scores(4).argmax(-1))\n")


def test_what_a_changed_file_does_when_it_is_run_itself_is_read(tmp_path: Path) -> None:
    main = "\n\nif __name__ == '__main__':\n    print(Scorer()(3))\n"
    project = Project(tmp_path, net=PROBABILITIES + main)
    assert project.fixed()["net.py"].endswith("    print(Scorer()(3).softmax(dim=-1))\n")


@pytest.mark.parametrize(
    "program",
    [
        "from net import title\n\nprint(title(2))\n",
        "from net import CLASSES, title as name\n\nprint([name(i) for i, _ in enumerate(CLASSES)])\n",
        "import net\n\nprint(net.CLASSES)\n",
        "import torch\nfrom net import Scorer\n\nscorer = Scorer()\ntorch.save(scorer.state_dict(), 'net.pt')\n",
        "from net import Scorer\n\n\ndef guess(x):\n    return Scorer().to('cpu').eval()(x).argmax(-1)\n",
        "from net import Scorer\n\nprint(sum(p.numel() for p in Scorer().parameters()))\n",
    ],
)
def test_an_importer_that_reads_no_probabilities_is_left_alone(tmp_path: Path, program: str) -> None:
    project = Project(tmp_path, other=program)
    assert list(project.fixed()) == ["net.py"]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys\nsys.path.append('lib')\nfrom lib.net import Scorer\n", "other.py may import net.py"),
        ("import importlib\n\nScorer = importlib.import_module('lib.net').Scorer\n", "other.py may import net.py"),
        ("import importlib\n\nprint(importlib.import_module('net').Scorer()(3))\n", "other.py may import net.py"),
        ("import net\n\nscorer = getattr(net, input())()\n", "other.py may import net.py"),
        ("import net as n\n\nscorer = vars(n)[input()]()\n", "other.py may import net.py"),
        ("from net import Scorer\n\nserve(Scorer())\n", "other.py: the model is handed to `serve` (line 3)"),
        ("from net import Scorer\n\nprint Scorer()(3)\n", "other.py imports net.py"),
        ("from net import Scorer\n\nout = Scorer()(3)\nout[0] = 0\n", "other.py: line 4 changes the output in place"),
    ],
)
def test_what_cannot_be_followed_is_named(tmp_path: Path, program: str, said: str) -> None:
    project = Project(tmp_path)
    if "lib" in program:
        (tmp_path / "net.py").unlink()
        project.write("code/lib/net.py", PROBABILITIES)
        project.write("code/train.py", TRAIN.format("lib.net"))
        (tmp_path / "train.py").unlink()
    project.write("other.py", program)
    start = "code/train.py" if "lib" in program else "train.py"
    assert said in project.note(start)
    assert project.fixed(start) == {}


def test_an_expression_that_another_program_hands_something_else_is_given_a_softmax_by_its_callers(
    tmp_path: Path,
) -> None:
    train = TRAIN.format("net").replace("scorer = ", "from tell import tell\n\nscorer = ")
    project = Project(tmp_path, train=train + "\n\ntell(scorer(3))\n", tell="def tell(p):\n    print(p)\n")
    project.write("again.py", "from net import Scorer\nfrom tell import tell\n\ntell(Scorer()(3))\ntell([1, 2])\n")
    changed = project.fixed()
    assert changed.keys() == {"net.py", "train.py", "again.py"}
    assert changed["train.py"].endswith("tell(scorer(3).softmax(dim=-1))\n")
    assert changed["again.py"].endswith("tell(Scorer()(3).softmax(dim=-1))\ntell([1, 2])\n")


def test_nothing_odd_beside_a_program_stops_it(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "junk.py").write_bytes(b"import net\xff\0\1")
    (tmp_path / "torn.ipynb").write_text('{"cells": [')
    project.write("locked.py", "x = 1\n").chmod(0)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert list(project.fixed()) == ["net.py"]


def test_a_project_too_large_to_be_looked_at_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importers, "MOST_FILES", 3)
    project = Project(tmp_path, one="x = 1\n", two="x = 2\n")
    assert "too large to be looked at as a whole (3 programs were)" in project.note()
    monkeypatch.setattr(importers, "MOST_FILES", 10)
    monkeypatch.setattr(importers, "MOST_BYTES", 10)
    assert "net.py is too large to be looked at" in project.note()


COST = "import torch\n\n\ndef cost({0}, y):\n    return -(y * {1}).sum(-1).mean()\n"
CALLS = "import torch\nfrom cost import cost\n\n\ndef step(net, x, y):\n    return cost({}, y)\n"


def test_every_program_that_calls_a_function_hands_it_logits(tmp_path: Path) -> None:
    log = "torch.log_softmax(logits, dim=-1)"
    project = Project(
        tmp_path, cost=COST.format("p", "torch.log(p)"), train=CALLS.format("torch.softmax(net(x), dim=-1)")
    )
    project.write("deep/again.py", CALLS.format("net(x).softmax(-1)"))
    mended = CALLS.format("net(x)")
    assert project.fixed() == {
        "cost.py": COST.format("logits", log),
        "train.py": mended.replace("import torch\n", ""),
        "deep/again.py": mended,
    }


@pytest.mark.parametrize("handed", ["x / x.sum()", "torch.sigmoid(net(x))", "*x"])
def test_a_call_that_hands_a_function_no_softmax_is_named(tmp_path: Path, handed: str) -> None:
    project = Project(
        tmp_path, cost=COST.format("p", "torch.log(p)"), train=CALLS.format("torch.softmax(net(x), dim=-1)")
    )
    project.write("deep/again.py", CALLS.format(handed))
    assert project.fixed() == {}
    (finding,) = repaired(project.root / "train.py").remaining
    assert "again.py" in (finding.unfixed if finding.fix is None else finding.fix.note)


def test_what_imports_a_package_from_around_it_is_asked_where_no_repository_says_so(tmp_path: Path) -> None:
    package = tmp_path / "digits"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text(
        "import torch\nfrom torch import nn\n\ntop = nn.Linear(8, 5)\n\n\n"
        "def classify(x):\n    return torch.softmax(top(x), 1), [top.weight]\n"
    )
    (package / "train.py").write_text(
        "import model\nimport torch\n\np, weights = model.classify(torch.zeros(2, 8))\nloss = -torch.log(p).mean()\n"
    )
    server = tmp_path / "server.py"
    server.write_text("from digits import model\n\np, weights = model.classify(None)\nprint(p)\n")
    changed = {d.path.name: new.decode() for d, new in repaired(package / "train.py").changed}
    assert not changed or "print(torch.softmax(p, dim=1))" in changed["server.py"]


def test_a_file_of_the_program_that_asks_for_a_module_by_its_name_is_named(tmp_path: Path) -> None:
    train = TRAIN.format("net").replace("scorer = ", "import serve\n\nscorer = ")
    asks = "import importlib\n\n\ndef tell(x):\n    print(importlib.import_module('net').Scorer()(x))\n"
    project = Project(tmp_path, train=train, serve=asks)
    assert "serve.py may import net.py" in project.note("train.py")
    assert project.fixed("train.py") == {}


@pytest.mark.parametrize(
    ("settings", "text", "named"),
    [
        ("conf/model.yaml", "model:\n  _target_: net.Scorer\n", "model.yaml names a part of net.py"),
        ("conf.json", '{"class": "app.net.Scorer"}', "conf.json names a part of net.py"),
        ("conf.yaml", "title: net.title\n", ""),
        ("conf.yaml", "file: net.Scorers\n", ""),
        ("pyproject.toml", '[project.scripts]\ntrain = "train:step"\n', ""),
    ],
)
def test_settings_may_name_a_class_for_others_to_make(tmp_path: Path, settings: str, text: str, named: str) -> None:
    project = Project(tmp_path)
    project.write(settings, text)
    assert (project.fixed() == {}) is bool(named)
    assert not named or named in project.note()


@pytest.mark.parametrize(
    ("asked", "safe"),
    [
        ("getattr(importlib.import_module('net'), sys.argv[1])()(3)", False),
        ("vars(importlib.import_module('net'))[sys.argv[1]]()(3)", False),
        ("importlib.import_module('net').title(3)", True),
        ("getattr(importlib.import_module('json'), 'loads')", True),
        ("runpy.run_path('net.py')['Scorer']()(3)", False),
        ("exec(open('net.py').read())", True),
        ("(exec(open('net.py').read()), Scorer()(3))", False),
    ],
)
def test_a_module_by_its_name_in_a_text_may_be_asked_for_any_name(tmp_path: Path, asked: str, safe: bool) -> None:
    project = Project(tmp_path, show=f"import importlib\nimport runpy\nimport sys\n\nprint({asked})\n")
    assert (project.fixed() != {}) is safe


CHOSEN = """from config import dataset

if dataset == "digits":
    from net import Scorer
elif dataset == "streets":
    from {other} import Scorer
"""


@pytest.mark.parametrize(("other", "safe"), [("streets", False), ("net", True)])
def test_a_branch_that_is_not_taken_may_import_another_model(tmp_path: Path, other: str, safe: bool) -> None:
    train = TRAIN.format("net").replace("from net import Scorer\n", CHOSEN.format(other=other))
    assert "elif" in train
    project = Project(tmp_path, train=train, streets=PROBABILITIES, config="dataset = 'digits'\n")
    assert (project.fixed() != {}) is safe
    assert safe or "`Scorer` is imported from elsewhere" in project.note()
