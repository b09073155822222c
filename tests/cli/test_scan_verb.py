"""`scan` as an operator meets it: exit codes, one clear line for bad input, and no value anywhere."""

import gzip
import io
import json
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from orchestra_creds.scanner.samples.sample import render
from tests.cli.conftest import COMMAND, Operator, appears, one_error

FORMATS = ["table", "json", "sarif", "gitleaks", "html", "github"]


def test_a_clean_tree_ends_with_0(operator: Operator) -> None:
    operator.write("a.py", "print('hello')\n")
    ended = operator.run("scan")
    assert ended.code == 0
    assert "no credentials found" in ended.text


def test_a_finding_ends_with_1_and_exit_zero_turns_it_into_0(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    assert operator.run("scan").code == 1
    assert operator.run("scan", "--exit-zero").code == 0


def test_the_json_report_names_rule_place_and_nothing_else(operator: Operator, token: str) -> None:
    operator.write("src/a.env", f"\n\nTOKEN={token}\n")
    ended = operator.run("scan", "--format", "json")
    report = json.loads(ended.stdout)
    (finding,) = report["findings"]
    assert (report["schema"], report["complete"], report["skipped"]) == ("orchestra-creds/scan/2", True, [])
    assert (finding["rule"], finding["path"], finding["line"], finding["column"]) == (
        "github-personal-access-token",
        "src/a.env",
        3,
        7,
    )
    assert ended.stderr == ""


def test_history_finds_what_was_removed(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit("leak")
    operator.write("a.env", "TOKEN=\n")
    operator.commit("mend")
    assert operator.run("scan").code == 0
    ended = operator.run("scan", "--history", "--format", "json")
    (finding,) = json.loads(ended.stdout)["findings"]
    assert (ended.code, finding["path"], finding["author"], finding["in_head"]) == (1, "a.env", "Ada", False)


def test_a_scan_of_files_says_nothing_of_head(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit("leak")
    told = {}
    for name in ("json", "json-1"):
        (finding,) = json.loads(operator.run("scan", "--format", name).stdout)["findings"]
        told[name] = [finding["in_head"], finding["places"][0]["in_head"]]
    assert told == {"json": [None, None], "json-1": [False, False]}


@pytest.mark.parametrize(
    "arguments", [["scan", "."], ["scan", "--history"], ["scan", "--staged"], ["scan", "--only", "google-api-key"]]
)
def test_the_page_names_the_repository_its_revision_and_the_day(
    operator: Operator, token: str, arguments: list[str]
) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit("leak")
    revision = (operator.folder / ".git/refs/heads/main").read_text().strip()
    page = operator.run(*arguments, "--format", "html").text
    assert f"<code>{operator.folder.name}</code>" in page
    assert f"revision <code>{revision}</code>" in page
    assert re.search(r"scanned <code>20\d\d-\d\d-\d\d \d\d:\d\d UTC</code>", page)


def test_since_looks_only_at_what_came_after(operator: Operator, token: str) -> None:
    operator.write("old.env", f"TOKEN={token}\n")
    operator.commit("leak")
    operator.write("new.txt", "nothing\n")
    operator.commit("more")
    assert operator.run("scan", "--since", "HEAD~1").code == 0
    operator.write("new.env", f"OTHER={token}\n")
    operator.commit("again")
    ended = operator.run("scan", "--since", "HEAD~1", "--format", "json")
    assert [finding["path"] for finding in json.loads(ended.stdout)["findings"]] == ["new.env"]


def test_staged_looks_at_the_index_not_at_the_file(operator: Operator, token: str) -> None:
    operator.write("a.env", "clean\n")
    operator.commit()
    operator.write("a.env", f"TOKEN={token}\n")
    assert operator.run("scan", "--staged").code == 0
    operator.git("add", "a.env")
    operator.write("a.env", "clean\n")
    assert operator.run("scan", "--staged").code == 1


def test_standard_input_is_scanned(operator: Operator, token: str) -> None:
    ended = operator.run("scan", "-", "--format", "json", stdin=f"x\ny {token}\n".encode())
    (finding,) = json.loads(ended.stdout)["findings"]
    assert (ended.code, finding["line"]) == (1, 2)


def test_only_and_exclude_choose_rules_and_paths(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    operator.write("vendor/b.env", f"TOKEN={token}\n")
    assert operator.run("scan", "--only", "google-api-key").code == 0
    assert operator.run("scan", "--exclude", "github-personal-access-token").code == 0
    ended = operator.run("scan", "--exclude", "vendor/**", "--format", "json")
    assert [finding["path"] for finding in json.loads(ended.stdout)["findings"]] == ["a.env"]


def test_severity_is_a_floor(operator: Operator) -> None:
    operator.write("a.env", "PASSWORD=" + "k7#Vq9zL" + "pW2x\n")
    assert operator.run("scan").code == 1
    assert operator.run("scan", "--severity", "critical").code == 0


def test_a_file_over_the_size_limit_is_named_and_the_scan_incomplete(operator: Operator, token: str) -> None:
    operator.write("big.env", f"TOKEN={token}\n" + "x" * 5000)
    ended = operator.run("scan", "--max-size", "4K", "--format", "json")
    report = json.loads(ended.stdout)
    assert (ended.code, report["complete"], [skipped["path"] for skipped in report["skipped"]]) == (
        5,
        False,
        ["big.env"],
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["scan", "nowhere"], 4, "nowhere"),
        (["scan", "--history"], 4, "git repository"),
        (["scan", "--staged"], 4, "git repository"),
        (["scan", "--only", "google-apikey"], 2, "google-apikey"),
        (["scan", "--history", "--staged"], 2, "exclude each other"),
        (["scan", "--config", "none.toml"], 4, "none.toml"),
        (["scan", "--gitleaks-config", "none.toml"], 4, "none.toml"),
        (["scan", "--baseline", "none.json"], 4, "none.json"),
        (["scan", "-o", "missing/report.json"], 2, "missing/report.json"),
        (["scan", "rules", "google-api-kye"], 2, "google-api-kye"),
        (["scan", "--bogus"], 2, "--bogus"),
        (["scan", "--jobs", "-1"], 2, "-1 is not in the range"),
        (["scan", "--jobs", "9" * 5000], 2, "--jobs"),
        (["scan", "--severity", "worst"], 2, "worst"),
        (["scan", "--max-size", "1\N{SUPERSCRIPT TWO}"], 2, "is not a size"),
        (["scan", "--since", ""], 2, "names no revision"),
        (["scan", "path"], 4, "path"),
        (["scan", "rules", "one", "two"], 2, "too many arguments"),
        (["bogus"], 2, "bogus"),
        (["--bogus"], 2, "--bogus"),
    ],
)
def test_bad_input_is_one_line_with_the_right_code(
    operator: Operator, arguments: list[str], code: int, says: str
) -> None:
    operator.write("a.txt", "nothing\n")
    ended = operator.run(*arguments)
    assert (ended.code, ended.stdout) == (code, b"")
    assert says in one_error(ended)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["scan", "nowhere", "--format", "json"], 4),
        (["scan", "-fjson", "--since", "nowhere"], 4),
        (["scan", "--bogus", "--format=json"], 2),
        (["scan", "--format", "sarif", "--format", "json", "--only", "nothing"], 2),
        (["scan", "rules", "nothing", "-f", "json"], 2),
    ],
)
def test_errors_are_json_where_json_is_asked_for(operator: Operator, arguments: list[str], code: int) -> None:
    operator.git("init", "--quiet")
    ended = operator.run(*arguments)
    error = json.loads(ended.stderr)["error"]
    assert (ended.code, ended.stdout, error["exit_code"]) == (code, b"", code)
    assert error.keys() == {"code", "message", "hint", "exit_code"}


def test_the_environment_chooses_the_format(operator: Operator) -> None:
    ended = operator.run("scan", variables={"ORCHESTRA_CREDS_FORMAT": "json"})
    assert json.loads(ended.stdout)["complete"]
    ended = operator.run("scan", "nowhere", variables={"ORCHESTRA_CREDS_FORMAT": "json"})
    assert json.loads(ended.stderr)["error"]["exit_code"] == 4


def test_what_stands_where_nothing_is_expected_is_not_repeated(operator: Operator, token: str) -> None:
    ended = operator.run("secret", "set", "db-pass", token)
    assert (ended.code, one_error(ended), appears([token], ended.stderr)) == (2, "too many arguments", [])


def test_verbose_tells_how_the_scan_was_done(operator: Operator) -> None:
    operator.write("a.txt", "nothing\n")
    ended = operator.run("scan", "--verbose", "--engine", "re2", "--no-cache")
    assert ended.code == 0
    assert f"looked at: tree of {operator.folder}\n" in ended.stderr
    assert "engine: re2, " in ended.stderr
    assert "read: 1 new" in ended.stderr
    assert operator.run("scan").stderr == ""


def test_a_second_scan_of_a_history_counts_what_it_knew(operator: Operator) -> None:
    operator.write("a.txt", "nothing\n")
    operator.commit()
    assert operator.run("scan", "--history").code == 0
    assert "(2 objects, 2 of them known from an earlier scan" in operator.run("scan", "--history").text


def test_an_empty_folder_is_clean(operator: Operator) -> None:
    assert operator.run("scan").code == 0


def test_an_unknown_revision_is_not_found(operator: Operator) -> None:
    operator.write("a", "a\n")
    operator.commit()
    ended = operator.run("scan", "--since", "no-such-branch")
    assert ended.code == 4
    assert "no-such-branch" in one_error(ended)


@pytest.mark.parametrize("source", [["--staged"], ["--history"], ["--since", "HEAD"]])
def test_a_repository_that_git_cannot_read_is_not_clean(operator: Operator, source: list[str]) -> None:
    operator.git("init", "--quiet")
    (operator.folder / ".git/config").write_text("[core\n")
    ended = operator.run("scan", *source)
    assert (ended.code, ended.stdout) == (4, b"")
    assert one_error(ended)


def test_a_wrong_configuration_is_named_with_its_line_and_the_nearest_key(operator: Operator) -> None:
    operator.write("orchestra-creds.toml", "schema = 1\n[scan]\nexclde = []\n")
    ended = operator.run("scan", "--config", "orchestra-creds.toml")
    assert ended.code == 2
    assert "orchestra-creds.toml:3: unknown key 'exclde'" in one_error(ended)
    assert "did you mean 'exclude'?" in ended.stderr
    found = operator.run("scan")
    assert (found.code, "3: unknown key 'exclde'" in found.text) == (5, True)


def test_a_configuration_that_was_only_found_cannot_relax_the_scan(operator: Operator, token: str) -> None:
    operator.write("orchestra-creds.toml", '[scan]\nexclude = ["*.env"]\n')
    operator.write("a.env", f"TOKEN={token}\n")
    found = operator.run("scan")
    assert (found.code, "name it with --config" in found.stderr) == (1, True)
    assert operator.run("scan", "--config", "orchestra-creds.toml").code == 0


def test_what_cannot_be_read_makes_the_scan_incomplete(operator: Operator) -> None:
    operator.write("good.txt", "fine\n")
    os.mkfifo(operator.folder / "pipe")
    ended = operator.run("scan", "--format", "json")
    report = json.loads(ended.stdout)
    assert (ended.code, report["complete"]) == (5, False)
    assert "pipe" in [skipped["path"] for skipped in report["skipped"]]


@pytest.mark.parametrize("arguments", [[], ["--format", "json"], ["--staged"]])
def test_a_full_disk_never_looks_clean(operator: Operator, token: str, arguments: list[str]) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit()
    operator.write("b.env", f"TOKEN={token}\n")
    operator.git("add", "b.env")
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [COMMAND, "scan", *arguments],
            cwd=operator.folder,
            env=operator.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 5
    assert "cannot write the report to stdout: no space left on device" in run.stderr


def test_a_report_file_is_private_and_whole(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    ended = operator.run("scan", "--format", "json", "-o", "../report.json")
    report = operator.home / "report.json"
    assert (ended.code, ended.stdout, report.stat().st_mode & 0o777) == (1, b"", 0o600)
    assert len(json.loads(report.read_text())["findings"]) == 1


def test_no_planted_value_is_shown_in_any_format_file_or_cache(operator: Operator, token: str) -> None:
    password = "k7Vq9zL" + "pW2xT4mR"
    key = "AI" + "zaSyD-" + "9tSrke72PouQMnMX-a7eZSW0jkFMBWY"
    operator.write("a.env", f"TOKEN={token}\nPASSWORD={password}\n")
    operator.write("b.json", json.dumps({"maps": key, "nested": json.dumps({"token": token})}))
    operator.commit(f"leak {token}")
    operator.write("c.env", f"export KEY={key}\n")
    operator.git("add", "c.env")
    planted = [token, password, key]
    for source in ([], ["--history"], ["--staged"], ["--since", "HEAD"]):
        for run, formats in ((operator.run, ["table", "json"]), (operator.call, FORMATS)):
            for format_ in formats:
                ended = run("scan", *source, "--format", format_, "--no-color")
                assert ended.code == (0 if source == ["--since", "HEAD"] else 1), (source, format_, ended.stderr)
                assert appears(planted, ended.stdout, ended.stderr) == [], (source, format_)
    for format_ in FORMATS:
        written = operator.call("scan", "--history", "--format", format_, "-o", f"../{format_}.out")
        assert appears(planted, written.stdout, written.stderr) == [], format_
    debug = operator.run("scan", "--baseline", "b.json", variables={"ORCHESTRA_CREDS_DEBUG": "1"})
    assert appears(planted, debug.stdout, debug.stderr) == []
    operator.run("scan", "baseline", "create", "--reason", "a test")
    files = [*operator.home.rglob("*"), *Path(operator.environment["ORCHESTRA_CREDS_CACHE_DIR"]).rglob("*")]
    kept = [path.read_bytes() for path in files if path.is_file() and operator.folder not in path.parents]
    kept.append((operator.folder / ".orchestra-creds-baseline.json").read_bytes())
    assert appears(planted, *kept) == []


def test_rules_are_listed_and_explained(operator: Operator) -> None:
    listed = operator.run("scan", "rules", "--format", "json")
    rules = json.loads(listed.stdout)["rules"]
    assert len(rules) >= 150
    explained = operator.run("scan", "rules", "google-api-key")
    assert "if it leaks" in explained.text


def test_a_baseline_accepts_and_lets_new_findings_through(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    assert operator.run("scan", "baseline", "create", "--reason", "a fixture").code == 0
    assert operator.run("scan").code == 0
    operator.write("b.env", f"TOKEN={token}\n")
    assert operator.run("scan").code == 1
    assert operator.run("scan", "--no-baseline").code == 1
    fingerprint = json.loads(operator.run("scan", "-f", "json").stdout)["findings"][0]["fingerprint"]
    assert operator.run("scan", "baseline", "add", fingerprint, "--reason", "another").code == 0
    assert operator.run("scan").code == 0
    assert operator.run("scan", "baseline", "audit").code == 0
    assert operator.run("scan", "baseline", "remove", fingerprint).code == 0
    assert operator.run("scan").code == 1


@pytest.fixture
def accepted_in_one_file(operator: Operator, token: str) -> Operator:
    """A repository whose baseline accepts `src/a.env`, with a copy of the credential beside it."""
    operator.write("src/a.env", f"TOKEN={token}\n")
    operator.commit()
    assert operator.run("scan", "baseline", "create", "--reason", "fixture").code == 0
    operator.write("src/copy.env", f"TOKEN={token}\n")
    operator.git("add", "src/copy.env")
    return operator


@pytest.mark.parametrize(
    "arguments",
    [[], ["src"], ["src/copy.env"], ["--exclude", "a.env"], ["--exclude", "src/a.env", "src"]],
)
def test_a_copy_of_an_accepted_credential_counts_whatever_part_is_scanned(
    accepted_in_one_file: Operator, arguments: list[str]
) -> None:
    ended = accepted_in_one_file.run("scan", "--format", "json", *arguments)
    (finding,) = json.loads(ended.stdout)["findings"]
    assert (ended.code, finding["path"].rpartition("/")[2]) == (1, "copy.env")


@pytest.mark.parametrize(
    ("arguments", "accepted"), [([], 1), (["src"], 1), (["src/b.env"], 1), (["--staged"], 0)]
)  # a commit that renames a file adds nothing
def test_an_accepted_credential_may_move_whatever_part_is_scanned(
    accepted_in_one_file: Operator, arguments: list[str], accepted: int
) -> None:
    accepted_in_one_file.git("rm", "--quiet", "--force", "src/copy.env")
    accepted_in_one_file.git("mv", "src/a.env", "src/b.env")
    ended = accepted_in_one_file.run("scan", "--format", "json", *arguments)
    assert (ended.code, json.loads(ended.stdout)["stats"]["accepted"]) == (0, accepted)


def test_a_finding_is_the_same_from_every_folder(accepted_in_one_file: Operator) -> None:
    def fingerprints(*arguments: str) -> set[str]:
        report = accepted_in_one_file.run("scan", "--no-baseline", "--format", "json", *arguments).stdout
        return {finding["fingerprint"] for finding in json.loads(report)["findings"]}

    assert fingerprints() == fingerprints("src") == fingerprints("src/a.env", "src/copy.env")


def test_a_history_names_what_archives_hold_as_a_tree_does(operator: Operator, token: str) -> None:
    text = f"TOKEN={token}\n".encode()
    with tarfile.open(operator.folder / "t.tar.gz", "w:gz") as packed:
        member = tarfile.TarInfo("a.env")
        member.size = len(text)
        packed.addfile(member, io.BytesIO(text))
    (operator.folder / "k.env.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(operator.folder / "z.zip", "w") as zipped:
        zipped.writestr("k.gz", gzip.compress(text))
    operator.commit()

    def found(*arguments: str) -> dict[str, str]:
        report = json.loads(operator.run("scan", "--format", "json", *arguments).stdout)
        return {finding["path"]: finding["fingerprint"] for finding in report["findings"]}

    assert found() == found("--history") == found("--history")
    assert list(found()) == ["k.env.gz!k.env", "t.tar.gz!a.env", "z.zip!k.gz!k"]


def test_the_baseline_verbs_of_a_folder_speak_of_the_repositorys_file(operator: Operator, token: str) -> None:
    operator.write("src/a.env", f"TOKEN={token}\n")
    operator.write("b.env", f"TOKEN={token}\n")
    operator.commit()
    made = operator.run("scan", "baseline", "create", "src", "--reason", "fixture")
    assert made.stderr == f"accepted 1 finding in {operator.folder}/.orchestra-creds-baseline.json\n"
    assert operator.run("scan").text.startswith("b.env:1:7 ")
    audited = operator.run("scan", "baseline", "audit", "--prune", "src", "--format", "json")
    entries = json.loads(audited.stdout)["entries"]
    assert [(entry["path"], entry["state"]) for entry in entries] == [("src/a.env", "current")]


def test_pruning_keeps_what_only_the_history_shows(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    operator.commit()
    assert operator.run("scan", "baseline", "create", "--history", "--reason", "revoked").code == 0
    operator.write("a.env", "nothing\n")
    operator.commit("clean")
    pruned = operator.run("scan", "baseline", "audit", "--prune", "--format", "json")
    assert [entry["state"] for entry in json.loads(pruned.stdout)["entries"]] == ["vanished"]
    assert operator.run("scan", "--history").code == 0
    operator.git("checkout", "--quiet", "--orphan", "fresh")
    operator.git("commit", "--quiet", "--message", "fresh")
    operator.git("branch", "-D", "main")
    operator.git("reflog", "expire", "--expire=now", "--all")
    operator.git("gc", "--quiet", "--prune=now")
    pruned = operator.run("scan", "baseline", "audit", "--prune", "--format", "json")
    assert json.loads(pruned.stdout)["entries"] == []


def test_only_takes_a_pattern_of_ids(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    assert operator.run("scan", "--only", "github-*").code == 1
    assert operator.run("scan", "--only", "google-*").code == 0


def test_accepting_needs_a_reason(operator: Operator, token: str) -> None:
    operator.write("a.env", f"TOKEN={token}\n")
    ended = operator.run("scan", "baseline", "create")
    assert ended.code == 2
    assert "reason" in one_error(ended)


CURL = (
    "curl -u admin:{} https://api.acme.dev",
    "curl -uadmin:{} https://api.acme.dev",
    "curl --user admin:{} https://api.acme.dev",
    "curl https://api.acme.dev --user='admin:{}'",
    'curl -u "admin:{}" https://api.acme.dev',
    'curl -sSfu "$API_USER":"{}" https://api.acme.dev',
    "curl -U proxy:{} https://api.acme.dev",
    "curl https://api.acme.dev \\\n  -X POST -u \\\n  admin:{}",
    'run(["curl", "--user", "admin:{}"])',
    "body=$(curl https://api.acme.dev -u admin:{})",
)
PASSWORDS = (
    '- "POSTGRES_PASSWORD={}"',
    'docker run -e "DB_PASSWORD={}" acme/app',
    "Environment='DB_PASSWORD={}'",
    'Environment="PORT=80" "DB_PASSWORD={}"',
    "kubectl create secret generic db '--from-literal=password={}'",
    "curl -H 'X-Password: {}' https://api.acme.dev",
    'sh -c "docker run -e \\"DB_PASSWORD={}\\" acme/app"',
)
SECRETS = (
    '["env", "API_TOKEN={}"]',
    "curl -H 'X-API-Key: {}' https://api.acme.dev",
    'curl -H "X-Auth-Token:{}" https://api.acme.dev',
    "curl -d 'grant_type=password&client_secret={}' https://api.acme.dev",
    'fetch("https://api.acme.dev/v1/devices?page=2&api_key={}")',
    "fetch(`https://api.acme.dev/v1/devices?access_token={}`)",
    '<a href="/v1/devices?page=2&amp;access_token={}">',
    'printf "API_TOKEN={}\\n" > .env',
)


@pytest.mark.parametrize(
    ("rule", "forms", "value"),
    [
        ("command-line-login", CURL, "{b62:13}4_{b62:3}"),
        ("generic-password", PASSWORDS, "{b62:13}4_{b62:3}"),
        ("generic-secret", SECRETS, "{b62:31}4{b62:8}"),
    ],
)
def test_a_value_is_found_whatever_quotes_and_options_stand_around_it(
    operator: Operator, rule: str, forms: tuple[str, ...], value: str
) -> None:
    for place, form in enumerate(forms):
        operator.write(f"{place:02}.txt", form.replace("{}", render(value, seed=place)) + "\n")
    found = json.loads(operator.run("scan", "--format", "json").stdout)["findings"]
    assert sorted((one["path"], one["rule"]) for one in found) == [
        (f"{place:02}.txt", rule) for place in range(len(forms))
    ]


def test_quotes_that_hold_no_pair_end_no_value(operator: Operator) -> None:
    secret, password = render("{b62:31}4{b62:8}"), render("{b62:13}4_{b62:3}")
    harmless = (
        'curl -u "$API_USER:$API_PASSWORD1" https://api.acme.dev',
        "curl -u https://api.acme.dev/v1/devices2",
        f"curl --user-agent acme:{password} https://api.acme.dev",
        '- "POSTGRES_PASSWORD=${DB_PASSWORD_1}"',
        f'`json:"access_token,{secret}"`',
        f"the user's token: {secret}\"",
        'fetch("https://api.acme.dev/v1/devices?api_key=${API_KEY_OF_TENANT_1}")',
    )
    operator.write("a.txt", "\n\n".join(harmless) + "\n")
    assert json.loads(operator.run("scan", "--format", "json").stdout)["findings"] == []
