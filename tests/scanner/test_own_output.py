"""What we write holds no credential, so a later scan of it finds none."""

from datetime import date

import pytest

from orchestra_creds.core.material import Material
from orchestra_creds.render.formats import FORMATS
from orchestra_creds.render.report import render
from orchestra_creds.scanner import fingerprint
from orchestra_creds.scanner.baseline import file as baseline_file
from orchestra_creds.scanner.baseline import report as scan_report
from orchestra_creds.scanner.content.locate import locate_all
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import ScanReport
from orchestra_creds.scanner.samples.sample import render as sample
from tests.scanner.engines import plain

TEXT = "".join(
    f'token_{number} = "{sample("ghp_{crc62:30}", seed=number)}"\nAPI_KEY = "{sample("{b62:31}7", seed=number)}"\n'
    for number in range(8)
).encode()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return plain()


@pytest.fixture(scope="module")
def report(engine: Engine) -> ScanReport:
    key = fingerprint.FingerprintKey(Material(b"k" * 32))
    found = engine.settle(engine.examine(TEXT, engine.find_hits(TEXT)))
    filters = scan_report.Filters(key, date(2026, 1, 1))
    return scan_report.report(locate_all(TEXT, found, "a.py"), root=".", source="tree", filters=filters)


def rules_in(engine: Engine, text: bytes) -> set[str]:
    return {found.rule.id for found in engine.settle(engine.examine(text, engine.find_hits(text)))}


@pytest.mark.parametrize("format_", FORMATS)
def test_a_report_is_clean_for_the_next_scan(engine: Engine, report: ScanReport, format_: str) -> None:
    assert len(report.findings) >= 8
    assert rules_in(engine, render(report, format_).encode()) == set()


def test_a_baseline_is_clean_for_the_next_scan(engine: Engine, report: ScanReport) -> None:
    accepted = baseline_file.accept(
        baseline_file.Baseline("0123456789abcdef"),
        report.findings,
        reason="fakes",
        author="Ann",
        today=date(2026, 1, 1),
    )
    assert rules_in(engine, baseline_file.dumps(accepted).encode()) == set()


def test_a_hash_elsewhere_under_that_name_is_still_found(engine: Engine) -> None:
    text = f'"credential": "{sample("{hex:32}")}",\n"other": 1'
    assert rules_in(engine, text.encode()) == {"generic-secret"}
