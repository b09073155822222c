"""What is in an embedded cloud at one moment, read from its store without any of our code: keys, secrets, versions, and who authenticates."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from orchestra_creds.emulator.iam import accounts, key_records
from orchestra_creds.emulator.iam.key_records import KeyRecord
from orchestra_creds.emulator.secret_manager.records import SECRET, VERSION, Secret, SecretVersion
from orchestra_creds.emulator.store.store import Store, Txn

ENABLED, DESTROYED = int(SecretVersion.ENABLED), int(SecretVersion.DESTROYED)


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """A secret with the states of its versions by number."""

    name: str
    resource: str
    annotations: Mapping[str, str]
    aliases: Mapping[str, int]
    states: Mapping[int, int]

    @property
    def latest(self) -> int:
        """The newest version, 0 if there is none."""
        return max(self.states, default=0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All secrets and keys of a project. `keys` has the user-managed keys of each account by its mail address."""

    now: datetime
    secrets: Mapping[str, SecretFacts]
    keys: Mapping[str, Mapping[str, KeyRecord]]
    disabled: frozenset[str]
    held: dict[str, tuple[str, str]] = field(repr=False)
    """The account and the key id in each version, by its resource name; empty texts if it holds no key."""

    def enabled_keys(self, account: str = "") -> set[str]:
        """The keys that are not disabled, of one account or of all."""
        chosen = [self.keys.get(account, {})] if account else list(self.keys.values())
        return {key.id for each in chosen for key in each.values() if not key.disabled}

    def all_keys(self) -> set[str]:
        """All keys."""
        return {identifier for each in self.keys.values() for identifier in each}

    def versions_of(self, secret: str) -> list[str]:
        """The resource names of the versions of a secret."""
        there = self.secrets.get(secret)
        return [f"{there.resource}/versions/{number}" for number in there.states] if there else []

    def key_in(self, secret: str, version: int) -> str:
        """The id of the key that a version holds or held; empty if it is none."""
        return self.held[f"{self.secrets[secret].resource}/versions/{version}"][1]

    def is_readable(self, secret: str, version: int) -> bool:
        """Whether a reader of this version gets something."""
        there = self.secrets.get(secret)
        return there is not None and there.states.get(version) == ENABLED

    def authenticates(self, secret: str, version: int) -> bool:
        """Whether a reader of this version gets a key that authenticates."""
        if not self.is_readable(secret, version):
            return False
        account, identifier = self.held[f"{self.secrets[secret].resource}/versions/{version}"]
        key = self.keys.get(account, {}).get(identifier)
        return key is not None and key.lives(self.now) and account not in self.disabled


def take_snapshot(store: Store, project: str, held: dict[str, tuple[str, str]]) -> Snapshot:
    """Read the store; `held` is kept from one snapshot to the next, for the payload of a version never changes."""
    with store.transaction() as txn:
        keys: dict[str, dict[str, KeyRecord]] = {}
        disabled = set()
        for row in txn.children(accounts.ACCOUNT, f"projects/{project}"):
            identifier, email, is_disabled = _account(row.body)
            records = [_key(each.body) for each in txn.children(key_records.KEY, identifier)]
            keys[email] = {key.id: key for key in records if not key.system}
            if is_disabled:
                disabled.add(email)
        secrets = {}
        for row in txn.children(SECRET, f"projects/{project}"):
            states = {}
            for each in txn.children(VERSION, row.name):
                states[int(each.name.rpartition("/")[2])] = _version_state(each.body)
                if each.name not in held:
                    held[each.name] = _key_in(txn, each.name)
            name = row.name.rpartition("/")[2]
            annotations, aliases = _secret(row.body)
            secrets[name] = SecretFacts(name, row.name, annotations, aliases, states)
        return Snapshot(txn.now, secrets, keys, frozenset(disabled), held)


@lru_cache(maxsize=4096)
def _account(body: bytes) -> tuple[str, str, bool]:
    account = accounts.ServiceAccount.FromString(body)
    return account.unique_id, account.email, bool(account.disabled)


@lru_cache(maxsize=4096)
def _key(body: bytes) -> KeyRecord:
    return key_records._record_from_json(body)


@lru_cache(maxsize=4096)
def _secret(body: bytes) -> tuple[Mapping[str, str], Mapping[str, int]]:
    secret = Secret.FromString(body)
    return dict(secret.annotations), dict(secret.version_aliases)


@lru_cache(maxsize=4096)
def _version_state(body: bytes) -> int:
    return int(SecretVersion.FromString(body).state)


def _key_in(txn: Txn, version: str) -> tuple[str, str]:
    try:
        body = json.loads(txn.unseal(version) or b"")
    except ValueError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    return str(body.get("client_email", "")), str(body.get("private_key_id", ""))
