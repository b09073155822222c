"""The catalogue of predefined roles is Google's: `google_roles.json` is a dated extract of what Google's roles hold."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestra_creds.emulator.access.role_catalog import PREDEFINED, TESTABLE

EXTRACT: Mapping[str, Any] = json.loads(Path(__file__).with_name("google_roles.json").read_text(encoding="utf-8"))
SERVED = frozenset(TESTABLE)

HERE_ONLY = {
    (
        "roles/owner",
        "storage.buckets",
    ): "at Google by the bucket's own policy, which names the project's owners as legacy owners; not kept here",
    ("roles/owner", "storage.objects"): "the same",
}
"""Permissions that a role holds here and not at Google: role and kind of resource, and why."""


def google_permissions(role: str) -> frozenset[str]:
    """What Google's role holds, cut down to what is served."""
    found = EXTRACT["roles"][role]["permissions"].items()
    return SERVED & {f"{kind}.{verb}" for kind, verbs in found for verb in verbs.split()}


def kind_of(permission: str) -> str:
    return permission.rpartition(".")[0]


@pytest.mark.parametrize("role", PREDEFINED)
def test_a_role_holds_what_it_holds_at_google(role: str) -> None:
    here, google = PREDEFINED[role].permissions, google_permissions(role)
    more = {permission for permission in here - google if (role, kind_of(permission)) not in HERE_ONLY}
    assert (sorted(more), sorted(google - here)) == ([], [])


@pytest.mark.parametrize("role", PREDEFINED)
def test_a_role_is_called_what_google_calls_it(role: str) -> None:
    assert PREDEFINED[role].title == EXTRACT["roles"][role]["title"]


def test_every_exception_is_one() -> None:
    found = {
        (role, kind_of(one)) for role in PREDEFINED for one in PREDEFINED[role].permissions - google_permissions(role)
    }
    assert found == set(HERE_ONLY)


def test_every_permission_is_one_of_googles() -> None:
    assert set().union(*map(google_permissions, PREDEFINED)) == SERVED
    assert set(EXTRACT["roles"]) == set(PREDEFINED)
