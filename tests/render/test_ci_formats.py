"""JUnit XML and GitLab's secret detection report: what their readers demand, and nothing of a value."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

from orchestra_creds.render import gitlab, junit
from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport, ScanStats, SkippedItem
from orchestra_creds.scanner.rule import Confidence, Severity

FINDING = Finding(
    "generic-password",
    "Password assigned to a name",
    Severity.MEDIUM,
    Confidence.POSSIBLE,
    "f" * 32,
    "c" * 32,
    "***",
    (
        FindingPlace("a<b>&\x01.env", 3, 3, 5, "1" * 40, "Ann", "2026-01-02T03:04:05Z", in_head=True),
        FindingPlace("a<b>&\x01.env", 9, 9, 5),
    ),
    remedy="Change it.",
)
REPORT = ScanReport(".", "tree", (FINDING,), (SkippedItem("lost\x00.7z", "cannot be read"),))


def test_a_finding_is_a_failed_case_and_what_was_not_looked_at_an_error() -> None:
    suites = ET.fromstring(junit.render(REPORT))  # noqa: S314  our own document
    suite = suites[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "1")
    failed, broken = suite.findall("testcase")
    assert failed.get("classname") == "generic-password"
    assert "a<b>&\\x01.env:9:5" in (failed[0].text or "")
    assert broken[0].get("message") == "cannot be read"


def test_a_clean_scan_is_one_passed_case() -> None:
    suite = ET.fromstring(junit.render(ScanReport(".", "tree", stats=ScanStats(1, 10))))[0]  # noqa: S314
    (case,) = suite.findall("testcase")
    assert list(case) == []
    assert "no credentials found" in (case.get("name") or "")


def test_gitlab_gets_what_its_schema_requires() -> None:
    document = json.loads(gitlab.render(REPORT))
    scan = document["scan"]
    assert set(scan) >= {"analyzer", "scanner", "type", "start_time", "end_time", "status"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", scan[name]) for name in ("start_time", "end_time"))
    assert (scan["type"], scan["status"]) == ("secret_detection", "failure")
    first, second = document["vulnerabilities"]
    assert first["id"] != second["id"]
    assert first["location"]["commit"] == {"sha": "1" * 40, "author": "Ann", "date": "2026-01-02T03:04:05Z"}
    assert second["location"]["commit"] == {"sha": "0" * 40}
    assert first["severity"] in {"Info", "Unknown", "Low", "Medium", "High", "Critical"}
    assert all(set(one) == {"type", "name", "value"} for one in first["identifiers"])


@pytest.mark.parametrize("complete", [True, False])
def test_only_a_whole_scan_is_a_success_in_gitlab(complete: bool) -> None:
    report = ScanReport(".", "tree", skipped=() if complete else REPORT.skipped)
    assert json.loads(gitlab.render(report))["scan"]["status"] == ("success" if complete else "failure")
