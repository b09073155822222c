import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from orchestra_creds.core.material import Material
from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.baseline import report as scan_report
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.finding import FindingPlace, ScanReport
from orchestra_creds.scanner.fingerprint import new_key
from orchestra_creds.scanner.gitleaks.accepted import GitleaksEntry, load_ignore, parse_ignore, parse_report, rekey
from orchestra_creds.scanner.gitleaks.setup import setup
from orchestra_creds.scanner.rule import Confidence, Rule, Severity

KEY = new_key()
RULE = Rule("google-api-key", "Google API key", "GAPI[a-z]{4}", Severity.HIGH, "restrict", "docs", ())
OTHER = replace(RULE, id="slack-webhook")
COMMIT = "c" * 40


def sighting(value: str, path: str = "a.py", line: int = 1, rule: Rule = RULE, commit: str = "") -> Sighting:
    text = value.encode()
    detection = Detection(rule, 0, len(text), 0, len(text), Material(text), Confidence.LIKELY)
    place = FindingPlace(path, line, line, 1, commit, date="2026-01-01T00:00:00Z" if commit else "")
    return Sighting(detection, place, Material(text), Material(text))


def report(*sightings: Sighting) -> ScanReport:
    filters = scan_report.Filters(KEY, date(2026, 1, 1))
    return scan_report.report(sightings, root=".", source="tree", filters=filters)


def row(
    value: str, path: str = "a.py", line: int = 1, rule: str = "gcp-api-key", commit: str = ""
) -> dict[str, object]:
    return {"RuleID": rule, "File": path, "StartLine": line, "Commit": commit, "Secret": value, "Match": value}


def entries(*rows: dict[str, object]) -> tuple[GitleaksEntry, ...]:
    return parse_report(json.dumps(rows), "report.json")


def test_an_ignore_file_is_read_with_comments_and_both_kinds_of_fingerprint() -> None:
    text = f"# old\n\na\\b.py:jwt:3\n  {COMMIT}:dir/c:d.py:jwt:4  \n"
    assert parse_ignore(text) == (GitleaksEntry("a/b.py", "jwt", 3), GitleaksEntry("dir/c:d.py", "jwt", 4, COMMIT))


@pytest.mark.parametrize("line", ["a.py", "a.py:3", "a.py:jwt:x", ":jwt:3"])
def test_a_line_that_is_no_fingerprint_is_named(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2: not a gitleaks fingerprint"):
        parse_ignore(f"# x\n{line}\n")


def test_an_ignore_is_found_in_the_folder_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / ".gitleaksignore").write_text("a:b:1\n")
    assert load_ignore(tmp_path) == load_ignore(tmp_path / ".gitleaksignore") == (GitleaksEntry("a", "b", 1),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "line 1: not JSON"), ("{}", "is an array"), ("[1]", "finding 1: not a gitleaks finding")],
)
def test_a_file_that_is_no_report_says_so(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_report(text, "report.json")
    assert problem in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("value", ["REDACTED", "GAP...", "GAPI***", "***", ""])
def test_a_redacted_value_is_unknown(value: str) -> None:
    (entry,) = entries(row(value))
    assert entry.secret is None


def test_a_known_value_is_found_again_whatever_its_line() -> None:
    found = rekey(entries(row("GAPIabcd", line=3)), report(sighting("GAPIabcd", line=90)), KEY)
    assert [finding.first.line for finding in found.findings] == [90]
    assert found.lost == ()


def test_another_value_on_the_old_line_is_not_accepted() -> None:
    (entry,) = entries(row("GAPIabcd", line=3))
    assert not entry.accepts(sighting("GAPIzzzz", line=3), frozenset())
    assert entry.accepts(sighting("GAPIabcd", line=9), frozenset())


def test_a_value_that_left_its_file_is_taken_where_it_stands() -> None:
    now = report(sighting("GAPIabcd", "new.py"))
    assert rekey(entries(row("GAPIabcd", "old.py")), now, KEY).findings == now.findings
    both = report(sighting("GAPIabcd", "new.py"), sighting("GAPIabcd", "old.py"))
    assert [f.first.path for f in rekey(entries(row("GAPIabcd", "old.py")), both, KEY).findings] == ["old.py"]


def test_without_a_value_file_line_and_commit_decide() -> None:
    entry = (GitleaksEntry("a.py", "gcp-api-key", 3, COMMIT),)
    assert rekey(entry, report(sighting("GAPIabcd", line=3, commit=COMMIT)), KEY).lost == ()
    assert rekey(entry, report(sighting("GAPIabcd", line=3, commit="d" * 40)), KEY).lost == entry
    assert rekey(entry, report(sighting("GAPIabcd", line=4, commit=COMMIT)), KEY).lost == entry


def test_a_rule_name_of_gitleaks_means_our_equal_or_when_unheard_of_any_built_in_rule() -> None:
    no_rules: frozenset[str] = frozenset()
    assert GitleaksEntry("a", "gcp-api-key", 1).means("google-api-key", no_rules)
    assert not GitleaksEntry("a", "gcp-api-key", 1).means("slack-webhook", no_rules)
    assert GitleaksEntry("a", "unheard-of", 1).means("slack-webhook", no_rules)
    assert not GitleaksEntry("a", "unheard-of", 1).means("mine", frozenset({"mine"}))
    assert not GitleaksEntry("a", "mine", 1).means("slack-webhook", frozenset({"mine"}))


def test_what_is_no_longer_found_is_told() -> None:
    found = rekey(entries(row("GAPIabcd", line=7)), report(), KEY)
    assert [str(entry) for entry in found.lost] == ["a.py:gcp-api-key:7"]
    assert "GAPI" not in repr(found)


def test_named_ignores_and_reports_hide_in_a_scan(tmp_path: Path) -> None:
    (tmp_path / "ignore").write_text("a.py:gcp-api-key:1\n")
    (tmp_path / "old.json").write_text(json.dumps([row("GAPIabcd", "b.py")]))
    policy = setup(
        [RULE, OTHER], root=tmp_path, ignore=str(tmp_path / "ignore"), baseline=str(tmp_path / "old.json")
    ).policy
    assert policy is not None
    shown = [sighting("GAPIabcd", "c.py"), sighting("GAPIabcd", "a.py", 2), sighting("x", "a.py", 1, OTHER)]
    hidden = [sighting("GAPIxxxx", "a.py"), sighting("GAPIabcd", "b.py", 50), sighting("GAPIabcd", "old.json")]
    assert policy.keep([*hidden, *shown]) == shown


def test_a_found_ignore_is_not_used_but_said(tmp_path: Path) -> None:
    (tmp_path / ".gitleaksignore").write_text("a.py:gcp-api-key:1\n")
    prepared = setup([RULE], root=tmp_path)
    assert prepared.policy is None
    assert "--gitleaks-ignore" in prepared.notes[0]
