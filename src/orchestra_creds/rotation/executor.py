"""What each step does to the cloud: one method a kind of step. Decides nothing.

Every method can be repeated after a lost reply: it either looks first, or the machine looks before it asks again.
"""

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence

from orchestra_creds.core.cloud_types import SecretResource, VersionState
from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.core.google import MANAGED_LABELS
from orchestra_creds.core.ports import Destination, SecretStore, VersionedDestination
from orchestra_creds.core.text import visible
from orchestra_creds.errors import CredsError, NotFoundError, PreconditionError, UnavailableError
from orchestra_creds.rotation.issuer import AccountIssuer, IssuedCredential, Issuer, RevocableIssuer
from orchestra_creds.rotation.looks import StepObserver, was_used
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.retirement import is_guarded, kind_of
from orchestra_creds.rotation.situation import Situation, StepKind, StepResult
from orchestra_creds.rotation.staged import is_wrapped, unwrap_material, wrap_material
from orchestra_creds.rotation.state import Phase, Predecessor, Retirement, State, Target, home_of
from orchestra_creds.rotation.step_context import Siblings
from orchestra_creds.rotation.timing import LATE, MADE_BEFORE, SKEW

LONGEST_REASON = 2_000
"""Characters of the reason that the operator's program for failures gets."""
Hook = Callable[[Sequence[str], Mapping[str, str]], None]
"""Runs one of the operator's programs with these names and numbers in its environment; raises CredsError."""


class StepExecutor(StepObserver):
    """The effects of one credential's rotation."""

    def __init__(
        self,
        secrets: SecretStore,
        issuer: Issuer,
        destinations: Sequence[Destination],
        *,
        siblings: Siblings,
        hook: Hook,
        list_credentials: Callable[[], Sequence[IssuedCredential]],
        issuer_at: Callable[[Target], Issuer] | None = None,
    ) -> None:
        super().__init__(
            secrets, issuer, destinations, siblings=siblings, list_credentials=list_credentials, issuer_at=issuer_at
        )
        self._hook = hook
        self.needs_settle_time = issuer.needs_settle_time
        self.effects: Mapping[StepKind, Callable[[Situation, Step], StepResult]] = {
            StepKind.LOOK_AT_VERSIONS: self._look_at_versions,
            StepKind.LOOK_AT_STAGING: self._look_at_staging,
            StepKind.LOOK_FOR_STAGED: self._look_for_staged,
            StepKind.LOOK_AT_STAGED: self._look_at_staged,
            StepKind.LOOK_AT_LIVES: self._look_at_lives,
            StepKind.REMOVE_STAGING: self._remove_staging,
            StepKind.LOOK_FOR_MADE: self._look_for_made,
            StepKind.LOOK_FOR_PUBLISHED: self._look_for_published,
            StepKind.LOOK_AT_USE: self._look_at_use,
            StepKind.LOOK_AT_HEALTH: self._look_at_health,
            StepKind.LOOK_AT_COPIES: self._look_at_copies,
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
            StepKind.ADOPT: self._check_adopted,
            StepKind.KILL: self._disable,
            StepKind.DISABLE: self._disable,
            StepKind.WITHDRAW: self._withdraw,
            StepKind.DELETE: self._delete,
            StepKind.DESTROY: self._destroy,
            StepKind.WITHDRAW_COPY: self._withdraw_copy,
            StepKind.DESTROY_COPY: self._destroy_copy,
        }

    # -- the successor

    def _make_secret(self, situation: Situation, _step: Step) -> StepResult:
        self.secret = self._ensure_secret(situation.credential.secret)
        return StepResult()

    def _make_staging(self, situation: Situation, _step: Step) -> StepResult:
        self._ensure_secret(situation.staging, like=self.secret)
        return StepResult()

    def _ensure_secret(self, name: str, *, like: SecretResource | None = None) -> SecretResource:
        """Return the secret; a new one lies where the other does, under the same keys of Cloud KMS."""
        there = self._secrets.find_secret(name)
        if there is not None:
            return there
        try:
            return self._secrets.create_secret(
                name,
                labels=MANAGED_LABELS,
                replicas=like.replicas if like else (),
                kms_keys=like.kms_keys if like else (),
            )
        except PreconditionError:  # someone else, or our own lost call, was faster
            return self._secrets.get_secret(name)

    def _stage(self, situation: Situation, _step: Step) -> StepResult:
        if self._made_material is None or situation.state.phase is Phase.STAGING:
            current = situation.state.current.id if situation.state.current else ""
            self._made_material = self._local_issuer(situation).make(current, situation.token)
        return StepResult(self._secrets.add_version(situation.staging, self._made_material).number)

    def _fingerprint(self, situation: Situation, _step: Step) -> StepResult:
        made = self._staged_material(situation, situation.seen.staged or 0)
        return StepResult(fingerprint=self._local_issuer(situation).fingerprint(made))

    def _activate(self, situation: Situation, _step: Step) -> StepResult:
        made = self._staged_material(situation, situation.state.successor.staged)
        return StepResult(id=self._local_issuer(situation).activate(made, situation.token))

    def _create(self, situation: Situation, _step: Step) -> StepResult:
        identifier, material = self._remote_issuer(situation).create(situation.token)
        self._made_material = wrap_material(identifier, material)
        return StepResult(id=identifier)

    def _publish(self, situation: Situation, _step: Step) -> StepResult:
        return StepResult(self._secrets.add_version(situation.credential.secret, self._secret_value(situation)).number)

    def _read_back(self, situation: Situation, _step: Step) -> StepResult:
        name, number = situation.credential.secret, situation.seen.published or 0
        if self._secrets.access(name, number).material != self._secret_value(situation):
            raise UnavailableError(f"version {number} of {name} does not hold what was stored", hint="run it again")
        current = situation.state.current
        if current is None or situation.state.current_leaked:
            return StepResult()
        with contextlib.suppress(CredsError):  # a promotion does not fail for want of this
            entry = Predecessor(current.id, current.versions, Retirement.GRACE)
            return StepResult(seen=self._note_taken_out(situation, situation.seen, entry))
        return StepResult()

    def _check_adopted(self, situation: Situation, _step: Step) -> StepResult:
        """Refuse to adopt a key that leaked or is of another account, or in place of a current one what does not authenticate."""
        name, number, state = situation.credential.secret, situation.seen.newest or 0, situation.state
        value = self._secrets.access(name, number).material
        account = self._issuer.account_of(value) if isinstance(self._issuer, AccountIssuer) else ""
        if account and account != situation.credential.account:
            raise PreconditionError(
                f"version {number} of secret {name} holds a key of {account}, not of {situation.credential.account}",
                hint="declare that account, or store a key of this one; nothing was changed",
            )
        if situation.seen.newest_id in state.leaked:
            raise PreconditionError(
                f"version {number} of secret {name} holds {situation.seen.newest_id}, which leaked",
                hint=f"a new one: orchestra-creds rotate {situation.credential.name} --force",
            )
        if state.current is not None:
            self._issuer.verify(value)
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

    def end_what_came_late(self, situation: Situation, there: State, made: str) -> bool:
        """End a key that this run made valid although another run has taken over; whether it did.

        It is left alone where somebody may use it: `there`, the present state, speaks for it or is about to make the same one valid, or
        the secret or its staging secret may hold it.

        Raises:
            CredsError: the issuer refuses to end it.
        """
        issuer, mine = self._successor_issuer(situation), situation.state.successor
        if (
            not isinstance(issuer, AccountIssuer)
            or not isinstance(issuer, RevocableIssuer)
            or made in there.referenced_ids
        ):
            return False
        match situation.state.phase:
            case Phase.PREPARED:
                same = there.phase is Phase.PREPARED and there.successor.fingerprint == mine.fingerprint
                usable = same or self._is_published(situation.credential.secret, made)
            case Phase.CREATING:
                # without a staged copy its private half is in the memory of this run, and nowhere else
                usable = situation.seen.staged != 0
            case _:
                return False
        if usable or issuer.look_up(made) is None:
            return False
        issuer.disable(made)
        issuer.delete(made)
        return True

    def _is_published(self, name: str, identifier: str) -> bool:
        """Whether a version of the secret that can be read holds a key."""
        enabled = (one.number for one in self._secrets.list_versions(name) if one.state is VersionState.ENABLED)
        values = (self._readable_material(name, number) for number in enabled)
        return any(self._issuer.identify(value) == identifier for value in values if value)

    # -- copies and programs

    def _deliver(self, situation: Situation, step: Step) -> StepResult:
        current = situation.state.current
        if current is None:
            return StepResult()
        material = self._secrets.access(situation.credential.secret, current.version).material
        destination = self._destinations[step.resource]
        if isinstance(destination, VersionedDestination):
            home, number = destination.put_version(material, _newest_copies(situation.state))
            return StepResult(number, home)
        destination.put(material, identifier=current.id, version=current.version)
        return StepResult()

    def _run_pre_hook(self, situation: Situation, _step: Step) -> StepResult:
        self._hook(situation.credential.hooks.pre, hook_variables(situation))
        return StepResult()

    def _run_deploy_hook(self, situation: Situation, _step: Step) -> StepResult:
        self._hook(situation.credential.hooks.deploy, hook_variables(situation))
        return StepResult()

    def run_failure_hook(self, situation: Situation, steps: str, reason: str) -> None:
        """Run the operator's program for failures, with the steps that failed and the reason that the report gives."""
        if situation.credential.hooks.fail:
            failure = {"ORCHESTRA_CREDS_STEP": _one_line(steps), "ORCHESTRA_CREDS_REASON": _one_line(reason)}
            self._hook(situation.credential.hooks.fail, {**hook_variables(situation), **failure})

    # -- the end of predecessors

    def _enable(self, situation: Situation, _step: Step) -> StepResult:
        entry = self._entry(situation, situation.state.successor.id)
        name, number = situation.credential.secret, entry.versions[-1]
        if self._secrets.get_version(name, number).state is VersionState.DISABLED:
            self._secrets.enable_version(name, number)
        self._require_proof(situation, entry)
        issuer = self._issuer_for(situation, entry.target)
        if isinstance(issuer, RevocableIssuer):
            issuer.enable(entry.id)
        return StepResult()

    def _disable(self, situation: Situation, step: Step) -> StepResult:
        entry = self._entry(situation, step.detail)
        self._require_proof(situation, entry)
        issuer = self._issuer_for(situation, entry.target)
        if entry.phase is Retirement.LEAKED:
            issuer.end(entry.id, self._material(situation, entry))
            return StepResult()
        if isinstance(issuer, RevocableIssuer):
            issuer.disable(entry.id)
            return StepResult()
        current, ends = situation.state.current, situation.state.ended is not None
        for number in entry.versions:
            if ends or (current is not None and number < current.version):
                self._disable_version(situation.credential.secret, number)
        return StepResult()

    def _withdraw(self, situation: Situation, step: Step) -> StepResult:
        self._disable_version(situation.credential.secret, int(step.resource.rpartition("/")[2]))
        return StepResult()

    def _delete(self, situation: Situation, step: Step) -> StepResult:
        entry = self._entry(situation, step.detail)
        self._require_proof(situation, entry)
        self._issuer_for(situation, entry.target).delete(entry.id)
        return StepResult()

    def _require_proof(self, situation: Situation, entry: Predecessor) -> None:
        """Refuse to touch what nothing but the state calls ours: whoever may write annotations must not end the keys of others.

        Raises:
            PreconditionError: nothing proves that the credential came from this secret.
            CredsError: the issuer does not say when it was used.
        """
        kind, issuer = kind_of(situation, entry), self._issuer_for(situation, entry.target)
        if kind in {CredentialKind.GENERATED, CredentialKind.MANUAL}:
            return  # of these kinds only the versions of this very secret are ended
        if isinstance(issuer, AccountIssuer):
            if self._is_ours(situation, issuer, entry):
                return
        elif not is_guarded(situation, entry):
            return  # the declaration names its users or its program
        account = entry.target.account if entry.target else situation.credential.account
        raise PreconditionError(
            f"only the state calls {entry.id} of {account or kind} ours, and no version that can be read holds it: it stays",
            hint=f"end it by hand, for example: orchestra-creds key disable {account or 'ACCOUNT'} {entry.id}; or declare it as before",
        )

    def _is_ours(self, situation: Situation, issuer: AccountIssuer, entry: Predecessor) -> bool:
        """Whether a key is gone, or held by a version of the secret or its staging secret, or an orphan of a creation of ours."""
        item = issuer.look_up(entry.id)
        if item is None:
            return True
        name = situation.credential.secret
        published = (self._readable_material(name, number) for number in entry.versions)
        if any(issuer.holds(value, entry.id) for value in published if value):
            return True
        if entry.phase is Retirement.DISABLED and not item.enabled and self._is_hidden(name, issuer, entry):
            return True
        if situation.want.leaked and entry.phase is Retirement.LEAKED and not is_guarded(situation, entry):
            return True  # the operator says so in this very run
        return not entry.versions and (
            self._is_staged(situation, issuer, entry) or self._is_unused_orphan(situation, entry)
        )

    def _is_hidden(self, name: str, issuer: AccountIssuer, entry: Predecessor) -> bool:
        """Whether a disabled version is the private half of a disabled key: earlier programs disabled the version of one that leaked.

        To be read it is enabled. One that is not the key is disabled again at once; one that cannot be read yet stays enabled, so that the
        next run can read it.
        """
        for number in entry.versions:
            version = self._find_version(name, number)
            if version is None or version.state is not VersionState.DISABLED:
                continue
            self._secrets.enable_version(name, number)
            value = self._readable_material(name, number)
            if value is not None and issuer.holds(value, entry.id):
                return True  # it is destroyed as soon as the key is deleted
            if value is not None:
                self._secrets.disable_version(name, number)
        return False

    def _is_staged(self, situation: Situation, issuer: AccountIssuer, entry: Predecessor) -> bool:
        """Whether the last staged copy is the private half of a key."""
        number = max(situation.state.successor.staged, situation.seen.staged_top)
        if not number or self._find_version(situation.staging, number) is None:
            return False
        staged = self._readable_material(situation.staging, number)
        if staged is None:
            return False
        if is_wrapped(staged):
            _, staged = unwrap_material(staged)
        return issuer.holds(issuer.secret_value(staged, entry.id), entry.id)

    def _is_unused_orphan(self, situation: Situation, entry: Predecessor) -> bool:
        """Whether nobody ever used a key that came to be while a rotation of ours was making one."""
        issuer = self._issuer_for(situation, entry.target)
        item = next((item for item in issuer.list_credentials() if item.id == entry.id), None)
        if item is None or item.created is None:
            return False
        since = entry.since or situation.now
        born = entry.born or since - LATE  # earlier programs recorded neither
        lies_in = born - MADE_BEFORE <= item.created <= since + SKEW
        return lies_in and not was_used(situation, issuer, item, born)

    def _remove_staging(self, situation: Situation, _step: Step) -> StepResult:
        with contextlib.suppress(NotFoundError):
            self._secrets.delete_secret(situation.staging)
        return StepResult()

    def _destroy(self, situation: Situation, step: Step) -> StepResult:
        name, number = situation.credential.secret, int(step.resource.rpartition("/")[2])
        if not self._is_destroyed(name, number):
            self._secrets.destroy_version(name, number)
        return StepResult()

    def _withdraw_copy(self, situation: Situation, step: Step) -> StepResult:
        name, number = self._copy(situation, step)
        if name:
            self._disable_version(name, number)
        return StepResult()

    def _destroy_copy(self, situation: Situation, step: Step) -> StepResult:
        name, number = self._copy(situation, step)
        if name and not self._is_destroyed(name, number):
            self._secrets.destroy_version(name, number)
        return StepResult()

    def _copy(self, situation: Situation, step: Step) -> tuple[str, int]:
        """Return the secret and version of a copy; no name if the secret that was delivered to does not exist any more."""
        name, _, number = step.resource.partition("/versions/")
        there = self._secrets.find_secret(name)
        copies = self._entry(situation, step.detail).copies
        if there is None or (home_of(there), int(number)) not in copies:
            return "", 0
        return name, int(number)

    def _is_destroyed(self, name: str, number: int) -> bool:
        """Return whether a version is destroyed, or will be at a time that is set."""
        version = self._find_version(name, number)
        return version is None or version.state is VersionState.DESTROYED or version.destroy_at is not None


def _newest_copies(state: State) -> dict[str, int]:
    """The highest version of each other secret that holds something of this state."""
    found: dict[str, int] = {}
    for entry in (state.current, *state.retiring):
        for home, number in entry.copies if entry is not None else ():
            found[home] = max(number, found.get(home, 0))
    return found


def _one_line(text: str) -> str:
    """Return a text as a variable of the environment may hold it: printable, and not too long."""
    return visible(text)[:LONGEST_REASON]


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
