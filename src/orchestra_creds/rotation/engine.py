"""The one mutator: runs the machine's steps for a credential, under a lease that lives in the secret's own annotation.

Guarantees, whatever crashes and whoever else runs:
- the first change of a run is the compare-and-swap that takes the lease and records the intent; a lost one ends the attempt untouched;
- every later record is a compare-and-swap from our own etag; no other change is sent when the lease may end before its reply;
- a lost reply is a crash: what it makes doubtful is looked at again, and nothing is undone on suspicion;
- nothing is disabled, deleted or destroyed unless the current credential, read back by number, authenticated in this attempt.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestra_creds.core.cloud_types import SecretResource
from orchestra_creds.core.credential import Credential
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.errors import (
    CredentialRefusedError,
    CredsError,
    ExitCode,
    PreconditionError,
    UnavailableError,
)
from orchestra_creds.rotation import machine
from orchestra_creds.rotation.executor import StepExecutor
from orchestra_creds.rotation.isolation import seen_after_failure
from orchestra_creds.rotation.outcome import Ending, Event, Outcome, Step, StepStatus
from orchestra_creds.rotation.outcomes import aliases_of, annotation_of, annotations_of, labels_of, outcome_of
from orchestra_creds.rotation.run_clock import RunClock
from orchestra_creds.rotation.situation import (
    LOOKS,
    ORDINARY,
    READS,
    WRITES_STATE,
    Observations,
    RunRequest,
    Situation,
    StepKind,
    StepResult,
)
from orchestra_creds.rotation.state import ANNOTATION, LastFailure, State, decode, encode, home_of, state_on
from orchestra_creds.rotation.timing import LEASE, MARGIN, TRIES, VERIFY_CAP, VERIFY_PAUSE
from orchestra_creds.rotation.transitions import forget_doubtful, predict_result, situation_after

SUCCESSES = 3
"""Tokens in a row that a new key must get: keys reach Google's servers one after the other."""


class LockedError(PreconditionError):
    """Another run holds the lease."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing to do for this credential before a moment."""

    until: datetime


@dataclass(slots=True)
class Run:
    """What all attempts of one run share. `deadline` is that of one call, in seconds."""

    id: str
    time: RunClock
    secrets: SecretStore
    deadline: float
    tell: Callable[[Event], None] = lambda _event: None
    stopping: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class Attempt:
    """One credential in one run. Call `advance` until it answers an Outcome; between two calls it may be left alone until a moment."""

    run: Run
    credential: Credential
    executor: StepExecutor
    want: RunRequest = ORDINARY
    dry: bool = False
    take_over: bool = False
    known: SecretResource | None = None
    """The secret as a list had it; saves a read, and a stale one is found out by its etag."""
    steps: list[Step] = field(default_factory=list)
    _situation: Situation | None = None
    _failures: int = 0
    _notes: list[str] = field(default_factory=list)
    _failed: list[tuple[str, str]] = field(default_factory=list)
    """Steps that failed, each with the reason, for the operator's program for failures."""
    _proofs: int = 0
    _proving_since: datetime | None = None
    _first_proof: datetime | None = None
    _ending_since: datetime | None = None
    _leased_at: float = 0.0
    _changed: bool = False

    def advance(self) -> Pause | Outcome:
        """Go on until there is something to wait for, or nothing more to do."""
        while True:
            step: Step | None = None
            try:
                if self._situation is None:
                    self._situation = self._begin()
                if self.run.stopping() and not self.dry:
                    return self._stop()
                self._situation = replace(self._situation, now=self.run.time.now())
                step = machine.next_step(self._situation)
                if step is None:
                    return self._finish()
                pause = self._take(step)
                self._failures = 0
                if pause is not None:
                    return pause
            except LockedError as error:
                return self._give_way(error)
            except UnavailableError as error:
                return self._handle_lost_reply(step, error)
            except CredsError as error:
                if not self._restart_if_outdated(error):
                    return self._fail(step, error)

    # -- looking

    def _begin(self) -> Situation:
        secret = self.known or self.run.secrets.find_secret(self.credential.secret)
        self.known = None
        self.executor.secret = secret
        state = State()
        if secret is not None:  # a copied state can be taken off, and nothing else
            state = decode(secret.annotations, secret.name) if self.want.abandon else state_on(secret)
        seen = Observations(exists=secret is not None, secret_expires=secret.expires if secret else None)
        situation = Situation(self.credential, state, seen, self.want, self.run.id, self.run.time.now())
        if machine.is_locked(situation) and not self.take_over:
            raise self._lock_error(state)
        return situation

    def _restart_if_outdated(self, error: CredsError) -> bool:
        """Whether a refusal rests on a state that another run has changed since; then everything is looked at again."""
        if self._situation is None or self._changed or not isinstance(error, PreconditionError):
            return False
        try:
            there = self.run.secrets.find_secret(self.credential.secret)
        except CredsError:
            return False
        if there == self.executor.secret:
            return False
        self.known, self._situation = there, None
        return True

    def _lock_error(self, state: State) -> LockedError:
        lease = state.lease
        until = f"run {lease.run} until {lease.until:%H:%M:%S} UTC" if lease else "another run"
        return LockedError(f"{until} is at work on it", hint="it ends by itself, or the next run goes on")

    def _give_way(self, error: LockedError) -> Outcome:
        """Leave the credential to the run that holds the lease."""
        # what leaked, or was to end, is still alive: nobody may take that for success
        code = ExitCode.UNAVAILABLE if self.want.leaked or self.want.is_last else ExitCode.OK
        if not self._end_what_came_late():
            code = ExitCode.ATTENTION
        return self._outcome(Ending.LOCKED, message=str(error), code=code)

    def _end_what_came_late(self) -> bool:
        """End what this run made valid after its lease was over, if nobody can use it; False if it may live.

        A host that is suspended in the middle of a call sends it when it wakes up, and no fence can come in between. Whoever took
        the lease over has looked for what was lost by then, and will not look again.
        """
        situation = self._situation
        made = (situation.seen.activated or situation.seen.made or "") if situation is not None else ""
        if situation is None or not made or self.dry:
            return True
        try:
            secret = self.run.secrets.find_secret(self.credential.secret)
            there = state_on(secret) if secret is not None else State()
            if self.executor.end_what_came_late(situation, there, made):
                self._notes.append(f"{made} came to be after the lease of this run was over: it was ended")
        except CredsError as error:
            self._notes.append(f"{made} came to be after the lease of this run was over, and may be valid: {error}")
            return False
        return True

    # -- doing

    def _take(self, step: Step) -> Pause | None:
        situation, kind = self._current_situation(), StepKind(step.kind)
        if self.dry and kind not in LOOKS:
            self._situation = situation_after(situation, step, predict_result(situation, step))
            self._note(step)
            return None
        if kind is StepKind.VERIFY:
            return self._verify(step)
        if kind is StepKind.PROVE_END:
            return self._prove_end(step)
        if kind in WRITES_STATE:
            result = self.executor.effects[kind](situation, step) if kind in self.executor.effects else StepResult()
            self._write(situation_after(situation, step, result))
        else:
            if kind not in READS:
                self._fence()
                self._changed = True
            if not self._perform(step, kind):
                return None
        self._note(step)
        return None

    def _perform(self, step: Step, kind: StepKind) -> bool:
        """Whether the step was done; one that failed and holds up nothing but itself leaves a note."""
        situation = self._current_situation()
        try:
            result = self.executor.effects[kind](situation, step)
        except CredsError as error:
            seen = self._note_failure(step, kind, error)
            if seen is None:
                raise
            self._situation = replace(situation, seen=seen)
            return False
        self._situation = situation_after(situation, step, result)
        return True

    def _note_failure(self, step: Step, kind: StepKind, error: CredsError) -> Observations | None:
        """Return what is known after a step that failed and holds up nothing but itself; None if the attempt ends or tries it again."""
        seen = seen_after_failure(self._current_situation(), step, error, tries_left=TRIES - 1 - self._failures)
        if seen is None:
            return None
        self._notes.append(str(error))
        if kind is not StepKind.ACTIVATE:  # there another step takes its place
            self._failed.append((step.text, str(error)))
        self._tell(step, StepStatus.FAILED, type(error).__name__)
        return seen

    def _verify(self, step: Step) -> Pause | None:
        """Let the successor authenticate: three times in a row over the settle time, where it takes time to be known everywhere."""
        now, settle, successes = self.run.time.now(), self.credential.policy.settle, SUCCESSES
        if not self._current_situation().state.successor.staged:  # one that comes back was known everywhere before
            settle, successes = timedelta(), 1
        self._proving_since = self._proving_since or now
        self._fence()
        situation = self._current_situation()
        try:
            result = self.executor.effects[StepKind.VERIFY](situation, step)
        except CredentialRefusedError as error:
            self._proofs, self._first_proof = 0, None
            if not situation.state.successor.staged and not situation.seen.enabled:
                self._situation = replace(
                    situation, seen=replace(situation.seen, refused=True)
                )  # asleep, and no record of it
                return None
            if not self.executor.needs_settle_time or now - self._proving_since >= max(VERIFY_CAP, 2 * settle):
                self._notes.append(f"the successor was refused: {error}")
                self._failed.append((step.text, str(error)))
                self._situation = replace(situation, seen=replace(situation.seen, refused=True))
                self._tell(step, StepStatus.FAILED, type(error).__name__)
                return None
            return Pause(now + VERIFY_PAUSE)
        self._proofs += 1
        self._first_proof = self._first_proof or now
        rest = self._first_proof + settle - now
        if self.executor.needs_settle_time and (rest > timedelta() or self._proofs < successes):
            return Pause(now + min(max(settle / 4, timedelta()), VERIFY_PAUSE))
        self._situation = situation_after(situation, step, result)
        self._note(step)
        return None

    def _prove_end(self, step: Step) -> Pause | None:
        """Look until what leaked is refused: issuers learn of an end one server after the other, as of a beginning."""
        self._fence()
        situation, now = self._current_situation(), self.run.time.now()
        self._ending_since = self._ending_since or now
        result = self.executor.effects[StepKind.PROVE_END](situation, step)
        proven = situation_after(situation, step, result)
        waits = self.executor.needs_settle_time and now - self._ending_since < VERIFY_CAP
        if not proven.seen.ended[step.detail] and waits:
            return Pause(now + VERIFY_PAUSE)
        self._situation = proven
        self._note(step)
        return None

    # -- writing the state

    def _fence(self) -> None:
        """Renew the lease when it may end before the reply to a call."""
        situation = self._current_situation()
        if not situation.has_lease:
            return  # making a secret comes before the lease, and takes nothing from anybody
        left = LEASE.total_seconds() - (self.run.time.monotonic() - self._leased_at)
        if left < self.run.deadline + MARGIN.total_seconds() or left < LEASE.total_seconds() / 2:
            lease = replace(situation.state.lease, until=self.run.time.now() + LEASE) if situation.state.lease else None
            self._write(replace(situation, state=replace(situation.state, lease=lease)))

    def _write(self, target: Situation) -> None:
        """Swap the state on the secret for that of `target`, if nobody else has touched it."""
        before = self._current_situation().state
        if self.executor.secret is not None and target.state != State():
            target = replace(target, state=replace(target.state, home=home_of(self.executor.secret)))
        for _ in range(TRIES):
            secret = self.executor.secret or self.run.secrets.get_secret(self.credential.secret)
            started = self.run.time.monotonic()
            try:
                self.executor.secret = self._swap(secret, target.state)
            except (PreconditionError, UnavailableError) as error:
                if self._check_swap(error, before, target.state):
                    break
                continue
            break
        else:
            raise UnavailableError(
                f"cannot record the state of {self.credential.name}: its secret keeps changing", hint="run it again"
            )
        self._changed = True
        self._leased_at = started
        self._situation = target

    def _check_swap(self, error: CredsError, before: State, target: State) -> bool:
        """After a refused or lost swap: whether it happened all the same. Not ours any more: LockedError; not yet: try again."""
        self.executor.secret = fresh = self.run.secrets.get_secret(self.credential.secret)
        there = fresh.annotations.get(ANNOTATION)
        if there == annotation_of(target):
            return True
        if there in {annotation_of(before), encode(before)}:
            self.run.time.sleep(0.2)
            return False
        state = decode(fresh.annotations, fresh.name)
        if state.lease is not None and state.lease.run == self.run.id:
            raise error  # an older state of ours: a stale read
        raise self._lock_error(state)

    def _swap(self, secret: SecretResource, state: State) -> SecretResource:
        aliases, labels = aliases_of(secret.aliases, state), labels_of(secret.labels, state, self.credential.policy)
        return self.run.secrets.update_secret(
            secret,
            annotations=annotations_of(secret.annotations, state),
            aliases=aliases if aliases != secret.aliases else None,
            labels=labels if labels != secret.labels else None,
        )

    # -- ends

    def _handle_lost_reply(self, step: Step | None, error: UnavailableError) -> Pause | Outcome:
        """What a lost reply makes doubtful is looked at again, after a while; too many of them end the attempt."""
        self._failures += 1
        if self._failures >= TRIES:
            return self._fail(step, error)
        if self._situation is not None and step is not None:
            seen = forget_doubtful(self._situation.seen, StepKind(step.kind))
            self._situation = replace(self._situation, seen=seen)
        return Pause(self.run.time.now() + timedelta(seconds=2**self._failures / 2))

    def _fail(self, step: Step | None, error: CredsError) -> Outcome:
        """Leave word of the failure and let the lease go; that is a courtesy, so its own failure is nothing."""
        situation = self._situation
        if step is not None:
            self._tell(step, StepStatus.FAILED, type(error).__name__)
        if situation is not None and situation.has_lease and not self.dry:
            failure = LastFailure(self.run.time.now(), step.kind if step else "", type(error).__name__)
            state = replace(situation.state, lease=None, last_failure=failure)
            try:
                secret = self.executor.secret or self.run.secrets.get_secret(self.credential.secret)
                self.executor.secret = self._swap(secret, state)
            except CredsError as late:
                self._notes.append(f"the lease stays until it runs out ({type(late).__name__})")
        self._failed.append((step.text if step else "look at what is there", str(error)))
        self._run_failure_hook()
        return self._outcome(Ending.FAILED, error=error, code=self._code(error))

    def _code(self, error: CredsError) -> ExitCode:
        """What a failure ends with: part-way when something was begun that a next run completes."""
        if isinstance(error, UnavailableError) and self._changed:
            return ExitCode.INCOMPLETE
        return error.exit_code

    def _stop(self) -> Outcome:
        if (situation := self._current_situation()).has_lease:
            self._write(replace(situation, state=replace(situation.state, lease=None)))
        return self._outcome(Ending.STOPPED, code=ExitCode.TERMINATED)

    def _finish(self) -> Outcome:
        situation = self._current_situation()
        outcome = outcome_of(situation, tuple(self.steps), tuple(self._notes), dry=self.dry)
        if outcome.ending is Ending.FAILED or situation.seen.undelivered or situation.seen.hook_failed:
            self._failed = self._failed or [("", outcome.message)]
            self._run_failure_hook()
        return replace(outcome, notes=tuple(dict.fromkeys((*outcome.notes, *self._notes))))

    def _run_failure_hook(self) -> None:
        """Run the operator's program for failures, which learns the steps that failed and why; its own failure is a note."""
        if self.dry:
            return
        looked = self._situation or Situation(
            self.credential, State(), Observations(), self.want, self.run.id, self.run.time.now()
        )
        steps, reasons = zip(*self._failed, strict=True)
        try:
            self.executor.run_failure_hook(looked, "; ".join(steps), "; ".join(reasons))
        except CredsError as error:
            self._notes.append(str(error))

    def _outcome(
        self, ending: Ending, *, message: str = "", error: CredsError | None = None, code: ExitCode = ExitCode.OK
    ) -> Outcome:
        return Outcome(
            self.credential.name,
            ending,
            message=str(error) if error else message,
            hint=error.hint if error else "",
            generation=self._situation.state.generation if self._situation else 0,
            steps=tuple(self.steps),
            notes=tuple(self._notes),
            error=error,
            code=code,
        )

    def _current_situation(self) -> Situation:
        if self._situation is None:
            raise RuntimeError("nothing was looked at yet")
        return self._situation

    def _note(self, step: Step) -> None:
        if StepKind(step.kind) not in LOOKS:
            self.steps.append(step)
            self._tell(step, StepStatus.SKIPPED if self.dry else StepStatus.DONE)

    def _tell(self, step: Step, stage: StepStatus, note: str = "") -> None:
        generation = self._situation.state.generation if self._situation else 0
        self.run.tell(Event(self.run.time.now(), self.run.id, self.credential.name, generation, step, stage, note))
