"""A report with everything that can be awkward: hostile paths, a history, wrapped credentials, things not looked at."""

import os
from datetime import date

import pytest

from orchestra_creds.core.material import Material
from orchestra_creds.scanner import fingerprint
from orchestra_creds.scanner.baseline import report as scan_report
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.finding import FindingPlace, ScanReport, ScanStats, SkippedItem
from orchestra_creds.scanner.rule import Confidence, Rule, Severity

KEY = fingerprint.FingerprintKey(Material(bytes(range(32))))
CANARIES = ("Kanari" + "envogel" * 4, "Zeisig" * 6, "Stieglitz99")
"""Values that stand behind the findings of `report`: no output may hold one."""

PAT = Rule(
    "github-personal-access-token",
    "GitHub personal access token",
    "x",
    Severity.CRITICAL,
    "Revoke it in the settings of the account, then create a new one.",
    "docs",
    (),
    prefix="ghp_",
)
ACCOUNT = Rule(
    "google-service-account-key",
    "Google Cloud service account key",
    "x",
    Severity.CRITICAL,
    "Disable the key, then replace it.",
    "docs",
    (),
    confidence=Confidence.PROVEN,
)
PASSWORD = Rule("generic-password", "Password in an assignment", "x", Severity.MEDIUM, "Change it.", "docs", ())
HOSTILE = "a\x1b[31m\n::error::,%.zip!<b>\u202e" + os.fsdecode(b"\xff") + "/x"


def sighting(
    rule: Rule,
    value: str,
    path: str,
    line: int = 1,
    *,
    commit: str = "",
    day: str = "",
    author: str = "",
    in_head: bool = False,
    decoded: tuple[str, ...] = (),
) -> Sighting:
    text = (rule.prefix + value).encode()
    place = FindingPlace(path, line, line, 7, commit, author, f"{day}T10:00:00Z" if day else "", in_head)
    found = Detection(rule, 0, len(text), 0, len(text), Material(text), rule.confidence, decoded, "")
    return Sighting(found, place, Material(b"x = " + text), Material(text))


def assembled(*sightings: Sighting, source: str = "tree", skipped: tuple[SkippedItem, ...] = ()) -> ScanReport:
    return scan_report.report(
        sightings,
        root="/somewhere",
        source=source,
        filters=scan_report.Filters(KEY, date(2026, 1, 1)),
        skipped=skipped,
        stats=ScanStats(blobs=1234, bytes=12_345_678, cached=100, seconds=0.42, began="2026-01-02T03:04:05Z"),
    )


@pytest.fixture
def report() -> ScanReport:
    one, two, three = CANARIES
    return assembled(
        sighting(PAT, one, "src/[id]/[/x].py", 3),
        sighting(PAT, one, HOSTILE, 9, decoded=("base64", "json")),
        sighting(ACCOUNT, two, "conf/key.json", 5, commit="a" * 40, day="2024-02-03", author="Jane <b>Roe</b>"),
        sighting(ACCOUNT, two, "conf/key.json", 6, commit="b" * 40, day="2025-02-03", author="Max [x]", in_head=True),
        sighting(PASSWORD, three, "app.cfg", 1, commit="c" * 40, day="2024-06-01"),
        source="history",
        skipped=(SkippedItem("big\x07.bin", "larger than 100 MB"),),
    )


@pytest.fixture
def clean() -> ScanReport:
    return assembled()
