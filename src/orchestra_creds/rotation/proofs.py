"""Proofs: whether a credential authenticates, whether one that is to be dead is refused, and who took one out of service."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.errors import CredentialRefusedError, CredsError, NotFoundError, PreconditionError
from orchestra_creds.rotation.issuer import (
    AccountIssuer,
    RevocableIssuer,
)
from orchestra_creds.rotation.outcome import Step
from orchestra_creds.rotation.situation import Observations, Situation, StepResult
from orchestra_creds.rotation.state import Predecessor, Retirement, Target
from orchestra_creds.rotation.step_context import StepContext


class StepProver(StepContext):
    """The steps that try credentials."""

    # -- proofs

    def _prove(self, situation: Situation, _step: Step) -> StepResult:
        return StepResult(seen=self._try_current(situation))

    def _try_current(self, situation: Situation) -> Observations:
        """Return what is known once the current credential, read back by number, was tried."""
        seen, name, current = situation.seen, situation.credential.secret, situation.state.current
        if current is None:
            return replace(seen, proved=False)
        try:
            value = self._secrets.access(name, current.version).material
        except (PreconditionError, NotFoundError):
            version = self._find_version(name, current.version)
            if version is not None and version.state is VersionState.ENABLED:
                raise  # we may not look: that says nothing about the credential
            return replace(seen, proved=False, dead=True, withdrawn=True)
        if (
            current.target is None
            and isinstance(self._issuer, AccountIssuer)
            and (account := self._issuer.account_of(value))
        ):
            seen = replace(seen, learned=Target(str(situation.credential.kind), account))
        try:
            self._issuer_for(situation, current.target).verify(value)
        except CredentialRefusedError:
            return replace(seen, proved=False, dead=True)
        return replace(seen, proved=True)

    def _prove_end(self, situation: Situation, step: Step) -> StepResult:
        entry = self._entry(situation, step.detail)
        issuer = self._issuer_for(situation, entry.target)
        ended = issuer.is_ended(entry.id, self._material(situation, entry))
        return StepResult(seen=replace(situation.seen, ended={**situation.seen.ended, entry.id: ended}))

    def _verify(self, situation: Situation, _step: Step) -> StepResult:
        self._successor_issuer(situation).verify(self._secret_value(situation))
        return StepResult()

    # -- who took a credential out of service

    def _look_at_graces(self, situation: Situation, _step: Step) -> StepResult:
        """Who was taken out of service by others, before a run of ours disables it for its age."""
        taken: dict[str, str] = {}
        with contextlib.suppress(CredsError):  # a retirement does not fail for want of this
            for entry in situation.state.retiring:
                if entry.phase is Retirement.GRACE and situation.state.last_failure is None:
                    taken[entry.id] = self._taken_out(situation, entry)
        return StepResult(seen=_with_taken(situation.seen, taken))

    def _note_taken_out(self, situation: Situation, seen: Observations, entry: Predecessor) -> Observations:
        return _with_taken(seen, {entry.id: self._taken_out(situation, entry)})

    def _taken_out(self, situation: Situation, entry: Predecessor) -> str:
        """Return who but us took a credential out of service, as the end of a sentence; empty if nobody did."""
        lease = situation.state.lease
        ours = entry.phase is Retirement.DISABLED or (
            lease is not None and not situation.has_lease
        )  # or a run that died
        issuer = self._issuer_for(situation, entry.target)
        item = next((item for item in issuer.list_credentials() if item.id == entry.id), None)
        if item is not None and not item.enabled and item.exposed:
            return "its issuer disabled it because it leaked"
        if item is not None and not item.enabled and not ours:
            return "a person disabled it, perhaps because it leaked"
        revocable = isinstance(issuer, RevocableIssuer)
        number = entry.versions[-1] if entry.versions and not ours and not revocable else 0
        version = self._find_version(situation.credential.secret, number) if number else None
        if version is not None and version.state is not VersionState.ENABLED:
            return f"its version {number} is {version.state}"
        return ""


def _with_taken(seen: Observations, taken: Mapping[str, str]) -> Observations:
    return replace(seen, taken={**seen.taken, **taken})
