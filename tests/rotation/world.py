"""A cloud for the engine's tests: the emulator's handlers without sockets, a clock that only moves when told, and sudden death.

Death is a BaseException out of the middle of a call, before or after its work: nothing of the engine can catch it, as nothing
can catch `kill -9`. A lost reply is an UNAVAILABLE after the work.
"""

import contextlib
import copy
import enum
import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Self
from unittest import mock

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestra_creds.core.cloud_types import KeyOrigin, VersionState
from orchestra_creds.core.credential import Credential, CredentialKind, Strategy
from orchestra_creds.core.policy import RotationPolicy
from orchestra_creds.core.ports import Destination, UsageSource
from orchestra_creds.emulator.iam import key_records, keys
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, rpcs
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.errors import CredsError
from orchestra_creds.gcp.key_usage import AnalyzerUsage, MonitoringUsage
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.gcp.project import RestProjectInspector
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.gcp.tokens import KeyTokenIssuer
from orchestra_creds.rotation.engine import Attempt, Pause, Run
from orchestra_creds.rotation.executor import StepExecutor
from orchestra_creds.rotation.issuer import Issuer
from orchestra_creds.rotation.issuers.service_account_key import ServiceAccountKeys
from orchestra_creds.rotation.key_usage import UsageReader
from orchestra_creds.rotation.outcome import Event, Outcome
from orchestra_creds.rotation.run_clock import RunClock
from orchestra_creds.rotation.situation import ORDINARY, RunRequest
from orchestra_creds.rotation.state import ANNOTATION, STAGING_SUFFIX, State, decode
from tests.contract.direct import DirectSession
from tests.rotation.memory_store import Image, MemoryStore, empty_image
from tests.rotation.short_session import ShortSession

PROJECT = "demo-project"
POLICY = RotationPolicy(
    every=timedelta(days=90),
    grace=timedelta(days=2),
    soak=timedelta(days=3),
    settle=timedelta(seconds=60),
    require_unused=timedelta(0),
)


class Died(BaseException):
    """The process is gone."""


class Loss(enum.StrEnum):
    """How a call goes wrong."""

    DEATH_BEFORE = "death before the work"
    DEATH_AFTER = "death after the work"
    LOST_REPLY = "lost reply"
    REFUSED = "an error before the work"


class Fragile(Emulator):
    """Counts calls, and lets the chosen ones go wrong."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.calls: list[tuple[str, bool]] = []
        self.losses: dict[int, Loss] = {}
        self.before: Callable[[str], None] = lambda _name: None
        self.after: Callable[[str, bool], None] = lambda _name, _mutates: None
        self.aside = False
        """Calls of the test itself: not counted, never lost, and told the truth whatever lags are set."""

    def _serve(self, call: Any) -> Any:
        if self.aside:
            return super()._serve(call)
        self.before(call.name)
        number = len(self.calls)
        self.calls.append((call.name.rpartition("/")[2], bool(call.what.mutates)))
        loss = self.losses.pop(number, None)
        if loss is Loss.DEATH_BEFORE:
            raise Died
        if loss is Loss.REFUSED:
            raise EmuError(
                Code.INTERNAL, "Injected."
            )  # UNAVAILABLE would be tried again below the engine, after a real wait
        try:
            reply = super()._serve(call)
        except EmuError:
            if loss is Loss.DEATH_AFTER:
                raise Died from None
            raise
        self.after(call.name, call.what.mutates)
        if loss is Loss.DEATH_AFTER:
            raise Died
        if loss is Loss.LOST_REPLY:
            raise EmuError(Code.INTERNAL, "Injected.")
        return reply

    @property
    def mutations(self) -> list[str]:
        return [name for name, mutates in self.calls if mutates]


@cache
def pairs() -> tuple[rsa.RSAPrivateKey, ...]:
    """Key pairs are slow to draw: a stock that all tests share. The embedded cloud has the first half, uploads the second."""
    return tuple(rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(24))


_load = serialization.load_pem_private_key


@functools.lru_cache(maxsize=256)
def _remembered(text: bytes) -> Any:
    return _load(text, None)


def loaded(text: bytes, password: Any = None, **_options: Any) -> Any:
    """What loading a key answers, without OpenSSL's 25 ms of checking the same few keys again and again."""
    assert password is None
    return _remembered(bytes(text))


class KeyPairs:
    """Draws from the stock in turn, for ever."""

    def __init__(self, stock: Sequence[rsa.RSAPrivateKey]) -> None:
        self._stock, self._drawn = stock, 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> rsa.RSAPrivateKey:
        self._drawn += 1
        return self._stock[(self._drawn - 1) % len(self._stock)]


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a world has come to; any number of worlds may go on from there."""

    image: Image
    clock: datetime
    pairs: KeyPairs
    uploads: Mapping[str, KeyPairs]
    runs: int


class World:
    """One emulated project, whose time stands still; strict unless told, with the APIs on that are served from the start."""

    def __init__(self, *, strict: bool = True, moment: Moment | None = None) -> None:
        self.began = datetime.now(UTC).replace(microsecond=0)
        self.clock = moment.clock if moment else self.began
        image = moment.image if moment else empty_image(strict=strict)
        self.store = MemoryStore(image, wall=lambda: self.began.timestamp())  # noqa: PLW0108  it moves
        self.emulator = Fragile(self.store, control.SERVICES, sleep=lambda _seconds: None)
        self.session: DirectSession = ShortSession(PROJECT, self.emulator, environment={})
        self.secrets = SecretManagerStore(self.session)
        self.keys = IamKeyStore(self.session)
        self.tokens = KeyTokenIssuer(self.session)
        self.pairs = copy.copy(moment.pairs) if moment else KeyPairs(pairs()[:12])
        uploads = {name: copy.copy(drawn) for name, drawn in moment.uploads.items()} if moment else {}
        self.uploads: defaultdict[str, KeyPairs] = defaultdict(lambda: KeyPairs(pairs()[12:]), uploads)
        self._patches = contextlib.ExitStack()
        self._patches.enter_context(mock.patch.object(serialization, "load_pem_private_key", loaded))
        self._patches.enter_context(mock.patch.object(key_records, "new_private_key", self.pairs.__next__))
        self.runs = itertools.count(moment.runs if moment else 1)
        self.events: list[Event] = []
        self.stopping = False
        self.pass_time(timedelta(0))

    @property
    def inspector(self) -> RestProjectInspector:
        """A new one for each run, as the command makes it: it remembers what it asked."""
        return RestProjectInspector(self.session)

    def close(self) -> None:
        self._patches.close()
        self.session.close()
        self.store.close()

    def moment(self) -> Moment:
        """Return where it has come to."""
        runs = next(self.runs)
        self.runs = itertools.count(runs)
        uploads = {name: copy.copy(drawn) for name, drawn in self.uploads.items()}
        return Moment(self.store.image(), self.clock, copy.copy(self.pairs), uploads, runs)

    # -- the cloud

    def rpc(self, method: str, service: str = IAM_ADMIN, /, **fields: Any) -> Any:
        name = f"{service}/{method}"
        return Emulator.rpc(self.emulator, name, rpcs()[name].request(**fields), {})

    def account(self, name: str = "app-one") -> str:
        return str(self.rpc("CreateServiceAccount", name=f"projects/{PROJECT}", account_id=name).email)

    def expose(self, account: str, key: str) -> None:
        """Let Google find a key in public."""
        with self.store.transaction() as txn:
            keys.expose(txn, f"projects/-/serviceAccounts/{account}/keys/{key}", "https://example.com/leak")

    def lose(self, losses: Mapping[int, Loss]) -> None:
        """From now on, the calls with these numbers (from 0) go wrong."""
        here = len(self.emulator.calls)
        self.emulator.losses = {here + number: loss for number, loss in losses.items()}

    def pass_time(self, step: timedelta) -> None:
        self.clock += step
        self.began = datetime.now(UTC).replace(microsecond=0)  # google-auth signs with the real time
        with self.store.transaction() as txn:
            txn.set_setting("clock_offset", (self.clock - self.began).total_seconds())

    def lag(self, which: faults.Lag, seconds: float) -> None:
        with self.store.transaction() as txn:
            faults.set_lag(txn, which, seconds)

    @contextlib.contextmanager
    def aside(self, *, late: bool = False) -> Iterator[None]:
        """Look at the cloud from outside, as it is now, or as a late reader sees it."""
        with self.store.transaction() as txn:
            lags, armed = {which: faults.lag(txn, which) for which in faults.Lag}, txn.setting("faults", None)
            faults.clear(txn)
            for which, seconds in lags.items():
                faults.set_lag(txn, which, seconds if late else 0.0)
        self.emulator.aside, before = True, self.emulator.aside
        try:
            yield
        finally:
            self.emulator.aside = before
            with self.store.transaction() as txn:
                txn.set_setting("faults", armed)
                for which, seconds in lags.items():
                    faults.set_lag(txn, which, seconds)

    def arm(
        self, method: str, code: Code, *, phase: faults.FaultPhase = faults.FaultPhase.BEFORE, times: int = 0
    ) -> None:
        with self.store.transaction() as txn:
            faults.arm(txn, faults.Fault(f"*/{method}", code, phase, times=times))

    def disarm(self) -> None:
        """No faults and no lags any more, not even those of strict mode."""
        with self.store.transaction() as txn:
            faults.clear(txn)
            for which in faults.Lag:
                faults.set_lag(txn, which, 0.0)

    # -- the engine

    @property
    def time(self) -> RunClock:
        return RunClock(
            now=lambda: self.clock,
            monotonic=lambda: self.clock.timestamp(),  # noqa: PLW0108  the clock moves
            sleep=lambda seconds: self.pass_time(timedelta(seconds=seconds)),
        )

    @property
    def usage_sources(self) -> tuple[UsageSource, ...]:
        """The records of the use of keys."""
        return (MonitoringUsage(self.session), AnalyzerUsage(self.session))

    def issuer(self, credential: Credential) -> ServiceAccountKeys:
        assert credential.kind is CredentialKind.SERVICE_ACCOUNT_KEY
        return ServiceAccountKeys(
            credential,
            self.keys,
            self.tokens,
            self.inspector,
            UsageReader(self.usage_sources, PROJECT, lambda: self.clock),
            token_uri="http://127.0.0.1:1/token",
            now=lambda: self.clock,
            new_pair=lambda: next(self.uploads[credential.account]),
        )

    def attempt(
        self,
        credential: Credential,
        want: RunRequest = ORDINARY,
        *,
        dry: bool = False,
        destinations: Sequence[Destination] = (),
        issuer: Issuer | None = None,
        run: str = "",
        take_over: bool = False,
        engine: type[Attempt] = Attempt,
    ) -> Attempt:
        issuer = issuer or self.issuer(credential)
        executor = StepExecutor(
            self.secrets,
            issuer,
            destinations,
            siblings=lambda: self.siblings(credential),
            hook=lambda argv, variables: None,
            list_credentials=issuer.list_credentials,
        )
        shared = Run(
            run or f"run-{next(self.runs)}",
            self.time,
            self.secrets,
            deadline=5.0,
            tell=self.events.append,
            stopping=lambda: self.stopping,
        )
        return engine(shared, credential, executor, want, dry=dry, take_over=take_over)

    def finish(self, attempt: Attempt) -> Outcome:
        """Let an attempt come to its end; pauses pass at once."""
        while True:
            step = attempt.advance()
            if isinstance(step, Outcome):
                return step
            assert isinstance(step, Pause)
            self.pass_time(max(step.until - self.clock, timedelta(0)))

    def rotate(self, credential: Credential, want: RunRequest = ORDINARY, **options: Any) -> Outcome:
        return self.finish(self.attempt(credential, want, **options))

    def siblings(self, credential: Credential) -> list[State]:
        mine = credential.secret
        return [
            decode(secret.annotations, secret.name)
            for secret in self.secrets.list_secrets()
            if secret.name != mine and ANNOTATION in secret.annotations
        ]

    # -- what is true of it

    def state(self, name: str = "db-key") -> State:
        secret = self.secrets.find_secret(name)
        return decode(secret.annotations, name) if secret else State()

    def authenticates(self, name: str, version: int | str) -> bool:
        try:
            self.tokens.mint(self.secrets.access(name, version).material)
        except CredsError:
            return False
        return True

    def versions(self, name: str = "db-key") -> dict[int, VersionState]:
        return {version.number: version.state for version in self.secrets.list_versions(name)}

    def staged(self, name: str = "db-key") -> list[int]:
        """Staged copies that still hold material."""
        if self.secrets.find_secret(name + STAGING_SUFFIX) is None:
            return []
        return [n for n, state in self.versions(name + STAGING_SUFFIX).items() if state is not VersionState.DESTROYED]

    def enabled_keys(self, account: str) -> set[str]:
        return {k.id for k in self.keys.list_keys(account) if k.origin is KeyOrigin.USER and not k.disabled}


def service_account_key(account: str, **fields: Any) -> Credential:
    """The credential that most tests rotate."""
    options: dict[str, Any] = {"policy": POLICY, "strategy": Strategy.UPLOAD, **fields}
    return Credential(
        name="db-key", kind=CredentialKind.SERVICE_ACCOUNT_KEY, secret="db-key", account=account, **options
    )
