"""Findings as JUnit XML, which most CI services show as test results: a suite a file, a failed test a finding.

Format: https://github.com/testmoapp/junitxml
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from xml.etree import ElementTree

from finallayer.findings import Finding
from finallayer.report import Report
from finallayer.report.places import plain, shown, shown_path

#: What an XML document may not hold (https://www.w3.org/TR/xml/#charsets), besides what is escaped for all readers.
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufffe\uffff]")


def render(report: Report) -> Iterator[str]:
    """One document. It is never empty, which services take for a fault: where nothing was found, a test has passed."""
    total = len(report.findings)
    root = ElementTree.Element("testsuites", name="finallayer", tests=str(total or 1), failures=str(total), errors="0")
    for path, found in groupby(report.findings, key=lambda f: f.origin.path):
        _add_suite(root, plain(shown_path(path)), list(found))
    if not total:
        suite = ElementTree.SubElement(root, "testsuite", name="finallayer", tests="1", failures="0", errors="0")
        ElementTree.SubElement(suite, "testcase", name=f"no findings in {report.files} files", classname="finallayer")
    ElementTree.indent(root)
    yield '<?xml version="1.0" encoding="utf-8"?>'
    text = ElementTree.tostring(root, encoding="unicode")
    yield from _NO_CHARACTER.sub(lambda found: f"\\u{ord(found[0]):04x}", text).split("\n")


def _add_suite(root: ElementTree.Element, path: str, found: list[Finding]) -> None:
    number = str(len(found))
    suite = ElementTree.SubElement(root, "testsuite", name=path, tests=number, failures=number, errors="0")
    for finding in found:
        rule, origin, message = finding.rule, finding.origin, plain(finding.message)
        name, line = f"{rule.code} at {shown(origin)}", str(origin.line)
        case = ElementTree.SubElement(suite, "testcase", name=name, classname=path, file=path, line=line)
        failure = ElementTree.SubElement(case, "failure", type=str(finding.severity), message=f"{rule.code} {message}")
        failure.text = "\n".join(
            [f"{shown(origin)}: {rule.code} {message} ({rule.name})"]
            + [f"{shown(r.origin)}: {plain(r.message)}" for r in finding.related]
        )
