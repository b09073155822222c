"""Whole lives of a credential, with the calls of your choice going wrong, and what it takes to come to rest afterwards."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from orchestra_creds.core.credential import Credential, Strategy
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.rotation.engine import Attempt
from orchestra_creds.rotation.outcome import Ending, Outcome
from orchestra_creds.rotation.timing import LEASE, SWEEP_AFTER
from tests.rotation.promises import Watch
from tests.rotation.world import POLICY, Died, Loss, World, service_account_key

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


class Life:
    """One world, one credential, one watch."""

    def __init__(
        self, strategy: Strategy, *, lags: bool = False, engine: type[Attempt] = Attempt, **fields: Any
    ) -> None:
        self.world = World()
        self.account = self.world.account()
        self.world.keys.create_key(self.account)  # somebody else's
        self.world.pass_time(timedelta(hours=1))
        self.credential: Credential = service_account_key(self.account, strategy=strategy, **fields)
        self.engine = engine
        self.watch = Watch(self.world, self.account)
        self.deaths = 0
        if lags:
            for which, seconds in LAGS.items():
                self.world.lag(which, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.world.close()

    def run(self) -> Outcome | None:
        """One run of cron; None when it died."""
        try:
            return self.world.rotate(self.credential, engine=self.engine)
        except Died:
            self.deaths += 1
            return None

    def live(self, losses: Mapping[int, Loss] | None = None) -> int:
        """Issue, rotate, disable, delete; how many calls that took."""
        self.world.emulator.calls.clear()
        self.world.lose(losses or {})
        for step in STEPS:
            self.world.pass_time(step)
            self.run()
        return len(self.world.emulator.calls)

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
