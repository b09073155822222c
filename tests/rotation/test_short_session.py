"""The short way to the embedded cloud answers and refuses as Google's clients do, and comes to it as often."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import CredsError
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from tests.contract.direct import DirectSession
from tests.rotation.short_session import ShortSession
from tests.rotation.world import PROJECT, World

Ports = tuple[SecretManagerStore, IamKeyStore, str]
CALLS: dict[str, tuple[Callable[[Ports], Any], str, Code | None]] = {
    "secret": (lambda p: p[0].get_secret("one"), "", None),
    "missing secret": (lambda p: p[0].get_secret("none"), "", None),
    "pages": (lambda p: [one.name for one in SecretManagerStore(p[0]._session, page_size=1).list_secrets()], "", None),
    "versions": (lambda p: [one.number for one in p[0].list_versions("one")], "", None),
    "material": (lambda p: p[0].access("one", "latest"), "", None),
    "missing version": (lambda p: p[0].access("one", 9), "", None),
    "stale etag": (lambda p: p[0].disable_version("one", 1, etag='"old"'), "", None),
    "keys": (lambda p: [one.id for one in p[1].list_keys(p[2])], "", None),
    "missing key": (lambda p: p[1].get_key(p[2], "abc"), "", None),
    "public half": (lambda p: p[1].public_key(p[2], next(iter(p[1].list_keys(p[2]))).id), "", None),
    "missing key to disable": (lambda p: p[1].disable_key(p[2], "abc"), "", None),
    "uses": (lambda p: p[1].last_uses(p[2]), "", None),
    "denied": (lambda p: p[0].get_secret("one"), "GetSecret", Code.PERMISSION_DENIED),
    "denied over REST": (lambda p: p[1].account_id(p[2]), "GetServiceAccount", Code.PERMISSION_DENIED),
    "lost": (lambda p: p[1].account_id(p[2]), "GetServiceAccount", Code.INTERNAL),
    "lost, not repeatable": (lambda p: p[0].add_version("one", Material(b"x")), "AddSecretVersion", Code.UNAVAILABLE),
    "tried again": (lambda p: p[0].get_secret("one"), "GetSecret", Code.UNAVAILABLE),
    "tried again over REST": (lambda p: p[1].account_id(p[2]), "GetServiceAccount", Code.RESOURCE_EXHAUSTED),
}


def answer(world: World, session: type[DirectSession], name: str) -> tuple[object, int]:
    """What a call answers or raises through a session, and how often it came to the cloud."""
    call, method, code = CALLS[name]
    opened = session(PROJECT, world.emulator, environment={})
    if code is not None:
        world.arm(method, code, times=1)
    here = len(world.emulator.calls)
    account = f"app-one@{PROJECT}.iam.gserviceaccount.com"
    try:
        found: object = call((SecretManagerStore(opened), IamKeyStore(opened), account))
    except CredsError as error:
        found = (type(error), str(error), error.hint)
    return found, len(world.emulator.calls) - here


@pytest.mark.parametrize("name", CALLS)
def test_the_short_way_is_as_the_long_one(world: World, name: str) -> None:
    world.keys.create_key(world.account())
    for secret in ("one", "two"):
        world.secrets.create_secret(secret)
        world.secrets.add_version(secret, Material(b"value"))
    assert answer(world, ShortSession, name) == answer(world, DirectSession, name)
