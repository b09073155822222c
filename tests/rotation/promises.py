"""The promises of the product, as something that watches a world and complains the moment one is broken.

After every change it looks at the cloud from outside: what readers may see now or may still see for as long as stale reads last must be
enabled and authenticate; keys of others are as they were; the newest version is never disabled or destroyed.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from orchestra_creds.core.cloud_types import KeyOrigin, VersionState
from orchestra_creds.core.credential import Credential
from orchestra_creds.core.policy import SHORTEST_GRACE
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.state import Phase
from tests.rotation.world import World

STALE = SHORTEST_GRACE
MOST_KEYS = 10


class BrokenPromiseError(AssertionError):
    """Names the promise."""


class Watch:
    """Watches one service-account-key credential of a world."""

    def __init__(self, world: World, account: str, secret: str = "db-key") -> None:  # noqa: S107  a name
        self.world, self.account, self.secret = world, account, secret
        self.visible: dict[int, datetime] = {}
        self.ids: dict[int, str] = {}
        self.foreign: dict[str, bool] = {}
        self.checks = 0
        with world.aside():
            self.foreign = {key.id: key.disabled for key in world.keys.list_keys(account)}
        world.emulator.after = self._after

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
        with self.world.aside():
            keys = {key.id: key for key in self.world.keys.list_keys(self.account)}
            versions = self._versions()
            secret = self.world.secrets.find_secret(self.secret)
        self._foreign_untouched(keys)
        if sum(key.origin is KeyOrigin.USER for key in keys.values()) > MOST_KEYS:
            raise BrokenPromiseError("I8: more keys than an account may have")
        if not versions:
            return
        newest = max(versions)
        if versions[newest] is not VersionState.ENABLED:
            raise BrokenPromiseError(f"I6: the newest version {newest} is {versions[newest]}")
        now = self.world.clock
        self.visible[newest] = now
        if secret is not None and "current" in secret.aliases:
            self.visible[secret.aliases["current"]] = now
        for number, seen in self.visible.items():
            if now - seen <= STALE:
                self._usable(number, versions, keys)
        self._destroyed_only_when_dead(versions, keys)

    def _usable(self, number: int, versions: dict[int, VersionState], keys: dict[str, Any]) -> None:
        if versions.get(number) is not VersionState.ENABLED:
            raise BrokenPromiseError(f"I1: a reader may get version {number}, and it is {versions.get(number)}")
        key = keys.get(self._id(number))
        with self.world.aside(late=True):
            works = self.world.authenticates(self.secret, number)
        if key is None or key.disabled or not works:
            raise BrokenPromiseError(f"I1: the key of version {number} does not authenticate")

    def _destroyed_only_when_dead(self, versions: dict[int, VersionState], keys: dict[str, Any]) -> None:
        alive = {self._id(number) for number, state in versions.items() if state is VersionState.ENABLED}
        for number, state in versions.items():
            identifier = self.ids.get(number, "")
            key = keys.get(identifier)
            if state is VersionState.DESTROYED and key is not None and not key.disabled and identifier not in alive:
                raise BrokenPromiseError(f"I7: version {number} is destroyed and its key is enabled")

    def _foreign_untouched(self, keys: dict[str, Any]) -> None:
        for identifier, disabled in self.foreign.items():
            if identifier not in keys or keys[identifier].disabled != disabled:
                raise BrokenPromiseError("I4: a key that is not ours was touched")

    def _versions(self) -> dict[int, VersionState]:
        if self.world.secrets.find_secret(self.secret) is None:
            return {}
        return self.world.versions(self.secret)

    def _id(self, number: int) -> str:
        if number not in self.ids:
            with self.world.aside():
                body = json.loads(self.world.secrets.access(self.secret, number).material.reveal())
            self.ids[number] = str(body["private_key_id"])
        return self.ids[number]

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
