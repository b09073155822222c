"""Environments with a project of their own, and with a name that must be typed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.config import environments
from orchestra_creds.config.parse import parse
from orchestra_creds.emulator.server import control
from tests.cli.cloud import at_a_terminal, enable_apis, state_of
from tests.cli.conftest import Operator, one_error

CONFIG = """
schema = 1
[project]
id = "acme-dev"
[environments.dev]
[environments.prod]
project = "acme-prod"
confirm = "type-name"
destroy_ttl = "7d"
deletion = "refuse"
[service_accounts.runner-one]
[secrets.api-key]
environments = ["dev", "prod"]
destroy_ttl = "24h"
consumers = ["runner-one"]
[secrets.shared]
[state]
bucket = "acme-dev-state"
location = "us-central1"
"""


@pytest.fixture
def founder(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.environment.pop("ORCHESTRA_CREDS_PROJECT", None)
    operator.write("orchestra-creds.toml", CONFIG)
    return operator


def resources(operator: Operator) -> list[str]:
    """What changing calls were about."""
    with control.change_state(state_of(operator)) as txn:
        return [entry.resource for entry in txn.audit() if entry.mutating]


def test_each_project_gets_what_lives_in_it(founder: Operator) -> None:
    ended = founder.call("setup", "--yes", "--allow-widening")
    assert (ended.code, "prod lives in project acme-prod: setup --env prod" in ended.stderr) == (0, True)
    assert not [name for name in resources(founder) if "acme-prod" in name]
    before = len(resources(founder))
    ended = founder.call("setup", "--env", "prod", "--yes", "--allow-widening", "--confirm", "prod")
    assert ended.code == 0, ended.stderr
    made = resources(founder)[before:]
    assert [name for name in made if name.startswith("projects/acme-prod/secrets/")] != []
    assert not [name for name in made if "acme-dev" in name]
    for env in ("dev", "prod"):
        assert founder.call("setup", "--env", env, "--check").code == 0


def test_every_verb_with_an_environment_goes_to_its_project(founder: Operator) -> None:
    enable_apis(founder, "acme-dev", "acme-prod")
    for env in ("dev", "prod"):
        assert founder.call("secret", "set", "api-key", "--env", env, stdin=f"value of {env}".encode()).code == 0
    assert founder.call("secret", "get", "api-key-prod", "--project", "acme-prod").stdout == b"value of prod"
    assert founder.call("secret", "get", "api-key-prod", "--project", "acme-dev").code == 4
    assert founder.call("secret", "get", "api-key", "--env", "prod").stdout == b"value of prod"
    told = founder.run("run", "--env", "prod", "--only", "api-key", "--", "printenv", "API_KEY")
    assert told.stdout == b"value of prod\n"


def test_a_guarded_environment_is_changed_by_nobody_who_did_not_name_it(founder: Operator) -> None:
    every = ["setup", "--env", "prod", "--yes", "--allow-widening"]
    assert "--confirm prod" in founder.call(*every).stderr
    assert "but this is 'prod'" in one_error(founder.call(*every, "--confirm", "dev"))
    code, _ = at_a_terminal(founder, ["setup", "--env", "prod"], ["no"])
    assert code == 130
    assert not [name for name in resources(founder) if "/secrets/" in name]
    code, shown = at_a_terminal(founder, ["setup", "--env", "prod"], ["prod"])
    assert (code, b"this changes prod; type prod" in shown) == (0, True)


def test_the_least_time_to_destruction_and_no_deletion(founder: Operator) -> None:
    assert founder.call("setup", "--env", "prod", "--yes", "--allow-widening", "--confirm", "prod").code == 0
    assert founder.call("setup", "--yes", "--allow-widening").code == 0
    for env, days in (("dev", 1), ("prod", 7)):
        body = json.loads(founder.call("setup", "export", "--to", "terraform", "--env", env).stdout)
        assert (
            body["resource"]["google_secret_manager_secret"][f"api_key_{env}"]["version_destroy_ttl"]
            == f"{days * 86400}s"
        )
    ended = founder.call("setup", "destroy", "api-key", "--env", "prod", "--confirm", "api-key-prod")
    assert (ended.code, "where nothing is deleted" in one_error(ended)) == (4, True)
    assert founder.call("setup", "destroy", "api-key", "--env", "dev", "--confirm", "api-key-dev").code == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('confirm = "type-name"', 'confirm = "ask"', "confirm"),
        ('deletion = "refuse"', 'deletion = "maybe"', "deletion"),
        ('destroy_ttl = "7d"', 'destroy_ttl = "soon"', "destroy_ttl"),
    ],
)
def test_what_an_environment_cannot_be_is_one_line(founder: Operator, before: str, after: str, said: str) -> None:
    founder.write("orchestra-creds.toml", CONFIG.replace(before, after))
    ended = founder.call("setup", "--env", "prod", "--plan")
    assert (ended.code, said in one_error(ended)) == (2, True)


def test_an_unknown_environment_is_one_line(founder: Operator) -> None:
    assert "there is no environment 'qa'" in one_error(founder.call("setup", "--env", "qa", "--plan"))


PROJECTS = st.sampled_from(["", "one", "two"])


@given(st.dictionaries(st.sampled_from(["dev", "staging", "prod"]), PROJECTS, min_size=1))
def test_a_secret_of_an_environment_is_in_exactly_one_project(projects: dict[str, str]) -> None:
    lines = [
        "schema = 1",
        "[project]",
        'id = "home"',
        *[f'[environments.{e}]\nproject = "{p}"' for e, p in projects.items()],
    ]
    named = ", ".join(f'"{environment}"' for environment in projects)
    document = parse("\n".join([*lines, f"[secrets.x]\nenvironments = [{named}]\n[secrets.y]"]), "t.toml")
    found = [
        (environment, project)
        for project in {"home", *filter(None, projects.values())}
        for table in environments.narrow_document(document, project).secrets.values()
        for environment in table.environments or ("",)
    ]
    assert sorted(found) == sorted([("", "home"), *((e, p or "home") for e, p in projects.items())])
