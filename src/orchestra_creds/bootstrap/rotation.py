"""A cloud, its declared credentials and the rotation engine, put together for one run or one survey."""

import secrets as randomness
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from orchestra_creds.bootstrap.clock import utc_now
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.declarations import open_catalog
from orchestra_creds.rotation.attempts import AttemptFactory, rotate
from orchestra_creds.rotation.engine import Run
from orchestra_creds.rotation.outcome import Event, Report
from orchestra_creds.rotation.run_clock import RunClock, seconds_since_boot
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.status import Survey, survey
from orchestra_creds.rotation.survey import survey_catalog

HONEST_CLOCKS = timedelta(seconds=2)
"""The service tells its time to the second; a smaller difference is no difference."""


class StopSignal(Protocol):
    """Tells whether to stop, and waits no longer than until then."""

    def __call__(self) -> bool:
        """Return whether someone asked for the end."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


def service_clock(cloud: Cloud) -> Callable[[], datetime]:
    """Return a clock that agrees with the service's: leases and graces of many machines are counted by it."""
    offset = cloud.inspector.server_time() - utc_now()
    return utc_now if abs(offset) < HONEST_CLOCKS else lambda: utc_now() + offset


def rotate_credentials(
    cloud: Cloud,
    names: Sequence[str],
    want: RunRequest,
    *,
    from_labels: bool = False,
    dry: bool = False,
    take_over: bool = False,
    jobs: int = 1,
    stopping: StopSignal,
    tell: Callable[[Event], None] = lambda _event: None,
) -> Report:
    """Run over the named credentials, or over all; with `from_labels`, labels on secrets declare credentials as well.

    Raises:
        CredsError: the run could not begin; what fails later is an outcome.
    """
    from orchestra_creds.bootstrap.issuers import destinations_of, issuer_context, issuer_of

    catalog = open_catalog(cloud, from_labels=from_labels)
    run = Run(
        f"{utc_now():%Y%m%d%H%M%S}-{randomness.token_hex(4)}",
        RunClock(service_clock(cloud), seconds_since_boot, stopping.sleep),
        cloud.secrets,
        cloud.session.deadline,
        tell=tell,
        stopping=stopping,
    )
    factory = AttemptFactory(
        run,
        catalog,
        partial(issuer_of, context=issuer_context(cloud, run.time.now)),
        partial(destinations_of, cloud=cloud),
        want,
        dry=dry,
        take_over=take_over,
    )
    return rotate(factory, names, jobs=jobs)


def survey_credentials(
    cloud: Cloud, names: Sequence[str] = (), *, from_labels: bool = False, tolerance: timedelta = timedelta(0)
) -> Survey:
    """Return how the named credentials stand, or all."""
    catalog, now = open_catalog(cloud, from_labels=from_labels), service_clock(cloud)
    moment = now()
    rows, notes = survey_catalog(
        catalog, cloud.secrets, cloud.keys, names, moment, tolerance, at_once=cloud.calls_at_once
    )
    return survey(cloud.project, rows, moment, notes, str(catalog.listing_error or ""))
