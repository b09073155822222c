"""The workflow for GitHub Actions: hardened, without a key, and never written over what a person changed."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from orchestra_creds.cli.remote_schedule import RemoteOptions, workflow
from orchestra_creds.errors import ConfigError
from orchestra_creds.schedule import workflow as workflows
from orchestra_creds.schedule.entry import entry

WANTED = entry("acme-prod", ("orchestra-creds",), "03:17")
PROVIDER = "projects/123456789012/locations/global/workloadIdentityPools/github-prod/providers/github-provider"
MAIL = "creds-rotator@acme-prod.iam.gserviceaccount.com"


HASH = "--hash=sha256:" + "0" * 64
REQUIREMENTS = f"certifi==2026.1.1 \\\n    {HASH} \\\n    {HASH}\n# ours\n./wheels/orchestra_creds-0.1.0-cp311-abi3-linux_x86_64.whl {HASH}\n"


def text(
    *,
    provider: str = PROVIDER,
    identity: str = MAIL,
    environment: str = "production",
    lock: str = workflows.LOCK,
    requirements: str = REQUIREMENTS,
    config: str = "",
    from_labels: bool = True,
) -> str:
    return workflows.workflow(
        WANTED,
        provider=provider,
        identity=identity,
        environment=environment,
        lock=lock,
        requirements=requirements,
        config=config,
        from_labels=from_labels,
    )


def block(of: str, head: str) -> list[str]:
    """The lines under a line `head:` that stand deeper than it, without comments."""
    lines = [line.split(" #")[0].rstrip() for line in of.splitlines() if not line.lstrip().startswith("#")]
    start = next(number for number, line in enumerate(lines) if line.strip() == f"{head}:")
    depth = len(lines[start]) - len(lines[start].lstrip())
    found = []
    for line in lines[start + 1 :]:
        if line and len(line) - len(line.lstrip()) <= depth:
            break
        if line:
            found.append(line.strip())
    return found


def test_every_place_is_filled() -> None:
    found = text()
    assert "@@" not in found
    assert '- cron: "17 3 * * *" # UTC' in found
    assert f'workload_identity_provider: "{PROVIDER}"' in found
    assert f'service_account: "{MAIL}"' in found


def test_it_has_no_right_but_to_ask_for_its_token() -> None:
    found = text()
    assert re.search(r"(?m)^permissions: \{\}", found)
    assert [line for line in found.splitlines() if "permissions:" in line] == [
        next(line for line in found.splitlines() if line.startswith("permissions: {}")),
        "    permissions:",
    ]
    job = found[found.index("\njobs:") :]
    assert block(job, "permissions") == ["contents: read", "id-token: write"]


def test_it_holds_no_long_lived_credential_and_reads_none() -> None:
    found = text()
    assert "secrets." not in found
    assert "credentials_json" not in found
    assert "${{" not in found  # so nothing from outside is ever put into a script


def test_one_run_at_a_time_and_none_is_torn_in_half() -> None:
    assert block(text(), "concurrency") == ["group: orchestra-creds-acme-prod", "cancel-in-progress: false"]


def test_it_starts_by_time_and_by_hand_alone() -> None:
    assert block(text(), "on") == ["schedule:", '- cron: "17 3 * * *"', "workflow_dispatch: {}"]


def test_actions_are_pinned_and_few_and_the_machine_is_named() -> None:
    found = text()
    used = re.findall(r"uses: (\S+)", found)
    names, commits = zip(*(one.split("@") for one in used), strict=True)
    assert names == ("actions/checkout", "actions/setup-python", "google-github-actions/auth")
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) for commit in commits)
    assert "runs-on: ubuntu-24.04" in found
    assert "timeout-minutes: 60" in found


def test_it_is_indented_by_twos_without_tabs_and_every_step_does_one_thing() -> None:
    for line in text().splitlines():
        assert "\t" not in line
        assert line == line.rstrip()
        assert (len(line) - len(line.lstrip())) % 2 == 0
    steps = text().partition("steps:")[2]
    assert len(re.findall(r"(?m)^      - ", steps)) == len(re.findall(r"(?m)^ +(?:- )?(?:uses|run): ", steps)) == 5


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("provider", PROVIDER.replace("123456789012", "acme-prod"), "no workload identity provider"),
        ("identity", 'x@acme.iam.gserviceaccount.com" # ', "no service account"),
        ("environment", "", "no environment"),
        ("environment", 'a"\nb', "no environment"),
        ("lock", "a b", "no plain path"),
        ("lock", "../lock", "no plain path"),
        ("config", "--x", "no plain path"),
        ("requirements", REQUIREMENTS + "requests==2.0\n", "names requests==2.0 without a hash"),
        ("requirements", f"certifi==1 {HASH}\n", "does not name orchestra-creds"),
    ],
)
def test_what_could_break_out_of_the_file_is_refused(field: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        text(**cast("Any", {field: value}))


def test_m11_everything_is_installed_by_hash_before_the_job_has_an_identity() -> None:
    found = text()
    install, auth, rotate = (
        found.index(word) for word in ("pip install", "google-github-actions/auth@", "rotate --due")
    )
    assert install < auth < rotate
    line = found[install:].splitlines()[0]
    assert line.endswith(f"--no-deps --require-hashes --only-binary :all: --requirement {workflows.LOCK}")
    assert "orchestra-creds==" not in found  # no name that somebody could register on an index


def test_m4_the_workflow_checks_out_the_configuration_and_uses_it() -> None:
    found = text(config="ops/orchestra-creds.toml", from_labels=False)
    assert found.index("actions/checkout@") < found.index("pip install")
    assert "persist-credentials: false" in found
    assert "rotate --due --config ops/orchestra-creds.toml --backend gcp" in found
    both = text(config="orchestra-creds.toml")
    assert "rotate --due --config orchestra-creds.toml --from-labels --backend gcp" in both
    assert "rotate --due --from-labels --backend gcp" in text()


def test_it_is_written_once_and_what_a_person_changed_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".github").mkdir()
    (tmp_path / workflows.LOCK).write_text(REQUIREMENTS)
    path = tmp_path / ".github" / "workflows" / "rotate.yml"
    remote = RemoteOptions(identity=MAIL, provider=PROVIDER, environment="production", output=str(path))
    assert workflow(WANTED, remote).changed
    before = path.stat()
    assert not workflow(WANTED, remote).changed
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    path.write_text(path.read_text() + "# mine\n")
    with pytest.raises(ConfigError, match="holds something else"):
        workflow(WANTED, remote)
    assert path.read_text().endswith("# mine\n")
    assert workflow(WANTED, RemoteOptions(MAIL, "", "", PROVIDER, "production", str(path), yes=True)).changed
    assert path.read_text() == text()


@pytest.mark.parametrize(
    "linter",
    [
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],  # GitHub's own schema, as shipped with it
        ["zizmor", "--offline", "--no-progress", "--quiet"],
    ],
    ids=lambda linter: linter[0],
)
def test_linters_find_nothing_in_it(linter: list[str], tmp_path: Path) -> None:
    file = tmp_path / workflows.FILE
    file.parent.mkdir(parents=True)
    file.write_text(text())
    ran = subprocess.run(
        [Path(sys.executable).with_name(linter[0]), *linter[1:], file], capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()
