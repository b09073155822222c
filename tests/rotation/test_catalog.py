"""Which declaration of a credential counts: the file before labels, and a refused one concerns its own secret only."""

from collections.abc import Mapping

import pytest

from orchestra_creds.config.declarations import ProjectDeclarations
from orchestra_creds.config.parse import parse
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.errors import ConfigError, CredsError, NotFoundError, PermissionDeniedError
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.rotation.catalog import CatalogEntry, CredentialCatalog, RefusedEntry
from tests.rotation.world import PROJECT, World

FILE = 'schema = 1\n[credentials.db]\nkind = "generated"\nevery = "30d"\n'
LABELS = {"orchestra-kind": "manual", "orchestra-every": "90d"}


def catalog(world: World, text: str = FILE, *, labels_count: bool = True) -> CredentialCatalog:
    document = parse(text, "orchestra-creds.toml")
    return CredentialCatalog(ProjectDeclarations(document, PROJECT, labels_count=labels_count), world.secrets)


def secret(world: World, name: str, labels: Mapping[str, str]) -> None:
    world.secrets.create_secret(name, labels=labels)
    world.secrets.add_version(name, Material(b"x"))


def test_the_file_wins_over_the_labels_of_its_secret(world: World) -> None:
    secret(world, "db", LABELS)
    secret(world, "other", LABELS)
    found = {one.credential.name: one.credential for one in catalog(world).entries() if isinstance(one, CatalogEntry)}
    assert {name: (one.kind, one.source) for name, one in found.items()} == {
        "db": ("generated", "file"),
        "other": ("manual", "labels"),
    }


def test_labels_that_do_not_count_declare_nothing_and_are_named(world: World) -> None:
    secret(world, "other", LABELS)
    listed = catalog(world, labels_count=False)
    assert [one.credential.name for one in listed.entries() if isinstance(one, CatalogEntry)] == ["db"]
    assert listed.unread_labels == ["other"]
    with pytest.raises(NotFoundError) as missing:
        listed.select(["other"])
    assert "--from-labels" in missing.value.hint


def test_labels_that_nobody_understands_concern_their_own_secret_only(world: World) -> None:
    secret(world, "other", {"orchestra-kind": "passwort"})
    by_type = {type(one) for one in catalog(world).entries()}
    assert by_type == {CatalogEntry, RefusedEntry}


def test_two_credentials_of_one_secret_are_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="share secret db"):
        catalog(world, FILE + '[credentials.two]\nkind = "generated"\nsecret = "db"\n')


def refuse_lists(world: World, *, after: int) -> None:
    """Let so many pages of secrets be read, and no more."""
    seen = iter(range(after))

    def refuse(method: str) -> None:
        if method.endswith("/ListSecrets") and next(seen, None) is None:
            raise EmuError(Code.PERMISSION_DENIED, "Injected.")

    world.emulator.before = refuse


@pytest.mark.parametrize("pages", [0, 1, 2])
def test_a_list_that_breaks_off_hides_no_credential_of_the_file(world: World, pages: int) -> None:
    for name in ("another", "other", "yet-another"):
        secret(world, name, LABELS)
    world.secrets = SecretManagerStore(world.session, page_size=1)
    refuse_lists(world, after=pages)
    listed = catalog(world)
    found = [one.credential.name for one in listed.entries() if isinstance(one, CatalogEntry)]
    assert found == [*["yet-another", "other"][:pages], "db"]  # the newest first
    assert isinstance(listed.listing_error, PermissionDeniedError)
    world.emulator.before = lambda _method: None
    assert len(list(listed.entries())) == 4
    assert listed.listing_error is None


def test_a_list_that_cannot_begin_is_an_error_unless_its_permission_is_all_that_lacks(world: World) -> None:
    world.arm("ListSecrets", Code.FAILED_PRECONDITION)
    listed = catalog(world)
    with pytest.raises(CredsError):
        list(listed.entries())
