"""Settings: what pyproject.toml may say, which one counts, and one clear line for what can't be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finallayer.check.check_error import CheckError
from finallayer.check.config import Config, find, from_table
from finallayer.findings import Severity
from finallayer.rules.base import Rule

RULES = {
    code: Rule(code, name, Severity.ERROR, "")
    for code, name in (("FL101", "double-softmax"), ("FL102", "logits-as-probabilities"), ("FL201", "log-of-softmax"))
}


def project(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


def of(folder: Path, text: str) -> Config:
    return find([project(folder, text)], RULES)


def test_without_settings_every_rule_counts(tmp_path: Path) -> None:
    config = find([tmp_path], RULES)
    assert config.selected == RULES.keys()
    assert config.severity is Severity.ADVICE


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ('select = ["FL1"]', {"FL101", "FL102"}),
        ('select = ["ALL"]', set(RULES)),
        ('select = ["fl201", "double-softmax"]', {"FL101", "FL201"}),
        ('ignore = ["FL1"]', {"FL201"}),
        ('select = ["FL1"]\nignore = ["FL102"]', {"FL101"}),
        ("select = []", set()),
    ],
)
def test_rules_are_meant_by_code_the_start_of_a_code_or_name(tmp_path: Path, text: str, selected: set[str]) -> None:
    assert of(tmp_path, f"[tool.finallayer]\n{text}").selected == selected


def test_the_command_line_stands_over_the_file(tmp_path: Path) -> None:
    config = of(tmp_path, '[tool.finallayer]\nselect = ["FL1"]\nseverity = "error"')
    assert config.severity is Severity.ERROR
    assert config.with_options((), (), None, RULES) == config
    assert config.with_options(["FL2"], (), "advice", RULES).selected == {"FL201"}
    assert config.with_options(["FL2"], (), "advice", RULES).severity is Severity.ADVICE
    assert config.with_options((), ["FL101"], None, RULES).selected == {"FL102"}
    with pytest.raises(CheckError, match="--select: unknown rule 'FL9'"):
        config.with_options(["FL9"], (), None, RULES)


@pytest.mark.parametrize(
    ("text", "unfixable"),
    [
        ("", set()),
        ('unfixable = ["FL1"]', {"FL101", "FL102"}),
        ('fixable = ["FL1"]', {"FL201"}),
        ('fixable = ["ALL"]\nunfixable = ["log-of-softmax"]', {"FL201"}),
        ("fixable = []", set(RULES)),
    ],
)
def test_what_is_left_to_people_is_what_is_not_fixable_or_unfixable(
    tmp_path: Path, text: str, unfixable: set[str]
) -> None:
    assert of(tmp_path, f"[tool.finallayer]\n{text}").unfixable == unfixable


def test_the_nearest_file_that_speaks_of_finallayer_counts(tmp_path: Path) -> None:
    project(tmp_path, '[tool.finallayer]\nselect = ["FL2"]')
    inner = project(tmp_path / "a" / "b", "[tool.other]\nx = 1  # finallayer\n")
    assert find([inner], RULES).selected == {"FL201"}
    assert find([inner], RULES).root == tmp_path
    own = project(tmp_path / "a" / "c", '[tool.finallayer]\nselect = ["FL101"]')
    (own / "m.py").write_text("")
    assert find([own / "m.py"], RULES).selected == {"FL101"}
    assert find([inner, own], RULES).selected == {"FL201"}  # what is common to all paths


def test_without_settings_the_nearest_project_is_the_root(tmp_path: Path) -> None:
    project(tmp_path, "")
    (tmp_path / "src").mkdir()
    assert find([tmp_path / "src"], RULES).root == tmp_path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.finallayer]\nselekt = []", "no key 'selekt'; did you mean 'select'?"),
        ("[tool.finallayer]\nxyzzy = 1", "no key 'xyzzy'; known are select, ignore"),
        ('[tool.finallayer]\nselect = "FL101"', "select must be a list of strings, not 'FL101'"),
        ("[tool.finallayer]\nselect = [1]", "select must be a list of strings, not [1]"),
        ('[tool.finallayer]\nignore = ["FL1011"]', "ignore: unknown rule 'FL1011'; did you mean FL101"),
        ('[tool.finallayer]\nseverity = "loud"', "severity must be one of advice, warning, error, not 'loud'"),
        ("[tool.finallayer]\nseverity = 1", "severity must be one of"),
        ("[tool.finallayer]\nper-file-ignores = []", "per-file-ignores must be a table"),
        ('[tool.finallayer.per-file-ignores]\n"a" = ["X"]', "per-file-ignores.'a': unknown rule 'X'"),
        ("[tool.finallayer]\nexclude = {}", "exclude must be a list of strings"),
        ('[tool.finallayer]\nfixable = "ALL"', "fixable must be a list of strings, not 'ALL'"),
        ('[tool.finallayer]\nunfixable = ["FL1011"]', "unfixable: unknown rule 'FL1011'; did you mean FL101"),
        ("[tool]\nfinallayer = 3", "[tool.finallayer] must be a table, not 3"),
        ("[tool.finallayer\n", "not TOML"),
        ("[tool.finallayer]\na = 1\na = 2", "not TOML"),
    ],
)
def test_what_can_not_be_meant_gets_one_line_naming_the_file_and_the_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CheckError) as caught:
        of(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "pyproject.toml"))
    assert says in message
    assert "\n" not in message


_VALUES = st.recursive(
    st.booleans() | st.integers() | st.text("FL1", max_size=3) | st.sampled_from(["FL101", "ALL", "error"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.dictionaries(
        st.sampled_from(["select", "ignore", "severity", "exclude", "per-file-ignores", "fixable", "unfixable"])
        | st.text(max_size=4),
        _VALUES,
        max_size=3,
    )
)
def test_any_table_is_settings_or_one_line(table: dict[str, Any]) -> None:
    try:
        config = from_table(table, Path("/p"), RULES, "pyproject.toml")
    except CheckError as error:
        assert str(error).startswith("pyproject.toml: ") and "\n" not in str(error)
    else:
        assert config.selected <= RULES.keys()


@given(st.binary(max_size=40))
def test_any_bytes_in_the_file_are_settings_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "pyproject.toml").write_bytes(b"[tool.finallayer]\n" + data)
    try:
        find([folder], RULES)
    except CheckError as error:
        assert "\n" not in str(error)
