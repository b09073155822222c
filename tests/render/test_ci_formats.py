"""JUnit XML and GitLab's secret detection report: what their readers demand, and nothing of a value."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import jsonschema
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
REPORT = ScanReport(
    ".",
    "tree",
    (FINDING,),
    (SkippedItem("lost\x00.7z", "cannot be read"),),
    stats=ScanStats(2, 20, seconds=61.5, began="2026-01-02T03:04:05Z"),
)
CLEAN = ScanReport(".", "tree", stats=ScanStats(1, 10))
GITLAB = jsonschema.Draft7Validator(json.loads(Path(__file__).with_name("gitlab_schema.json").read_text()))


@dataclass(frozen=True)
class Element:
    """What the schema says of an element: the attributes that it must and may have, and what may stand in it."""

    required: frozenset[str]
    optional: frozenset[str]
    children: frozenset[str]


def element(required: str = "", optional: str = "", children: str = "") -> Element:
    return Element(frozenset(required.split()), frozenset(optional.split()), frozenset(children.split()))


JUNIT = {
    "testsuites": element("", "name time tests failures errors", "testsuite"),
    "testsuite": element(
        "name tests failures errors",
        "group time skipped timestamp hostname id package file log url",
        "testsuite properties testcase system-out system-err",
    ),
    "testcase": element("name", "time classname group", "skipped error failure system-out system-err"),
    "failure": element("", "type message"),
    "error": element("", "type message"),
    "system-out": element(),
}
"""The part of Jenkins' junit-10.xsd that is used here."""
_TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def junit_faults(text: str) -> list[str]:
    """What the schema of Jenkins does not allow in a document."""
    faults = []
    root = ET.fromstring(text)  # noqa: S314  our own document
    if root.tag != "testsuites":
        faults.append(f"the root is {root.tag}")
    for one in root.iter():
        known = JUNIT.get(one.tag)
        if known is None:
            faults.append(f"unknown element {one.tag}")
            continue
        faults += [f"{one.tag} lacks {name}" for name in known.required - set(one.attrib)]
        faults += [f"{one.tag} has {name}" for name in set(one.attrib) - known.required - known.optional]
        faults += [f"{child.tag} in {one.tag}" for child in one if child.tag not in known.children]
        if not _TIME.fullmatch(one.get("time", "")):
            faults.append(f"time of {one.tag}")
        if (
            one.tag in {"testsuites", "testsuite", "testcase"}
            and "".join([one.text or "", *(c.tail or "" for c in one)]).strip()
        ):
            faults.append(f"text in {one.tag}")
    return faults


@pytest.mark.parametrize("report", [REPORT, CLEAN])
def test_junit_fits_the_schema_of_jenkins(report: ScanReport) -> None:
    assert junit_faults(junit.render(report)) == []


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ("classname=", "class=", "testcase has class"),
        (" name=", " title=", "testcase lacks name"),
        ('time="61.500"', 'time="1m"', "time of testsuite"),
        ("failure", "fault", "unknown element fault"),
    ],
)
def test_what_jenkins_would_refuse_is_seen(good: str, bad: str, fault: str) -> None:
    assert fault in junit_faults(junit.render(REPORT).replace(good, bad))


@pytest.mark.parametrize("report", [REPORT, CLEAN])
def test_gitlab_report_fits_its_schema(report: ScanReport) -> None:
    GITLAB.check_schema(GITLAB.schema)
    document = json.loads(gitlab.render(report))
    assert [error.message for error in GITLAB.iter_errors(document)] == []
    for name in ("scan", "version", "vulnerabilities"):
        assert not GITLAB.is_valid({key: value for key, value in document.items() if key != name})
    assert not GITLAB.is_valid({**document, "scan": {**document["scan"], "start_time": "2026-01-02T03:04:05Z"}})


def test_gitlab_report_holds_when_the_scan_began_and_ended() -> None:
    scan = json.loads(gitlab.render(REPORT))["scan"]
    assert (scan["start_time"], scan["end_time"]) == ("2026-01-02T03:04:05", "2026-01-02T03:05:06")


def test_a_finding_is_a_failed_case_and_what_was_not_looked_at_an_error() -> None:
    suites = ET.fromstring(junit.render(REPORT))  # noqa: S314  our own document
    suite = suites[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "1")
    failed, broken = suite.findall("testcase")
    assert failed.get("classname") == "generic-password"
    assert "a<b>&\\x01.env:9:5" in (failed[0].text or "")
    assert broken[0].get("message") == "cannot be read"


def test_a_clean_scan_is_one_passed_case() -> None:
    suite = ET.fromstring(junit.render(CLEAN))[0]  # noqa: S314
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
