"""A project in the hands of people: they edit the file, versions, keys and labels, break things, and call every verb at any time.

After every step the truth is read from the cloud, without our code, and compared with what `status`, the exit codes and the engine claim.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from orchestra_creds.config.declarations import ProjectDeclarations
from orchestra_creds.config.parse import parse
from orchestra_creds.core.cloud_types import SecretResource
from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import Destination
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import CredsError, ExitCode, NotFoundError, PreconditionError, UnavailableError
from orchestra_creds.rotation import survey as surveys
from orchestra_creds.rotation.attempts import AttemptFactory, rotate
from orchestra_creds.rotation.catalog import CredentialCatalog
from orchestra_creds.rotation.engine import Run
from orchestra_creds.rotation.issuer import Issuer
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.outcome import Ending, Report
from orchestra_creds.rotation.run_clock import RunClock
from orchestra_creds.rotation.situation import ORDINARY, RunRequest
from orchestra_creds.rotation.state import ANNOTATION, STAGING_SUFFIX, Phase, State, decode
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
LATER = CREATED_WITHIN + SKEW + timedelta(minutes=1)
"""After a lost creation: a key that a person makes earlier cannot be told apart from it."""
AFTER_LEASE = LEASE + SWEEP_AFTER + timedelta(minutes=1)


@dataclass(slots=True)
class Rack:
    """A destination that can be read, broken and emptied."""

    name: str
    broken: bool = False
    held: Material = field(default_factory=lambda: Material(b""))

    def check(self) -> None:
        if self.broken:
            raise UnavailableError(f"{self.name} does not answer")

    def put(self, material: Material, *, identifier: str, version: int) -> None:  # noqa: ARG002  the port's
        self.check()
        self.held = material

    def holds(self, material: Material) -> bool:
        self.check()
        return self.held == material


class OperatedProject:
    """One project, its file, and what people did to it. `history` says how it came to where it is."""

    def __init__(self, seed: int, tally: Counter[str] | None = None) -> None:
        self.world, self.chance = World(), random.Random(seed)
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
        self.world.emulator.before = self._before_call
        self.world.emulator.after = self._after_call
        self._worked: dict[str, bool] = {}
        self._held: dict[str, tuple[str, str]] = {}
        for name in TABLES:
            if name == "hand":
                with self.world.aside():
                    self.world.secrets.create_secret("hand")
                    self.world.secrets.add_version("hand", Material(b"by hand"))

    def close(self) -> None:
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
        declarations = ProjectDeclarations(parse(self.text, "orchestra-creds.toml"), PROJECT)
        return CredentialCatalog(declarations, self.world.secrets)

    @property
    def declared(self) -> dict[str, Credential]:
        """The credentials of the file by name."""
        return dict(ProjectDeclarations(parse(self.text, "orchestra-creds.toml"), PROJECT).in_file)

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
        run = Run(f"run-{next(self.world.runs)}", clock, self.world.secrets, 5.0)
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
        for outcome in report.outcomes:
            self.tally[f"outcomes: {outcome.ending.value}"] += 1
            if outcome.code is ExitCode.BUG:
                raise BrokenPromiseError(f"a bug: {outcome.message}")
        return report

    def survey(self) -> Survey | None:
        """What `status` says; None if it ended with an error."""
        catalog = self.catalog()
        try:
            with mock.patch.object(
                surveys, "map_in_order", lambda work, items, **_how: list(map(work, items))
            ):  # one thread
                rows, notes = survey_catalog(
                    catalog, self.world.secrets, self.world.keys, (), self.world.clock, timedelta(0)
                )
        except CredsError:
            return None
        return survey(PROJECT, rows, self.world.clock, notes, str(catalog.listing_error or ""))

    # -- the truth, by the cloud alone

    def look(self) -> Snapshot:
        """What is in the cloud now."""
        return take_snapshot(self.world.store, PROJECT, self._held)

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
        troubles = self.troubles(self.look())
        told = self.survey()
        self.tally["looks at status"] += 1
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
            if newest != state.current.version:
                raise BrokenPromiseError(f"R2: the run ended with 0, but {name} has version {newest} on top")
            rack = self.racks.get(self.file[name].get("copy", ""))
            if rack is None:
                continue
            with self.world.aside():
                value = self.world.secrets.access(credential.secret, newest).material
            if rack.held != value:
                raise BrokenPromiseError(f"R3: the run ended with 0, but {rack.name} does not hold the value of {name}")

    def check_keys(self) -> None:
        """No key of ours is enabled that no state speaks for; no key of others was touched."""
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

    def _before_call(self, name: str) -> None:
        if name.rpartition("/")[2] in ENDS:
            self._worked = self._readers()

    def _after_call(self, name: str, _mutates: bool) -> None:
        if name.rpartition("/")[2] not in ENDS:
            return
        self.tally["ends that were watched"] += 1
        now = self._readers()
        broken = [one for one, worked in self._worked.items() if worked and not now.get(one, False)]
        if broken:
            raise BrokenPromiseError(f"E1: {name.rpartition('/')[2]} took the credential away from readers of {broken}")

    # -- what people do

    def step(self) -> None:
        """One action of a person or of cron, and a look at everything."""
        action = self.chance.choices([one for one, _ in ACTIONS], [weight for _, weight in ACTIONS])[0]
        self.act(action)

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
        self.skew = timedelta(0)
        for rack in self.racks.values():
            rack.broken = False
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


def _late_host(project: OperatedProject) -> None:
    """The clock of the host is behind, or goes back in the middle of a run."""
    project.skew = timedelta(minutes=project.chance.choice([10, 60, 180]))
    try:
        project.rotate([project.pick()], RunRequest(force=project.chance.random() < 0.5))
    finally:
        project.skew = timedelta(0)


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
    _night(project)
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


ACTIONS: tuple[tuple[Action, int], ...] = (
    (_night, 14),
    (_due, 6),
    (_no_cron, 5),
    (_verb("force", RunRequest(force=True)), 5),
    (_verb("adopt", RunRequest(adopt=True)), 3),
    (_verb("back", RunRequest(back=True)), 5),
    (_verb("start", RunRequest(start=False)), 2),
    (_verb("rotate_one", RunRequest()), 2),
    (_leaked, 4),
    (_leaked_but_refused, 3),
    (_retire, 1),
    (_abandon, 1),
    (_crash, 8),
    (_late_host, 2),
    (_disable_version, 3),
    (_enable_version, 3),
    (_destroy_version, 2),
    (_add_version, 3),
    (_store_own_key, 1),
    (_switch_account, 3),
    (_disable_key, 3),
    (_enable_key, 4),
    (_delete_key, 3),
    (_create_foreign_key, 2),
    (_upload_own_key, 2),
    (_edit_labels, 1),
    (_edit_annotation, 1),
    (_repair_annotation, 2),
    (_delete_staging, 2),
    (_refuse_reads, 4),
    (_refuse_changes, 3),
    (_break_rack, 3),
    (_empty_rack, 3),
    (_remove_credential, 2),
    (_add_credential, 4),
    (_change_every, 2),
    (_change_account, 3),
    (_change_kind, 1),
    (_ignore_key, 2),
)
"""What happens, and how often."""


@contextlib.contextmanager
def operated(seed: int, tally: Counter[str] | None = None) -> Iterator[OperatedProject]:
    """A project in the hands of people, closed at the end."""
    project = OperatedProject(seed, tally)
    try:
        yield project
    finally:
        project.close()


def live(seed: int, steps: int, tally: Counter[str] | None = None) -> None:
    """Let people work on a project for so many steps, with a rest after each thirty.

    Raises:
        BrokenPromiseError: with the promise, and how it came to that.
    """
    with operated(seed, tally) as project:
        for number in range(steps):
            project.step()
            if number % 30 == 29:
                with project.told():
                    project.come_to_rest()
