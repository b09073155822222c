"""The attempts of one run: each declared credential with its issuer, its destinations and its hooks."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.core.ports import Destination
from orchestra_creds.errors import ExitCode, PreconditionError
from orchestra_creds.rotation import batch, programs
from orchestra_creds.rotation.catalog import CatalogEntry, CredentialCatalog, RefusedEntry, UndeclaredSecret
from orchestra_creds.rotation.engine import Attempt, Run
from orchestra_creds.rotation.executor import StepExecutor
from orchestra_creds.rotation.issuer import IssuedCredential, Issuer
from orchestra_creds.rotation.outcome import Ending, Outcome, Report
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.state import ANNOTATION, Phase, State, decode


@dataclass(slots=True)
class AttemptFactory:
    """Makes attempts for one run; `issuer_of` and `destinations_of` build the adapters of a credential."""

    run: Run
    catalog: CredentialCatalog
    issuer_of: Callable[[Credential], Issuer]
    destinations_of: Callable[[Credential], Sequence[Destination]]
    want: RunRequest
    dry: bool = False
    take_over: bool = False
    _issued: dict[str, Sequence[IssuedCredential]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attempt(self, entry: CatalogEntry) -> Attempt:
        """Return the attempt at one credential."""
        credential = entry.credential
        issuer = self.issuer_of(credential)

        def run_hook(argv: Sequence[str], variables: Mapping[str, str]) -> None:
            programs.run(argv, f"hook of {credential.name}", variables=variables, timeout=credential.timeout)

        executor = StepExecutor(
            self.run.secrets,
            issuer,
            self.destinations_of(credential),
            siblings=lambda: self._siblings(credential),
            hook=run_hook,
            list_credentials=lambda: self._list_credentials(credential.account, issuer),
            issuer_at=lambda target: self.issuer_of(
                replace(credential, kind=CredentialKind(target.kind), account=target.account)
            ),
        )
        return Attempt(
            self.run, credential, executor, self.want, dry=self.dry, take_over=self.take_over, known=entry.secret
        )

    def _list_credentials(self, account: str, issuer: Issuer) -> Sequence[IssuedCredential]:
        """Return what the issuer lists, asked once a run for each account."""
        if not account:
            return issuer.list_credentials()
        with self._lock:
            if account in self._issued:
                return self._issued[account]
        issued = issuer.list_credentials()
        with self._lock:
            return self._issued.setdefault(account, issued)

    def _siblings(self, credential: Credential) -> Iterator[State]:
        """Yield the states of other credentials that may speak for keys of the same account."""
        for secret in self.run.secrets.list_secrets():
            if secret.name == credential.secret or ANNOTATION not in secret.annotations:
                continue
            account = self.catalog.account_of(secret.name)
            try:
                state = decode(secret.annotations, secret.name)
                there = {target.account for target in state.targets if target is not None}
                if account in {None, credential.account} or credential.account in there:
                    yield state
            except PreconditionError:  # one that cannot be read may speak for any key: nothing is an orphan then
                yield State(phase=Phase.CREATING)


def rotate(factory: AttemptFactory, names: Sequence[str], *, jobs: int = 1) -> Report:
    """Return the report of a whole run over the named credentials, or over all.

    Raises:
        CredsError: the run could not begin; what fails later is an outcome.
    """
    catalog, time = factory.catalog, factory.run.time
    outcomes: list[Outcome] = []

    def attempts() -> Iterator[Attempt]:
        chosen = (
            catalog.select_managed(names, undeclared=factory.want.undeclared)
            if factory.want.is_last
            else catalog.select(names)
        )
        for one in chosen if names else catalog.entries():
            if isinstance(one, RefusedEntry):
                outcomes.append(_refusal(one))
            else:
                yield factory.attempt(one)

    started = time.now()
    outcomes.extend(batch.run(attempts(), time, jobs=jobs))
    if not names:
        left_out = catalog.undeclared_secrets(anything=bool(outcomes), now=started)
        outcomes.extend(_attention(one) for one in left_out)
    return Report(
        factory.run.id,
        started,
        time.now(),
        tuple(sorted(outcomes, key=lambda one: one.credential)),
        listing_error=str(catalog.listing_error or ""),
    )


def _refusal(one: RefusedEntry) -> Outcome:
    error = one.error
    return Outcome(one.name, Ending.FAILED, message=str(error), hint=error.hint, error=error, code=error.exit_code)


def _attention(one: UndeclaredSecret) -> Outcome:
    return Outcome(one.secret, Ending.ATTENTION, message=one.message, hint=one.hint, code=ExitCode.ATTENTION)
