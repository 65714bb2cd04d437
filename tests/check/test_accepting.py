"""Beginning with what is new: a baseline, a revision to compare with, and comments for what is found today."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finallayer.cli import main

from ..models.test_strangers_files import dense, keras_file, sequential
from .programs import CLEAN, DOUBLE, MODEL, TRAIN, lay

IDENTITY = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
MORE = """
import torch
import torch.nn.functional as F


def more(z, y):
    return -torch.log(F.softmax(z, 1) + 1e-8)[torch.arange(len(y)), y].mean()


more(torch.nn.Linear(20, 4)(torch.ones(3, 20)), torch.zeros(3).long()).backward()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder, and no git settings but its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return tmp_path


def check(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["check", "--no-cache", *args])
    assert result.exit_code == code, result.output
    return result


def rules_of(*args: str) -> list[str]:
    """The rules that a check reports."""
    result = CliRunner().invoke(main, ["check", "--no-cache", "--output-format", "json", *args])
    return [finding["rule"] for finding in json.loads(result.stdout)]


def one_line(*args: str) -> str:
    result = check(*args, code=2)
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()[-1:]
    return line


def git(*args: str) -> None:
    subprocess.run(["git", *IDENTITY, *args], check=True, capture_output=True)


def committed(**files: str) -> None:
    """A repository of one commit."""
    lay(Path(), **files)
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "all")


# A baseline


def test_what_is_in_the_baseline_is_not_reported(here: Path) -> None:
    (here / "train.py").write_text(DOUBLE)
    check(".", "--baseline", "known.json", "--write-baseline")
    result = check(".", "--baseline", "known.json")
    assert result.stdout == "No findings in 1 file.\n"
    assert "1 finding not shown" in result.stderr


def test_what_is_new_is_reported_wherever_the_rest_has_moved_to(here: Path) -> None:
    (here / "train.py").write_text(DOUBLE)
    check(".", "--baseline", "known.json", "--write-baseline")
    (here / "train.py").write_text("# a line\n\n" + DOUBLE + MORE)
    assert rules_of(".", "--baseline", "known.json") == ["FL203"]


def test_a_second_one_like_the_first_is_new(here: Path) -> None:
    (here / "train.py").write_text(DOUBLE)
    check(".", "--baseline", "known.json", "--write-baseline")
    (here / "train.py").write_text(DOUBLE + DOUBLE.replace("def step", "def another"))
    assert len(rules_of(".")) == 2
    assert len(rules_of(".", "--baseline", "known.json")) == 1


def test_a_baseline_is_the_same_from_every_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "inner").mkdir()
    (here / "inner" / "train.py").write_text(DOUBLE)
    check(".", "--baseline", "known.json", "--write-baseline")
    monkeypatch.chdir(here / "inner")
    assert rules_of(".", "--baseline", "../known.json") == []


def test_what_is_mended_is_said_to_be_out_of_date(here: Path) -> None:
    (here / "train.py").write_text(DOUBLE)
    check(".", "--baseline", "known.json", "--write-baseline")
    (here / "train.py").write_text(CLEAN)
    assert "1 finding in known.json not met" in check(".", "--baseline", "known.json").stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "isn't JSON"),
        ("[]", "isn't a baseline of version 1"),
        ('{"version": 2, "findings": []}', "isn't a baseline of version 1"),
        ('{"version": 1, "findings": [{"rule": "FL101"}]}', "has a finding without a fingerprint"),
        ("[" * 100_000, "isn't JSON"),
        (None, "can't be read"),
    ],
)
def test_a_file_that_is_no_baseline_is_one_line(here: Path, text: str | None, says: str) -> None:
    (here / "train.py").write_text(DOUBLE)
    if text is not None:
        (here / "known.json").write_text(text)
    assert says in one_line(".", "--baseline", "known.json")


# A revision


def test_only_what_was_added_since_a_revision_is_reported(here: Path) -> None:
    committed(model=MODEL, train=TRAIN)
    assert rules_of(".", "--diff-base", "HEAD") == []
    (here / "train.py").write_text("# a line\n" + TRAIN + MORE)
    assert rules_of(".") == ["FL101", "FL203"]
    assert rules_of(".", "--diff-base", "HEAD") == ["FL203"]


def test_a_loss_that_a_change_elsewhere_makes_wrong_is_reported(here: Path) -> None:
    committed(model=MODEL.replace("softmax", "relu").replace("Softmax(dim=1)", "ReLU()"), train=TRAIN)
    (here / "model.py").write_text(MODEL)
    assert rules_of(".", "--diff-base", "HEAD") == ["FL101"]


def test_a_file_that_was_moved_adds_nothing(here: Path) -> None:
    committed(train=DOUBLE)
    (here / "src").mkdir()
    (here / "train.py").rename(here / "src" / "other.py")
    assert rules_of(".") == ["FL101"]
    assert rules_of(".", "--diff-base", "HEAD") == []


def test_a_copy_of_a_file_adds_what_it_holds(here: Path) -> None:
    committed(train=DOUBLE)
    (here / "copy.py").write_text(DOUBLE)
    assert rules_of(".", "--diff-base", "HEAD") == ["FL101"]


def test_a_revision_is_where_both_went_apart(here: Path) -> None:
    """What the other branch has mended meanwhile isn't of this change."""
    committed(train=DOUBLE)
    git("branch", "mine")
    (here / "train.py").write_text(CLEAN)
    git("commit", "--all", "--quiet", "--message", "mended")
    git("branch", "theirs")
    git("checkout", "--quiet", "mine")
    assert rules_of(".", "--diff-base", "theirs") == []


def test_taking_an_ignore_away_adds_a_finding(here: Path) -> None:
    last = DOUBLE.rstrip().splitlines()[-1]
    committed(train=DOUBLE.replace(last, f"{last}  # finallayer: ignore"))
    (here / "train.py").write_text(DOUBLE)
    assert rules_of(".", "--diff-base", "HEAD") == ["FL101"]


def test_no_program_of_the_repositorys_is_run(here: Path) -> None:
    committed(train=DOUBLE)
    (here / ".gitattributes").write_text("*.py filter=theirs diff=theirs\n")
    for key in ("filter.theirs.smudge", "filter.theirs.clean", "diff.theirs.textconv", "core.fsmonitor"):
        git("config", key, "touch ran; cat")
    git("add", ".gitattributes")
    (here / "ran").unlink(missing_ok=True)
    assert rules_of(".", "--diff-base", "HEAD") == []
    assert not (here / "ran").exists()


def test_a_tree_that_leads_out_of_the_repository_writes_nothing_there(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    committed(train=DOUBLE)
    blob = subprocess.run(["git", "hash-object", "-w", "train.py"], check=True, capture_output=True).stdout.strip()
    aim = tmp_path_factory.mktemp("aim") / "written.py"
    up = "/".join([".."] * 30)
    for name in (f"{up}{aim}", str(aim), ".git/evil.py"):
        entry = b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob.decode())
        done = subprocess.run(
            ["git", "hash-object", "--literally", "-t", "tree", "-w", "--stdin"],
            input=entry,
            capture_output=True,
            check=True,
        )
        commit = subprocess.run(
            ["git", *IDENTITY, "commit-tree", done.stdout.decode().strip(), "-m", "evil"],
            capture_output=True,
            check=True,
        )
        assert rules_of(".", "--diff-base", commit.stdout.decode().strip()) == ["FL101"]
    assert not aim.exists()


def test_a_revision_that_does_not_exist_is_one_line(here: Path) -> None:
    assert "is in no git repository" in one_line(".", "--diff-base", "HEAD")
    committed(train=CLEAN)
    assert "'nope' is no revision of the repository" in one_line(".", "--diff-base", "nope")
    assert "'--help' is no revision" in one_line(".", "--diff-base=--help")


# Comments


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("loss = crit(out, y)", "loss = crit(out, y)  # finallayer: ignore[FL101]"),
        ("loss = crit(out, y)  # mine", "loss = crit(out, y)  # mine  # finallayer: ignore[FL101]"),
        ("loss = crit(\n    out,\n    y,\n)", "loss = crit(\n    out,\n    y,\n)  # finallayer: ignore[FL101]"),
        ("loss = crit(out, y) + len('''\n#''')", "loss = crit(out, y) + len('''\n#''')  # finallayer: ignore[FL101]"),
        ("loss = crit(out, \\\n    y)", "loss = crit(out, \\\n    y)  # finallayer: ignore[FL101]"),
        (
            "loss = crit(out, y)  # finallayer: ignore[FL201]",
            "loss = crit(out, y)  # finallayer: ignore[FL201, FL101]",
        ),
        ("if crit(out, y) > 1:\n    pass", "if crit(out, y) > 1:  # finallayer: ignore[FL101]\n    pass"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_comment_stands_behind_the_statement(here: Path, before: str, after: str, end: str) -> None:
    start = "import torch\n\ncrit = torch.nn.CrossEntropyLoss()\nout = torch.softmax(torch.nn.Linear(4, 3)(x), 1)\n"
    (here / "train.py").write_bytes((start + before + "\n").replace("\n", end).encode())
    result = check(".", "--add-ignore")
    assert result.stdout == "Added comments for 1 finding in 1 file.\n"
    assert (here / "train.py").read_bytes() == (start + after + "\n").replace("\n", end).encode()
    assert rules_of(".") == []


def test_in_a_notebook_the_comment_stands_in_its_cell(here: Path) -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# text"]},
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": "%matplotlib inline\n"},
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": DOUBLE.splitlines(True),
        },
    ]
    (here / "book.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    check(".", "--add-ignore")
    assert rules_of(".") == []
    new = json.loads((here / "book.ipynb").read_text())["cells"]
    assert new[:2] == cells[:2]
    assert "".join(new[2]["source"]).count("# finallayer: ignore[FL101]") == 1


def test_only_what_would_be_reported_is_commented(here: Path) -> None:
    (here / "train.py").write_text(DOUBLE + MORE)
    check(".", "--add-ignore", "--select", "FL203")
    assert rules_of(".") == ["FL101"]


# What doesn't go together


@pytest.mark.parametrize(
    "args",
    [
        ["--fix", "--add-ignore"],
        ["--write-baseline"],
        ["--fix", "--baseline", "known.json"],
        ["--fix", "--diff-base", "HEAD"],
        ["--add-ignore", "--write-baseline", "--baseline", "known.json"],
        ["-", "--diff-base", "HEAD"],
        ["-", "--add-ignore"],
    ],
)
def test_what_does_not_go_together_is_said(args: list[str]) -> None:
    assert (
        "go together" in one_line(".", *args)
        or "goes with" in one_line(".", *args)
        or "is for files" in one_line(".", *args)
    )


# Saved models among the files


@pytest.fixture
def saved(here: Path) -> None:
    """A committed model that ends in a softmax over one unit."""
    keras_file(here / "model.keras", sequential(dense("lonely", 1, build_config={"input_shape": [None, 4]})))
    committed(train=CLEAN)
    assert rules_of(".") == ["FL105"]


def test_a_saved_model_that_was_there_adds_nothing(here: Path, saved: None) -> None:
    assert rules_of(".", "--diff-base", "HEAD") == []
    (here / "model.keras").rename(here / "other.keras")
    assert rules_of(".", "--diff-base", "HEAD") == []
    (here / "model.keras").write_bytes((here / "other.keras").read_bytes())
    assert rules_of(".", "--diff-base", "HEAD") == ["FL105"]


def test_a_saved_model_gets_no_comment(here: Path, saved: None) -> None:
    before = (here / "model.keras").read_bytes()
    assert (
        check(".", "--add-ignore", code=2).stderr.strip()
        == "finallayer: model.keras: nothing added: a saved model has no comments"
    )
    assert (here / "model.keras").read_bytes() == before


def test_a_saved_model_may_be_in_the_baseline(saved: None) -> None:
    check(".", "--baseline", "known.json", "--write-baseline")
    assert rules_of(".", "--baseline", "known.json") == []
