"""The filter language, on messages built by hand."""

import re

import pytest
from google.cloud.secretmanager_v1 import types
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.filters import compile_filter
from orchestra_creds.emulator.protocol.routes import raw
from tests.deadline import at_most
from tests.emulator.conftest import refused

SECRET = raw(types.Secret)(
    name="projects/p/secrets/mysecret-db",
    labels={"env": "prod", "with.dot": "x"},
    version_aliases={"current": 3},
    replication={"user_managed": {"replicas": [{"location": "us-east1"}, {"location": "us-west1"}]}},
    topics=[{"name": "projects/p/topics/rotations"}],
    create_time={"seconds": 1_767_225_600},  # 2026-01-01T00:00:00Z
    version_destroy_ttl={"seconds": 86_400},
)
VERSION = raw(types.SecretVersion)(
    name="projects/p/secrets/s/versions/2", state=2, client_specified_payload_checksum=True
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("  ", True),
        ("name:mysecret", True),
        ("name:MYSECRET", True),
        ("name:other", False),
        ("name:my*db", True),
        ("name=mysecret-db", True),
        ("name=mysecret", False),
        ("name=my*", False),
        ("mysecret", True),
        ("labels.env=prod", True),
        ("labels.env = prod", True),
        ('labels.env="prod"', True),
        ("labels.env=dev", False),
        ("labels.env!=dev", True),
        ("labels.env:*", True),
        ("labels.none:*", False),
        ("labels.with.dot=x", True),
        ("labels:env", True),
        ("labels:none", False),
        ("NOT labels.env=dev", True),
        ("-labels.env=prod", False),
        ("labels.env=dev OR name:mysecret", True),
        ("labels.env=prod AND name:other", False),
        ("labels.env=prod name:mysecret", True),
        ("labels.env=prod AND name:other OR name:mysecret", True),
        ("name:other AND labels.env=prod OR labels.env=prod", False),
        ("(name:other AND labels.env=prod) OR labels.env=prod", True),
        ("create_time>2025-12-31T23:59:59Z", True),
        ("create_time<2025-12-31T23:59:59Z", False),
        ("createTime>=2026-01-01T00:00:00+00:00", True),
        ('create_time="2026-01-01T00:00:00Z"', True),
        ("create_time<=2026-01-01", True),
        ("expire_time:*", False),
        ("replication.automatic:*", False),
        ("replication.user_managed:*", True),
        ("replication.userManaged.replicas.location:*", True),
        ("replication.user_managed.replicas.location=us-west1", True),
        ("NOT replication.user_managed.replicas.location=(us-central1 OR us-east1)", False),
        ("replication.user_managed.replicas.location!=(us-central1 OR us-east4)", True),
        ("topics.name:rotations", True),
        ("topics:rotations", True),
        ("version_aliases.current=3", True),
        ("version_aliases.current>3", False),
        ("version_destroy_ttl=86400s", True),
    ],
)
def test_a_secret_meets_a_filter(text: str, expected: bool) -> None:
    assert expected == compile_filter(text)(SECRET)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state:DISABLED", True),
        ("state=disabled", True),
        ("state:(ENABLED OR DISABLED)", True),
        ("state!=ENABLED", True),
        ("client_specified_payload_checksum=true", True),
        ("destroy_time:*", False),
    ],
)
def test_a_version_meets_a_filter(text: str, expected: bool) -> None:
    assert expected == compile_filter(text)(VERSION)


@pytest.mark.parametrize(
    "text",
    ["AND", "name:", "name:x AND", "(name:x", "name:x)", ":x", "NOT", "name=(a OR)", '"open', "((((" * 9, "x" * 5000],
)
def test_a_filter_that_cannot_be_read_is_refused(text: str) -> None:
    with refused(Code.INVALID_ARGUMENT, "filter"):
        compile_filter(text)


@pytest.mark.parametrize("text", ["colour=red", "create_time>yesterday", "version_aliases.current=three"])
def test_a_filter_that_cannot_be_applied_is_refused(text: str) -> None:
    with refused(Code.INVALID_ARGUMENT, "filter"):
        compile_filter(text)(SECRET)


@settings(max_examples=200)
@given(st.text(alphabet="name:labels.=<>!()OR AND NOT-\"'*env2026T\\", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_filter_or_an_invalid_argument(text: str) -> None:
    outcome: bool | Code
    try:
        outcome = compile_filter(text)(SECRET)
    except EmuError as error:
        outcome = error.code
    assert outcome in {True, False, Code.INVALID_ARGUMENT}


@pytest.mark.parametrize("operator", [":", "="])
def test_a_filter_with_many_wildcards_is_answered_at_once(operator: str) -> None:
    secret = raw(types.Secret)(name="projects/p/secrets/" + "a" * 200)
    with at_most(5):
        assert not compile_filter(f"name{operator}{'*a' * 60}*zz")(secret)
        assert compile_filter(f"name{operator}*{'a*' * 60}")(secret)


@given(
    st.text(alphabet="ab", max_size=12),
    st.text(alphabet="ab*", max_size=8).filter(lambda text: text.strip("*")),
)
def test_wildcards_stand_for_any_text(value: str, wanted: str) -> None:
    expression = ".*".join(re.escape(part) for part in wanted.split("*"))
    secret = raw(types.Secret)(labels={"x": value})
    assert compile_filter(f"labels.x:{wanted}")(secret) is (re.search(expression, value) is not None)
    if "*" in wanted:
        assert compile_filter(f"labels.x={wanted}")(secret) is (re.fullmatch(expression, value) is not None)
