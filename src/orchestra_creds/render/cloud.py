"""Secrets, versions and keys as results: the same facts for the table and for JSON. Times are RFC 3339 in UTC."""

import re
from collections.abc import Mapping, Sequence

from orchestra_creds.core.cloud_types import Key, SecretResource, Version
from orchestra_creds.core.result import Result
from orchestra_creds.errors import ExitCode
from orchestra_creds.render.times import time_text

_ENUM_PREFIX = "^SERVICE_ACCOUNT_KEY_(?:DISABLE_REASON|EXTENDED_STATUS_KEY)_"


def secret_body(secret: SecretResource) -> dict[str, object]:
    """A secret as JSON."""
    return {
        "name": secret.name,
        "created": time_text(secret.created),
        "labels": dict(secret.labels),
        "annotations": dict(secret.annotations),
        "aliases": dict(secret.aliases),
        "location": secret.location,
        "replicas": list(secret.replicas),
        "kms_keys": list(secret.kms_keys),
        "destroy_ttl_seconds": int(secret.destroy_ttl.total_seconds()) if secret.destroy_ttl else None,
        "expires": time_text(secret.expires) or None,
        "etag": secret.etag,
    }


def version_body(version: Version) -> dict[str, object]:
    """A version as JSON."""
    return {
        "secret": version.secret,
        "number": version.number,
        "state": version.state.value,
        "created": time_text(version.created),
        "destroyed": time_text(version.destroyed) or None,
        "destroy_at": time_text(version.destroy_at) or None,
        "etag": version.etag,
    }


def key_body(key: Key) -> dict[str, object]:
    """A key as JSON."""
    return {
        "id": key.id,
        "account": key.account,
        "origin": key.origin.value,
        "state": key_state(key),
        "disable_reason": key.disable_reason or None,
        "status": list(key.status),
        "uploaded": key.uploaded,
        "created": time_text(key.created),
        "expires": time_text(key.expires) or None,
        "last_used": time_text(key.last_used) or None,
    }


def key_state(key: Key) -> str:
    """`enabled` or `disabled`."""
    return "disabled" if key.disabled else "enabled"


def secrets(found: Sequence[SecretResource]) -> Result:
    """The answer of `secret list`."""
    rows = tuple((s.name, time_text(s.created), _pairs(s.labels), _pairs(s.aliases)) for s in found)
    return Result(
        schema="orchestra-creds/secrets/1",
        body={"secrets": [secret_body(secret) for secret in found]},
        columns=("NAME", "CREATED", "LABELS", "ALIASES"),
        rows=rows,
        lines=() if rows else ("no secrets",),
    )


def versions(secret: SecretResource, found: Sequence[Version]) -> Result:
    """The answer of `secret versions`; the newest first, as `latest` would see it."""
    names: dict[int, list[str]] = {}
    for alias, number in sorted(secret.aliases.items()):
        names.setdefault(number, []).append(alias)
    if found:
        names.setdefault(found[0].number, []).append("latest")
    rows = tuple(
        (
            str(v.number),
            v.state.value,
            time_text(v.created),
            time_text(v.destroy_at or v.destroyed),
            " ".join(names.get(v.number, [])),
        )
        for v in found
    )
    return Result(
        schema="orchestra-creds/versions/1",
        body={"secret": secret_body(secret), "versions": [version_body(version) for version in found]},
        columns=("VERSION", "STATE", "CREATED", "DESTROYED", "ALIASES"),
        rows=rows,
        lines=() if rows else (f"{secret.name} has no version: it awaits a value",),
    )


def keys(account: str, found: Sequence[Key]) -> Result:
    """The answer of `key list`."""
    rows = tuple(
        (
            k.id,
            k.origin.value,
            _state_and_reason(k),
            time_text(k.created),
            time_text(k.expires) or "never",
            time_text(k.last_used) or "unknown",
        )
        for k in found
    )
    return Result(
        schema="orchestra-creds/keys/1",
        body={"account": account, "keys": [key_body(key) for key in found]},
        columns=("KEY", "ORIGIN", "STATE", "CREATED", "EXPIRES", "LAST USED"),
        rows=rows,
        lines=() if rows else (f"{account} has no keys",),
    )


def version_result(version: Version, *, stripped: bool = False) -> Result:
    """The answer of a verb that made or changed one version."""
    pending = f", to be destroyed at {time_text(version.destroy_at)}" if version.destroy_at else ""
    note = ("one final line break was taken off the value; --raw keeps it",) if stripped else ()
    return Result(
        schema="orchestra-creds/version/1",
        body={"version": version_body(version), "newline_stripped": stripped},
        lines=(f"{version.secret} version {version.number} is {version.state.value}{pending}", *note),
    )


def key_result(key: Key) -> Result:
    """The answer of a verb that made or changed one key."""
    return Result(
        schema="orchestra-creds/key/1",
        body={"key": key_body(key)},
        lines=(f"key {key.id} of {key.account} is {_state_and_reason(key)}",),
    )


def _state_and_reason(key: Key) -> str:
    """The state, and Google's reasons without the prefixes that its enums carry."""
    words = (re.sub(_ENUM_PREFIX, "", reason).lower().replace("_", " ") for reason in (key.disable_reason, *key.status))
    reasons = ", ".join(filter(None, words))
    return key_state(key) + (f" ({reasons})" if reasons else "")


def _pairs(items: Mapping[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(items.items()))


def grant_result(resource: str, member: str, role: str, *, changed: bool) -> Result:
    """The answer of `secret grant`."""
    name = resource.rpartition("/")[2]
    line = f"{member} now has {role} on {name}" if changed else f"{member} has {role} on {name} already"
    body = {"resource": resource, "member": member, "role": role, "changed": changed}
    return Result(schema="orchestra-creds/grant/1", body=body, lines=(line,))


def import_result(steps: Sequence[tuple[str, str, str, str]], *, applied: bool) -> Result:
    """The answer of `secret import-env`: (variable, secret, state, reason) a line; 1 when a value was refused."""
    keys = ("variable", "secret", "state", "reason")
    refused = sum(state == "refused" for _, _, state, _ in steps)
    done = "stored" if applied else "nothing was stored"
    return Result(
        schema="orchestra-creds/import/1",
        body={"applied": applied, "steps": [dict(zip(keys, step, strict=True)) for step in steps]},
        columns=("VARIABLE", "SECRET", "STATE", "REASON"),
        rows=tuple(steps),
        lines=(f"{done}; {refused} refused",),
        exit_code=ExitCode.ATTENTION if refused else ExitCode.OK,
    )


def key_deletion_result(account: str, key_id: str) -> Result:
    """The answer of `key delete`."""
    body = {"deleted": {"account": account, "id": key_id}}
    return Result(schema="orchestra-creds/key-deleted/1", body=body, lines=(f"key {key_id} of {account} is deleted",))
