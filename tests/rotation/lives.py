"""Whole lives of a credential, with the calls of your choice going wrong, and what it takes to come to rest afterwards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from orchestra_creds.core.credential import Credential, Strategy
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.rotation.engine import Attempt
from orchestra_creds.rotation.outcome import Ending, Outcome
from orchestra_creds.rotation.timing import LEASE, SWEEP_AFTER
from tests.rotation.promises import Watch
from tests.rotation.world import POLICY, Died, Loss, Moment, World, service_account_key

LAGS = {
    faults.Lag.LATEST: 3600.0,
    faults.Lag.ALIAS: 3600.0,
    faults.Lag.STATE: 60.0,
    faults.Lag.LIST: 120.0,
    faults.Lag.IAM: 90.0,
}
STEPS = (
    timedelta(0),
    POLICY.every + timedelta(hours=1),
    LEASE + timedelta(minutes=1),
    POLICY.grace,
    POLICY.soak,
    POLICY.every,
)
"""When the runs of a life happen: issue, rotate, nothing yet, disable, delete, rotate again."""


@dataclass(frozen=True, slots=True)
class LifeMoment:
    """Where a life has come to: before the run with this number, after so many calls, with what its watch has seen."""

    run: int
    calls: int
    world: Moment
    credential: Credential
    watch: Mapping[str, Any]


class Life:
    """One world, one credential, one watch."""

    def __init__(
        self,
        strategy: Strategy = Strategy.UPLOAD,
        *,
        lags: bool = False,
        engine: type[Attempt] = Attempt,
        moment: LifeMoment | None = None,
        **fields: Any,
    ) -> None:
        self.engine, self.deaths, self.runs = engine, 0, moment.run if moment else 0
        self.world = World(moment=moment.world if moment else None)
        if moment is not None:
            self.credential = moment.credential
            self.account = self.credential.account
            self.watch = Watch(self.world, self.account)
            self.watch.remember(moment.watch)
            return
        self.account = self.world.account()
        self.world.keys.create_key(self.account)  # somebody else's
        self.world.pass_time(timedelta(hours=1))
        self.credential = service_account_key(self.account, strategy=strategy, **fields)
        self.watch = Watch(self.world, self.account)
        if lags:
            for which, seconds in LAGS.items():
                self.world.lag(which, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.world.close()

    def moment(self) -> LifeMoment:
        """Return where it has come to."""
        calls = len(self.world.emulator.calls)
        return LifeMoment(self.runs, calls, self.world.moment(), self.credential, self.watch.memory())

    def run(self) -> Outcome | None:
        """One run of cron; None when it died."""
        try:
            return self.world.rotate(self.credential, engine=self.engine)
        except Died:
            self.deaths += 1
            return None

    def live(self, losses: Mapping[int, Loss] | None = None) -> int:
        """Issue, rotate, disable, delete, as far as that has not happened; how many calls that took."""
        for _ in self.moments(losses):
            pass
        return len(self.world.emulator.calls)

    def moments(self, losses: Mapping[int, Loss] | None = None) -> Iterator[LifeMoment]:
        """Yield where it has come to before each run; the numbers of the calls begin with the first of these runs."""
        self.world.emulator.calls.clear()
        self.world.lose(losses or {})
        for step in STEPS[self.runs :]:
            yield self.moment()
            self.world.pass_time(step)
            self.run()
            self.runs += 1

    def rest(self) -> None:
        """Run daily until nothing is left to do, and check everything."""
        self.losses_left = dict(self.world.emulator.losses)
        self.world.emulator.losses.clear()
        self.world.pass_time(LEASE + SWEEP_AFTER)
        quiet = 0
        for _ in range(24):
            outcome = self.run()
            assert outcome is not None
            assert outcome.ending in {Ending.NOTHING, Ending.ROTATED, Ending.RETIRED}, (
                outcome.ending,
                outcome.message,
                outcome.notes,
            )
            quiet = quiet + 1 if outcome.ending is Ending.NOTHING else 0
            if quiet > 1 + (POLICY.grace + POLICY.soak).days:
                break
            self.world.pass_time(timedelta(days=1))
        self.watch.settled([self.credential])
