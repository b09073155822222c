"""The promises of the product, as something that watches a world and complains the moment one is broken.

After every change it looks at the cloud from outside: what readers may see now or may still see for as long as stale reads last must be
enabled and authenticate; keys of others are as they were; the newest version is never disabled or destroyed.
"""

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Credential
from orchestra_creds.core.policy import SHORTEST_GRACE
from orchestra_creds.emulator.iam import accounts, key_records
from orchestra_creds.emulator.iam.key_records import KeyRecord
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.state import Phase
from tests.rotation.snapshot import DESTROYED, Snapshot, take_snapshot
from tests.rotation.world import PROJECT, World

STALE = SHORTEST_GRACE
MOST_KEYS = 10


class BrokenPromiseError(AssertionError):
    """Names the promise."""


class Watch:
    """Watches one service-account-key credential of a world."""

    def __init__(self, world: World, account: str, secret: str = "db-key") -> None:  # noqa: S107  a name
        self.world, self.account, self.secret = world, account, secret
        self.visible: dict[int, datetime] = {}
        self.proven: set[int] = set()
        self.checks = 0
        self.held: dict[str, tuple[str, str]] = {}
        self.foreign = {key.id: key.disabled for key in self._snapshot().keys.get(account, {}).values()}
        world.emulator.after = self._after

    def _snapshot(self) -> Snapshot:
        return take_snapshot(self.world.store, PROJECT, self.held)

    def memory(self) -> Mapping[str, Any]:
        """Return what it has seen so far."""
        names = ("visible", "proven", "held", "foreign")
        return {name: copy.copy(getattr(self, name)) for name in names}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Go on from what another watch has seen."""
        for name, value in memory.items():
            setattr(self, name, copy.copy(value))

    def own(self, *keys: str) -> None:
        """These are ours from now on: they were adopted."""
        for key in keys:
            self.foreign.pop(key, None)

    def _after(self, _name: str, mutates: bool) -> None:
        if mutates:
            self.look()

    def look(self) -> None:
        """Complain about a broken promise."""
        self.checks += 1
        there = self._snapshot()
        keys, secret = there.keys.get(self.account, {}), there.secrets.get(self.secret)
        self._foreign_untouched(keys)
        if len(keys) > MOST_KEYS:
            raise BrokenPromiseError("I8: more keys than an account may have")
        if secret is None or not secret.states:
            return
        if not there.is_readable(self.secret, secret.latest):
            raise BrokenPromiseError(f"I6: the newest version {secret.latest} is not enabled")
        now = self.world.clock
        self.visible[secret.latest] = now
        if "current" in secret.aliases:
            self.visible[secret.aliases["current"]] = now
        for number, seen in self.visible.items():
            if now - seen <= STALE:
                self._check_usable(number, there)
        self._check_destroyed(there, keys)

    def _check_usable(self, number: int, there: Snapshot) -> None:
        if not there.is_readable(self.secret, number):
            raise BrokenPromiseError(f"I1: a reader may get version {number}, and it is not enabled")
        works = there.authenticates(self.secret, number) and self._is_known_everywhere(
            there.key_in(self.secret, number)
        )
        if (
            works and number not in self.proven
        ):  # the private half never changes: one token shows that it is the right one
            with self.world.aside(late=True):
                works = self.world.authenticates(self.secret, number)
            self.proven.add(number)
        if not works:
            raise BrokenPromiseError(f"I1: the key of version {number} does not authenticate")

    def _is_known_everywhere(self, identifier: str) -> bool:
        """Whether a key authenticates where it is seen late."""
        with self.world.store.transaction() as txn:
            account = accounts.find(txn, self.account)
            return account is not None and key_records.usable_key(txn, account, identifier) is not None

    def _check_destroyed(self, there: Snapshot, keys: Mapping[str, KeyRecord]) -> None:
        """A version is destroyed only once its key is dead, or another version holds it."""
        secret = there.secrets[self.secret]
        alive = {
            there.key_in(self.secret, number) for number in secret.states if there.is_readable(self.secret, number)
        }
        for number, state in secret.states.items():
            identifier = there.key_in(self.secret, number)
            key = keys.get(identifier)
            if state == DESTROYED and key is not None and not key.disabled and identifier not in alive:
                raise BrokenPromiseError(f"I7: version {number} is destroyed and its key is enabled")

    def _foreign_untouched(self, keys: Mapping[str, KeyRecord]) -> None:
        for identifier, disabled in self.foreign.items():
            if identifier not in keys or keys[identifier].disabled != disabled:
                raise BrokenPromiseError("I4: a key that is not ours was touched")

    # -- after all is over

    def settled(self, credentials: Sequence[Credential]) -> None:
        """What must hold once runs have come to rest: nothing left behind, nothing to do, the current one works."""
        self.look()
        for credential in credentials:
            self._rests(credential.secret)
        known = frozenset[str]().union(
            *(self.world.state(credential.secret).referenced_ids for credential in credentials)
        )
        with self.world.aside():
            left = self.world.enabled_keys(self.account) - known - set(self.foreign)
        if left:
            raise BrokenPromiseError(f"I2: enabled keys that nobody refers to: {len(left)}")
        before = len(self.world.emulator.mutations)
        for credential in credentials:
            outcome = self.world.rotate(credential)
            if outcome.ending is not Ending.NOTHING:
                raise BrokenPromiseError(f"I9: at rest, a run still says {outcome.ending}: {outcome.message}")
        if len(self.world.emulator.mutations) != before:
            raise BrokenPromiseError("I9: a run at rest changes something")

    def _rests(self, name: str) -> None:
        state = self.world.state(name)
        if state.phase is not Phase.IDLE or state.lease is not None:
            raise BrokenPromiseError(f"I2: {name} rests in phase {state.phase}")
        if state.current is None or not self.world.authenticates(name, state.current.version):
            raise BrokenPromiseError(f"I1: {name} does not authenticate")
        if not self.world.authenticates(name, "latest"):
            raise BrokenPromiseError("I1: latest does not authenticate")
        if self.world.staged(name):
            raise BrokenPromiseError("I10: a staged copy was left behind")
        with self.world.aside():
            for number, there in self.world.versions(name).items():
                if there is VersionState.ENABLED and not self.world.authenticates(name, number):
                    raise BrokenPromiseError(f"I2: version {number} is left behind with a dead key")
