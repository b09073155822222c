"""Declared credentials and a cloud -> attempts of the rotation engine, and how the credentials stand."""

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
from orchestra_creds.bootstrap.declarations import CatalogEntry, CredentialCatalog, RefusedEntry, UndeclaredSecret
from orchestra_creds.core.credential import Credential
from orchestra_creds.errors import CredsError, ExitCode, NotFoundError, PreconditionError

if TYPE_CHECKING:
    from orchestra_creds.core.cloud_types import SecretResource
    from orchestra_creds.rotation.engine import Attempt, Run
    from orchestra_creds.rotation.issuer import IssuedCredential, Issuer
    from orchestra_creds.rotation.outcome import Event, Outcome, Report
    from orchestra_creds.rotation.situation import RunRequest
    from orchestra_creds.rotation.state import State
    from orchestra_creds.rotation.status import CredentialStatus, Survey

HONEST_CLOCKS = timedelta(seconds=2)
"""The service tells its time to the second; a smaller difference is no difference."""


class StopSignal(Protocol):
    """Tells whether to stop, and waits no longer than until then."""

    def __call__(self) -> bool:
        """Whether somebody asked for the end."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


def service_clock(cloud: Cloud) -> Callable[[], datetime]:
    """A clock that agrees with the service's: leases and graces of many machines are counted by it."""
    offset = cloud.inspector.server_time() - utc_now()
    return utc_now if abs(offset) < HONEST_CLOCKS else lambda: utc_now() + offset


@dataclass(slots=True)
class AttemptFactory:
    """Makes attempts for one run over one cloud."""

    cloud: Cloud
    catalog: CredentialCatalog
    run: "Run"
    want: "RunRequest"
    dry: bool = False
    take_over: bool = False
    _keys: dict[str, "Sequence[IssuedCredential]"] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attempt(self, found: CatalogEntry) -> "Attempt":
        """The attempt at one credential."""
        from orchestra_creds.bootstrap.issuers import destinations_of, issuer_of
        from orchestra_creds.rotation import programs
        from orchestra_creds.rotation.engine import Attempt
        from orchestra_creds.rotation.executor import StepExecutor

        credential = found.credential
        issuer = issuer_of(credential, self.cloud, now=self.run.time.now)

        def run_hook(argv: Sequence[str], variables: Mapping[str, str]) -> None:
            programs.run(argv, f"hook of {credential.name}", variables=variables, timeout=credential.timeout)

        executor = StepExecutor(
            self.cloud.secrets,
            issuer,
            destinations_of(credential, self.cloud),
            siblings=lambda: self._siblings(credential),
            hook=run_hook,
            list_credentials=lambda: self._list_credentials(credential.account, issuer),
        )
        return Attempt(
            self.run, credential, executor, self.want, dry=self.dry, take_over=self.take_over, known=found.secret
        )

    def _list_credentials(self, account: str, issuer: "Issuer") -> "Sequence[IssuedCredential]":
        """What the issuer lists, asked once a run for each account."""
        if not account:
            return issuer.list_credentials()
        with self._lock:
            if account in self._keys:
                return self._keys[account]
        held = issuer.list_credentials()
        with self._lock:
            return self._keys.setdefault(account, held)

    def _siblings(self, credential: Credential) -> "Iterator[State]":
        """The states of other credentials that may speak for keys of the same account."""
        from orchestra_creds.rotation.state import ANNOTATION, Phase, State, decode

        for secret in self.cloud.secrets.list_secrets():
            if secret.name == credential.secret or ANNOTATION not in secret.annotations:
                continue
            account = self.catalog.account_of(secret.name)
            if account not in {None, credential.account}:
                continue
            try:
                yield decode(secret.annotations, secret.name)
            except PreconditionError:  # one that cannot be read may speak for any key: nothing is an orphan then
                yield State(phase=Phase.CREATING)


def rotate_credentials(
    cloud: Cloud,
    names: Sequence[str],
    want: "RunRequest",
    *,
    from_labels: bool = False,
    dry: bool = False,
    take_over: bool = False,
    jobs: int = 1,
    stopping: "StopSignal",
    tell: "Callable[[Event], None]" = lambda _event: None,
) -> "Report":
    """A whole run over the named credentials, or over all; with `from_labels`, labels on secrets declare credentials as well.

    Raises:
        CredsError: the run could not begin; what fails later is an outcome.
    """
    from orchestra_creds.rotation import batch
    from orchestra_creds.rotation.engine import Run
    from orchestra_creds.rotation.outcome import Report
    from orchestra_creds.rotation.run_clock import RunClock

    catalog = CredentialCatalog(cloud, from_labels=from_labels)
    time = RunClock(service_clock(cloud), monotonic, stopping.sleep)
    run = Run(
        f"{utc_now():%Y%m%d%H%M%S}-{randomness.token_hex(4)}",
        time,
        cloud.secrets,
        cloud.session.deadline,
        tell=tell,
        stopping=stopping,
    )
    shop = AttemptFactory(cloud, catalog, run, want, dry=dry, take_over=take_over)
    outcomes: list[Outcome] = []

    def attempts() -> "Iterator[Attempt]":
        for one in catalog.select(names) if names else catalog.entries():
            if isinstance(one, RefusedEntry):
                outcomes.append(_refusal(one))
            else:
                yield shop.attempt(one)

    started = time.now()
    outcomes.extend(batch.run(attempts(), time, jobs=jobs))
    if not names:
        left_out = catalog.undeclared_secrets(anything=bool(outcomes), now=started)
        outcomes.extend(_attention(one) for one in left_out)
    return Report(run.id, started, time.now(), tuple(sorted(outcomes, key=lambda one: one.credential)))


def _refusal(one: RefusedEntry) -> "Outcome":
    from orchestra_creds.rotation.outcome import Ending, Outcome

    error = one.error
    return Outcome(one.name, Ending.FAILED, message=str(error), hint=error.hint, error=error, code=error.exit_code)


def _attention(one: UndeclaredSecret) -> "Outcome":
    from orchestra_creds.rotation.outcome import Ending, Outcome

    return Outcome(
        one.secret, Ending.ATTENTION, message=_undeclared_message(one), hint=one.hint, code=ExitCode.ATTENTION
    )


def _undeclared_message(one: UndeclaredSecret) -> str:
    due = f", and was due on {one.due}" if one.due else ""
    return f"it carries labels or a state of orchestra-creds{due}, but nothing here declares it"


def survey_credentials(
    cloud: Cloud, names: Sequence[str] = (), *, from_labels: bool = False, tolerance: timedelta = timedelta(0)
) -> "Survey":
    """How the named credentials stand, or all; one list of the secrets, and one of the keys for each account."""
    from orchestra_creds.rotation.status import CredentialFacts, credential_status, survey

    catalog, now = CredentialCatalog(cloud, from_labels=from_labels), service_clock(cloud)
    every = list(catalog.select(names) if names else catalog.entries())
    found = [one for one in every if isinstance(one, CatalogEntry)]
    secrets = {one.credential.secret: one.secret or cloud.secrets.find_secret(one.credential.secret) for one in found}
    spoken: dict[str, set[str]] = {}
    for one in found:
        with contextlib.suppress(PreconditionError):
            spoken.setdefault(one.credential.account, set()).update(_referenced_ids(secrets[one.credential.secret]))
    unknown: dict[str, None] = {}
    held = {account: _keys_of(cloud, account, unknown) for account in spoken if account}
    moment = now()
    facts = (
        CredentialFacts(
            one.credential,
            secrets[one.credential.secret],
            held.get(one.credential.account),
            frozenset(spoken.get(one.credential.account, ())),
        )
        for one in found
    )
    rows = [credential_status(each, moment, tolerance) for each in facts]
    left_out = [] if names else catalog.undeclared_secrets(anything=bool(every), now=moment)
    rows += _unusable([one for one in every if isinstance(one, RefusedEntry)], left_out)
    notes = [f"last use is unknown: {text}" for text in unknown]
    if every and not names and catalog.unread_labels:
        notes.append(f"labels that do not count without --from-labels: {', '.join(catalog.unread_labels)}")
    return survey(cloud.project, rows, moment, notes)


def _unusable(refused: Sequence[RefusedEntry], left_out: Sequence[UndeclaredSecret]) -> "list[CredentialStatus]":
    from orchestra_creds.rotation.status import CredentialProblem, Problem, unusable

    rows = [unusable(r.name, r.secret, r.source, CredentialProblem(Problem.DECLARATION, str(r.error))) for r in refused]
    rows += [unusable(u.secret, u.secret, "none", CredentialProblem(Problem.UNDECLARED, u.hint)) for u in left_out]
    return rows


def _referenced_ids(secret: "SecretResource | None") -> frozenset[str]:
    from orchestra_creds.rotation.status import state_of

    return state_of(secret).referenced_ids


def _keys_of(cloud: Cloud, account: str, unknown: dict[str, None]) -> "Sequence[IssuedCredential] | None":
    """The account's keys with their last use; None when there is no such account. Why a last use is unknown goes to `unknown`."""
    from orchestra_creds.core.cloud_types import KeyOrigin
    from orchestra_creds.rotation.issuer import IssuedCredential

    uses: Mapping[str, datetime] = {}
    try:
        keys = list(cloud.keys.list_keys(account))
    except NotFoundError:
        return None
    try:
        uses = cloud.keys.last_uses(account)
    except CredsError as error:  # a brake and a column of the table, and no reason to show nothing at all
        unknown[str(error)] = None
    return [
        IssuedCredential(key.id, not key.disabled, key.created, uses.get(key.id), key.exposed)
        for key in keys
        if key.origin is KeyOrigin.USER
    ]
