"""Credentials in the settings of a repository: URLs of remotes and extra headers."""

import base64
import json
from pathlib import Path

import pytest

from orchestra_creds.scanner.samples.sample import render
from tests.cli.conftest import Ended, Operator
from tests.scanner.trees import git

MODES = [(), ("--history",)]
modes = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def clean(operator: Operator) -> Operator:
    operator.write("src/a.txt", "clean\n")
    operator.commit()
    return operator


@pytest.fixture
def job_token() -> str:
    """A made-up token of a GitHub job."""
    return render("gh" + "s_{crc62:30}")


def header(token: str) -> str:
    return "AUTHORIZATION: basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()


def found(ended: Ended) -> list[tuple[str, str]]:
    return [(one["path"], one["rule"]) for one in json.loads(ended.stdout)["findings"]]


def notes(ended: Ended) -> list[str]:
    return [note for note in json.loads(ended.stdout)["notes"] if "token of a CI job" in note]


@modes
def test_a_token_in_a_remote_and_one_in_a_header_are_found(clean: Operator, token: str, mode: tuple[str, ...]) -> None:
    clean.git("remote", "add", "origin", f"https://x-access-token:{token}@github.com/acme/x.git")
    clean.git("config", "http.https://github.com/.extraheader", header(render("gh" + "p_{crc62:30}", seed=1)))
    for _ in range(2):  # the second answer of a history may come from the kept report
        ended = clean.run("scan", *mode, "--format", "json")
        assert (ended.code, json.loads(ended.stdout)["complete"]) == (1, True)
        assert found(ended) == [(".git/config", "github-personal-access-token")] * 2
        assert token not in ended.text + ended.stderr
    assert clean.run("scan", *mode, "--exclude", ".git/config").code == 0


@modes
def test_the_token_of_a_ci_job_is_a_note(clean: Operator, job_token: str, mode: tuple[str, ...]) -> None:
    clean.git("config", "http.https://github.com/.extraheader", header(job_token))
    user = "gitlab-ci-token"
    clean.git("remote", "add", "lab", f"https://{user}:{render('glc' + 'bt-64_{hex:20}')}@gitlab.com/acme/x.git")
    web_token = render("{signed:7}")
    clean.git("config", "http.https://dev.azure.com/.extraheader", f"AUTHORIZATION: bearer {web_token}")
    for _ in range(2):
        ended = clean.run("scan", *mode, "--format", "json")
        assert (ended.code, found(ended), len(notes(ended))) == (0, [], 3)
        assert job_token not in ended.text + ended.stderr
        assert web_token not in ended.text + ended.stderr
    clean.git("config", "remote.lab.token", web_token)
    assert found(clean.run("scan", *mode, "--format", "json")) == [(".git/config", "jwt")]


def test_such_a_token_elsewhere_and_another_one_beside_it_are_findings(
    clean: Operator, token: str, job_token: str
) -> None:
    clean.git("config", "http.https://github.com/.extraheader", header(job_token))
    clean.git("remote", "add", "lab", f"https://bob:{token}@gitlab.com/x?//gitlab-ci-token:x")
    clean.write("src/a.env", f"TOKEN={job_token}\n")
    ended = clean.run("scan", "--format", "json")
    assert ended.code == 1
    assert sorted(path for path, _ in found(ended)) == [".git/config", "src/a.env"]
    assert len(notes(ended)) == 1


def test_the_settings_belong_to_the_whole_working_tree(clean: Operator, token: str) -> None:
    clean.git("remote", "add", "origin", f"https://x:{token}@github.com/acme/x.git")
    assert clean.run("scan", "src").code == 0
    assert clean.run("scan", "src/a.txt").code == 0
    assert clean.run("scan", "--staged").code == 0
    assert found(clean.run("scan", "--all-files", "--format", "json")) == [
        (".git/config", "github-personal-access-token")
    ]
    ended = clean.run("scan", "--format", "json", "--max-size", "10")
    assert ".git/config" in [one["path"] for one in json.loads(ended.stdout)["skipped"]]
    assert clean.run("scan", "baseline", "create", "--reason", "a test").code == 0
    assert [clean.run("scan", *mode).code for mode in MODES] == [0, 0]


@modes
def test_linked_working_trees_share_settings_and_have_their_own(
    clean: Operator, token: str, mode: tuple[str, ...]
) -> None:
    linked = clean.home / "linked"
    clean.git("worktree", "add", "--quiet", str(linked))
    clean.git("config", "extensions.worktreeConfig", "true")
    clean.git("remote", "add", "origin", f"https://x:{token}@github.com/acme/x.git")
    git(linked, "config", "--worktree", "http.extraheader", header(render("gh" + "p_{crc62:30}", seed=1)))
    ended = clean.run("scan", *mode, "--format", "json", folder=linked)
    folder = str(clean.folder / ".git")
    assert sorted(path for path, _ in found(ended)) == [
        f"{folder}/config",
        f"{folder}/worktrees/linked/config.worktree",
    ]


@modes
def test_the_settings_of_a_submodule_are_scanned(
    clean: Operator, tmp_path: Path, token: str, mode: tuple[str, ...]
) -> None:
    library = tmp_path / "library"
    git(tmp_path, "clone", "--quiet", clean.folder.as_uri(), str(library))
    git(clean.folder, "submodule", "--quiet", "add", library.as_uri(), "vendor/library")
    clean.commit("library")
    git(clean.folder / "vendor/library", "remote", "add", "lab", f"https://x:{token}@gitlab.com/acme/x.git")
    ended = clean.run("scan", *mode, "--format", "json")
    assert (ended.code, [path for path, _ in found(ended)]) == (1, [".git/modules/vendor/library/config"])
