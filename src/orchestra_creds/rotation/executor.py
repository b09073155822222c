"""What each step does to the cloud: one method an action, each answers what it found. Decides nothing.

Every method can be repeated after a lost reply: it either looks first, or the machine looks before it asks again.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from orchestra_creds.core.cloud_types import SecretResource, VersionState
from orchestra_creds.core.google import MANAGED_LABELS
from orchestra_creds.core.material import Material
from orchestra_creds.core.ports import Destination, SecretStore
from orchestra_creds.errors import (
    CredentialRefusedError,
    CredsError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.rotation.issuer import IssuedCredential, Issuer
from orchestra_creds.rotation.machine import rollback_predecessor
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import SWEEP_AFTER, Situation, StepKind, StepResult
from orchestra_creds.rotation.staged import is_wrapped, unwrap_material, wrap_material
from orchestra_creds.rotation.state import Phase, Predecessor, Retirement, State
from orchestra_creds.rotation.versions import NumberedVersions

SKEW = timedelta(minutes=2)
"""How far the issuer's clock may be from ours when creation times are compared with a window."""

Siblings = Callable[[], Iterable[State]]
"""The states of all other credentials of the same account."""
Hook = Callable[[Sequence[str], Mapping[str, str]], None]
"""Runs one of the operator's programs with these names and numbers in its environment; raises CredsError."""


class StepExecutor(NumberedVersions):
    """The effects of one credential's rotation. Keeps the successor's material in memory while the attempt lasts."""

    def __init__(
        self,
        secrets: SecretStore,
        issuer: Issuer,
        destinations: Sequence[Destination],
        *,
        siblings: Siblings,
        hook: Hook,
        held: Callable[[], Sequence[IssuedCredential]],
    ) -> None:
        super().__init__(secrets)
        self._issuer = issuer
        self._destinations = {destination.name: destination for destination in destinations}
        self._siblings = siblings
        self._hook = hook
        self._held = held
        self._made: Material | None = None
        self.secret: SecretResource | None = None
        self.needs_settle_time = issuer.needs_settle_time
        self.effects: Mapping[StepKind, Callable[[Situation, Step], StepResult]] = {
            StepKind.LOOK_AT_VERSIONS: self._look_at_versions,
            StepKind.LOOK_AT_STAGING: self._look_at_staging,
            StepKind.LOOK_FOR_STAGED: self._look_for_staged,
            StepKind.LOOK_FOR_MADE: self._look_for_made,
            StepKind.LOOK_FOR_PUBLISHED: self._look_for_published,
            StepKind.LOOK_AT_USE: self._look_at_use,
            StepKind.LOOK_AT_HEALTH: self._look_at_health,
            StepKind.LOOK_FOR_ORPHANS: self._look_for_orphans,
            StepKind.PREFLIGHT: self._preflight,
            StepKind.PROVE: self._prove,
            StepKind.VERIFY: self._verify,
            StepKind.PROVE_END: self._prove_end,
            StepKind.PRE_HOOK: self._run_pre_hook,
            StepKind.MAKE_SECRET: self._make_secret,
            StepKind.MAKE_STAGING: self._make_staging,
            StepKind.STAGE: self._stage,
            StepKind.PREPARE: self._fingerprint,
            StepKind.ACTIVATE: self._activate,
            StepKind.CREATE: self._create,
            StepKind.ENABLE: self._enable,
            StepKind.PUBLISH: self._publish,
            StepKind.PROMOTE: self._read_back,
            StepKind.DELIVER: self._deliver,
            StepKind.DEPLOY_HOOK: self._run_deploy_hook,
            StepKind.CLEAN: self._clean,
            StepKind.LEASE_RETIRE: self._look_at_graces,
            StepKind.DISABLE: self._disable,
            StepKind.WITHDRAW: self._withdraw,
            StepKind.DELETE: self._delete,
            StepKind.DESTROY: self._destroy,
        }

    # -- looks

    def _look_at_versions(self, situation: Situation, _step: Step) -> StepResult:
        name, current = situation.credential.secret, situation.state.current
        start = max(situation.state.base, current.version if current else 0)
        newest = self._top(name, start or self._latest(name))
        facts: dict[str, object] = {"newest": newest}
        back = rollback_predecessor(situation.state) if situation.want.back else None
        if back is not None:
            facts["taken"] = {**situation.seen.taken, back.id: self._taken_out(situation, back)}
        if newest > (current.version if current else 0):
            facts |= {"newest_since": self._secrets.get_version(name, newest).created}
            value = self._readable_material(name, newest)
            identifier = self._issuer.identify(value) if value else ""
            facts["newest_id"] = identifier or f"v{newest}"
            if current is not None and value is not None:
                same = (
                    identifier == current.id if identifier else value == self._readable_material(name, current.version)
                )
                facts["newest_is_ours"] = same
        return StepResult(facts=facts)

    def _look_at_staging(self, situation: Situation, _step: Step) -> StepResult:
        there = self._secrets.find_secret(situation.staging) is not None
        top = self._top(situation.staging, situation.state.staged_base) if there else 0
        return StepResult(facts={"staging": there, "staged_top": top})

    def _look_for_staged(self, situation: Situation, _step: Step) -> StepResult:
        base = situation.state.staged_base
        top = self._top(situation.staging, base)
        facts: dict[str, object] = {"staged": top if top > base else 0}
        if top > base:
            self._made = None  # what counts is what is stored, whoever stored it
        if top > base and situation.state.phase is Phase.CREATING:
            self._made = self._secrets.access(situation.staging, top).material
            facts["made"] = unwrap_material(self._made)[0]
        return StepResult(facts=facts)

    def _look_for_made(self, situation: Situation, _step: Step) -> StepResult:
        found = self._issuer.find(situation.token)
        if found is not None:
            self._made = wrap_material(*found)
            return StepResult(facts={"made": found[0]})
        return StepResult(
            facts={"made": "", "known": tuple(sorted(held.id for held in self._issuer.list_credentials()))}
        )

    def _look_for_published(self, situation: Situation, _step: Step) -> StepResult:
        name, back = situation.credential.secret, self._returning(situation)
        facts: dict[str, object] = {"published": 0}
        if back is not None:
            facts["taken"] = {**situation.seen.taken, back.id: self._taken_out(situation, back)}
            if self._readable_material(name, back.versions[-1]) is None:  # it is still asleep, so nothing was published
                return StepResult(facts=facts)
        value, base = self._secret_value(situation), situation.state.base
        mine = (n for n in range(self._top(name, base), base, -1) if self._readable_material(name, n) == value)
        return StepResult(facts={**facts, "published": next(mine, 0)})

    def _look_at_use(self, situation: Situation, step: Step) -> StepResult:
        identifier = step.resource.rpartition("/")[2]
        used = self._issuer.last_used(identifier)
        return StepResult(facts={"uses": {**situation.seen.uses, identifier: used}})

    def _look_at_health(self, situation: Situation, step: Step) -> StepResult:
        """A current credential that the issuer lists as valid is believed; one that it does not is put to the test."""
        held = self._held()
        if not held or any(item.id == step.detail and item.enabled for item in held):
            return StepResult(facts={"healthy": True})
        proof = self._prove(situation, step).facts
        return StepResult(facts={"healthy": bool(proof["proved"]), **proof})

    def _look_for_orphans(self, situation: Situation, _step: Step) -> StepResult:
        """Ids that came to be in a window of ours, that nobody refers to and nobody ever used."""
        windows = [w for w in situation.state.unresolved if situation.now - w.closed >= SWEEP_AFTER]
        siblings = list(self._siblings())
        others = frozenset[str]().union(*(state.referenced_ids for state in siblings))
        busy = [s for s in siblings if s.phase is Phase.CREATING or s.unresolved]
        found = set()
        for item in self._issuer.list_credentials():
            foreign = item.id in situation.state.referenced_ids | others or item.last_used is not None
            if foreign or item.created is None or busy or not item.enabled:
                continue
            for window in windows:
                lies_in = window.opened - SKEW <= item.created <= window.closed + SKEW
                if lies_in and item.id not in window.known and self._issuer.last_used(item.id) is None:
                    found.add(item.id)
        return StepResult(facts={"orphans": tuple(sorted(found))})

    def _preflight(self, situation: Situation, _step: Step) -> StepResult:
        self._issuer.check()
        if not situation.state.current_leaked:  # no copy may hold up the successor of one that leaked
            for destination in self._destinations.values():
                destination.check()
        local = self._issuer.local
        known = () if local else tuple(sorted(held.id for held in self._issuer.list_credentials()))
        return StepResult(facts={"ready": True, "local": local, "known": known})

    def _prove(self, situation: Situation, _step: Step) -> StepResult:
        current = situation.state.current
        if current is None:
            return StepResult(facts={"proved": False})
        name = situation.credential.secret
        try:
            value = self._secrets.access(name, current.version).material
        except (PreconditionError, NotFoundError):
            version = self._find_version(name, current.version)
            if version is not None and version.state is VersionState.ENABLED:
                raise  # we may not look: that says nothing about the credential
            return StepResult(facts={"proved": False, "dead": True, "withdrawn": True})
        try:
            self._issuer.verify(value)
        except CredentialRefusedError:
            return StepResult(facts={"proved": False, "dead": True})
        return StepResult(facts={"proved": True})

    def _prove_end(self, situation: Situation, step: Step) -> StepResult:
        entry = self._entry(situation, step.detail)
        ended = self._issuer.is_ended(entry.id, self._material(situation, entry))
        return StepResult(facts={"ended": {**situation.seen.ended, entry.id: ended}})

    def _verify(self, situation: Situation, _step: Step) -> StepResult:
        self._issuer.verify(self._secret_value(situation))
        return StepResult()

    # -- the successor

    def _make_secret(self, situation: Situation, _step: Step) -> StepResult:
        self.secret = self._ensure_secret(situation.credential.secret, ())
        return StepResult()

    def _make_staging(self, situation: Situation, _step: Step) -> StepResult:
        self._ensure_secret(situation.staging, self.secret.replicas if self.secret else ())
        return StepResult()

    def _ensure_secret(self, name: str, replicas: Sequence[str]) -> SecretResource:
        there = self._secrets.find_secret(name)
        if there is not None:
            return there
        try:
            return self._secrets.create_secret(name, labels=MANAGED_LABELS, replicas=replicas)
        except PreconditionError:  # somebody else, or our own lost call, was faster
            return self._secrets.get_secret(name)

    def _stage(self, situation: Situation, _step: Step) -> StepResult:
        if self._made is None or situation.state.phase is Phase.STAGING:
            current = situation.state.current.id if situation.state.current else ""
            self._made = self._issuer.make(current, situation.token)
        return StepResult(self._secrets.add_version(situation.staging, self._made).number)

    def _fingerprint(self, situation: Situation, _step: Step) -> StepResult:
        return StepResult(
            fingerprint=self._issuer.fingerprint(self._staged_material(situation, situation.seen.staged or 0))
        )

    def _activate(self, situation: Situation, _step: Step) -> StepResult:
        made = self._staged_material(situation, situation.state.successor.staged)
        return StepResult(id=self._issuer.activate(made, situation.token))

    def _create(self, situation: Situation, _step: Step) -> StepResult:
        identifier, material = self._issuer.create(situation.token)
        self._made = wrap_material(identifier, material)
        return StepResult(id=identifier)

    def _publish(self, situation: Situation, _step: Step) -> StepResult:
        return StepResult(self._secrets.add_version(situation.credential.secret, self._secret_value(situation)).number)

    def _read_back(self, situation: Situation, _step: Step) -> StepResult:
        name, number = situation.credential.secret, situation.seen.published or 0
        if self._secrets.access(name, number).material != self._secret_value(situation):
            raise UnavailableError(f"version {number} of {name} does not hold what was stored", hint="run it again")
        current, taken = situation.state.current, ""
        if current is not None and not situation.state.current_leaked:
            with contextlib.suppress(CredsError):  # a promotion does not fail for want of this
                taken = self._taken_out(situation, Predecessor(current.id, current.versions, Retirement.GRACE))
            return StepResult(facts={"taken": {**situation.seen.taken, current.id: taken}})
        return StepResult()

    def _clean(self, situation: Situation, _step: Step) -> StepResult:
        """Destroy every staged copy after the last one that is destroyed already: a run back from the dead may have left another.

        The oldest goes first: a run that dies in between leaves the newest, which tells the next run that there is work.
        """
        name = situation.staging
        top = self._top(name, max(situation.state.staged_base, situation.state.successor.staged))
        left = itertools.takewhile(lambda number: not self._is_destroyed(name, number), range(top, 0, -1))
        for number in sorted(left):
            self._secrets.destroy_version(name, number)
        return StepResult(top)

    def _staged_material(self, situation: Situation, number: int) -> Material:
        if self._made is None:
            self._made = self._secrets.access(situation.staging, number).material
        return self._made

    def _secret_value(self, situation: Situation) -> Material:
        """What readers get of the successor; of one that comes back, what they got before."""
        successor, back = situation.state.successor, self._returning(situation)
        if back is not None:
            return self._secrets.access(situation.credential.secret, back.versions[-1]).material
        staged = self._staged_material(situation, successor.staged)
        if is_wrapped(staged):
            _, staged = unwrap_material(staged)
        return self._issuer.secret_value(staged, successor.id)

    # -- copies and programs

    def _deliver(self, situation: Situation, step: Step) -> StepResult:
        current = situation.state.current
        if current is not None:
            material = self._secrets.access(situation.credential.secret, current.version).material
            self._destinations[step.resource].put(material, identifier=current.id, version=current.version)
        return StepResult()

    def _run_pre_hook(self, situation: Situation, _step: Step) -> StepResult:
        self._hook(situation.credential.hooks.pre, hook_variables(situation))
        return StepResult()

    def _run_deploy_hook(self, situation: Situation, _step: Step) -> StepResult:
        self._hook(situation.credential.hooks.deploy, hook_variables(situation))
        return StepResult()

    def run_failure_hook(self, situation: Situation) -> None:
        """Run the operator's program for failures."""
        if situation.credential.hooks.fail:
            self._hook(situation.credential.hooks.fail, hook_variables(situation))

    # -- the end of predecessors

    def _enable(self, situation: Situation, _step: Step) -> StepResult:
        entry = self._entry(situation, situation.state.successor.id)
        if self._issuer.revocable:
            self._issuer.enable(entry.id)
        name, number = situation.credential.secret, entry.versions[-1]
        if self._secrets.get_version(name, number).state is VersionState.DISABLED:
            self._secrets.enable_version(name, number)
        return StepResult()

    def _disable(self, situation: Situation, step: Step) -> StepResult:
        entry = self._entry(situation, step.detail)
        if entry.phase is Retirement.LEAKED:
            self._issuer.end(entry.id, self._material(situation, entry))
            return StepResult()
        if self._issuer.revocable:
            self._issuer.disable(entry.id)
            return StepResult()
        current = situation.state.current
        for number in entry.versions:
            if current is not None and number < current.version:
                self._disable_version(situation.credential.secret, number)
        return StepResult()

    def _withdraw(self, situation: Situation, step: Step) -> StepResult:
        self._disable_version(situation.credential.secret, int(step.resource.rpartition("/")[2]))
        return StepResult()

    def _look_at_graces(self, situation: Situation, _step: Step) -> StepResult:
        """Who was taken out of service by others, before a run of ours disables it for its age."""
        taken: dict[str, str] = {}
        with contextlib.suppress(CredsError):  # a retirement does not fail for want of this
            for entry in situation.state.retiring:
                if entry.phase is Retirement.GRACE and situation.state.last_failure is None:
                    taken[entry.id] = self._taken_out(situation, entry)
        return StepResult(facts={"taken": {**situation.seen.taken, **taken}})

    def _taken_out(self, situation: Situation, entry: Predecessor) -> str:
        """Return who but us took a credential out of service, as the end of a sentence; empty if nobody did."""
        lease = situation.state.lease
        ours = entry.phase is Retirement.DISABLED or (
            lease is not None and not situation.has_lease
        )  # or a run that died
        item = next((item for item in self._issuer.list_credentials() if item.id == entry.id), None)
        if item is not None and not item.enabled and item.is_exposed:
            return "its issuer disabled it because it leaked"
        if item is not None and not item.enabled and not ours:
            return "a person disabled it, perhaps because it leaked"
        number = entry.versions[-1] if entry.versions and not ours and not self._issuer.revocable else 0
        version = self._find_version(situation.credential.secret, number) if number else None
        if version is not None and version.state is not VersionState.ENABLED:
            return f"its version {number} is {version.state}"
        return ""

    def _delete(self, situation: Situation, step: Step) -> StepResult:
        self._issuer.delete(self._entry(situation, step.detail).id)
        return StepResult()

    def _destroy(self, situation: Situation, step: Step) -> StepResult:
        name, number = situation.credential.secret, int(step.resource.rpartition("/")[2])
        if not self._is_destroyed(name, number):
            self._secrets.destroy_version(name, number)
        return StepResult()

    def _is_destroyed(self, name: str, number: int) -> bool:
        """Return whether a version is destroyed, or will be at a time that is set."""
        version = self._find_version(name, number)
        return version is None or version.state is VersionState.DESTROYED or version.destroy_at is not None

    def _material(self, situation: Situation, entry: Predecessor) -> Material | None:
        """Return what readers had of a predecessor, or None once no version of it is enabled."""
        name = situation.credential.secret
        for number in reversed(entry.versions):
            version = self._find_version(name, number)
            if version is not None and version.state is VersionState.ENABLED:
                return self._secrets.access(name, number).material
        return None

    def _returning(self, situation: Situation) -> Predecessor | None:
        """Return the predecessor that is the successor of a rollback."""
        successor = situation.state.successor.id
        return next((entry for entry in situation.state.retiring if entry.id == successor), None)

    def _entry(self, situation: Situation, identifier: str) -> Predecessor:
        return next(entry for entry in situation.state.retiring if entry.id == identifier)


def hook_variables(situation: Situation) -> dict[str, str]:
    """What a hook may know: names and numbers."""
    current = situation.state.current
    return {
        "ORCHESTRA_CREDS_CREDENTIAL": situation.credential.name,
        "ORCHESTRA_CREDS_SECRET": situation.credential.secret,
        "ORCHESTRA_CREDS_KIND": str(situation.credential.kind),
        "ORCHESTRA_CREDS_GENERATION": str(situation.state.generation),
        "ORCHESTRA_CREDS_VERSION": str(current.version if current else 0),
        "ORCHESTRA_CREDS_ID": current.id if current else "",
        "ORCHESTRA_CREDS_RUN": situation.run,
    }
