import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.errors import ConfigError, NotFoundError
from orchestra_creds.scanner.baseline.file import (
    ANYWHERE,
    Baseline,
    BaselineEntry,
    EntryState,
    accept,
    audit,
    choose,
    drop_entries,
    dumps,
    judge,
    load,
    loads,
    remove,
    save,
)
from orchestra_creds.scanner.finding import Finding, FindingPlace
from orchestra_creds.scanner.rule import Confidence, Severity

TODAY = date(2026, 5, 1)
EMPTY = Baseline("0123456789abcdef")


def finding(name: str, path: str = "a.py", *, in_head: bool = True) -> Finding:
    """A finding whose credential is spelled by `name`, one hex digit."""
    return Finding(
        rule="demo",
        description="Demo token",
        severity=Severity.HIGH,
        confidence=Confidence.LIKELY,
        fingerprint=f"{name}{path.encode().hex()[:30]:0<31}",
        credential=name * 32,
        mask="***",
        places=(FindingPlace(path, 1, 1, 1, in_head=in_head),),
    )


def accepted(*findings: Finding, expires: date | None = None, anywhere: bool = False) -> Baseline:
    return accept(EMPTY, findings, reason="a fixture", author="Ann", today=TODAY, expires=expires, anywhere=anywhere)


def test_an_accepted_finding_is_hidden_and_counted() -> None:
    one, two = finding("a"), finding("b")
    verdicts = judge(accepted(one), [one, two], TODAY)
    assert verdicts.findings == (two,)
    assert verdicts.accepted == 1
    assert verdicts.expired == ()


def test_an_entry_counts_through_its_last_day_and_then_its_finding_counts_again() -> None:
    one = finding("a")
    baseline = accepted(one, expires=date(2026, 5, 3))
    assert judge(baseline, [one], date(2026, 5, 3)).findings == ()
    verdicts = judge(baseline, [one], date(2026, 5, 4))
    assert verdicts.findings == (one,)
    assert verdicts.expired == baseline.entries


def test_a_copy_in_another_file_is_a_new_finding() -> None:
    one, copy = finding("a", "a.py"), finding("a", "b.py")
    assert judge(accepted(one), [one, copy], TODAY).findings == (copy,)


def test_an_entry_follows_a_moved_file() -> None:
    old, new = finding("a", "a.py"), finding("a", "b.py")
    assert judge(accepted(old), [new], TODAY).findings == ()
    gone = replace(old, places=(replace(old.first, in_head=False),))
    assert judge(accepted(old), [gone, new], TODAY).findings == ()


def test_an_entry_whose_file_is_gone_follows_to_one_place_only() -> None:
    copies = [finding("a", name) for name in ("b.py", "x/a.py", "z.py")]
    verdicts = judge(accepted(finding("a", "a.py")), copies, TODAY)
    assert verdicts.findings == (copies[0], copies[2])  # the file of the same name is the one that was moved
    assert verdicts.accepted == 1
    both = accepted(finding("a", "a.py"), finding("a", "c.py"))
    assert judge(both, copies, TODAY).accepted == 2
    assert [item.state for item in audit(both, copies[:1], TODAY)] == [EntryState.MOVED, EntryState.VANISHED]


def test_an_entry_follows_to_what_is_checked_out_before_what_was() -> None:
    old, between, now = finding("a", "a.py", in_head=False), finding("a", "b.py", in_head=False), finding("a", "c.py")
    assert judge(accepted(old), [old, between, now], TODAY).findings == (between,)


def test_an_entry_for_anywhere_accepts_every_copy() -> None:
    one, copy = finding("a", "a.py"), finding("a", "b.py")
    baseline = accepted(one, anywhere=True)
    assert [entry.path for entry in baseline.entries] == [ANYWHERE]
    assert judge(baseline, [one, copy], TODAY).findings == ()


def test_a_reason_is_demanded() -> None:
    with pytest.raises(ConfigError, match="needs a reason"):
        accept(EMPTY, [finding("a")], reason=" ", author="", today=TODAY)


def test_an_end_in_the_past_is_refused() -> None:
    with pytest.raises(ConfigError, match="in the past"):
        accepted(finding("a"), expires=date(2026, 4, 30))


def test_accepting_again_replaces_the_entry() -> None:
    one = finding("a")
    again = accept(accepted(one), [one], reason="revoked", author="Bob", today=TODAY)
    assert [(entry.reason, entry.author) for entry in again.entries] == [("revoked", "Bob")]


def test_a_prefix_names_one_credential_or_is_refused() -> None:
    one, other = finding("a"), finding("b")
    assert choose([one, other], "aaaa") == [one]
    with pytest.raises(NotFoundError):
        choose([one, other], "cccc")
    with pytest.raises(ConfigError, match="at least 4"):
        choose([one], "aaa")
    near = replace(other, credential="a" * 31 + "b")
    with pytest.raises(ConfigError, match="several"):
        choose([one, near], "aaaa")


def test_entries_are_removed_by_prefix() -> None:
    baseline = accepted(finding("a"), finding("b"))
    left, gone = remove(baseline, "aaaaaa")
    assert [entry.credential[0] for entry in left.entries] == ["b"]
    assert [entry.credential[0] for entry in gone] == ["a"]
    with pytest.raises(NotFoundError):
        remove(left, "aaaaaa")


def test_an_audit_tells_the_state_of_every_entry() -> None:
    stays, moves, ends, goes = finding("a"), finding("b"), finding("c"), finding("d")
    baseline = accepted(stays, moves, goes)
    baseline = accept(baseline, [ends], reason="r", author="", today=TODAY, expires=TODAY)
    states = audit(baseline, [stays, finding("b", "new.py"), ends], date(2026, 6, 1))
    assert {item.entry.credential[0]: item.state for item in states} == {
        "a": EntryState.CURRENT,
        "b": EntryState.MOVED,
        "c": EntryState.EXPIRED,
        "d": EntryState.VANISHED,
    }
    gone = {item.entry for item in states if item.state is EntryState.VANISHED}
    assert {entry.credential[0] for entry in drop_entries(baseline, gone).entries} == {"a", "b", "c"}


def test_an_audit_finds_an_entry_for_anywhere_where_it_stands() -> None:
    baseline = accepted(finding("a"), anywhere=True)
    (item,) = audit(baseline, [finding("a", "elsewhere.py")], TODAY)
    assert item.state is EntryState.CURRENT
    assert item.finding is not None
    assert item.finding.first.path == "elsewhere.py"


HEX = st.text("0123456789abcdef", min_size=32, max_size=32)
ENTRIES = st.builds(
    BaselineEntry,
    fingerprint=HEX,
    credential=HEX,
    rule=st.text(min_size=1),
    path=st.text(min_size=1),
    reason=st.text(min_size=1),
    author=st.text(),
    date=st.just("2026-01-01"),
    expires=st.sampled_from(["", "2027-01-01"]),
)


@given(st.lists(ENTRIES, unique_by=lambda entry: entry.fingerprint))
def test_what_is_written_is_read_back_sorted(entries: list[BaselineEntry]) -> None:
    baseline = Baseline("0" * 16, tuple(sorted(entries)))
    assert loads(dumps(Baseline("0" * 16, tuple(entries)))) == baseline
    assert dumps(baseline).count("\n") == len(entries) + 4


def test_one_line_is_one_finding_so_a_union_merge_still_loads() -> None:
    base, ours, theirs = accepted(finding("b")), finding("a"), finding("c")
    left = dumps(accept(base, [ours], reason="r", author="", today=TODAY)).splitlines()
    right = dumps(accept(base, [theirs], reason="r", author="", today=TODAY)).splitlines()
    added = [line for line in right if line not in left]
    assert len(added) == 1
    merged = "\n".join([*left[:-1], *added, left[-1]])
    assert [entry.credential[0] for entry in loads(merged).entries] == ["a", "b", "c"]


def test_of_two_lines_for_one_finding_the_one_that_ends_first_counts() -> None:
    text = dumps(accepted(finding("a"))).splitlines()
    ending = text[3].replace('"reason"', '"expires": "2026-06-01", "reason"')
    assert [entry.expires for entry in loads("\n".join([*text[:4], ending, *text[4:]])).entries] == ["2026-06-01"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "line 1: not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a baseline of schema"),
        ('{"schema": "orchestra-creds/baseline/2"}', "not a baseline of schema"),
        ('{"schema": "orchestra-creds/baseline/1", "key": 1}', "16 hex digits"),
        ('{"schema": "orchestra-creds/baseline/1", "key": "0123456789abcdef", "findings": {}}', "must be a list"),
        ("<<<<<<< HEAD\n{}\n", "unresolved merge"),
    ],
)
def test_a_file_that_is_no_baseline_says_why(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        loads(text)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("fingerprint", "xyz", "'fingerprint' must be 32 hex digits"),
        ("reason", "", "'reason' is missing"),
        ("reason", 1, "object of strings"),
        ("expires", "tomorrow", "'expires' must be a day"),
        ("reasons", "x", "unknown field 'reasons'"),
    ],
)
def test_a_wrong_entry_is_named_by_its_number(field: str, value: object, problem: str) -> None:
    body = json.loads(dumps(accepted(finding("a"))))
    body["findings"][0][field] = value
    with pytest.raises(ConfigError, match=f"finding 1: .*{problem}"):
        loads(json.dumps(body))


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    save(file, EMPTY)
    save(file, accepted(finding("a")))
    assert load(file) == accepted(finding("a"))
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_a_missing_file_and_an_unwritable_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="file not found"):
        load(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="cannot write"):
        save(tmp_path / "none" / "b.json", EMPTY)
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin")
