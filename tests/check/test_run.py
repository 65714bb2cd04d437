"""One check from paths to findings: the cache, the processes and the filters change when, never what, is found."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from finallayer.check import cache, chunk, judge, pool, run, workers
from finallayer.check.config import Config, find
from finallayer.check.record import pack, unpack
from finallayer.expr import Origin
from finallayer.findings import Edit, Finding, Fix, Related
from finallayer.rules import all_rules
from finallayer.source import Project, files
from finallayer.source.files import SourceFile

from .programs import CLEAN, DOUBLE, MODEL, TRAIN, lay

RULES = all_rules()


def check(*paths: Path, config: Config | None = None, use_cache: bool = False, jobs: int = 1) -> run.Outcome:
    return run.check(paths, config or find(paths, RULES), RULES, use_cache=use_cache, jobs=jobs)


def seen(outcome: run.Outcome) -> list[tuple[str, str, int]]:
    return [(f.rule.code, Path(f.origin.path).name, f.origin.line) for f in outcome.findings]


def places(outcome: run.Outcome) -> list[tuple[str, int, str]]:
    """The places that the first finding speaks of."""
    return [(Path(r.origin.path).name, r.origin.line, r.message) for r in outcome.findings[0].related]


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are really analysed, in order."""
    names: list[str] = []
    real = judge.analyse

    def noting(path: str, project: Project, **more: Any) -> judge.Analysis:
        names.append(Path(path).name)
        return real(path, project, **more)

    monkeypatch.setattr(chunk, "analyse", noting)
    return names


def test_a_model_and_its_loss_meet_across_files(tmp_path: Path) -> None:
    lay(tmp_path, model=MODEL, train=TRAIN)
    outcome = check(tmp_path)
    assert seen(outcome) == [("FL101", "train.py", 9)]
    assert places(outcome) == [
        ("model.py", 11, "softmax applied here"),
        ("train.py", 5, "`CrossEntropyLoss` made here"),
    ]


LAYERS = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, {parameter}):
        super().__init__()
        self.head = nn.Linear(10, 10)
        self.last = {last}

    def forward(self, x):
        return self.last(self.head(x))


net = Net({given})


def step(x, y):
    return nn.CrossEntropyLoss()(net(x), y)
"""


def test_a_finding_names_the_lines_to_edit_where_layer_and_loss_are_made(tmp_path: Path) -> None:
    lay(tmp_path, a=LAYERS.format(parameter="", last="nn.Softmax(dim=1)", given=""))
    assert places(check(tmp_path)) == [("a.py", 11, "softmax applied here"), ("a.py", 8, "`Softmax` made here")]


def test_of_layers_made_in_several_places_none_is_named(tmp_path: Path) -> None:
    last = "nn.Softmax(dim=1)\n        if loud:\n            self.last = nn.Softmax(dim=-1)"
    lay(tmp_path, a=LAYERS.format(parameter="loud", last=last, given="unknown"))
    assert places(check(tmp_path)) == [("a.py", 13, "softmax applied here")]


def test_a_place_that_several_files_lead_to_is_reported_once(tmp_path: Path) -> None:
    lay(tmp_path, train=TRAIN, model=MODEL, main="import torch, train\ntrain.step(1, 2)\n", double=DOUBLE)
    assert seen(check(tmp_path)) == [("FL101", "double.py", 6), ("FL101", "train.py", 9)]


def test_a_file_that_is_not_python_3_is_noted_and_the_rest_checked(tmp_path: Path) -> None:
    lay(tmp_path, a=DOUBLE, b="import torch\nprint 'loss'\n")
    outcome = check(tmp_path)
    assert seen(outcome) == [("FL101", "a.py", 6)]
    assert [(Path(n.path).name, n.text) for n in outcome.notes] == [("b.py", "Python 2, not Python 3 (line 2)")]


def test_a_mistake_of_ours_in_one_file_leaves_the_others_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, a=DOUBLE, b=DOUBLE)
    import finallayer.source

    real = finallayer.source.interpret

    def failing(file: SourceFile, project: Project) -> object:
        if file.path.endswith("a.py"):
            raise RecursionError("too deep")
        return real(file, project)

    monkeypatch.setattr(finallayer.source, "interpret", failing)
    outcome = check(tmp_path)
    assert seen(outcome) == [("FL101", "b.py", 6)]
    assert [n.text for n in outcome.notes] == ["could not be analysed (RecursionError: too deep); please report this"]


# Filters


def settings(root: Path, text: str) -> Config:
    (root / "pyproject.toml").write_text(f"[tool.finallayer]\n{text}")
    return find([root], RULES)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ["a.py", "b.py"]),
        ('ignore = ["FL101"]', []),
        ('select = ["FL2"]', []),
        ('exclude = ["sub"]', ["a.py"]),
        ('per-file-ignores = { "sub/*" = ["FL1"] }', ["a.py"]),
        ('per-file-ignores = { "sub" = ["FL1"], "a.py" = ["FL2"] }', ["a.py"]),
        ('severity = "error"', ["a.py", "b.py"]),
    ],
)
def test_settings_filter_what_is_shown(tmp_path: Path, text: str, left: list[str]) -> None:
    lay(tmp_path, a=DOUBLE, **{"sub/b": DOUBLE})
    assert [name for _, name, _ in seen(check(tmp_path, config=settings(tmp_path, text)))] == left


def test_less_severe_findings_than_asked_for_are_not_shown(tmp_path: Path) -> None:
    lay(tmp_path, a="import torch\n\n\ndef f(z, y):\n    return -torch.log(torch.softmax(net(z), 1))[y].mean()\n")
    shown = {f.rule.severity.name for f in check(tmp_path).findings}
    assert "ERROR" not in shown
    assert not check(tmp_path, config=settings(tmp_path, 'severity = "error"')).findings


def test_a_comment_keeps_a_finding_quiet_in_the_file_where_it_stands(tmp_path: Path) -> None:
    quiet = TRAIN.replace("net(x), y)", "net(x), y)  # finallayer: ignore[FL101]")
    lay(tmp_path, model=MODEL, train=quiet, main="import torch, train\ntrain.step(1, 2)\n")
    assert not check(tmp_path).findings
    lay(tmp_path, train=quiet.replace("FL101", "FL102"))
    assert seen(check(tmp_path)) == [("FL101", "train.py", 9)]


def test_in_a_notebook_places_are_in_cells(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": "# loss"},
        {"cell_type": "code", "source": "%matplotlib inline\nimport torch\nimport torch.nn.functional as F"},
        {
            "cell_type": "code",
            "source": "def step(z, y):\n    p = torch.softmax(z, 1)\n    return F.cross_entropy(p, y)",
        },
        {"cell_type": "code", "source": "F.cross_entropy(torch.softmax(z, 1), y)  # finallayer: ignore"},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    (finding,) = check(tmp_path).findings
    assert (finding.origin.cell, finding.origin.line, finding.origin.column) == (2, 3, 11)
    assert [(r.origin.cell, r.origin.line) for r in finding.related] == [(2, 2)]


# The cache


def test_a_second_run_analyses_nothing_and_finds_the_same(tmp_path: Path, analysed: list[str]) -> None:
    lay(tmp_path, model=MODEL, train=TRAIN, broken="import torch\nprint 'loss'\n")
    first = check(tmp_path, use_cache=True)
    assert sorted(analysed) == ["broken.py", "model.py", "train.py"]
    analysed.clear()
    second = check(tmp_path, use_cache=True)
    assert analysed == []
    assert (second.findings, second.notes) == (first.findings, first.notes)
    assert first.findings


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"clean": CLEAN + "\n"}, {"clean.py"}),
        ({"model": MODEL.replace("softmax", "log_softmax")}, {"model.py", "train.py"}),
        ({"new": "import torch\nloss = 1\n"}, {"new.py"}),
        ({"model/__init__": MODEL}, {"train.py", "__init__.py"}),  # a package goes before a module of its name
    ],
    ids=["a file", "a file that another imports", "a new file", "a new file that an import now leads to"],
)
def test_what_has_changed_is_analysed_again(
    tmp_path: Path, analysed: list[str], change: dict[str, str], again: set[str]
) -> None:
    lay(tmp_path, model=MODEL, train=TRAIN, clean=CLEAN)
    check(tmp_path, use_cache=True)
    analysed.clear()
    lay(tmp_path, **change)
    outcome = check(tmp_path, use_cache=True)
    assert set(analysed) == again
    assert outcome.findings == check(tmp_path).findings


def with_fixes(folder: Path, fixes: bool) -> list[bool]:
    outcome = run.check([folder], find([folder], RULES), RULES, jobs=1, fixes=fixes)
    return [f.fix is not None for f in outcome.findings]


def test_fixes_are_kept_and_come_where_they_are_asked_for(tmp_path: Path, analysed: list[str]) -> None:
    lay(tmp_path, a=DOUBLE, clean=CLEAN)
    assert with_fixes(tmp_path, fixes=False) == [False]
    assert with_fixes(tmp_path, fixes=True) == [True]
    assert analysed.count("a.py") == 2
    assert with_fixes(tmp_path, fixes=False) == [False]
    assert with_fixes(tmp_path, fixes=True) == [True]
    assert analysed.count("a.py") == 2  # as before: they were kept
    lay(tmp_path, clean=CLEAN + "# new\n")
    assert with_fixes(tmp_path, fixes=True) == [True]
    assert analysed.count("a.py") == 3  # it could have become one that reads what the fix changes


def test_what_nobody_is_shown_needs_no_fixes(tmp_path: Path, analysed: list[str]) -> None:
    lay(tmp_path, a=DOUBLE)
    settings(tmp_path, 'ignore = ["FL101"]')
    with_fixes(tmp_path, fixes=False)
    analysed.clear()
    assert with_fixes(tmp_path, fixes=True) == []
    assert analysed == []


def test_an_import_that_was_broken_and_is_mended_is_read_again(tmp_path: Path) -> None:
    lay(tmp_path, model="import torch\nprint 'loss'\n", train=TRAIN)
    assert not check(tmp_path, use_cache=True).findings
    lay(tmp_path, model=MODEL)
    assert seen(check(tmp_path, use_cache=True)) == [("FL101", "train.py", 9)]


def test_settings_don_t_empty_the_cache(tmp_path: Path, analysed: list[str]) -> None:
    lay(tmp_path, a=DOUBLE)
    assert not check(tmp_path, config=settings(tmp_path, 'ignore = ["FL1"]'), use_cache=True).findings
    assert check(tmp_path, config=settings(tmp_path, ""), use_cache=True).findings
    assert analysed == ["a.py"]


def entries(root: Path) -> list[Path]:
    return sorted((root / cache.FOLDER).glob("*/*.json"))


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'{"stamp": 1}', b"\xff\x00", b"[" * 100_000], ids=lambda d: repr(d[:12])
)
def test_a_damaged_entry_counts_as_absent(tmp_path: Path, damage: bytes) -> None:
    lay(tmp_path, a=DOUBLE)
    first = check(tmp_path, use_cache=True)
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    entry.write_bytes(damage)
    assert check(tmp_path, use_cache=True).findings == first.findings
    assert entry.read_bytes() == whole


@pytest.mark.parametrize("key", ["stamp", "path", "files", "findings", "notes"])
@pytest.mark.parametrize("value", [None, 7, "x", {"x": "y"}, [[]], [{"rule": "FL101"}]])
def test_an_entry_with_anything_in_place_of_a_field_never_fails(tmp_path: Path, key: str, value: object) -> None:
    lay(tmp_path, a=DOUBLE)
    first = check(tmp_path, use_cache=True)
    (entry,) = entries(tmp_path)
    entry.write_text(json.dumps(json.loads(entry.read_text()) | {key: value}))
    assert check(tmp_path, use_cache=True).findings in (first.findings, ())


def test_an_entry_of_another_version_counts_as_absent(
    tmp_path: Path, analysed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, a=DOUBLE)
    check(tmp_path, use_cache=True)
    monkeypatch.setattr(cache, "__version__", "0.0.0")
    check(tmp_path, use_cache=True)
    assert analysed == ["a.py", "a.py"]


def test_where_nothing_can_be_kept_nothing_fails(tmp_path: Path) -> None:
    lay(tmp_path, a=DOUBLE)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / cache.FOLDER).write_text("a file where the folder would be")
    assert seen(check(tmp_path, use_cache=True)) == [("FL101", "a.py", 6)]


def test_git_ignores_the_cache_and_a_check_does_not_read_it(tmp_path: Path) -> None:
    lay(tmp_path, a=DOUBLE)
    check(tmp_path, use_cache=True)
    assert (tmp_path / cache.FOLDER / ".gitignore").read_text() == "*\n"
    assert not list((tmp_path / cache.FOLDER).rglob("*.tmp"))


def test_a_finding_survives_being_packed() -> None:
    rule = RULES["FL101"]
    origin = Origin("/p/é.ipynb", 3, 4, 3, 9, 2)
    edit = Edit("/p/a.py", 1, 2, 3, 4, "x\n", 5)
    full = Finding(
        rule,
        origin,
        "m",
        "e(z)",
        {"float32": 16.1, "float64": float("inf")},
        (Related(origin, "r"),),
        Fix(True, (edit,), "n"),
    )
    for finding in (full, Finding(rule, origin, "", "")):
        assert unpack(json.loads(json.dumps(pack(finding))), RULES) == finding


# Processes


def many(root: Path, number: int) -> None:
    for i in range(number):
        lay(root, **{f"f{i:03}": DOUBLE if i % 3 else CLEAN})


def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 30)
    alone = check(tmp_path)
    monkeypatch.setattr(workers, "BYTES_WORTH_A_PROCESS", 1)
    apart = check(tmp_path, jobs=2)
    assert apart.findings == alone.findings
    assert len(alone.findings) == 20


def test_a_process_that_dies_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 12)
    monkeypatch.setattr(workers, "BYTES_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(pool, "WORKER", f"{__package__}.dying_worker")
    outcome = check(tmp_path, jobs=2)
    assert [n.text for n in outcome.notes] == ["could not be analysed (the process died); please report this"]
    assert len(outcome.findings) == 7


def test_a_check_that_is_broken_off_ends_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 12)
    started: list[subprocess.Popen[Any]] = []
    real = subprocess.Popen

    def starting(*args: Any, **options: Any) -> subprocess.Popen[Any]:
        started.append(real(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", starting)
    chunks = [[str(path)] for path in sorted(tmp_path.glob("*.py"))]
    analyses = pool.analyse_apart(chunks, 2, False)
    assert next(analyses)[0] == chunks[0]
    analyses.close()
    assert started and all(process.poll() is not None for process in started)


def test_processes_import_nothing_of_the_folder_they_start_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that is checked is anybody's: its struct.py must not run in place of Python's."""
    lay(tmp_path, **{name: "open('ran', 'w')\n" for name in sorted(sys.stdlib_module_names) if name.isidentifier()})
    lay(tmp_path, finallayer="open('ran', 'w')\n", numpy="open('ran', 'w')\n", double=DOUBLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    ((_, analyses),) = pool.analyse_apart([["double.py"]], 1, True)
    assert analyses is not None and [f.rule.code for f in analyses[0].findings] == ["FL101"]
    assert not (tmp_path / "ran").exists()


def test_a_few_small_files_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path, 12)

    def refuse(chunks: Sequence[Sequence[str]], jobs: int) -> object:
        raise AssertionError("a process was started")

    monkeypatch.setattr(workers, "_analyse_apart", refuse)
    assert len(check(tmp_path, jobs=8).findings) == 8


def test_a_file_is_parsed_once_whoever_else_imports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return x.softmax(1)\n"
    train = "import torch.nn.functional as F\nfrom net import Net\nF.cross_entropy(Net()(x), y)\n"
    for name, text in (("a_train.py", train), ("net.py", net), ("train.py", train)):
        (tmp_path / name).write_text(text)
    parsed: list[str] = []

    def parse(text: str) -> ast.Module:
        parsed.append(text)
        return ast.parse(text)

    monkeypatch.setattr(files, "parse", parse)
    found = chunk.analyse_chunk([str(path) for path in sorted(tmp_path.iterdir())], fixes=False)
    assert [f.rule.code for a in found for f in a.findings] == ["FL101", "FL101"]
    assert sorted(parsed) == sorted([net, train, train])
