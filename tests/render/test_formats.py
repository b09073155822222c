"""What every format promises, and the formats one by one."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core.text import portable, visible
from orchestra_creds.errors import ConfigError
from orchestra_creds.render import github, gitleaks_report, html, sarif, scan_json, scan_json_1, terminal
from orchestra_creds.render.formats import FORMATS, ReportFormat
from orchestra_creds.render.json_pieces import array_pieces, object_pieces
from orchestra_creds.render.numbers import count, seconds, size
from orchestra_creds.render.report import load_renderer, pieces, render
from orchestra_creds.render.scan_text import summary
from orchestra_creds.render.style import Style, style_of
from orchestra_creds.scanner.finding import ScanReport, SkippedItem
from orchestra_creds.scanner.rule import Severity
from orchestra_creds.scanner.source import SOURCES
from tests.render.conftest import CANARIES, PASSWORD, PAT, assembled, sighting

TERMINAL = Style(terminal=True, color=True)
PIECE = 6


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("style", [Style(), TERMINAL], ids=["pipe", "terminal"])
def test_no_format_holds_a_value_or_a_piece_of_one(format_: str, style: Style, report: ScanReport) -> None:
    text = render(report, format_, style=style)
    assert len(text) > 100
    for value in CANARIES:
        pieces = {value[at : at + PIECE] for at in range(len(value) - PIECE + 1)}
        assert not [piece for piece in pieces if piece in text]


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_is_valid_utf8_without_raw_control_characters(format_: str, report: ScanReport) -> None:
    text = render(report, format_)
    assert text.encode("utf-8")
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_is_the_same_for_the_same_report(format_: str, report: ScanReport) -> None:
    assert render(report, format_) == render(replace(report), format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_ends_with_one_line_break(format_: str, report: ScanReport, clean: ScanReport) -> None:
    assert re.search(r"[^\n]\n\Z", render(report, format_))
    assert re.search(r"[^\n]\n\Z", render(clean, format_))


def test_an_unknown_format_is_refused(clean: ScanReport) -> None:
    with pytest.raises(ConfigError, match="unknown format 'xml'"):
        render(clean, "xml")


@pytest.mark.parametrize("form", ReportFormat)
def test_every_line_of_the_table_has_a_renderer_and_a_media_type(form: ReportFormat) -> None:
    assert FORMATS[form] is form
    assert callable(load_renderer(form))
    assert re.fullmatch(r"(text|application)/[a-z+]+", form.media_type)
    assert f"| `{form}` | {form.media_type} |" in (Path(__file__).parents[2] / "docs/reports.md").read_text()


def test_a_new_line_is_a_new_format(clean: ScanReport, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("orchestra_creds.render.short")
    module.__dict__["render"] = lambda report: f"{len(report.findings)}\n"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(FORMATS, "short", SimpleNamespace(renderer="short", is_styled=False))
    assert render(clean, "short") == "0\n"


@pytest.mark.parametrize("format_", [name for name in FORMATS if name != "html"])
def test_only_the_page_loads_the_template_engine(format_: str) -> None:
    code = (
        "import sys; from orchestra_creds.render.report import render;"
        "from orchestra_creds.scanner.finding import ScanReport;"
        f"render(ScanReport('.', 'tree'), {format_!r});"
        "print([m for m in ('rich', 'jinja2', 'markupsafe') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


# JSON


def test_the_json_report_fits_its_schema(report: ScanReport, clean: ScanReport) -> None:
    validator = jsonschema.Draft202012Validator(scan_json.schema())
    validator.check_schema(scan_json.schema())
    for one in (report, clean, replace(clean, notes=("a note",))):
        validator.validate(json.loads(scan_json.render(one)))


def test_the_schema_refuses_what_is_no_report(report: ScanReport) -> None:
    validator = jsonschema.Draft202012Validator(scan_json.schema())
    body = scan_json.as_json(report)
    assert not validator.is_valid({**body, "schema": "orchestra-creds/scan/1"})
    assert not validator.is_valid({key: value for key, value in body.items() if key != "complete"})
    assert not validator.is_valid({**body, "findings": [{**body["findings"][0], "fingerprint": "short"}]})


def test_the_json_report_has_the_promised_fields_in_their_order(report: ScanReport) -> None:
    body = json.loads(scan_json.render(report))
    assert list(body) == ["schema", "complete", "skipped", "stats", "findings"]
    assert body["schema"] == "orchestra-creds/scan/2"
    assert body["complete"] is False
    account = next(finding for finding in body["findings"] if finding["rule"] == "google-service-account-key")
    assert list(account) == [
        "rule", "description", "severity", "confidence", "path", "line", "end_line", "column", "commit", "author",
        "date", "in_head", "fingerprint", "credential", "mask", "places",
    ]  # fmt: skip
    assert (account["line"], account["commit"], account["in_head"]) == (5, "a" * 40, True)
    assert [place["in_head"] for place in account["places"]] == [False, True]
    wrapped = next(finding for finding in body["findings"] if "decoded" in finding)
    assert wrapped["decoded"] == ["base64", "json"]
    assert "commit" not in wrapped


@pytest.mark.parametrize("source", SOURCES)
def test_a_report_that_read_no_history_says_nothing_of_head(source: str) -> None:
    report = assembled(sighting(PAT, "x", "a.py"), source=source)
    (finding,) = scan_json.as_json(report)["findings"]
    told = False if SOURCES[source].reads_history else None
    assert [one["in_head"] for one in (finding, *finding["places"])] == [told, told]


def test_the_former_json_report_says_false_and_fits_its_schema(report: ScanReport, clean: ScanReport) -> None:
    tree = assembled(sighting(PAT, "x", "a.py"))
    validator = jsonschema.Draft202012Validator(scan_json.schema(1))
    for one in (report, clean, tree):
        validator.validate(json.loads(scan_json_1.render(one)))
    (finding,) = json.loads(scan_json_1.render(tree))["findings"]
    assert (finding["in_head"], finding["places"][0]["in_head"]) == (False, False)


def test_a_path_in_json_is_exact_but_for_bytes_that_are_no_utf8(report: ScanReport) -> None:
    paths = [finding["path"] for finding in json.loads(scan_json.render(report))["findings"]]
    assert "a\x1b[31m\n::error::,%.zip!<b>\u202e\\xff/x" in paths
    assert scan_json.render(report).isascii()


# the table


def test_off_a_terminal_each_finding_is_one_line_that_starts_with_its_place(report: ScanReport) -> None:
    lines = terminal.render(report).splitlines()
    assert lines[1].startswith("conf/key.json:5:7 critical google-service-account-key *** proven fingerprint=")
    assert lines[1].endswith(f"commit={'a' * 40} in_head=yes places=2")
    assert lines[2].startswith("src/[id]/[/x].py:3:7 critical github-personal-access-token ghp_*** likely")
    assert lines[4] == r"not looked at: big\x07.bin: larger than 100 MB"
    assert len(lines) == 6


def test_a_long_path_is_never_cut_off_a_terminal() -> None:
    path = "/".join(["a" * 50] * 20)
    assert terminal.render(assembled(sighting(PAT, "x", path))).startswith(f"{path}:1:7 ")


def test_a_terminal_shows_findings_by_credential_with_what_to_do(report: ScanReport) -> None:
    text = terminal.render(report, Style(terminal=True))
    assert text.count("GitHub personal access token") == 1
    assert "    conf/key.json:6:7  commit bbbbbbbbbbbb on 2025-02-03 by Max [x], in HEAD\n" in text
    assert "    to do: Disable the key, then replace it.\n" in text
    assert "\x1b" not in text


def test_a_terminal_shows_some_places_and_counts_the_others() -> None:
    text = terminal.render(assembled(*(sighting(PAT, "x", f"f{n:02}") for n in range(30))), TERMINAL)
    assert "and 22 places more, listed by --format json" in text


def test_a_terminal_counts_what_could_not_be_read_beyond_the_first() -> None:
    many = assembled(skipped=tuple(SkippedItem(f"f{n:02}", "denied") for n in range(25)))
    assert "not looked at: 5 more" in terminal.render(many, TERMINAL)
    assert terminal.render(many).count("not looked at: f") == 25


def test_an_incomplete_scan_never_looks_clean() -> None:
    report = assembled(skipped=(SkippedItem("a", "denied"),))
    assert "INCOMPLETE: 1 item not looked at" in terminal.render(report).splitlines()[-1]
    assert "\x1b[32m" not in terminal.render(report, TERMINAL)


@pytest.mark.parametrize("format_", ["table", "json", "sarif", "html", "github", "gitlab", "junit"])
def test_what_was_not_looked_at_is_named(format_: str) -> None:
    text = render(assembled(skipped=(SkippedItem("lost.bin", "denied"),)), format_)
    assert "lost.bin" in text


class Stream:
    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal_", "environment", "style"),
    [
        (True, {}, Style(terminal=True, color=True)),
        (True, {"NO_COLOR": "1"}, Style(terminal=True)),
        (True, {"TERM": "dumb"}, Style(terminal=True)),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1", "GITHUB_ACTIONS": "true"}, Style(terminal=True)),
        (False, {"FORCE_COLOR": "1", "GITHUB_ACTIONS": "true"}, Style()),
        (False, {}, Style()),
    ],
)
def test_colours_are_for_terminals_that_want_them(terminal_: bool, environment: dict[str, str], style: Style) -> None:
    assert style_of(Stream(terminal_), environment) == style  # type: ignore[arg-type]


def test_a_closed_stdout_is_no_terminal() -> None:
    assert style_of(None, {}) == Style()
    assert style_of(Stream(True), {}, color=False) == Style(terminal=True)  # type: ignore[arg-type]


# GitHub annotations


def test_an_annotation_stands_at_the_line_of_today(report: ScanReport) -> None:
    lines = github.render(report).splitlines()
    assert lines[1].startswith(
        "::error file=conf/key.json,line=6,endLine=6,col=7,title=Google Cloud service account key::"
    )


def test_what_left_head_is_annotated_without_a_file(report: ScanReport) -> None:
    (line,) = [line for line in github.render(report).splitlines() if "Password" in line]
    assert line.startswith("::warning title=Password in an assignment::")
    assert "not in HEAD" in line


def test_a_hostile_path_starts_no_command_and_ends_no_property(report: ScanReport) -> None:
    lines = github.render(report).splitlines()
    assert len([line for line in lines if line.startswith("::")]) == 5
    assert r"file=a\x1b[31m\n%3A%3Aerror%3A%3A%2C%25.zip!<b>" in lines[0]


def test_ten_annotations_of_a_level_are_written_and_the_others_counted() -> None:
    sightings = [sighting(PAT, str(n), "a", n + 1) for n in range(12)] + [sighting(PASSWORD, "p", "b")]
    lines = github.render(assembled(*sightings)).splitlines()
    assert [line.split(" ")[0] for line in lines[:11]] == ["::error"] * 10 + ["::warning"]
    assert lines[11].startswith("2 findings more than GitHub shows")


# gitleaks


def test_the_gitleaks_report_has_all_fields_for_each_spot(report: ScanReport) -> None:
    rows = json.loads(gitleaks_report.render(report))
    assert len(rows) == 5
    assert list(rows[1]) == [
        "RuleID", "Description", "StartLine", "EndLine", "StartColumn", "EndColumn", "Match", "Secret", "File",
        "SymlinkFile", "Commit", "Entropy", "Author", "Email", "Date", "Message", "Tags", "Fingerprint",
    ]  # fmt: skip
    assert rows[1]["Fingerprint"] == f"{'a' * 40}:conf/key.json:google-service-account-key:5"
    assert rows[0]["Tags"] == ["decoded:base64", "decoded:json", "decode-depth:2"]
    assert {row["Secret"] for row in rows} == {row["Match"] for row in rows} == {"***", "ghp_***"}


def test_a_clean_gitleaks_report_is_an_empty_array(clean: ScanReport) -> None:
    assert json.loads(gitleaks_report.render(clean)) == []


def test_our_gitleaks_report_can_be_imported_again(report: ScanReport) -> None:
    from orchestra_creds.scanner.gitleaks.accepted import parse_report, rekey
    from tests.render.conftest import KEY

    old = [entry for entry in parse_report(gitleaks_report.render(report), "r") if "\x1b" not in entry.path]
    assert rekey(old, report, KEY).lost == ()


# SARIF


def test_sarif_names_rules_places_and_keyed_fingerprints(report: ScanReport) -> None:
    (run,) = json.loads(sarif.render(report))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({finding.rule for finding in report.findings})
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        prints = result["partialFingerprints"]
        assert prints["primaryLocationLineHash"] == prints["orchestraCredsFinding/v1"][:16] + ":1"
    account = next(one for one in run["results"] if one["ruleId"] == "google-service-account-key")
    assert account["locations"][0]["physicalLocation"]["region"]["startLine"] == 6
    assert account["relatedLocations"][0]["physicalLocation"]["region"]["startLine"] == 5


def test_sarif_carries_no_snippet_and_no_mail(report: ScanReport) -> None:
    text = sarif.render(report)
    assert not re.search(r"snippet|contextRegion|@|email", text)


def test_a_path_in_sarif_is_a_uri_of_its_very_bytes(report: ScanReport) -> None:
    (run,) = json.loads(sarif.render(report))["runs"]
    uris = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]}
    assert "a%1B%5B31m%0A%3A%3Aerror%3A%3A%2C%25.zip!%3Cb%3E%E2%80%AE%FF/x" in uris


def test_sarif_keeps_the_worst_five_thousand_and_says_what_it_cut() -> None:
    mild = [sighting(PASSWORD, f"p{n}", "a", n + 1) for n in range(5000)]
    worse = [sighting(PAT, f"t{n}", "z", n + 1) for n in range(3)]
    (run,) = json.loads(sarif.render(assembled(*mild, *worse)))["runs"]
    assert len(run["results"]) == 5000
    assert sum(one["ruleId"] == PAT.id for one in run["results"]) == 3
    assert "3 findings of lesser severity not listed" in json.dumps(run["invocations"])


def test_sarif_of_an_incomplete_scan_is_no_success(report: ScanReport, clean: ScanReport) -> None:
    assert json.loads(sarif.render(report))["runs"][0]["invocations"][0]["executionSuccessful"] is False
    assert json.loads(sarif.render(clean))["runs"][0]["invocations"][0]["executionSuccessful"] is True


# Documents in pieces


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=6,
        )
    ),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_json_in_pieces_is_json_in_one_piece(items: list[object], indent: int, plain: bool) -> None:
    dump = partial(json.dumps, indent=indent, ensure_ascii=plain)
    assert "".join(array_pieces(items, indent=indent, ascii_only=plain)) == dump(items)
    body = {"a": ["things", {"things": []}], "things": [], "b": '"things": []'}
    whole = dump(body | {"things": items})
    assert "".join(object_pieces(body, "things", items, indent=indent, ascii_only=plain)) == whole


@pytest.mark.parametrize("format_", ["json", "gitleaks", "gitlab", "junit", "table"])
def test_a_growing_document_comes_a_finding_at_a_time(format_: str) -> None:
    longest = []
    for number in (10, 200):
        report = assembled(*(sighting(PAT, f"x{n}", f"f{n}") for n in range(number)))
        parts = list(pieces(report, format_))
        assert len(parts) > number
        longest.append(max(map(len, parts)))
    assert longest[1] < longest[0] + 10


# HTML


def test_the_page_is_well_formed_and_offline(report: ScanReport) -> None:
    page = html.render(report)
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<img|<iframe|https?:|url\(|@import|onload|javascript:", page)
    body = page[page.index("<body>") : page.index("</body>") + len("</body>")]
    ET.fromstring(body)  # noqa: S314  our own text


def test_the_page_escapes_what_comes_from_outside(report: ScanReport) -> None:
    page = html.render(report)
    assert "Jane &lt;b&gt;Roe&lt;/b&gt;" in page
    assert "<b>Roe" not in page
    assert "\u202e" not in page


def test_the_page_shows_each_credential_once_with_its_exposure(report: ScanReport) -> None:
    page = html.render(report)
    assert page.count("<article") == 3
    assert "introduced 2024-02-03, still in HEAD" in page
    assert "introduced 2024-06-01, last seen 2024-06-01, still in the history" in page


def test_the_page_says_whether_everything_was_looked_at(report: ScanReport, clean: ScanReport) -> None:
    assert "this scan cannot say that the rest is clean" in html.render(report)
    assert "Everything that was asked for." in html.render(clean)
    assert "0 leaked credentials found" in html.render(clean)


def test_the_page_names_what_was_scanned_and_when(clean: ScanReport) -> None:
    page = html.render(replace(clean, root="/home/ann/shop", revision="d" * 40))
    assert (
        f"Repository <code>shop</code>, revision <code>{'d' * 40}</code>, scanned <code>2026-01-02 03:04 UTC</code>"
        in page
    )
    assert "/home/ann" not in page
    assert "Folder <code>somewhere</code>" in html.render(clean)
    assert "<code>somewhere" not in html.render(assembled(source="stdin"))


def test_the_page_counts_places_beyond_the_first_fifty() -> None:
    page = html.render(assembled(*(sighting(PAT, "x", "a", n + 1) for n in range(60))))
    assert "and 10 more, listed by the JSON report" in page


def test_a_page_of_many_credentials_stays_small_and_counts_what_it_leaves_out() -> None:
    number = 20_000
    findings = assembled(
        *(sighting(PAT, f"x{n}", f"src/folder {n % 300}/<file> {n % 5000}.py", n) for n in range(number))
    )
    page = html.render(replace(findings, skipped=tuple(SkippedItem(f"z{n}" * 99, "unread") for n in range(5000))))
    assert len(page.encode()) <= html.LARGEST
    listed = page.count("<article")
    assert listed > 1000
    assert f"{number} leaked credentials found" in page
    assert f"{number - listed:,} credentials in {number - listed:,} places" in page
    (rule,) = re.findall(rf"<td><code>{PAT.id}</code></td><td>(\d+)</td><td>(\d+)</td>", page)
    assert rule == (str(number - listed), str(number - listed))
    shown = page.count("<li><code>z")
    assert 0 < shown < 5000
    assert f"and {5000 - shown} more, listed by the JSON report" in page
    ET.fromstring(page[page.index("<body>") : page.index("</body>") + len("</body>")])  # noqa: S314  our own text


def test_the_template_stays_small() -> None:
    template = Path(html.__file__).parent / "templates" / "scan.html"
    assert len(template.read_text().splitlines()) < 400


# words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (count(1, "file"), "1 file"),
        (count(2000, "file"), "2,000 files"),
        (count(2, "repository"), "2 repositories"),
        (size(999), "999 B"),
        (size(1_500_000), "1.5 MB"),
        (size(3e15), "3000.0 TB"),
        (seconds(0.42), "0.4 s"),
        (seconds(59.9), "1 min 00 s"),
        (seconds(12), "12 s"),
    ],
)
def test_numbers_are_written_for_people(text: str, shown: str) -> None:
    assert text == shown


def test_the_summary_counts_credentials_and_places(report: ScanReport) -> None:
    assert summary(report).startswith(
        "3 credentials in 5 places (1,334 objects, 100 of them known from an earlier scan, 12.3 MB, 0.4 s)"
    )


def test_severities_have_a_word_in_every_table() -> None:
    for table in (terminal.COLORS, github.LEVELS, sarif.LEVELS, sarif.SCORES):
        assert set(table) == set(Severity)


@given(st.binary())
def test_any_name_can_be_shown_on_one_line(name: bytes) -> None:
    shown = visible(os.fsdecode(name))
    assert shown.isprintable()
    portable(os.fsdecode(name)).encode("utf-8")


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"])))
def test_a_printable_name_is_shown_as_it_is(name: str) -> None:
    assert visible(name) == portable(name) == name
