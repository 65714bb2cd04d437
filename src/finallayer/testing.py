"""A plugin of pytest's: every loss that a test suite minimises is audited, and what is found is told in the summary.

``pytest -p finallayer.testing --audit-losses`` (installed, it is there without the ``-p``). A test that
wants to know more asks for the fixture ``audited_losses``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from finallayer.auditing.outcome import Audit

#: The severities that ``--audit-losses`` takes, and what stands for none of them.
_SEVERITIES = ("advice", "warning", "error")
_NEVER = "never"
#: Under what a worker of pytest-xdist hands on what it has found.
_FOUND = "finallayer_found"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("finallayer", "audit of the losses that tests minimise")
    group.addoption(
        "--audit-losses",
        nargs="?",
        const="error",
        choices=[*_SEVERITIES, _NEVER],
        help="Audit every loss whose gradient a test asks for; the run fails where a finding is at least as severe as "
        "this (default: error).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch every test, where that is asked for."""
    if config.getoption("--audit-losses") is not None:
        config.pluginmanager.register(_Watching(config), "finallayer-watching")


class AuditedLosses(list["Audit"]):
    """The audits of the losses that a test has minimised so far, in their order."""

    def raise_for(self, severity: str = "error") -> None:
        """Raise where anything at least as severe was found in any."""
        for audit in self:
            audit.raise_for(severity)


@pytest.fixture
def audited_losses() -> Iterator[AuditedLosses]:
    """Audits each loss whose gradient the test asks for, once for each place at which it does."""
    audits = AuditedLosses()
    with _told(audits):
        yield audits


def _told(audits: list[Audit]) -> Any:
    """While the audit of each loss that is minimised is put into a list."""
    from finallayer.auditing.judgement import judged
    from finallayer.live.minimising import losses_told

    return losses_told(lambda observation: audits.append(judged(observation)))


class _Watching:
    """What all tests of a run have shown: each finding once, with the first test that met it."""

    def __init__(self, config: pytest.Config) -> None:
        self._least = config.getoption("--audit-losses")
        self._found: dict[tuple[str, int, str], dict[str, Any]] = {}
        self._losses = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        audits: list[Audit] = []
        if "audited_losses" in getattr(item, "fixturenames", ()):
            return (yield)  # it is watched already
        with _told(audits):
            result = yield
        self._losses += len(audits)
        for audit in audits:
            self._add({**finding, "test": item.nodeid} for finding in json.loads(audit.to_json())["findings"])
        return result

    def _add(self, findings: Any) -> None:
        for finding in findings:
            self._found.setdefault((finding["path"], finding["line"], finding["rule"]), finding)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        handed_on = getattr(session.config, "workeroutput", None)
        if handed_on is not None:  # a worker's of pytest-xdist
            handed_on[_FOUND] = json.dumps([self._losses, list(self._found.values())])
        elif self._is_failure() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        losses, findings = json.loads(getattr(node, "workeroutput", {}).get(_FOUND, "[0, []]"))
        self._losses += losses
        self._add(findings)

    def _is_failure(self) -> bool:
        return self._least != _NEVER and any(
            _SEVERITIES.index(f["severity"]) >= _SEVERITIES.index(self._least) for f in self._found.values()
        )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("audited losses")
        for _, found in sorted(self._found.items()):
            place = f"{found['path']}:{found['line']}:{found['column']}"
            terminalreporter.line(f"{place}: {found['rule']} {found['message']} ({found['name']})")
            terminalreporter.line(f"    {found['severity']}, first met in {found['test']}")
        terminalreporter.line(f"{self._losses} losses were audited, {len(self._found)} findings.")
