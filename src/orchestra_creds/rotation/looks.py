"""What each step that only looks finds out: one method a kind of step, each returns the observations with its own added."""

from dataclasses import replace
from datetime import datetime

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import CredentialKind
from orchestra_creds.core.durations import duration_text
from orchestra_creds.core.key_usage import LONGEST_UNUSED
from orchestra_creds.core.ports import ReadableDestination
from orchestra_creds.errors import CredsError, IncompleteError, NotFoundError, PreconditionError
from orchestra_creds.rotation.issuer import (
    AccountIssuer,
    AlternatingIssuer,
    IssuedCredential,
    Issuer,
    LocalIssuer,
    RemoteIssuer,
    has_account,
)
from orchestra_creds.rotation.machine import rollback_predecessor
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.proofs import StepProver
from orchestra_creds.rotation.situation import Observations, Situation, StepResult
from orchestra_creds.rotation.staged import unwrap_material, wrap_material
from orchestra_creds.rotation.state import Phase, Predecessor, Retirement, Target, require_room
from orchestra_creds.rotation.timing import MADE_BEFORE, SKEW, SWEEP_AFTER


class StepObserver(StepProver):
    """The looks of one credential's rotation."""

    # -- the secret and its staging secret

    def _look_at_versions(self, situation: Situation, _step: Step) -> StepResult:
        name, current = situation.credential.secret, situation.state.current
        start = max(situation.state.base, current.version if current else 0)
        newest = self._top(name, start or self._latest(name))
        seen = replace(situation.seen, newest=newest)
        back = rollback_predecessor(situation.state) if situation.want.back else None
        if back is not None:
            seen = self._note_taken_out(situation, seen, back)
        if situation.want.adopt and current is not None:
            seen = replace(seen, adoptable=self._adoptable_versions(situation, newest))
        if newest <= (current.version if current else 0):
            return StepResult(seen=seen)
        created = self._secrets.get_version(name, newest).created
        value = self._readable_material(name, newest)
        identifier = self._issuer.identify(value) if value else ""
        seen = replace(
            seen, newest_since=created, newest_id=identifier or f"v{newest}", newest_unreadable=value is None
        )
        if current is not None and value is not None:
            same = identifier == current.id if identifier else value == self._readable_material(name, current.version)
            seen = replace(seen, newest_is_ours=same)
        return StepResult(seen=seen)

    def _adoptable_versions(self, situation: Situation, newest: int) -> tuple[tuple[int, str], ...]:
        """Return the versions below the newest that hold a key of the account which no state speaks for, and its id."""
        name, state = situation.credential.secret, situation.state
        spoken = state.referenced_ids.union(*(sibling.referenced_ids for sibling in self._siblings()))
        current = state.current.versions if state.current else ()
        known = {*current, *(number for entry in state.retiring for number in entry.versions)}
        found: dict[str, int] = {}
        for version in self._secrets.list_versions(name):
            if version.number in known or version.state is not VersionState.ENABLED:
                continue
            if version.number == newest and version.number > (state.current.version if state.current else 0):
                continue  # it becomes the current one
            value = self._readable_material(name, version.number)
            identifier = self._issuer.identify(value) if value else ""
            if identifier and identifier not in spoken:
                found.setdefault(identifier, version.number)
        return tuple(sorted((number, identifier) for identifier, number in found.items()))

    def _look_at_staging(self, situation: Situation, _step: Step) -> StepResult:
        there, base = self._secrets.find_secret(situation.staging) is not None, situation.state.staged_base
        restarted = not there or (base > 0 and self._find_version(situation.staging, base) is None)
        top = self._top(situation.staging, 0 if restarted else base) if there else 0
        return StepResult(seen=replace(situation.seen, staging=there, staged_top=top, staging_restarted=restarted))

    def _look_for_staged(self, situation: Situation, _step: Step) -> StepResult:
        base = situation.state.staged_base
        top = self._top(situation.staging, base)
        seen = replace(situation.seen, staged=top if top > base else 0)
        if top > base:
            self._made_material = None  # what counts is what is stored, whoever stored it
        if top > base and situation.state.phase is Phase.CREATING:
            self._made_material = self._secrets.access(situation.staging, top).material
            seen = replace(seen, made=unwrap_material(self._made_material)[0])
        if top <= base and self._secrets.find_secret(situation.staging) is None:
            seen = replace(seen, lost=self._made_id(situation))
        return StepResult(seen=seen)

    def _look_at_staged(self, situation: Situation, _step: Step) -> StepResult:
        """Whether the staged copy is still there; what its issuer or the secret itself can tell replaces a lost one.

        Raises:
            PreconditionError: the copy is gone, and a version may hold it that nobody can tell apart.
            IncompleteError: the copy is gone, and it is too early to say whether it became valid.
        """
        seen, state = replace(situation.seen, staged_checked=True), situation.state
        version = self._find_version(situation.staging, state.successor.staged)
        if version is not None and version.state is not VersionState.DESTROYED:
            return StepResult(seen=seen)
        issuer = self._successor_issuer(situation)
        found = issuer.find(situation.token) if isinstance(issuer, RemoteIssuer) else None
        if found is not None:
            self._made_material = wrap_material(*found)
            return StepResult(seen=seen)
        if state.phase is Phase.ISSUED and self._recover_published(situation, issuer):
            return StepResult(seen=seen)
        return StepResult(seen=replace(seen, lost=self._made_id(situation)))

    def _recover_published(self, situation: Situation, issuer: Issuer) -> bool:
        """Take the successor's material from the version that readers get of it, if there is one."""
        name, state = situation.credential.secret, situation.state
        for number in range(self._top(name, state.base), state.base, -1):
            value = self._readable_material(name, number)
            if value is None:
                continue
            identifier = issuer.identify(value)
            if identifier and identifier == state.successor.id:
                self._made_material = value
                return True
            if not identifier and situation.credential.kind is not CredentialKind.GENERATED:
                raise PreconditionError(
                    f"the staged copy of {state.successor.id} is gone, and version {number} of {name} may hold it",
                    hint=f"orchestra-creds rotate abandon {situation.credential.name}, then rotate it with --adopt",
                )
        return False

    def _made_id(self, situation: Situation) -> str:
        """Return the id of what an interrupted rotation made valid, empty if it made nothing or nobody can tell."""
        state, issuer = situation.state, self._successor_issuer(situation)
        if state.successor.id:
            return state.successor.id
        if state.phase is Phase.CREATING and isinstance(issuer, RemoteIssuer):
            found = issuer.find(situation.token)
            return found[0] if found else ""
        if state.phase is Phase.PREPARED and isinstance(issuer, LocalIssuer):
            made = issuer.find_activated(state.successor.fingerprint, situation.token)
            early = situation.now - (state.started or situation.now) < SWEEP_AFTER
            if not made and early and issuer.needs_settle_time:
                raise IncompleteError(
                    f"the staged copy of {situation.credential.name} is gone, and its issuer may list a new key late",
                    hint=f"the next run after {duration_text(SWEEP_AFTER)} goes on",
                )
            return made
        return ""

    # -- the end of all

    def _look_for_interrupted(self, situation: Situation, step: Step) -> Observations:
        """Return the version that an interrupted rotation published, also when its staged copy is gone."""
        seen = situation.seen
        try:
            return self._look_for_published(situation, step).seen or seen
        except (NotFoundError, PreconditionError):
            mine = seen.newest_id == situation.state.successor.id
            return replace(seen, published=seen.newest if mine else 0)

    def _look_at_lives(self, situation: Situation, step: Step) -> StepResult:
        """What may be valid, what readers get, and whether somebody used the current one lately."""
        seen, state = replace(situation.seen, lives_checked=True), situation.state
        current = state.current
        if state.phase in {Phase.PREPARED, Phase.CREATING}:
            seen = replace(seen, lost=self._made_id(situation))
        if situation.seen.exists:
            found = self._look_at_versions(replace(situation, seen=seen), step).seen
            seen = found or seen
        if state.phase is Phase.ISSUED and state.successor.staged and (seen.newest or 0) > state.base:
            seen = self._look_for_interrupted(replace(situation, seen=seen), step)
        if current is not None and situation.credential.policy.require_unused and not situation.want.in_use:
            span = situation.credential.policy.require_unused
            seen = replace(seen, usage=self._issuer_for(situation, current.target).usage_of(current.id, span))
        return StepResult(seen=seen)

    def _look_for_published(self, situation: Situation, _step: Step) -> StepResult:
        name, back = situation.credential.secret, self._returning(situation)
        seen = replace(situation.seen, published=0)
        if back is not None:
            seen = self._note_taken_out(situation, seen, back)
            if self._readable_material(name, back.versions[-1]) is None:  # it is still asleep, so nothing was published
                return StepResult(seen=seen)
        value, base = self._secret_value(situation), situation.state.base
        top = self._top(name, base)
        found = next((n for n in range(top, base, -1) if self._readable_material(name, n) == value), 0)
        return StepResult(seen=replace(seen, published=found, covered=0 < found < top))

    # -- the issuer

    def _look_for_made(self, situation: Situation, _step: Step) -> StepResult:
        found = self._remote_issuer(situation).find(situation.token)
        if found is not None:
            self._made_material = wrap_material(*found)
            return StepResult(seen=replace(situation.seen, made=found[0]))
        return StepResult(seen=replace(situation.seen, made="", known=self._issued_ids()))

    def _look_at_use(self, situation: Situation, step: Step) -> StepResult:
        entry = self._entry(situation, step.resource.rpartition("/")[2])
        issuer = self._issuer_for(situation, entry.target)
        if entry.phase is Retirement.DISABLED:
            return StepResult(seen=self._look_at_disabled(situation, entry, issuer))
        usage = issuer.usage_of(entry.id, situation.credential.policy.require_unused)
        return StepResult(seen=replace(situation.seen, uses={**situation.seen.uses, entry.id: usage}))

    def _look_at_disabled(self, situation: Situation, entry: Predecessor, issuer: Issuer) -> Observations:
        """Return what is known of a key that is to be deleted: whether somebody enabled it again, and its use since it was disabled.

        What leaked may be tried by anyone, so its use is not asked for.
        """
        seen, usage = situation.seen, None
        item = issuer.look_up(entry.id) if isinstance(issuer, AccountIssuer) else None
        if item is not None and item.enabled:
            seen = replace(seen, enabled_again=seen.enabled_again | {entry.id})
        elif item is not None and entry.id not in situation.state.leaked:
            try:
                usage = issuer.usage_of(entry.id, LONGEST_UNUSED)
            except CredsError:
                if situation.credential.policy.require_unused:
                    raise
        return replace(seen, uses={**seen.uses, entry.id: usage})

    def _look_at_health(self, situation: Situation, step: Step) -> StepResult:
        """Readers must get a value, and it must be ours; then a credential that the issuer lists as valid is believed."""
        seen = self._look_at_readers(situation)
        if seen.dead:
            return StepResult(seen=replace(seen, healthy=False))
        situation = replace(situation, seen=seen)
        target = situation.state.current.target if situation.state.current else None
        issuer = self._issuer_for(situation, target)
        issued = self._list_credentials() if issuer is self._issuer else issuer.list_credentials()
        mine = next((item for item in issued if item.id == step.detail), None)
        if mine is not None:
            learned = Target(str(situation.credential.kind), situation.credential.account)
            seen = replace(seen, expires=mine.expires, end_known=True, learned=target or learned)
            situation = replace(situation, seen=seen)
        unknown = not issued and not has_account(issuer)  # an account without keys has lost this one
        moved = issuer is not self._issuer
        if unknown or (mine is not None and mine.enabled and _is_account_enabled(situation, issuer, moved=moved)):
            return StepResult(seen=replace(situation.seen, healthy=True))
        if mine is None and target is not None and target.unique_id and issuer is self._issuer:
            there = self._account_id()
            situation = replace(
                situation, seen=replace(situation.seen, remade=bool(there) and there != target.unique_id)
            )
        seen = self._try_current(situation)
        return StepResult(seen=replace(seen, healthy=bool(seen.proved)))

    def _account_id(self) -> str:
        """Return the unique id of the declared account; empty if the kind has none, or nobody may look."""
        if not isinstance(self._issuer, AccountIssuer):
            return ""
        try:
            return self._issuer.account_id()
        except CredsError:
            return ""

    def _look_at_readers(self, situation: Situation) -> Observations:
        """Return what is known once somebody has looked at the version that readers of `latest` get: one call, if all is well."""
        seen, name, current = situation.seen, situation.credential.secret, situation.state.current
        number = current.version if current else 0
        latest = self._find_version(name, "latest")
        if latest is not None and latest.number > number:
            unreadable = latest.state is not VersionState.ENABLED
            return replace(seen, newer=True, dead=unreadable, withdrawn=unreadable)
        if latest is None or latest.number < number or latest.state is not VersionState.ENABLED:  # `latest` lags behind
            version = self._find_version(name, number)
            unreadable = version is None or version.state is not VersionState.ENABLED
            return replace(seen, dead=unreadable, withdrawn=unreadable)
        return seen

    def _look_for_orphans(self, situation: Situation, _step: Step) -> StepResult:
        """Ids that came to be in a window of ours, that nobody refers to and nobody ever used.

        While another credential is making a key, or its state cannot be read, a key may be its: then the window stays open.
        """
        windows = [w for w in situation.state.unresolved if situation.now - w.closed >= SWEEP_AFTER]
        siblings = list(self._siblings())
        others = frozenset[str]().union(*(state.referenced_ids for state in siblings))
        begun = [state.started for state in siblings if state.phase in {Phase.CREATING, Phase.PREPARED}]
        mine = situation.state.referenced_ids | others
        orphans: dict[str, Target | None] = {}
        for window in windows:
            issuer = self._issuer_for(situation, window.target)
            for item in issuer.list_credentials():
                if item.id in mine or item.created is None or not item.enabled:
                    continue
                lies_in = window.opened - SKEW <= item.created <= window.closed + SKEW
                if not lies_in or item.id in window.known or was_used(situation, issuer, item, window.opened):
                    continue
                if any(start is None or start - MADE_BEFORE - SKEW <= item.created for start in begun):
                    return StepResult(seen=replace(situation.seen, unswept=True))
                orphans[item.id] = window.target
        seen = replace(situation.seen, orphans=tuple(sorted(orphans)), orphan_targets=orphans)
        return StepResult(seen=seen)

    def _preflight(self, situation: Situation, _step: Step) -> StepResult:
        emergency = situation.state.current_leaked
        if self.secret is not None:
            require_room(self.secret)
        self._issuer.check(emergency=emergency)
        if isinstance(self._issuer, AlternatingIssuer):
            current = situation.state.current.id if situation.state.current else ""
            self._issuer.check_successor(current, situation.now, emergency=emergency)
        if not emergency:  # no copy may hold up the successor of one that leaked
            for destination in self._destinations.values():
                destination.check()
        local = isinstance(self._issuer, LocalIssuer) and self._issuer.accepts_material()
        known = () if local else self._issued_ids()
        seen = replace(situation.seen, ready=True, local=local, known=known, target_id=self._account_id())
        return StepResult(seen=seen)

    def _issued_ids(self) -> tuple[str, ...]:
        return tuple(sorted(item.id for item in self._issuer.list_credentials()))

    # -- the destinations

    def _look_at_copies(self, situation: Situation, _step: Step) -> StepResult:
        """Compare what destinations hold, where that can be read; of the others counts what was recorded."""
        seen, current = replace(situation.seen, copies_compared=True), situation.state.current
        readable = [each for each in self._destinations.values() if isinstance(each, ReadableDestination)]
        if current is None or not readable:
            return StepResult(seen=seen)
        material = self._secrets.access(situation.credential.secret, current.version).material
        lacking = {each.name: "" for each in readable if not each.holds(material)}
        return StepResult(seen=replace(seen, delivered={**seen.delivered, **lacking}))


def was_used(situation: Situation, issuer: Issuer, item: IssuedCredential, since: datetime) -> bool:
    """Return whether any record shows a use of a credential that was made after `since`.

    Raises:
        CredsError: a record could not be read.
    """
    if item.last_used is not None:
        return True
    usage = issuer.usage_of(item.id, situation.now - since)
    return usage is not None and usage.last_used is not None


def _is_account_enabled(situation: Situation, issuer: Issuer, *, moved: bool) -> bool:
    """Return whether the account of a key is known to be enabled; a credential that was `moved` gets its successor at another one.

    Raises:
        PreconditionError: it is disabled, so that a successor would not authenticate either.
    """
    if not isinstance(issuer, AccountIssuer):
        return True
    try:
        disabled = issuer.is_account_disabled()
    except CredsError:
        return False  # nobody may look: then the key itself is tried
    if disabled and moved:
        return False
    if disabled:
        raise PreconditionError(
            f"the account of {situation.credential.name} is disabled: no key of it authenticates, and no successor would",
            hint=f"enable it: gcloud iam service-accounts enable {situation.credential.account}; nothing was changed",
        )
    return True
