"""Declared credentials and a cloud -> attempts of the rotation engine.

Credentials come from orchestra-creds.toml and from labels on the secrets; the file wins where both speak of one secret. Secrets are
listed once and passed on as they come, so that a run over many needs no more memory than over few.
"""

import contextlib
import secrets as randomness
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from orchestra_creds.bootstrap.clock import utc_now
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.config import declared
from orchestra_creds.core.declaration import Credential
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError

if TYPE_CHECKING:
    from orchestra_creds.core.credential import Secret
    from orchestra_creds.rotation.engine import Attempt, Run
    from orchestra_creds.rotation.issuer import Held, Issuer
    from orchestra_creds.rotation.outcome import Event, Report
    from orchestra_creds.rotation.situation import Want
    from orchestra_creds.rotation.state import State
    from orchestra_creds.rotation.status import Survey

HONEST_CLOCKS = timedelta(seconds=2)
"""The service tells its time to the second; a smaller difference is no difference."""


class Stopping(Protocol):
    """Tells whether to stop, and waits no longer than until then."""

    def __call__(self) -> bool:
        """Whether somebody asked for the end."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A declared credential, and its secret if a list showed it."""

    credential: Credential
    secret: "Secret | None" = None


def service_clock(cloud: Cloud) -> Callable[[], datetime]:
    """A clock that agrees with the service's: leases and graces of many machines are counted by it."""
    offset = cloud.inspector.server_time() - utc_now()
    return utc_now if abs(offset) < HONEST_CLOCKS else lambda: utc_now() + offset


class Declared:
    """The credentials of one project."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        tables = cloud.settings.document.credentials
        self._in_file = {name: declared.credential(name, table, cloud.project) for name, table in tables.items()}
        self._by_secret: dict[str, Credential] = {}
        for credential in self._in_file.values():
            other = self._by_secret.setdefault(credential.secret, credential)
            if other is not credential:
                raise ConfigError(
                    f"credentials {other.name} and {credential.name} share secret {credential.secret}",
                    hint="one secret holds one credential; give each its own",
                )

    def named(self, names: Sequence[str]) -> list[Found]:
        """Those with these names: of the file, or of a labelled secret.

        Raises:
            NotFoundError: there is none of that name.
        """
        return [self._named(name) for name in dict.fromkeys(names)]

    def _named(self, name: str) -> Found:
        if name in self._in_file:
            return Found(self._in_file[name])
        secret = self._cloud.secrets.find_secret(name)
        credential = self._labelled(secret) if secret is not None else None
        if credential is None:
            known = ", ".join(sorted(self._in_file)) or "none"
            raise NotFoundError(
                f"there is no credential {name!r}",
                hint=f"in the file: {known}; or label its secret with {declared.LABEL_KIND}",
            )
        return Found(credential, secret)

    def every(self) -> Iterator[Found]:
        """All of them, each secret as one list showed it; those of the file that have no secret yet come last."""
        left = dict(self._by_secret)
        for secret in self._cloud.secrets.list_secrets():
            credential = left.pop(secret.name, None) or self._labelled(secret)
            if credential is not None:
                yield Found(credential, secret)
        yield from (Found(credential) for credential in left.values())

    def _labelled(self, secret: "Secret") -> Credential | None:
        return declared.labelled(secret.name, secret.labels, self._cloud.project)

    def account_of(self, secret: str) -> str | None:
        """The account of the credential that a secret holds, if the file tells it."""
        credential = self._by_secret.get(secret)
        return credential.account if credential else None


@dataclass(slots=True)
class Workshop:
    """Makes attempts for one run over one cloud."""

    cloud: Cloud
    declared: Declared
    run: "Run"
    want: "Want"
    dry: bool = False
    take_over: bool = False
    _keys: dict[str, "Sequence[Held]"] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attempt(self, found: Found) -> "Attempt":
        """The attempt at one credential."""
        from orchestra_creds.bootstrap.issuers import destinations_of, issuer_of
        from orchestra_creds.rotation import programs
        from orchestra_creds.rotation.engine import Attempt
        from orchestra_creds.rotation.hands import Hands

        credential = found.credential
        issuer = issuer_of(credential, self.cloud, now=self.run.time.now)

        def hook(argv: Sequence[str], told: Mapping[str, str]) -> None:
            programs.run(argv, f"hook of {credential.name}", told=told, timeout=credential.timeout)

        hands = Hands(
            self.cloud.secrets,
            issuer,
            destinations_of(credential, self.cloud),
            siblings=lambda: self._siblings(credential),
            hook=hook,
            held=lambda: self._held(credential.account, issuer),
        )
        return Attempt(
            self.run, credential, hands, self.want, dry=self.dry, take_over=self.take_over, known=found.secret
        )

    def _held(self, account: str, issuer: "Issuer") -> "Sequence[Held]":
        """What the issuer lists, asked once a run for each account."""
        if not account:
            return issuer.held()
        with self._lock:
            if account in self._keys:
                return self._keys[account]
        held = issuer.held()
        with self._lock:
            return self._keys.setdefault(account, held)

    def _siblings(self, credential: Credential) -> "Iterator[State]":
        """The states of other credentials that may speak for keys of the same account."""
        from orchestra_creds.rotation.state import ANNOTATION, Phase, State, decode

        for secret in self.cloud.secrets.list_secrets():
            if secret.name == credential.secret or ANNOTATION not in secret.annotations:
                continue
            account = self.declared.account_of(secret.name)
            if account not in {None, credential.account}:
                continue
            try:
                yield decode(secret.annotations, secret.name)
            except PreconditionError:  # one that cannot be read may speak for any key: nothing is an orphan then
                yield State(phase=Phase.CREATING)


def rotated(
    cloud: Cloud,
    names: Sequence[str],
    want: "Want",
    *,
    dry: bool = False,
    take_over: bool = False,
    jobs: int = 1,
    stopping: "Stopping",
    tell: "Callable[[Event], None]" = lambda _event: None,
) -> "Report":
    """A whole run over the named credentials, or over all.

    Raises:
        CredsError: the run could not begin; what fails later is an outcome.
    """
    from orchestra_creds.rotation import batch
    from orchestra_creds.rotation.engine import Run
    from orchestra_creds.rotation.outcome import Report
    from orchestra_creds.rotation.timing import Time

    declared_ones = Declared(cloud)
    time = Time(service_clock(cloud), monotonic, stopping.sleep)
    run = Run(
        f"{utc_now():%Y%m%d%H%M%S}-{randomness.token_hex(4)}",
        time,
        cloud.secrets,
        cloud.session.deadline,
        tell=tell,
        stopping=stopping,
    )
    shop = Workshop(cloud, declared_ones, run, want, dry=dry, take_over=take_over)
    found = declared_ones.named(names) if names else declared_ones.every()
    started = time.now()
    outcomes = sorted(batch.run((shop.attempt(one) for one in found), time, jobs=jobs), key=lambda one: one.credential)
    return Report(run.id, started, time.now(), tuple(outcomes))


def surveyed(cloud: Cloud, names: Sequence[str] = (), *, tolerance: timedelta = timedelta(0)) -> "Survey":
    """How the named credentials stand, or all; one list of the secrets, and one of the keys for each account."""
    from orchestra_creds.rotation.status import Facts, standing, survey

    declared_ones, now = Declared(cloud), service_clock(cloud)
    found = declared_ones.named(names) if names else list(declared_ones.every())
    secrets = {one.credential.secret: one.secret or cloud.secrets.find_secret(one.credential.secret) for one in found}
    spoken: dict[str, set[str]] = {}
    for one in found:
        with contextlib.suppress(PreconditionError):
            spoken.setdefault(one.credential.account, set()).update(_referenced(secrets[one.credential.secret]))
    held = {account: _keys_of(cloud, account) for account in spoken if account}
    moment = now()
    facts = (
        Facts(
            one.credential,
            secrets[one.credential.secret],
            held.get(one.credential.account),
            frozenset(spoken.get(one.credential.account, ())),
        )
        for one in found
    )
    return survey(cloud.project, [standing(each, moment, tolerance) for each in facts], moment)


def _referenced(secret: "Secret | None") -> frozenset[str]:
    from orchestra_creds.rotation.status import state_of

    return state_of(secret).referenced


def _keys_of(cloud: Cloud, account: str) -> "Sequence[Held] | None":
    """The account's keys with their last use; None when there is no such account."""
    from orchestra_creds.core.credential import KeyOrigin
    from orchestra_creds.rotation.issuer import Held

    try:
        keys, uses = list(cloud.keys.list_keys(account)), cloud.keys.last_uses(account)
    except NotFoundError:
        return None
    return [
        Held(key.id, not key.disabled, key.created, uses.get(key.id), " ".join((key.disable_reason, *key.status)))
        for key in keys
        if key.origin is KeyOrigin.USER
    ]
