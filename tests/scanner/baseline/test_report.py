from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.material import Material
from orchestra_creds.scanner.baseline import file as baseline_file
from orchestra_creds.scanner.baseline import report as scan_report
from orchestra_creds.scanner.baseline.report import Filters
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.finding import FindingPlace, ScanReport, SkippedItem
from orchestra_creds.scanner.fingerprint import new_key
from orchestra_creds.scanner.rule import Confidence, Rule, Severity

TOKEN = Rule("demo-token", "Demo token", "x", Severity.HIGH, "revoke it", "docs", (), prefix="demo_")
PASSWORD = Rule("demo-password", "Demo password", "x", Severity.LOW, "change it", "docs", ())
KEY = new_key()
FILTERS = Filters(KEY, date(2026, 5, 1))
OLD, NEW = "a" * 40, "b" * 40


def sighting(
    value: str,
    path: str = "a.py",
    line: int = 1,
    *,
    rule: Rule = TOKEN,
    allow: str = "",
    commit: str = "",
    in_head: bool = False,
    confidence: Confidence = Confidence.LIKELY,
    decoded: tuple[str, ...] = (),
) -> Sighting:
    text = value.encode()
    date_ = {"": "", OLD: "2024-01-01T00:00:00Z", NEW: "2025-01-01T00:00:00Z"}[commit]
    place = FindingPlace(path, line, line, 1, commit, "Ann" if commit else "", date_, in_head)
    detection = Detection(rule, 0, len(text), 0, len(text), Material(text), confidence, decoded)
    return Sighting(detection, place, Material(text), Material(text), allow)


def report(*sightings: Sighting, filters: Filters = FILTERS, source: str = "tree") -> ScanReport:
    return scan_report.report(sightings, root="/repository", source=source, filters=filters)


def test_one_credential_at_one_path_is_one_finding_with_all_its_places() -> None:
    (finding,) = report(sighting("demo_x", line=9), sighting("demo_x", line=3), sighting("demo_x", line=3)).findings
    assert [place.line for place in finding.places] == [3, 9]
    assert finding.first.line == 3


def test_the_same_credential_in_two_files_is_one_credential_and_two_findings() -> None:
    one, two = report(sighting("demo_x", "a"), sighting("demo_x", "b")).findings
    assert one.credential == two.credential
    assert one.fingerprint != two.fingerprint


def test_a_finding_shows_its_rule_and_a_mask_and_holds_no_material() -> None:
    (finding,) = report(sighting("demo_wonderful")).findings
    assert (finding.rule, finding.description, finding.remedy) == ("demo-token", "Demo token", "revoke it")
    assert finding.mask == "demo_***"
    assert "wonderful" not in repr(finding)


def test_the_clearest_spot_says_how_sure_a_finding_is() -> None:
    blurred = sighting("demo_x", line=1, confidence=Confidence.LIKELY, decoded=("base64",))
    (finding,) = report(blurred, sighting("demo_x", line=2, confidence=Confidence.PROVEN)).findings
    assert finding.confidence is Confidence.PROVEN
    assert finding.decoded == ()


def test_findings_stand_worst_first_then_by_path_and_line() -> None:
    sightings = [
        sighting("p1", "a", rule=PASSWORD),
        sighting("demo_2", "b"),
        sighting("demo_3", "a", 7),
        sighting("demo_4", "a", 2),
    ]
    order = [(finding.rule, finding.first.path, finding.first.line) for finding in report(*sightings).findings]
    assert order == [
        ("demo-token", "a", 2),
        ("demo-token", "a", 7),
        ("demo-token", "b", 1),
        ("demo-password", "a", 1),
    ]


MANY = [sighting(f"demo_{n % 7}", f"f{n % 3}", n, confidence=Confidence(1 + n % 3)) for n in range(30)]


@given(st.permutations(MANY))
def test_the_report_depends_on_the_sightings_as_a_set(shuffled: list[Sighting]) -> None:
    assert report(*shuffled) == report(*MANY)


def test_the_first_place_in_a_history_is_the_introducing_commit() -> None:
    late, early = sighting("demo_x", commit=NEW, line=1, in_head=True), sighting("demo_x", commit=OLD, line=5)
    (finding,) = report(late, early, source="history").findings
    assert finding.first.commit == OLD
    assert finding.in_head


def test_compiled_code_is_not_listed_beside_its_source() -> None:
    twins = ("a.pyc", "__pycache__/a.cpython-312.pyc", "lib/__pycache__/b.cpython-312.opt-1.pyc", "lib/b.pyc")
    result = report(sighting("demo_x", "a.py"), sighting("demo_y", "lib/b.py"), *(
        sighting("demo_y" if "lib" in path else "demo_x", path) for path in twins
    ))  # fmt: skip
    assert [finding.first.path for finding in result.findings] == ["a.py", "lib/b.py"]
    assert result.notes == ("not listed: 4 findings in .pyc files whose source holds the same credential",)
    assert result.allowed == 0


def test_compiled_code_is_listed_where_its_source_does_not_hold_the_credential() -> None:
    lone = [sighting("demo_x", "__pycache__/a.cpython-312.pyc"), sighting("demo_y", "a.py"), sighting("demo_x", "b.py")]
    assert len(report(*lone).findings) == 3
    gone = sighting("demo_x", "a.py", commit=OLD), sighting("demo_x", "a.pyc", commit=OLD, in_head=True)
    assert [finding.first.path for finding in report(*gone, source="history").findings] == ["a.py", "a.pyc"]
    assert not report(sighting("demo_x", "a.pyc", allow="x"), sighting("demo_x", "a.py", allow="x")).findings


def test_an_inline_allow_hides_its_spot_and_is_counted() -> None:
    result = report(sighting("demo_x", line=1, allow="test data"), sighting("demo_x", line=2))
    assert [place.line for finding in result.findings for place in finding.places] == [2]
    assert result.allowed == 1


def test_an_allow_on_todays_lines_also_covers_the_older_commits_of_that_credential_there() -> None:
    old = sighting("demo_x", commit=OLD)
    assert report(old, sighting("demo_x", commit=NEW, in_head=True, allow="revoked")).findings == ()
    assert len(report(old, sighting("demo_x", commit=NEW, in_head=False, allow="revoked")).findings) == 1
    other = sighting("demo_x", "b.py", commit=OLD)
    assert len(report(other, sighting("demo_x", commit=NEW, in_head=True, allow="revoked")).findings) == 1


def test_what_is_milder_than_asked_is_left_out() -> None:
    result = report(sighting("p", rule=PASSWORD), filters=replace(FILTERS, min_severity=Severity.MEDIUM))
    assert result.findings == ()


def test_the_baseline_hides_and_its_expired_entries_are_named() -> None:
    whole = report(sighting("demo_x"), sighting("demo_y", "b.py"))
    accepted = baseline_file.accept(
        baseline_file.Baseline(KEY.id),
        whole.findings[:1],
        reason="revoked",
        author="",
        today=FILTERS.today,
        expires=FILTERS.today,
    )
    now = report(sighting("demo_x"), filters=replace(FILTERS, baseline=accepted))
    assert (now.findings, now.accepted, now.notes) == ((), 1, ())
    later = report(sighting("demo_x"), filters=replace(FILTERS, baseline=accepted, today=date(2027, 1, 1)))
    assert len(later.findings) == 1
    assert "expired on 2026-05-01" in later.notes[0]


def test_a_key_that_could_not_be_kept_is_said() -> None:
    result = report(filters=replace(FILTERS, key=new_key(temporary=True)))
    assert "could not be kept" in result.notes[0]


def test_what_could_not_be_read_makes_the_report_incomplete() -> None:
    skipped = [SkippedItem("b", "larger"), SkippedItem("a", "denied"), SkippedItem("a", "denied")]
    result = scan_report.report([], root=".", source="tree", filters=FILTERS, skipped=skipped)
    assert [item.path for item in result.skipped] == ["a", "b"]
    assert not result.complete


def test_a_policy_sees_the_sightings_first() -> None:
    class NoDemo:
        hidden: set[tuple[str, Material, str]]

        def __init__(self) -> None:
            self.hidden = set()

        def keep(self, sightings: Sequence[Sighting]) -> list[Sighting]:
            return [s for s in sightings if s.detection.rule is not TOKEN]

    result = report(sighting("demo_x"), sighting("p", rule=PASSWORD), filters=replace(FILTERS, gitleaks=NoDemo()))
    assert [finding.rule for finding in result.findings] == ["demo-password"]
