"""One entry for each kind of credential and of destination: what the file may say, and who builds it, are the same kinds."""

import msgspec
import pytest

from orchestra_creds.bootstrap.issuers import DESTINATIONS, ISSUERS
from orchestra_creds.config.credentials import (
    CREDENTIAL_KINDS,
    DESTINATION_KINDS,
    CredentialTable,
    DestinationTable,
    KindKeys,
    unknown_kinds,
)
from orchestra_creds.config.parse import parse
from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.errors import ConfigError

COMMON = {"kind", "name"}
"""Keys that every destination has."""


def keys(entry: KindKeys) -> set[str]:
    return {*entry.needed, *entry.optional}


def columns(table: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(table)}


def test_every_kind_of_credential_is_declared_and_built() -> None:
    assert set(CREDENTIAL_KINDS) == set(ISSUERS) == set(CredentialKind)


def test_every_kind_of_destination_is_declared_and_built() -> None:
    assert set(DESTINATION_KINDS) == set(DESTINATIONS)


def test_the_keys_of_the_kinds_are_those_of_the_tables() -> None:
    assert set().union(*map(keys, DESTINATION_KINDS.values())) | COMMON == columns(DestinationTable)
    assert {key.partition(".")[0] for entry in CREDENTIAL_KINDS.values() for key in keys(entry)} < columns(
        CredentialTable
    )


CREDENTIAL = 'schema = 1\n[credentials.a]\nkind = "{kind}"\n'
DESTINATION = 'schema = 1\n[credentials.a]\nkind = "generated"\n'
FILE_COPY = '[[credentials.a.destinations]]\nkind = "file"\npath = "/x"\n'


@pytest.mark.parametrize(
    ("text", "line", "kind", "hint"),
    [
        (CREDENTIAL.format(kind="generatd"), 3, "generatd", "did you mean 'generated'?"),
        (CREDENTIAL.format(kind="nothing-like-it"), 3, "nothing-like-it", "api-key, command, generated, manual"),
        (DESTINATION + '[[credentials.a.destinations]]\nkind = "gitub"\n', 5, "gitub", "did you mean 'github'?"),
        (
            DESTINATION + '[[credentials.a.destinations]]\nkind = "floppy"\n',
            5,
            "floppy",
            "command, file, github, secret",
        ),
        (DESTINATION + FILE_COPY + '[[credentials.a.destinations]]\nkind = "fil"\n', 8, "fil", "did you mean 'file'?"),
    ],
)
def test_an_unknown_kind_is_refused_with_its_line_and_the_nearest_one(
    text: str, line: int, kind: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text, "f.toml")
    assert str(refused.value) == f"f.toml:{line}: unknown kind {kind!r}"
    assert hint in refused.value.hint


def test_known_kinds_pass_and_other_faults_are_left_to_the_typed_parser() -> None:
    parse(DESTINATION + FILE_COPY, "f.toml")
    for odd in (None, 7, {"a": 7}, {"a": {"kind": 7, "destinations": "x"}}, {"a": {"destinations": [7, {}]}}):
        assert list(unknown_kinds(odd)) == []
