"""The cache gives what an analysis of the files as they are would give, however they import each other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from finallayer.check import run, workers
from finallayer.check.config import find
from finallayer.check.judge import Analysis
from finallayer.rules import all_rules

from ..check.programs import CLEAN, DOUBLE, MODEL, TRAIN, lay

RULES = all_rules()
HARMLESS = MODEL.replace("torch.softmax", "torch.tanh")
IMPORT = "from model import Net\n"

#: Ways to write an import of ``Net`` from ``model``.
WAYS = {
    "plain": IMPORT,
    "behind if": "if True: from model import Net\n",
    "behind try": "try: from model import Net\nexcept ImportError: Net = None\n",
    "behind finally": "try: pass\nfinally: from model import Net\n",
    "behind else": "if 0: pass\nelse: from model import Net\n",
    "behind with": "import contextlib\nwith contextlib.suppress(ImportError): from model import Net\n",
    "behind a semicolon": "x = 1; from model import Net\n",
    "over lines": "from \\\n  model \\\n  import \\\n Net\n",
    "over many lines": "from model " + "\\\n" * 300 + " import Net\n",
    "far to the right": "from model" + " " * 5000 + "import" + " " * 5000 + "Net\n",
    "in brackets": "from model import (  # the import of a model\n    Net,\n)\n",
    "with a form feed": "\fif True:\n\ffrom model import Net\n".replace("\n\f", "\n    "),
    "by a text": "import importlib\nNet = importlib.import_module('model').Net\n",
    "in letters that Python takes for others": "from ｍodel import Net\n",
}


def found(folder: Path, use_cache: bool = True) -> list[tuple[str, str]]:
    outcome = run.check([folder], find([folder], RULES), RULES, use_cache=use_cache, jobs=1)
    return [(f.rule.code, Path(f.origin.path).name) for f in outcome.findings]


@pytest.mark.parametrize("before", [HARMLESS, None], ids=["changed later", "made later"])
@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_comes_to_end_in_softmax_is_found(tmp_path: Path, way: str, before: str | None) -> None:
    lay(tmp_path, train=TRAIN.replace(IMPORT, WAYS[way]), **({} if before is None else {"model": before}))
    assert found(tmp_path) == []
    lay(tmp_path, model=MODEL)
    assert found(tmp_path) == found(tmp_path, use_cache=False) == [("FL101", "train.py")]


def test_a_name_in_any_alphabet_leads_to_its_file(tmp_path: Path) -> None:
    lay(tmp_path, train=TRAIN.replace("model", "modèle"), modèle=HARMLESS)
    assert found(tmp_path) == []
    lay(tmp_path, modèle=MODEL)
    assert found(tmp_path) == [("FL101", "train.py")]


def test_what_lies_two_imports_away_is_seen_when_it_comes(tmp_path: Path) -> None:
    lay(
        tmp_path,
        train=TRAIN.replace("model", "one"),
        one="try:\n    from two import Net\nexcept ImportError:\n    pass\n",
    )
    assert found(tmp_path) == []
    lay(tmp_path, two=MODEL)
    assert found(tmp_path) == [("FL101", "train.py")]


def test_a_folder_that_another_module_adds_is_seen(tmp_path: Path) -> None:
    lay(tmp_path, **{"lib/model": MODEL}, paths="import sys\n", train="import paths\n" + TRAIN)
    assert found(tmp_path) == []
    lay(tmp_path, paths="import sys\nsys.path.append('lib')\n")
    assert found(tmp_path) == [("FL101", "train.py")]


@pytest.mark.parametrize("line", ["%run model.py", "%run './model.py'", "get_ipython().run_line_magic('run', 'model')"])
def test_a_file_that_a_notebook_runs_is_seen_when_it_comes(tmp_path: Path, line: str) -> None:
    sources = [line, TRAIN.replace(IMPORT, "")]
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources]
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    assert found(tmp_path) == []
    lay(tmp_path, model=MODEL)
    assert found(tmp_path) == [("FL101", "train.ipynb")]


@pytest.mark.parametrize("name", ["double", "model"])
def test_a_file_that_changes_while_it_is_checked_is_checked_again(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept is kept for the bytes that were analysed, not for those that stood there before or after."""
    lay(tmp_path, double=DOUBLE, model=MODEL, train=TRAIN)
    before = {path: path.read_text() for path in tmp_path.glob("*.py")}
    real = workers.analyse_all

    def racing(paths: Sequence[str], *more: Any) -> Iterator[Analysis]:
        lay(tmp_path, **{name: CLEAN if name == "double" else HARMLESS})
        yield from real(paths, *more)
        lay(tmp_path, **{path.stem: text for path, text in before.items()})

    monkeypatch.setattr(run, "analyse_all", racing)
    assert len(found(tmp_path)) == 1
    monkeypatch.undo()
    assert found(tmp_path) == [("FL101", "double.py"), ("FL101", "train.py")]


def test_a_fix_is_not_kept_where_a_program_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, model=MODEL, train=TRAIN, other="x = 1\n")
    real = workers.analyse_all

    def racing(paths: Sequence[str], *more: Any) -> Iterator[Analysis]:
        analyses = list(real(paths, *more))
        lay(tmp_path, other="from model import Net\n\nprint(Net()(1))\n")
        yield from analyses

    def changed(use_cache: bool = True) -> set[str]:
        """The files that fixes would change."""
        outcome = run.check([tmp_path], find([tmp_path], RULES), RULES, jobs=1, fixes=True, use_cache=use_cache)
        return {Path(edit.path).name for f in outcome.findings if f.fix is not None for edit in f.fix.edits}

    monkeypatch.setattr(run, "analyse_all", racing)
    assert changed() == {"model.py"}
    monkeypatch.undo()
    assert changed() == changed(use_cache=False) == {"model.py", "other.py"}


#: Files that name the model, or read it, as they come: a fix that was safe before isn't any more, or changes them, too.
NAMING = {
    "conf.yaml": "net:\n  _target_: model.Net\n",
    "conf.json": '{"net": "model.Net"}',
    "conf.toml": 'net = "model.Net"\n',
    "conf.gin": "train.net = @model.Net\n",
    "setup.cfg": "[net]\nis = model.Net\n",
    "run.sh": "train --net model.Net\n",
    "serve.pyw": "from model import Net\n\nprint(Net()(1))\n",
    "serve": "#!/usr/bin/env python3\nfrom model import Net\n\nprint(Net()(1))\n",
}


@pytest.mark.parametrize("name", NAMING)
def test_a_fix_is_not_kept_where_a_file_comes_that_names_what_it_changes(tmp_path: Path, name: str) -> None:
    lay(tmp_path, model=MODEL, train=TRAIN)
    (tmp_path / name).touch(0o755)

    def fixes(use_cache: bool = True) -> list[tuple[bool, set[str]]]:
        outcome = run.check([tmp_path], find([tmp_path], RULES), RULES, jobs=1, fixes=True, use_cache=use_cache)
        made = (f.fix for f in outcome.findings)
        return [(fix.safe, {Path(e.path).name for e in fix.edits}) for fix in made if fix is not None]

    before = fixes()
    (tmp_path / name).write_text(NAMING[name])
    assert fixes() == fixes(use_cache=False) != before == [(True, {"model.py"})]


def test_a_file_that_can_not_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, model="", train=TRAIN)
    assert found(tmp_path) == []
    (tmp_path / "model.py").unlink()
    (tmp_path / "model.py").symlink_to("model.py")
    assert found(tmp_path) == []
    (tmp_path / "model.py").unlink()
    lay(tmp_path, model=MODEL)
    assert found(tmp_path) == [("FL101", "train.py")]
