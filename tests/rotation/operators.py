"""A project in the hands of people: they edit the file, versions, keys and labels, break things, and call every verb at any time.

After every step the truth is read from the cloud, without our code, and compared with what `status`, the exit codes and the engine claim.
"""

import contextlib
import errno
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from orchestra_creds.config.declarations import ProjectDeclarations
from orchestra_creds.config.parse import parse
from orchestra_creds.core.cloud_types import SecretResource
from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import Destination
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import (
    CredsError,
    ExitCode,
    IncompleteError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.gcp.keys import IamKeyStore
from orchestra_creds.rotation import survey as surveys
from orchestra_creds.rotation.attempts import AttemptFactory, rotate
from orchestra_creds.rotation.catalog import CredentialCatalog
from orchestra_creds.rotation.engine import Run
from orchestra_creds.rotation.issuer import Issuer
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.journal import Journal
from orchestra_creds.rotation.outcome import Ending, Event, Report, StepStatus
from orchestra_creds.rotation.run_clock import RunClock
from orchestra_creds.rotation.situation import ORDINARY, RunRequest, StepKind
from orchestra_creds.rotation.state import ANNOTATION, STAGING_SUFFIX, Phase, Retirement, State, decode, home_of
from orchestra_creds.rotation.status import Problem, Survey, survey
from orchestra_creds.rotation.survey import survey_catalog
from orchestra_creds.rotation.timing import CREATED_WITHIN, LEASE, LISTED_LATE, SKEW, SWEEP_AFTER
from tests.rotation.promises import BrokenPromiseError
from tests.rotation.snapshot import SecretFacts, Snapshot, take_snapshot
from tests.rotation.world import PROJECT, Died, Loss, World, pairs

HEAD = f'schema = 1\n[project]\nid = "{PROJECT}"\n'
ACCOUNTS = ("app-one", "app-two")
TABLES: dict[str, dict[str, str]] = {
    "key-a": {"kind": "service-account-key", "account": "app-one", "every": "30d", "strategy": "upload"},
    "key-b": {"kind": "service-account-key", "account": "app-one", "every": "45d", "strategy": "create"},
    "key-c": {
        "kind": "service-account-key",
        "account": "app-two",
        "every": "30d",
        "strategy": "auto",
        "copy": "rack-c",
    },
    "value": {"kind": "generated", "every": "20d", "copy": "rack-v"},
    "hand": {"kind": "manual", "every": "40d"},
}
POLICY = 'grace = "2d"\nsoak = "3d"\nsettle = "0s"\nrequire_unused = "0s"\n'
READS = (
    "ListServiceAccountKeys", "GetSecretVersion", "ListSecrets", "GetSecret", "AccessSecretVersion", "GetEffectivePolicy",
    "GetServiceAccount",
)  # fmt: skip
ENDS = frozenset(
    {
        "DisableSecretVersion",
        "DestroySecretVersion",
        "DisableServiceAccountKey",
        "DeleteServiceAccountKey",
        "DeleteSecret",
    }
)
"""Calls that can take something away from readers."""
NIGHT = timedelta(days=1)
FAVOR = 12
"""How much more often an action happens that is favored."""
LATER = CREATED_WITHIN + SKEW + timedelta(minutes=1)
"""After a lost creation: a key that a person makes earlier cannot be told apart from it."""
AFTER_LEASE = LEASE + SWEEP_AFTER + timedelta(minutes=1)
ROOM = 8
"""Keys of an account with which there is still room for one more."""


@dataclass(slots=True)
class Rack:
    """A destination that can be read, broken, emptied and full."""

    name: str
    broken: bool = False
    full: bool = False
    held: Material = field(default_factory=lambda: Material(b""))
    puts: int = 0

    def check(self) -> None:
        if self.broken:
            raise UnavailableError(f"{self.name} does not answer")

    def put(self, material: Material, *, identifier: str, version: int) -> None:  # noqa: ARG002  the port's
        self.check()
        if self.full:
            raise IncompleteError(f"cannot write {self.name}: no space left on device")
        self.held = material
        self.puts += 1

    def holds(self, material: Material) -> bool:
        self.check()
        return self.held == material


class Ledger:
    """The journal of the host, whose disk may be full, and what it says about deliveries."""

    def __init__(self, racks: Sequence[Rack], complain: Callable[[str], None]) -> None:
        self._folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.journal = Journal(Path(self._folder.name) / "journal.jsonl")
        self._racks, self._complain = racks, complain
        self.room: int | None = None
        """Bytes that are left on the disk; None if there are enough."""
        self.lost = ""
        self.steps = 0
        self._delivered = 0

    def close(self) -> None:
        self._folder.cleanup()

    def __call__(self, event: Event) -> None:
        """Record a step as a run of the command does."""
        puts = sum(rack.puts for rack in self._racks)
        if event.step.kind == StepKind.DELIVER:
            if event.stage is StepStatus.DONE and puts == self._delivered:
                self._complain(f"J1: the journal says that {event.step.resource} has it, and nothing was delivered")
            self._delivered = puts
        try:
            with self._disk():
                self.journal.record(event)
        except OSError as error:
            self.lost = self.lost or os.strerror(error.errno or 0)
        else:
            self.steps += 1

    def _disk(self) -> contextlib.AbstractContextManager[object]:
        if self.room is None:
            return contextlib.nullcontext()
        real = os.write

        def write(descriptor: int, data: bytes) -> int:
            part = bytes(data)[: self.room or 0]
            if not part:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room = (self.room or 0) - len(part)
            return real(descriptor, part)

        return mock.patch.object(os, "write", write)

    def verify(self) -> None:
        """The journal holds each step that was not lost, whole and in its place.

        Raises:
            BrokenPromiseError: it does not.
        """
        verdict = self.journal.verify()
        if verdict.broken or verdict.torn or verdict.lines != self.steps:
            raise BrokenPromiseError(f"J2: the journal is not whole: {verdict}, {self.steps} steps")


class Undated(IamKeyStore):
    """Keys of which nobody asks when they were used: no promise of the model depends on it."""

    def last_uses(self, account: str) -> dict[str, datetime]:  # noqa: ARG002  the port's
        return {}


@lru_cache(maxsize=256)
def declarations_in(text: str) -> ProjectDeclarations:
    """Return what a file declares."""
    return ProjectDeclarations(parse(text, "orchestra-creds.toml"), PROJECT)


class OperatedProject:
    """One project, its file, and what people did to it. `history` says how it came to where it is."""

    def __init__(self, seed: int, tally: Counter[str] | None = None, favored: "Sequence[Action]" = ()) -> None:
        self.world, self.chance, self.favored = World(), random.Random(seed), favored
        self.tally: Counter[str] = Counter() if tally is None else tally
        self.history: list[str] = [f"seed {seed}"]
        self.file = {name: dict(table) for name, table in TABLES.items()}
        self.racks = {name: Rack(name) for name in ("rack-c", "rack-v")}
        self.accounts = {name: self.world.account(name) for name in ACCOUNTS}
        self.leaked: set[str] = set()
        self.dead: set[str] = set()
        self.ending: set[str] = set()
        self.foreign: dict[str, None] = {}
        self.made: set[str] = set()
        self.forgiven: set[str] = set()
        self.skew = timedelta(0)
        self.ledger = Ledger(list(self.racks.values()), self._complain)
        self._complaint = ""
        self.keys = Undated(self.world.session)
        self.world.emulator.before = self._before_call
        self.world.emulator.after = self._after_call
        self._interruption: tuple[int, Callable[[], None]] | None = None
        self._worked: dict[str, bool] = {}
        self._enabled: set[str] = set()
        self._held: dict[str, tuple[str, str]] = {}
        self._looked: tuple[int, Snapshot] | None = None
        self._checked: tuple[Snapshot, str] | None = None
        for name in TABLES:
            if name == "hand":
                with self.world.aside():
                    self.world.secrets.create_secret("hand")
                    self.world.secrets.add_version("hand", Material(b"by hand"))

    def close(self) -> None:
        self.ledger.close()
        self.world.close()

    # -- the file

    @property
    def text(self) -> str:
        """The file as it is now."""
        parts = [HEAD]
        for name, table in self.file.items():
            lines = [f'{key} = "{value}"' for key, value in table.items() if key not in {"copy", "ignore"}]
            if "ignore" in table:
                lines.append(f'ignore = ["{table["ignore"]} until 2099-01-01: accepted"]')
            body = "\n".join(lines)
            parts.append(f"[credentials.{name}]\n{body}\n{POLICY}")
            if "copy" in table:
                path = f"/racks/{table['copy']}"
                parts.append(f'[[credentials.{name}.destinations]]\nkind = "file"\npath = "{path}"\n')
        return "".join(parts)

    def catalog(self) -> CredentialCatalog:
        """What the file declares."""
        return CredentialCatalog(declarations_in(self.text), self.world.secrets)

    @property
    def declared(self) -> dict[str, Credential]:
        """The credentials of the file by name."""
        return dict(declarations_in(self.text).in_file)

    # -- our verbs

    def _issuer(self, credential: Credential) -> Issuer:
        match credential.kind:
            case CredentialKind.GENERATED:
                return GeneratedValues(credential, self.chance.randbytes)
            case CredentialKind.MANUAL:
                return ManualIssuer(credential)
        return self.world.issuer(credential)

    def _destinations(self, credential: Credential) -> Sequence[Destination]:
        found = []
        for copy in credential.copies:
            rack = self.racks[str(copy.options["path"]).rpartition("/")[2]]
            rack.name = copy.name
            found.append(rack)
        return found

    def rotate(self, names: Sequence[str] = (), want: RunRequest = ORDINARY) -> Report | None:
        """One run of the command; None if it died."""
        clock = RunClock(
            now=lambda: self.world.clock - self.skew,
            monotonic=self.world.time.monotonic,
            sleep=self.world.time.sleep,
        )
        run = Run(f"run-{next(self.world.runs)}", clock, self.world.secrets, 5.0, self.ledger)
        self.ledger.lost = ""
        factory = AttemptFactory(run, self.catalog(), self._issuer, self._destinations, want)
        before = self._all_keys()
        try:
            report = rotate(factory, names)
        except Died:
            return None
        except CredsError as error:
            return Report(run.id, self.world.clock, self.world.clock, listing_error=str(error))
        finally:
            self.world.emulator.losses.clear()
            self.made |= self._all_keys() - before
        if self._complaint:
            raise BrokenPromiseError(self._complaint)
        for outcome in report.outcomes:
            self.tally[f"outcomes: {outcome.ending.value}"] += 1
            if outcome.code is ExitCode.BUG:
                raise BrokenPromiseError(f"a bug: {outcome.message}")
        return replace(report, journal_error=self.ledger.lost)

    def survey(self) -> Survey | None:
        """What `status` says; None if it ended with an error."""
        catalog = self.catalog()
        try:
            with mock.patch.object(
                surveys, "map_in_order", lambda work, items, **_how: list(map(work, items))
            ):  # one thread
                rows, notes = survey_catalog(catalog, self.world.secrets, self.keys, (), self.world.clock, timedelta(0))
        except CredsError:
            return None
        return survey(PROJECT, rows, self.world.clock, notes, str(catalog.listing_error or ""))

    # -- the truth, by the cloud alone

    def look(self) -> Snapshot:
        """What is in the cloud now; read once for as long as nothing changes."""
        changes = self.world.store.changes
        if self._looked is None or self._looked[0] != changes:
            self._looked = changes, take_snapshot(self.world.store, PROJECT, self._held)
        return self._looked[1]

    def _all_keys(self, *, enabled: bool = False) -> set[str]:
        there = self.look()
        return there.enabled_keys() if enabled else there.all_keys()

    def _secrets(self) -> list[SecretResource]:
        with self.world.aside():
            return [one for one in self.world.secrets.list_secrets() if not one.name.endswith(STAGING_SUFFIX)]

    def _state(self, secret: SecretResource | SecretFacts | None) -> State | None:
        """The state on a secret; None if nobody can read it."""
        try:
            return decode(secret.annotations, secret.name) if secret else State()
        except PreconditionError:
            return None

    def troubles(self, there: Snapshot) -> dict[str, list[str]]:
        """What is wrong with each declared credential, and under "" with the project, by the cloud and the file."""
        found: dict[str, list[str]] = {"": []}
        declared, secrets = self.declared, there.secrets
        for name, credential in declared.items():
            found[name] = self._credential_troubles(credential, there)
        spoken: set[str] = set()
        for credential in declared.values():
            state = self._state(secrets.get(credential.secret))
            spoken |= state.referenced_ids if state else set()
        ignored = {one.id for credential in declared.values() for one in credential.ignored}
        for account in {credential.account for credential in declared.values() if credential.account}:
            found[""] += [f"foreign key {one}" for one in there.enabled_keys(account) - spoken - ignored]
        names = {credential.secret for credential in declared.values()}
        alive = there.enabled_keys()
        for secret in secrets.values():
            state = self._state(secret)
            if secret.name in names or secret.name.endswith(STAGING_SUFFIX) or state is None or state.ended is not None:
                continue
            by_version = state.current is not None and state.current.id.startswith("v")
            if set(state.valid_ids) & alive or by_version:
                found[""].append(f"undeclared secret {secret.name}")
        return found

    def _credential_troubles(self, credential: Credential, there: Snapshot) -> list[str]:
        secret = there.secrets.get(credential.secret)
        state, found = self._state(secret), []
        if secret is None or state is None:
            return ["no secret, or a state that nobody can read"]
        if state.lease is not None and there.now < state.lease.until:
            return []  # a run is at work, or died a moment ago
        if state.ended is not None:
            return []
        if state.current is None:
            return ["no version"]
        key = credential.kind is CredentialKind.SERVICE_ACCOUNT_KEY
        young = there.now - state.current.since < LISTED_LATE
        if not there.is_readable(secret.name, secret.latest):
            found.append("latest unreadable")
        elif key and not young and not there.authenticates(secret.name, secret.latest):
            found.append("latest dead")
        alias = secret.aliases.get("current", 0)
        works = there.authenticates if key else there.is_readable
        if alias and not young and not works(secret.name, alias):
            found.append("current dead")
        if there.now > credential.policy.due_at(state.current.since, state.current.expires):
            found.append("overdue")
        alive = there.enabled_keys()
        found += [f"leaked {one} lives" for one in self.leaked & state.referenced_ids & alive]
        return found

    # -- what must hold

    def check_status(self) -> None:
        """`status` names what is wrong, and never says that all is well if it is not."""
        there = self.look()
        if self._checked == (there, self.text):
            return
        troubles = self.troubles(there)
        told = self.survey()
        self.tally["looks at status"] += 1
        self._checked = there, self.text
        if told is None:
            return
        if any(troubles.values()) and not told.needs_operator:
            raise BrokenPromiseError(f"S1: status is ok, but {troubles}")
        rows = {one.name: one for one in told.statuses}
        for name, wrong in troubles.items():
            if wrong and name and name in rows and not rows[name].problems:
                raise BrokenPromiseError(f"S2: status of {name} is ok, but {wrong}")
        words = " ".join(f"{row.name} {each.problem} {each.detail}" for row in told.statuses for each in row.problems)
        unread = {Problem.NOT_READ, Problem.STATE}
        if any(each.problem in unread for row in told.statuses for each in row.problems):
            return
        for one in (each for every in troubles.values() for each in every):
            if one.startswith(("foreign key", "undeclared secret", "leaked")):
                subject = one.split()[1 if one.startswith("leaked") else 2]
                if subject not in words:
                    raise BrokenPromiseError(f"S3: status does not name it: {one}")

    def check_run(self, report: Report) -> None:
        """A credential that a nightly run ends with 0 has nothing left that readers, destinations or an emergency would notice."""
        good = {
            one.credential for one in report.outcomes if one.code is ExitCode.OK and one.ending is not Ending.LOCKED
        }
        self.tally["credentials that a nightly run ended with 0"] += len(good)
        if report.code is ExitCode.OK and any(one.code is not ExitCode.OK for one in report.outcomes):
            raise BrokenPromiseError("R0: the run ended with 0, although a credential did not")
        there = self.look()
        troubles, secrets = self.troubles(there), there.secrets
        for name, credential in self.declared.items():
            if name not in good:
                continue
            if troubles[name]:
                outcome = next(one for one in report.outcomes if one.credential == name)
                told = f"{outcome.ending}: {outcome.message}"
                raise BrokenPromiseError(f"R1: the run ended with 0 ({told}), but {name}: {troubles[name]}")
            state = self._state(secrets.get(credential.secret))
            if state is None or state.current is None or state.ended is not None:
                continue
            newest = secrets[credential.secret].latest
            if newest != state.current.version and not self._hold_the_same(
                there, credential, newest, state.current.version
            ):
                raise BrokenPromiseError(f"R2: the run ended with 0, but {name} has version {newest} on top")
            rack = self.racks.get(self.file[name].get("copy", ""))
            if rack is None:
                continue
            with self.world.aside():
                value = self.world.secrets.access(credential.secret, newest).material
            if rack.held != value:
                raise BrokenPromiseError(f"R3: the run ended with 0, but {rack.name} does not hold the value of {name}")

    def _hold_the_same(self, there: Snapshot, credential: Credential, one: int, other: int) -> bool:
        """Whether two versions hold the same: a run that came back from the dead may have published the current one again."""
        if credential.kind is CredentialKind.SERVICE_ACCOUNT_KEY:
            return there.key_in(credential.secret, one) == there.key_in(credential.secret, other) != ""
        with self.world.aside(), contextlib.suppress(CredsError):
            access = self.world.secrets.access
            return access(credential.secret, one).material == access(credential.secret, other).material
        return False

    def check_keys(self) -> None:
        """No key of ours is enabled that no state speaks for; no key of others was touched; no run broke a promise on its way."""
        if self._complaint:
            raise BrokenPromiseError(self._complaint)
        spoken: set[str] = set()
        pending, there = False, self.look()
        for secret in there.secrets.values():
            state = self._state(secret)
            if state is None:
                pending = True
                continue
            spoken |= state.referenced_ids
            pending |= bool(state.unresolved) or state.phase in {Phase.STAGING, Phase.PREPARED, Phase.CREATING}
        left = there.enabled_keys() & self.made - spoken - self.forgiven - self.foreign.keys()
        if left and not pending:
            raise BrokenPromiseError(f"K1: keys of ours that no state speaks for: {sorted(left)}")
        self.dead |= self.leaked - there.enabled_keys()
        if back := self.dead & there.enabled_keys():
            raise BrokenPromiseError(f"L3: what leaked was dead, and authenticates again: {sorted(back)}")
        gone = self.foreign.keys() - there.enabled_keys()
        if gone:
            raise BrokenPromiseError(f"K2: keys of others were disabled or deleted: {sorted(gone)}")

    def _readers(self) -> dict[str, bool]:
        """Whether readers of `latest` of each secret get something that works."""
        there, found = self.look(), {}
        for name, secret in there.secrets.items():
            if name in self.ending or name.endswith(STAGING_SUFFIX):
                continue
            key = self.file.get(name, {}).get("kind", "") == "service-account-key"
            found[name] = (there.authenticates if key else there.is_readable)(name, secret.latest)
        return found

    def _complain(self, text: str) -> None:
        """Note a promise that breaks in the middle of a run: the run would take an exception for a bug of its own, and go on."""
        self._complaint = self._complaint or text

    def interrupt(self, calls: int, what: Callable[[], None]) -> None:
        """Let something happen to the host after so many calls of a run."""
        self._interruption = calls, what

    def _before_call(self, name: str) -> None:
        if self._interruption is not None:
            calls, what = self._interruption
            self._interruption = (calls - 1, what) if calls else None
            if not calls:
                what()
        if name.rpartition("/")[2] in ENDS:
            self._worked, self._enabled = self._readers(), self._all_keys(enabled=True)

    def _after_call(self, name: str, _mutates: bool) -> None:
        if name.rpartition("/")[2] not in ENDS:
            return
        self.tally["ends that were watched"] += 1
        now = self._readers()
        broken = [one for one, worked in self._worked.items() if worked and not now.get(one, False)]
        if broken:
            self._complain(f"E1: {name.rpartition('/')[2]} took the credential away from readers of {broken}")
        if gone := self._enabled - self._all_keys():
            self._complain(f"E2: keys were deleted that were enabled: {sorted(gone)}")

    def due_and_free(self) -> dict[str, str]:
        """The credentials that the next run has to rotate, whatever becomes of their predecessors, with the ids of their current ones."""
        there, found = self.look(), {}
        for name, credential in self.declared.items():
            secret = there.secrets.get(credential.secret)
            state = self._state(secret)
            if secret is None or state is None or state.current is None or state.ended is not None or state.leaked:
                continue
            idle = state.phase is Phase.IDLE and (state.lease is None or there.now >= state.lease.until)
            ours = secret.latest == state.current.version and there.is_readable(secret.name, secret.latest)
            at_home = not state.home or self._is_at_home(credential, state)
            if credential.kind is CredentialKind.SERVICE_ACCOUNT_KEY:
                ours &= len(there.keys[credential.account]) < ROOM and credential.account not in there.disabled
            rack = self.racks.get(self.file[name].get("copy", ""))
            idle &= rack is None or not rack.broken
            due = there.now >= credential.policy.due_at(state.current.since, state.current.expires)
            if idle and ours and at_home and due and credential.kind is not CredentialKind.MANUAL:
                found[name] = state.current.id
        return found

    def check_due(self, due: dict[str, str], report: Report | None, obstacle: str) -> None:
        """What was due has a successor, whatever failed beside it."""
        if report is None or report.listing_error:
            return
        there = self.look()
        for name, identifier in due.items():
            credential = self.declared.get(name)
            state = self._state(there.secrets.get(credential.secret)) if credential else None
            if state is not None and state.current is not None and state.current.id == identifier:
                told = next((one.message for one in report.outcomes if one.credential == name), "")
                raise BrokenPromiseError(f"D1: {name} was due, and {obstacle} held it up: {told}")

    def _is_at_home(self, credential: Credential, state: State) -> bool:
        with self.world.aside():
            secret = self.world.secrets.find_secret(credential.secret)
        return secret is not None and state.home == home_of(secret)

    # -- what people do

    def step(self) -> None:
        """One action of a person or of cron, and a look at everything."""
        weights = [weight * (FAVOR if one in self.favored else 1) for one, weight in ACTIONS]
        self.act(self.chance.choices([one for one, _ in ACTIONS], weights)[0])

    def act(self, action: "Action") -> None:
        """Take an action, and look at everything."""
        name = action.__name__.strip("_")
        self.history.append(name)
        with self.told():
            with contextlib.suppress(CredsError):
                action(self)
            self.tally["steps"] += 1
            self.tally[f"action: {name}"] += 1
            self.check_keys()
            self.check_status()

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Say of a broken promise how it came to that."""
        try:
            yield
        except BrokenPromiseError as broken:
            how = " > ".join(self.history[-40:])
            raise BrokenPromiseError(f"{broken}\nafter {len(self.history)} steps: {how}") from None

    def pick(self) -> str:
        """A credential that the file declares."""
        return self.chance.choice(sorted(self.file)) if self.file else "key-a"

    def note(self, text: str) -> None:
        self.history[-1] += f"({text})"

    def pick_version(self) -> tuple[str, int]:
        """A version of a secret of ours."""
        secret = self.chance.choice(self._secrets()).name
        numbers = sorted(self.look().secrets[secret].states)
        if not numbers:
            raise NotFoundError(f"{secret} has no version")
        number = max(numbers) if self.chance.random() < 0.5 else self.chance.choice(numbers)
        self.note(f"{secret}/{number}")
        return secret, number

    def pick_key(self) -> tuple[str, str]:
        """A key of an account."""
        account = self.accounts[self.chance.choice(ACCOUNTS)]
        found = list(self.look().keys[account])
        if not found:
            raise NotFoundError(f"{account} has no key")
        key = self.chance.choice(found)
        self.note(key[:6])
        return account, key

    def forgive(self, secret: SecretResource | None) -> None:
        """A person takes responsibility for what the state of a secret speaks for."""
        state = self._state(secret)
        self.forgiven |= state.referenced_ids if state else set()
        if state is None or state.unresolved or state.phase is not Phase.IDLE:
            self.forgiven |= self._all_keys()

    def mend(self) -> None:
        """Take every obstacle away that people put up."""
        self.world.disarm()
        self.skew, self.ledger.room, self._interruption = timedelta(0), None, None
        for rack in self.racks.values():
            rack.broken = rack.full = False
        for account in self.accounts.values():
            with contextlib.suppress(CredsError), self.world.aside():
                self.world.rpc("EnableServiceAccount", name=f"projects/-/serviceAccounts/{account}")

    def come_to_rest(self) -> None:
        """Mend everything and let cron run; then what leaked is dead, whatever happened before."""
        self.history.append("rest")
        self.mend()
        self.world.pass_time(AFTER_LEASE)
        report = None
        for _ in range(3):
            report = self.rotate()
            assert report is not None
            self.check_run(report)
            self.world.pass_time(AFTER_LEASE)
        self.check_keys()
        self.check_status()
        self.ledger.verify()
        there = self.look()
        for credential in self.declared.values():
            state = self._state(there.secrets.get(credential.secret))
            outcome = next(one for one in report.outcomes if one.credential == credential.name) if report else None
            if state is None or outcome is None or outcome.ending in {Ending.FAILED, Ending.LOCKED}:
                continue
            lives = self.leaked & state.referenced_ids & there.enabled_keys()
            if lives:
                raise BrokenPromiseError(
                    f"L1: what leaked of {credential.name} lives after a nightly run: {sorted(lives)}"
                )
        self.tally["times at rest"] += 1


Action = Callable[[OperatedProject], None]


def certificate(number: int, now: datetime) -> bytes:
    """A certificate of a person's own key pair."""
    private = pairs()[number % len(pairs())]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "person")])
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=400))
    return made.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


# -- cron and our verbs


def _night(project: OperatedProject) -> None:
    project.world.pass_time(NIGHT)
    report = project.rotate()
    if report is not None:
        project.check_run(report)


def _no_cron(project: OperatedProject) -> None:
    """Nobody runs anything for days."""
    project.world.pass_time(project.chance.choice([1, 3, 10]) * NIGHT)


def _due(project: OperatedProject) -> None:
    report = project.rotate()
    if report is not None:
        project.check_run(report)


def _quiet_week(project: OperatedProject) -> None:
    """Nothing but cron for a week: what is retired comes to its end."""
    for _ in range(8):
        _night(project)


def _verb(name: str, want: RunRequest) -> Action:
    def run(project: OperatedProject) -> None:
        name = project.pick()
        project.note(name)
        project.rotate([name], want)
        if want.adopt:  # the keys in its versions are ours from now on
            there = project.look()
            for _, identifier in (there.held[one] for one in there.versions_of(project.declared[name].secret)):
                project.foreign.pop(identifier, None)

    run.__name__ = name
    return run


def _leaked(project: OperatedProject) -> None:
    name = project.pick()
    project.note(name)
    secret = project.world.secrets.find_secret(project.declared[name].secret)
    state = project._state(secret)
    current = state.current.id if state and state.current and state.ended is None else ""
    report = project.rotate([name], RunRequest(leaked=True))
    there = project._state(project.world.secrets.find_secret(project.declared[name].secret))
    if there is not None and current in there.leaked:
        project.leaked.add(current)
    if report is None or report.code is not ExitCode.OK or not current:
        return
    if current in project._all_keys(enabled=True):
        raise BrokenPromiseError(f"L2: --leaked of {name} ended with 0, and {current} lives")


def _leaked_but_refused(project: OperatedProject) -> None:
    """The end of what leaked is refused: it lives, and everyone has to hear of it."""
    project.world.arm("DisableServiceAccountKey", Code.PERMISSION_DENIED, times=0)
    _leaked(project)
    project.world.disarm()


def _back_after_leak(project: OperatedProject) -> None:
    """Somebody ends what leaked, and wants it back because something broke."""
    _leaked(project)
    name = project.history[-1].partition("(")[2].partition(")")[0]
    project.rotate([name], RunRequest(back=True))


def _back_after_exposure(project: OperatedProject) -> None:
    """Google finds the predecessor in its grace in public, or else the current key, which the next night replaces; somebody wants it back."""
    name = project.pick()
    project.note(name)
    state = project._state(project.world.secrets.find_secret(project.declared[name].secret))
    if state is None or state.current is None:
        return
    waiting = [entry.id for entry in state.retiring if entry.phase is Retirement.GRACE]
    found = waiting[-1] if waiting else state.current.id
    account = project.declared[name].account
    if found not in project.look().keys.get(account, {}):
        return
    project.world.expose(account, found)
    project.leaked.add(found)
    project.foreign.pop(found, None)
    if not waiting:
        _night(project)
    project.rotate([name], RunRequest(back=True))


def _retire(project: OperatedProject) -> None:
    name = project.pick()
    project.note(name)
    project.ending.add(project.declared[name].secret)
    report = project.rotate([name], RunRequest(retire=True, in_use=project.chance.random() < 0.7))
    state = project._state(project.world.secrets.find_secret(project.declared[name].secret))
    if report is not None and state is not None and state.ended is None:
        project.ending.discard(project.declared[name].secret)


def _abandon(project: OperatedProject) -> None:
    name = project.pick()
    project.note(name)
    secret = project.declared[name].secret
    project.forgive(project.world.secrets.find_secret(secret))
    project.rotate([name], RunRequest(abandon=True))
    project.ending.discard(secret)


def _crash(project: OperatedProject) -> None:
    number, loss = project.chance.randrange(40), project.chance.choice(list(Loss))
    project.note(f"{number} {loss.name}")
    project.world.pass_time(NIGHT)
    project.world.lose({number: loss})
    project.rotate(
        [project.pick()] if project.chance.random() < 0.5 else (), RunRequest(force=project.chance.random() < 0.5)
    )


def _crash_and_tidy(project: OperatedProject) -> None:
    """A run dies, and somebody deletes the staging secret that it left."""
    number, name = project.chance.randrange(8, 30), project.pick()
    project.note(f"{number} {name}")
    project.world.lose({number: Loss.DEATH_AFTER})
    project.rotate([name], RunRequest(force=True))
    with project.world.aside(), contextlib.suppress(NotFoundError):
        project.world.secrets.delete_secret(project.declared[name].secret + STAGING_SUFFIX)


def _lose_a_creation(project: OperatedProject) -> None:
    """Google makes a key, and its reply is lost."""
    name = project.pick()
    project.note(name)
    project.world.arm("CreateServiceAccountKey", Code.INTERNAL, phase=faults.FaultPhase.AFTER, times=1)
    project.rotate([name], RunRequest(force=True))
    project.world.disarm()
    _night(project)


def _late_host(project: OperatedProject) -> None:
    """The clock of the host is behind."""
    project.skew = timedelta(minutes=project.chance.choice([10, 60, 180]))
    try:
        project.rotate([project.pick()], RunRequest(force=project.chance.random() < 0.5))
    finally:
        project.skew = timedelta(0)


def _clock_goes_back(project: OperatedProject) -> None:
    """The clock of the host goes back in the middle of a run."""
    number, back = project.chance.randrange(40), timedelta(minutes=project.chance.choice([1, 10, 60, 180]))
    project.note(f"{number} {back}")

    def set_back() -> None:
        project.skew = back

    project.interrupt(number, set_back)
    try:
        project.rotate([project.pick()], RunRequest(force=project.chance.random() < 0.7))
    finally:
        project.skew, project._interruption = timedelta(0), None


def _host_sleeps(project: OperatedProject) -> None:
    """The host is suspended in the middle of a run, for longer than its lease; meanwhile another host does the work."""
    number, hours = project.chance.randrange(60), project.chance.choice([1, 5, 30, 80])
    project.note(f"{number} {hours}h")

    def sleep() -> None:
        project.world.pass_time(timedelta(hours=hours))
        project.rotate()

    project.interrupt(number, sleep)
    try:
        names = [project.pick()] if project.chance.random() < 0.6 else []
        project.rotate(names, RunRequest(force=project.chance.random() < 0.6))
    finally:
        project._interruption = None


def _fill_disk(project: OperatedProject) -> None:
    """The disk of the host is full: the journal and the copies in files cannot be written, and nothing else suffers."""
    project.ledger.room = project.chance.randrange(600)
    for rack in project.racks.values():
        rack.full = True
    project.world.pass_time(NIGHT)
    due = project.due_and_free()
    report = project.rotate()
    if report is not None and project.ledger.lost and report.code is not ExitCode.INCOMPLETE:
        raise BrokenPromiseError(f"J3: steps are missing in the journal, and the run ended with {report.code}")
    project.check_due(due, report, "a full disk")
    if project.chance.random() < 0.7:
        project.ledger.room = None
        for rack in project.racks.values():
            rack.full = False


# -- by hand, in the cloud


def _disable_version(project: OperatedProject) -> None:
    with project.world.aside():
        project.world.secrets.disable_version(*project.pick_version())


def _enable_version(project: OperatedProject) -> None:
    with project.world.aside():
        project.world.secrets.enable_version(*project.pick_version())


def _destroy_version(project: OperatedProject) -> None:
    with project.world.aside():
        project.world.secrets.destroy_version(*project.pick_version())


def _add_version(project: OperatedProject) -> None:
    secret = project.chance.choice(project._secrets()).name
    project.note(secret)
    with project.world.aside():
        project.world.secrets.add_version(secret, Material(project.chance.randbytes(20)))


def _store_own_key(project: OperatedProject) -> None:
    """A person makes a key and stores it, as `key create --secret` does."""
    project.world.pass_time(LATER)
    name = project.pick()
    account = project.declared[name].account
    if not account:
        return
    with project.world.aside():
        made = project.world.keys.create_key(account)
        project.foreign[made.key.id] = None
        project.world.secrets.add_version(project.declared[name].secret, made.material)


def _switch_account(project: OperatedProject) -> None:
    account = project.chance.choice(ACCOUNTS)
    verb = project.chance.choice(["DisableServiceAccount", "EnableServiceAccount", "EnableServiceAccount"])
    project.note(f"{verb} {account}")
    with project.world.aside():
        project.world.rpc(verb, name=f"projects/-/serviceAccounts/{project.accounts[account]}")


def _disable_key(project: OperatedProject) -> None:
    with project.world.aside():
        account, key = project.pick_key()
        project.world.keys.disable_key(account, key)
    project.foreign.pop(key, None)


def _enable_key(project: OperatedProject) -> None:
    with project.world.aside():
        account, key = project.pick_key()
        if key not in project.leaked:
            project.world.keys.enable_key(account, key)


def _wake_predecessor(project: OperatedProject) -> None:
    """A forgotten reader breaks: somebody enables a predecessor again, and leaves it so."""
    with project.world.aside():
        for name, credential in project.declared.items():
            state = project._state(project.world.secrets.find_secret(credential.secret))
            for entry in state.retiring if state else ():
                account = entry.target.account if entry.target else credential.account
                if entry.phase is Retirement.DISABLED and account and entry.id not in project.leaked:
                    project.note(f"{name} {entry.id[:6]}")
                    with contextlib.suppress(CredsError):
                        project.world.keys.enable_key(account, entry.id)
    for _ in range(4):
        _night(project)


def _delete_key(project: OperatedProject) -> None:
    with project.world.aside():
        account, key = project.pick_key()
        project.world.keys.delete_key(account, key)
    project.foreign.pop(key, None)


def _create_foreign_key(project: OperatedProject) -> None:
    project.world.pass_time(LATER)
    account = project.accounts[project.chance.choice(ACCOUNTS)]
    with project.world.aside():
        if len(project.world.enabled_keys(account)) < 6:
            project.foreign[project.world.keys.create_key(account).key.id] = None


def _upload_own_key(project: OperatedProject) -> None:
    project.world.pass_time(LATER)
    account = project.accounts[project.chance.choice(ACCOUNTS)]
    with project.world.aside():
        if len(project.world.enabled_keys(account)) < 6:
            pem = certificate(project.chance.randrange(99), project.world.clock)
            project.foreign[project.world.keys.upload_key(account, pem).id] = None


def _edit_labels(project: OperatedProject) -> None:
    secret = project.chance.choice(project._secrets())
    labels = {"team": "a", "orchestra-due": project.chance.choice(["20200101", "x", "20990101"])}
    with project.world.aside():
        project.world.secrets.update_secret(secret, labels={**secret.labels, **labels})


def _edit_annotation(project: OperatedProject) -> None:
    secret = project.chance.choice(project._secrets())
    how = project.chance.choice(["others", "damage", "remove"])
    project.note(f"{secret.name} {how}")
    texts = {name: text for name, text in secret.annotations.items() if name != ANNOTATION}
    if how == "others":
        texts = {**secret.annotations, "team": "b"}
    else:
        project.forgive(secret)
        project.ending.discard(secret.name)
    if how == "damage" and ANNOTATION in secret.annotations:
        body = project.chance.choice(
            ["{", '{"v":1,"gen":0,"ph":"idle","dest":[]}', secret.annotations[ANNOTATION][:-3], '{"v":9}']
        )
        texts[ANNOTATION] = body
    with project.world.aside():
        project.world.secrets.update_secret(secret, annotations=texts)


def _repair_annotation(project: OperatedProject) -> None:
    """A person takes a damaged state off, as the hint says."""
    for secret in project._secrets():
        if project._state(secret) is None:
            texts = {name: text for name, text in secret.annotations.items() if name != ANNOTATION}
            with project.world.aside():
                project.world.secrets.update_secret(secret, annotations=texts)


def _delete_staging(project: OperatedProject) -> None:
    with project.world.aside():
        names = [one.name for one in project.world.secrets.list_secrets() if one.name.endswith(STAGING_SUFFIX)]
        if names:
            project.world.secrets.delete_secret(project.chance.choice(names))


def _refuse_reads(project: OperatedProject) -> None:
    method = project.chance.choice(READS)
    project.note(method)
    project.world.arm(
        method, project.chance.choice([Code.PERMISSION_DENIED, Code.INTERNAL]), times=project.chance.choice([1, 3])
    )
    _due(project)
    project.world.disarm()


def _refuse_changes(project: OperatedProject) -> None:
    method = project.chance.choice(
        ["DisableServiceAccountKey", "DeleteServiceAccountKey", "UploadServiceAccountKey", "AddSecretVersion"]
    )
    project.note(method)
    project.world.arm(method, Code.PERMISSION_DENIED, times=0)
    project.world.pass_time(NIGHT)
    due = project.due_and_free()
    report = project.rotate()
    project.world.disarm()
    if report is not None:
        project.check_run(report)
    if method.startswith(("Disable", "Delete")):
        project.check_due(due, report, f"refused {method}")


def _lose_the_right_to_end(project: OperatedProject) -> None:
    """For a month nobody may disable keys: predecessors pile up, and what is due is rotated all the same."""
    project.world.arm("DisableServiceAccountKey", Code.PERMISSION_DENIED, times=0)
    for _ in range(7):
        project.world.pass_time(5 * NIGHT)
        due = project.due_and_free()
        project.check_due(due, project.rotate(), "refused DisableServiceAccountKey")
    project.world.disarm()


def _break_rack(project: OperatedProject) -> None:
    rack = project.chance.choice(sorted(project.racks.values(), key=lambda one: one.name))
    rack.broken = not rack.broken


def _empty_rack(project: OperatedProject) -> None:
    project.chance.choice(sorted(project.racks.values(), key=lambda one: one.name)).held = Material(b"")


# -- in the file


def _remove_credential(project: OperatedProject) -> None:
    if len(project.file) > 1:
        name = project.pick()
        project.note(name)
        del project.file[name]


def _add_credential(project: OperatedProject) -> None:
    for name, table in TABLES.items():
        if name not in project.file:
            project.file[name] = dict(table)
            project.note(name)
            return


def _change_every(project: OperatedProject) -> None:
    project.file[project.pick()]["every"] = project.chance.choice(["15d", "20d", "30d", "60d", "90d"])


def _change_account(project: OperatedProject) -> None:
    name = project.pick()
    if "account" in project.file[name]:
        project.note(name)
        project.file[name]["account"] = project.chance.choice(ACCOUNTS)


def _move(project: OperatedProject) -> None:
    """The declaration names another account, and stays so until the predecessor has come to its end."""
    _change_account(project)
    _quiet_week(project)


def _change_kind(project: OperatedProject) -> None:
    table = project.file.get("value")
    if table is not None:
        table["kind"] = "manual" if table["kind"] == "generated" else "generated"


def _ignore_key(project: OperatedProject) -> None:
    name = project.pick()
    table = project.file[name]
    if table["kind"] != "service-account-key":
        return
    if project.foreign and project.chance.random() < 0.7:
        table["ignore"] = project.chance.choice(list(project.foreign))
    else:
        table.pop("ignore", None)


FORCE, BACK = _verb("force", RunRequest(force=True)), _verb("back", RunRequest(back=True))

ACTIONS: tuple[tuple[Action, int], ...] = (
    (_night, 14),
    (_due, 6),
    (_no_cron, 5),
    (_quiet_week, 1),
    (FORCE, 5),
    (_verb("adopt", RunRequest(adopt=True)), 3),
    (BACK, 5),
    (_verb("start", RunRequest(start=False)), 2),
    (_verb("rotate_one", RunRequest()), 2),
    (_leaked, 4),
    (_leaked_but_refused, 3),
    (_back_after_leak, 2),
    (_back_after_exposure, 1),
    (_retire, 1),
    (_abandon, 1),
    (_crash, 8),
    (_crash_and_tidy, 2),
    (_lose_a_creation, 2),
    (_late_host, 2),
    (_clock_goes_back, 3),
    (_host_sleeps, 4),
    (_fill_disk, 2),
    (_disable_version, 3),
    (_enable_version, 3),
    (_destroy_version, 2),
    (_add_version, 3),
    (_store_own_key, 1),
    (_switch_account, 3),
    (_disable_key, 3),
    (_enable_key, 4),
    (_delete_key, 3),
    (_wake_predecessor, 1),
    (_create_foreign_key, 2),
    (_upload_own_key, 2),
    (_edit_labels, 1),
    (_edit_annotation, 1),
    (_repair_annotation, 2),
    (_delete_staging, 2),
    (_refuse_reads, 4),
    (_refuse_changes, 3),
    (_lose_the_right_to_end, 1),
    (_break_rack, 3),
    (_empty_rack, 3),
    (_remove_credential, 2),
    (_add_credential, 4),
    (_change_every, 2),
    (_change_account, 3),
    (_move, 1),
    (_change_kind, 1),
    (_ignore_key, 2),
)
"""What happens, and how often."""
BY_NAME: dict[str, Action] = {action.__name__.strip("_"): action for action, _ in ACTIONS}
"""The actions by the names that stand in a history."""


@contextlib.contextmanager
def operated(seed: int, tally: Counter[str] | None = None, favored: Sequence[Action] = ()) -> Iterator[OperatedProject]:
    """A project in the hands of people, closed at the end."""
    project = OperatedProject(seed, tally, favored)
    try:
        yield project
    finally:
        project.close()


def live(seed: int, steps: int, tally: Counter[str] | None = None, favored: Sequence[Action] = ()) -> None:
    """Let people work on a project for so many steps, some actions more often than others, with a rest after each thirty.

    Raises:
        BrokenPromiseError: with the promise, and how it came to that.
    """
    with operated(seed, tally, favored) as project:
        for number in range(steps):
            project.step()
            if number % 30 == 29:
                with project.told():
                    project.come_to_rest()
