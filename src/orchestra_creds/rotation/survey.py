"""How the declared credentials of a project stand.

It takes one list of the secrets, a look at each latest version, and one list of the keys for each account.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from orchestra_creds.core.cloud_types import KeyOrigin, SecretResource, Version
from orchestra_creds.core.credential import IgnoredKey
from orchestra_creds.core.ports import KeyStore, SecretStore
from orchestra_creds.errors import CredsError, NotFoundError, PreconditionError
from orchestra_creds.rotation.catalog import CatalogEntry, CredentialCatalog, RefusedEntry, UndeclaredSecret
from orchestra_creds.rotation.issuer import IssuedCredential
from orchestra_creds.rotation.state import State
from orchestra_creds.rotation.status import (
    CredentialFacts,
    CredentialProblem,
    CredentialStatus,
    Problem,
    credential_status,
    state_of,
    unusable,
)

READERS = 8
"""Versions that are looked at at once."""


def survey_catalog(
    catalog: CredentialCatalog,
    secrets: SecretStore,
    keys: KeyStore,
    names: Sequence[str],
    moment: datetime,
    tolerance: timedelta,
) -> tuple[list[CredentialStatus], list[str]]:
    """Return how the named credentials stand at a moment, or all, and notes about what is not known.

    A credential is overdue when it is due for longer than `tolerance`.
    """
    listed = list(catalog.select(names) if names else catalog.entries())
    entries, held, unread_rows = _find_secrets(secrets, [one for one in listed if isinstance(one, CatalogEntry)])
    spoken: dict[str, set[str]] = {one.credential.account: set() for one in entries}
    for one in entries:
        for account, identifier in _readable_state(held[one.credential.secret]).ids_by_account(one.credential.account):
            if account in spoken:
                spoken[account].add(identifier)
    others = {identifier: name for name, state in catalog.left_out_states for identifier in state.referenced_ids}
    ignored: dict[str, dict[str, IgnoredKey]] = {}
    for one in entries:
        ignored.setdefault(one.credential.account, {}).update({each.id: each for each in one.credential.ignored})
    unknown: dict[str, None] = {}
    unread_keys: dict[str, str] = {}
    issued = {account: _keys_of(keys, account, unknown, unread_keys) for account in spoken if account}
    disabled = {
        account: _is_disabled(keys, account, unread_keys) for account in spoken if issued.get(account) is not None
    }
    with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="status") as pool:
        versions = pool.map(lambda one: look_at_latest(secrets, held[one.credential.secret]), entries)
        facts = [
            CredentialFacts(
                one.credential,
                held[one.credential.secret],
                issued.get(one.credential.account),
                frozenset(spoken.get(one.credential.account, ())),
                others,
                ignored[one.credential.account],
                latest,
                "; ".join(filter(None, (unread, unread_keys.get(one.credential.account)))),
                disabled.get(one.credential.account, False),
            )
            for one, (latest, unread) in zip(entries, versions, strict=True)
        ]
    rows = [credential_status(each, moment, tolerance) for each in facts] + unread_rows
    left_out = [] if names else catalog.undeclared_secrets(anything=bool(listed), now=moment)
    rows += _unusable([one for one in listed if isinstance(one, RefusedEntry)], left_out)
    notes = [f"last use is unknown: {text}" for text in unknown]
    notes += [
        f"key {each.id} of {account} is ignored until {each.until}: {each.reason}"
        for account, keys_ignored in ignored.items()
        for each in keys_ignored.values()
    ]
    if listed and not names and catalog.unread_labels:
        notes.append(f"labels that do not count without --from-labels: {', '.join(catalog.unread_labels)}")
    return rows, notes


def _find_secrets(
    secrets: SecretStore, entries: Sequence[CatalogEntry]
) -> tuple[list[CatalogEntry], dict[str, SecretResource | None], list[CredentialStatus]]:
    """Return the entries whose secrets were seen, these secrets by name, and rows of the others: one denied look hides nothing else."""
    seen, found, rows = [], {}, []
    for one in entries:
        credential = one.credential
        try:
            found[credential.secret] = one.secret or secrets.find_secret(credential.secret)
        except CredsError as error:
            problem = CredentialProblem(Problem.NOT_READ, str(error))
            rows.append(unusable(credential.name, credential.secret, credential.source, problem))
        else:
            seen.append(one)
    return seen, found, rows


def _readable_state(secret: SecretResource | None) -> State:
    """Return the state on a secret, an empty one if it cannot be read: its own row says so."""
    try:
        return state_of(secret)
    except PreconditionError:
        return State()


def look_at_latest(secrets: SecretStore, secret: SecretResource | None) -> tuple[Version | None, str]:
    """Return the version that readers of `latest` get, or why nobody could look: one denied look hides no other credential."""
    if secret is None:
        return None, ""
    try:
        return secrets.get_version(secret.name, "latest"), ""
    except NotFoundError:
        return None, ""
    except CredsError as error:
        return None, str(error)


def _unusable(refused: Sequence[RefusedEntry], left_out: Sequence[UndeclaredSecret]) -> list[CredentialStatus]:
    rows = [unusable(r.name, r.secret, r.source, CredentialProblem(Problem.DECLARATION, str(r.error))) for r in refused]
    for one in left_out:
        alive = f"{', '.join(one.alive)} may still be valid; " if one.alive else ""
        problem = CredentialProblem(Problem.UNDECLARED, alive + one.hint)
        rows.append(unusable(one.secret, one.secret, "none", problem))
    return rows


def _keys_of(
    store: KeyStore, account: str, unknown: dict[str, None], unread: dict[str, str]
) -> Sequence[IssuedCredential] | None:
    """Return the account's keys with their last use; None if there is no such account, or nobody could look.

    Why a last use is unknown goes to `unknown`, and why nobody could look at the account to `unread`.
    """
    uses: Mapping[str, datetime] = {}
    try:
        keys = list(store.list_keys(account))
    except NotFoundError:
        return None
    except CredsError as error:
        unread[account] = str(error)
        return None
    try:
        uses = store.last_uses(account)
    except CredsError as error:  # a brake and a column of the table, and no reason to show nothing at all
        unknown[str(error)] = None
    return [
        IssuedCredential(key.id, not key.disabled, key.created, uses.get(key.id), key.exposed, key.expires)
        for key in keys
        if key.origin is KeyOrigin.USER
    ]


def _is_disabled(store: KeyStore, account: str, unread: dict[str, str]) -> bool:
    """Return whether an account is disabled; why nobody could look goes to `unread`."""
    try:
        return store.is_account_disabled(account)
    except CredsError as error:
        unread[account] = str(error)
        return False
