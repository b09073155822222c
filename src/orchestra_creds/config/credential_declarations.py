"""Declared credentials, from the file and from labels on the secrets themselves: tables -> `core` data, checked.

The labels say the same as the file, so that `rotate --due --project P` needs no file. Label values hold lower-case letters, digits,
`_` and `-` only (cloud.google.com/secret-manager/docs/labels), hence the bare name of an account in its project.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from operator import attrgetter
from typing import TypeVar

import msgspec

from orchestra_creds.config.credentials import CREDENTIAL_KINDS, DESTINATION_KINDS, CredentialTable, DestinationTable
from orchestra_creds.config.table import nearest_hint
from orchestra_creds.core import durations
from orchestra_creds.core.accounts import mail
from orchestra_creds.core.credential import (
    ApiKey,
    Copy,
    Credential,
    CredentialKind,
    GenerateOptions,
    Hooks,
    IgnoredKey,
    Postgres,
    Strategy,
)
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.errors import ConfigError

LABEL = "orchestra-"
"""What our labels begin with: `orchestra-kind`, `orchestra-account`, `orchestra-every` and so on."""
LABEL_KIND = "orchestra-kind"
LABEL_ACCOUNT = "orchestra-account"

T = TypeVar("T", CredentialKind, Strategy)

_IGNORED = re.compile(r"(?P<id>[0-9A-Za-z]+) until (?P<until>\d{4}-\d\d-\d\d): (?P<reason>\S.*)")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
_POLICY = ("every", "grace", "soak", "settle", "require_unused")


def credential(name: str, table: CredentialTable, project: str) -> Credential:
    """The credential of `[credentials.NAME]`.

    Raises:
        ConfigError: a kind, a length of time or a destination that we do not know, a policy that breaks readers, or a missing option.
    """
    kind = _choice(CredentialKind, table.kind, f"credential {name}: kind")
    secret = table.secret or name
    if not _NAME.fullmatch(secret):
        raise ConfigError(
            f"credential {name}: {secret!r} is no name of a secret", hint="letters, digits, - and _, at most 200"
        )
    declared = Credential(
        name=name,
        kind=kind,
        secret=secret,
        policy=_policy(name, {key: getattr(table, key) for key in _POLICY}),
        account=account_mail(table.account, project),
        strategy=_choice(Strategy, table.strategy, f"credential {name}: strategy"),
        ignored=tuple(_ignored_key(name, text) for text in table.ignore),
        copies=_copies(name, table.destinations),
        hooks=Hooks(table.hooks.pre, table.hooks.deploy, table.hooks.fail),
        probe=table.probe,
        command=table.command,
        generated=GenerateOptions(**msgspec.structs.asdict(table.generate)),
        postgres=Postgres(**msgspec.structs.asdict(table.postgres)) if table.postgres else Postgres(),
        api_key=ApiKey(**msgspec.structs.asdict(table.api_key)),
        timeout=durations.parse(table.timeout, what=f"credential {name}: timeout")
        if table.timeout
        else timedelta(seconds=60),
    )
    _check_kind(declared)
    return declared


def from_labels(secret: str, labels: Mapping[str, str], project: str) -> Credential | None:
    """The credential that a secret's own labels declare, or None when they declare none.

    Raises:
        ConfigError: they say something that we do not understand.
    """
    if LABEL_KIND not in labels:
        return None
    kind = _choice(CredentialKind, labels[LABEL_KIND], f"secret {secret}: label {LABEL_KIND}")
    if not CREDENTIAL_KINDS[kind].labels:
        raise ConfigError(
            f"secret {secret}: kind {kind} cannot be declared by labels", hint="declare it in orchestra-creds.toml"
        )
    texts = {key: labels.get(LABEL + key.replace("_", "-"), "") for key in _POLICY}
    declared = Credential(
        name=secret,
        kind=kind,
        secret=secret,
        policy=_policy(secret, texts),
        account=account_mail(labels.get(LABEL_ACCOUNT, ""), project),
        source="labels",
    )
    _check_kind(declared)
    return declared


def labels_of(declared: Credential, project: str) -> dict[str, str]:
    """The labels that declare the same credential; what `setup` writes.

    Raises:
        ConfigError: the kind needs more than labels can say.
    """
    if not CREDENTIAL_KINDS[declared.kind].labels:
        raise ConfigError(f"credential {declared.name}: kind {declared.kind} cannot be declared by labels")
    policy = {
        f"{LABEL}{key.replace('_', '-')}": durations.duration_text(getattr(declared.policy, key)) for key in _POLICY
    }
    account = declared.account.removesuffix(mail("", project))
    return {LABEL_KIND: str(declared.kind), **policy} | ({LABEL_ACCOUNT: account} if account else {})


def _ignored_key(name: str, text: str) -> IgnoredKey:
    """A foreign key that the file accepts: `KEYID until 2027-03-01: reason`."""
    found = _IGNORED.fullmatch(text)
    try:
        until = date.fromisoformat(found["until"]) if found else None
    except ValueError:
        until = None
    if found is None or until is None:
        raise ConfigError(
            f"credential {name}: ignore does not say which key, until when and why: {text!r}",
            hint='write ignore = ["KEYID until 2027-03-01: reason"]',
        )
    return IgnoredKey(found["id"], until, found["reason"])


def _policy(name: str, texts: Mapping[str, str | bool]) -> RotationPolicy:
    lengths = {}
    for key, text in texts.items():
        if isinstance(text, bool):
            lengths[key] = RotationPolicy().require_unused if text else timedelta(0)
        elif text:
            lengths[key] = durations.parse(text, what=f"credential {name}: {key}")
    policy = RotationPolicy(**lengths)
    policy.check(name)
    return policy


def account_mail(text: str, project: str) -> str:
    """Return the mail address of an account that the file or a label names; empty stays empty."""
    return mail(text, project) if text and "@" not in text else text


def _copies(name: str, tables: tuple[DestinationTable, ...]) -> tuple[Copy, ...]:
    copies = []
    for table in tables:
        options = {key: value for key, value in msgspec.structs.asdict(table).items() if value}
        kind = str(options.pop("kind"))
        if kind not in DESTINATION_KINDS:
            raise ConfigError(
                f"credential {name}: there is no destination of kind {kind!r}",
                hint=nearest_hint(kind, DESTINATION_KINDS),
            )
        missing = [key for key in DESTINATION_KINDS[kind].needed if key not in options]
        if missing:
            raise ConfigError(f"credential {name}: destination {kind} needs {' and '.join(missing)}")
        label = str(options.pop("name", "")) or _label(kind, options)
        copies.append(Copy(kind, label, options))
    names = [copy.name for copy in copies]
    if len(set(names)) < len(names):
        raise ConfigError(f"credential {name}: two destinations have one name", hint="give each a name of its own")
    return tuple(copies)


def _label(kind: str, options: Mapping[str, str | tuple[str, ...]]) -> str:
    """Return the name of a destination without one, for states, plans and reports."""
    shown = (options[key] for key in DESTINATION_KINDS[kind].needed if key != "token_from")
    return f"{kind}:" + "/".join(text if isinstance(text, str) else text[0] for text in shown)


def _check_kind(declared: Credential) -> None:
    missing = [key for key in CREDENTIAL_KINDS[declared.kind].needed if not attrgetter(key)(declared)]
    if missing:
        raise ConfigError(f"credential {declared.name}: kind {declared.kind} needs {' and '.join(missing)}")


def _choice(kinds: type[T], text: str, what: str) -> T:
    try:
        return kinds(text)
    except ValueError:
        raise ConfigError(f"{what} {text!r} is not known", hint=nearest_hint(text, kinds)) from None
