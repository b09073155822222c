"""A value that was typed where a name belongs: it is refused before any call, and stands nowhere."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.core import names
from orchestra_creds.errors import ConfigError
from tests import loopback
from tests.cli.cloud import PROJECT, make_account, state_of
from tests.cli.conftest import Operator, appears, one_error

VALUE = "hunter2!" + "/Tr0ub4dor+pass=="
ACCOUNT = f"app-one@{PROJECT}.iam.gserviceaccount.com"


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


@pytest.mark.lenient  # no state may be made, so there is none before
@pytest.mark.parametrize(
    "arguments",
    [
        ["secret", "set", VALUE, "--stdin"],
        ["secret", "set", "copy", "--from-secret", VALUE],
        ["secret", "set", "copy", "--from-secret", f"name@{VALUE}"],
        ["secret", "get", VALUE, "-o", "-"],
        ["secret", "get", "name", "--version", VALUE],
        ["secret", "versions", VALUE],
        ["secret", "enable", VALUE, "1"],
        ["secret", "disable", VALUE, "1"],
        ["secret", "disable", "name", VALUE],
        ["secret", "destroy", VALUE, "1", "--yes"],
        ["secret", "grant", VALUE, f"serviceAccount:{ACCOUNT}"],
        ["secret", "list", "--as", VALUE],
        ["secret", "export", "--to", "json", "--only", f"name,{VALUE}"],
        ["secret", "export", "--to", "json", "--map", f"{VALUE}=NAME"],
        ["run", "--only", VALUE, "--", "true"],
        ["run", "--only", "name", "--version", VALUE, "--", "true"],
        ["key", "list", VALUE],
        ["key", "create", VALUE, "-o", "key.json"],
        ["key", "create", ACCOUNT, "--secret", VALUE],
        ["key", "disable", ACCOUNT, VALUE],
        ["key", "enable", ACCOUNT, VALUE],
        ["key", "delete", ACCOUNT, VALUE, "--yes"],
        ["rotate", VALUE],
        ["rotate", "resume", VALUE],
        ["rotate", "rollback", VALUE],
        ["rotate", "history", VALUE],
        ["status", VALUE],
        ["setup", "destroy", VALUE],
    ],
)
def test_a_value_in_place_of_a_name_is_refused_without_a_call_and_not_repeated(
    arguments: list[str], operator: Operator
) -> None:
    ended = operator.call(
        *arguments, stdin=b"x", variables={"ORCHESTRA_CREDS_BACKEND": "local", "ORCHESTRA_CREDS_PROJECT": PROJECT}
    )
    assert ended.code == 2
    assert "this cannot be" in one_error(ended)
    assert appears([VALUE, "hunter2", "Tr0ub4dor"], ended.stderr, ended.stdout) == []
    assert not state_of(operator).exists()  # the embedded cloud was not opened


@pytest.mark.parametrize("name", ["a", "_", "DB_PASS", "-dash", "9", "x" * 255])
def test_every_name_that_secret_manager_allows_is_taken(name: str, operator: Operator) -> None:
    ended = operator.call("secret", "set", "--backend", "local", "--", name, stdin=b"a value")
    assert ended.code == 0


def test_the_accounts_of_google_are_taken(operator: Operator) -> None:
    make_account(operator)
    for account in (
        ACCOUNT,
        "123456789012-compute@developer.gserviceaccount.com",
        "demo-project@appspot.gserviceaccount.com",
        "app-one@demo.example.com.iam.gserviceaccount.com",
        "service-1@gcp-sa-secretmanager.iam.gserviceaccount.com",
        "123456789012345678901",
    ):
        names.require_account(account)
    assert operator.call("key", "list", ACCOUNT, "--backend", "local").code == 0


REFUSALS = (
    names.require_secret_name,
    names.require_version,
    names.require_account,
    names.require_key_id,
    names.require_credential_id,
)


@given(st.text(max_size=300))
def test_a_refusal_never_depends_on_the_text(text: str) -> None:
    told = set()
    for require in REFUSALS:
        try:
            require(text)
        except ConfigError as error:
            told.add(f"{error} {error.hint}")
    fixed = set()
    for require in REFUSALS:
        with pytest.raises(ConfigError) as caught:
            require("\n")
        fixed.add(f"{caught.value} {caught.value.hint}")
    assert told <= fixed
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", text):
        with pytest.raises(ConfigError):
            names.require_secret_name(text)
