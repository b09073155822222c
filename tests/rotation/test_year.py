"""A virtual year of cron over many credentials of all kinds, with crashes, lost replies, late consistency and a moving clock."""

import base64
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import ApiKey, Credential, CredentialKind, Strategy
from orchestra_creds.core.material import Material
from orchestra_creds.errors import AuthError, CredsError
from orchestra_creds.gcp.api_keys import RestApiKeyStore
from orchestra_creds.rotation.issuer import Issuer
from orchestra_creds.rotation.issuers.api_key import ApiKeys
from orchestra_creds.rotation.issuers.command import ProgramIssuer
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.state import Phase
from orchestra_creds.rotation.timing import LEASE, SWEEP_AFTER
from tests.rotation.lives import LAGS
from tests.rotation.world import POLICY, Died, Loss, World, service_account_key

DAY = timedelta(days=1)
KINDS = (
    CredentialKind.SERVICE_ACCOUNT_KEY,
    CredentialKind.SERVICE_ACCOUNT_KEY,
    CredentialKind.GENERATED,
    CredentialKind.COMMAND,
    CredentialKind.API_KEY,
    CredentialKind.MANUAL,
)


class FakeProgram(ProgramIssuer):
    """The operator's program as a dictionary; what it revoked is refused."""

    def __init__(self, credential: Credential) -> None:
        super().__init__(credential)
        self.made: dict[str, bytes] = {}
        self.revoked: set[str] = set()

    def check(self, *, emergency: bool = False) -> None:  # noqa: ARG002  the protocol's
        return None

    def _call(self, verb: str, question: dict[str, str]) -> dict[str, Any]:
        if verb in {"create", "find"}:
            token = question["token"]
            if verb == "create":
                self.made.setdefault(token, f"{self._credential.name}:{token}".encode())
            if token not in self.made:
                return {}
            return {"id": token, "material": base64.b64encode(self.made[token]).decode()}
        if verb == "revoke":
            self.revoked.add(question["id"])
            return {}
        value = base64.b64decode(question["material"])
        return {"ok": value in {text for name, text in self.made.items() if name not in self.revoked}}


class Project:
    """Credentials of all kinds in one world, and their readers."""

    def __init__(self, count: int, chance: random.Random) -> None:
        self.world, self.chance = World(), chance
        self.keys = RestApiKeyStore(self.world.session, sleep=lambda _seconds: None)
        self.keys.create(
            "model", display_name="model", restrictions={"apiTargets": [{"service": "vision.googleapis.com"}]}
        )
        self.programs: dict[str, FakeProgram] = {}
        self.failures: list[str] = []
        self.credentials = [self._declared(number) for number in range(count)]
        self.visible: dict[tuple[str, int], Any] = {}

    def _declared(self, number: int) -> Credential:
        kind = KINDS[number % len(KINDS)]
        name = f"c{number:03}"
        policy = replace(
            POLICY, every=timedelta(days=self.chance.choice([20, 30, 60, 90])), settle=timedelta(seconds=30)
        )
        if kind is CredentialKind.SERVICE_ACCOUNT_KEY:
            strategy = Strategy.UPLOAD if number % 2 else Strategy.CREATE
            made = service_account_key(self.world.account(f"account-{name}"), strategy=strategy, policy=policy)
            return replace(made, name=name, secret=name)
        if kind is CredentialKind.MANUAL:
            self.world.secrets.create_secret(name)
        return Credential(name, kind, name, policy, command=("program",), api_key=ApiKey(like="model"))

    def issuer(self, credential: Credential) -> Issuer:
        match credential.kind:
            case CredentialKind.GENERATED:
                return GeneratedValues(credential, self.chance.randbytes)
            case CredentialKind.COMMAND:
                return self.programs.setdefault(credential.name, FakeProgram(credential))
            case CredentialKind.API_KEY:
                return ApiKeys(credential, self.keys)
            case CredentialKind.MANUAL:
                return ManualIssuer(credential)
        return self.world.issuer(credential)

    def cron(self, *, calm: bool) -> None:
        """One day's run; something goes wrong for some of them. What was due when it began, and was left in peace, is due no more."""
        began = self.world.clock
        self.person()
        self.chance.shuffle(order := list(self.credentials))
        for credential in order:
            disturbed = not calm and self.chance.random() < 0.3
            if disturbed:
                self.world.lose({self.chance.randrange(30): self.chance.choice(list(Loss))})
            try:
                outcome = self.world.rotate(credential, issuer=self.issuer(credential))
            except Died:
                pass
            else:
                if calm:
                    assert outcome.ending not in {Ending.FAILED, Ending.LOCKED}, outcome.message
            self.world.emulator.losses.clear()
            current = self.world.state(credential.secret).current
            if not disturbed and (current is None or began >= credential.policy.due_at(current.since)):
                self.failures.append(f"{credential.name} is due since before the run on {began:%F}")
        self.world.pass_time(timedelta(seconds=self.chance.randrange(7200)))

    def person(self) -> None:
        """Stores what only a person can, when it is due."""
        for credential in self.credentials:
            if credential.kind is CredentialKind.MANUAL:
                current = self.world.state(credential.secret).current
                if current is None or self.world.clock >= credential.policy.due_at(current.since):
                    self.world.secrets.add_version(credential.secret, Material(self.chance.randbytes(20)))

    def read(self) -> None:
        """Readers of `latest`, and of what was `latest` within the last hours: everything works."""
        now = self.world.clock
        for credential in self.credentials:
            with self.world.aside():
                state = self.world.state(credential.secret)
                if state.current is None:
                    continue
                versions = self.world.versions(credential.secret)
                self.visible[credential.secret, max(versions)] = now
                for (name, number), seen in list(self.visible.items()):
                    if (
                        name == credential.secret
                        and now - seen <= timedelta(hours=6)
                        and not self._works(credential, number)
                    ):
                        self.failures.append(f"{name}/{number} on {now:%F}")

    def _works(self, credential: Credential, number: int) -> bool:
        try:
            self.issuer(credential).verify(self.world.secrets.access(credential.secret, number).material)
        except (AuthError, CredsError):
            return False
        return True


def test_a_year_of_cron_breaks_no_reader_and_leaves_nothing_behind(exhaustive: bool, tally: dict[str, int]) -> None:
    count, days, seeds = (20, 365, range(2026, 2036)) if exhaustive else (12, 120, range(2026, 2027))
    for seed in (
        seeds
    ):  # one after the other: google-auth signs with the real time, from which a world is off as long as it lives
        live_through(Project(count, random.Random(seed)), days, tally)


def live_through(project: Project, days: int, tally: dict[str, int]) -> None:
    """Let a project live for so many days, and look each day at what its readers get and what is late, and at the end at what is left."""
    world = project.world
    for which, seconds in LAGS.items():
        world.lag(which, seconds)
    for day in range(days):
        project.cron(calm=False)
        project.read()
        assert project.failures == [], f"on day {day}"
        world.pass_time(DAY - timedelta(hours=1))
    for _ in range(3):
        world.pass_time(LEASE + SWEEP_AFTER)
        project.cron(calm=True)
    assert project.failures == []
    for credential in project.credentials:
        state = world.state(credential.secret)
        assert (state.phase, state.lease, state.unresolved) == (Phase.IDLE, None, ())
        assert world.staged(credential.secret) == []
        if credential.account:
            with world.aside():
                assert world.enabled_keys(credential.account) <= state.referenced_ids
        with world.aside():
            enabled = {n for n, there in world.versions(credential.secret).items() if there is VersionState.ENABLED}
        assert state.current is not None
        if credential.kind is not CredentialKind.MANUAL:
            assert enabled <= {*state.current.versions, *(n for entry in state.retiring for n in entry.versions)}
    tally["virtual days"] += days
    tally["rotations in virtual time"] += sum(world.state(c.secret).generation for c in project.credentials)
    world.close()
