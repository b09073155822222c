"""What a night costs when nothing is due: one look at each latest version, held under the project's quota of reads."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from unittest import mock

import pytest

from orchestra_creds.config.declarations import ProjectDeclarations
from orchestra_creds.config.parse import parse
from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import ExitCode
from orchestra_creds.gcp.rate_limit import Pace
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.rotation import survey as surveys
from orchestra_creds.rotation.attempts import AttemptFactory, rotate
from orchestra_creds.rotation.catalog import CredentialCatalog
from orchestra_creds.rotation.engine import Run
from orchestra_creds.rotation.issuer import Issuer
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.situation import RunRequest
from orchestra_creds.rotation.status import Problem
from orchestra_creds.rotation.survey import survey_catalog
from tests.contract.direct import DirectSession
from tests.rotation.test_issuers import Counting
from tests.rotation.world import PROJECT, World

MANY, QUOTA = 40, 30
"""Credentials, and reads a minute that the project may make."""
FILE = "schema = 1\n" + "".join(
    f'[credentials.g{number:03}]\nkind = "generated"\nevery = "30d"\n' for number in range(MANY)
)


@pytest.fixture
def night(world: World) -> World:
    """A project of many credentials of which none is due, with a small quota of reads that the adapter keeps to."""
    nightly_rotation(world)
    with world.store.transaction() as txn:
        faults.set_quota(txn, "google.cloud.secretmanager.v1.SecretManagerService:read", QUOTA)
    pace = Pace(
        monotonic=lambda: world.clock.timestamp(),  # noqa: PLW0108  the clock moves
        sleep=lambda seconds: world.pass_time(timedelta(seconds=seconds)),
        per_minute={"secretmanager:read": QUOTA},
    )
    world.session = DirectSession(PROJECT, world.emulator, environment={}, pace=pace)
    world.secrets = SecretManagerStore(world.session)
    world.pass_time(timedelta(hours=1))
    world.emulator.calls.clear()
    return world


def catalog(world: World) -> CredentialCatalog:
    return CredentialCatalog(ProjectDeclarations(parse(FILE, "orchestra-creds.toml"), PROJECT), world.secrets)


def nightly_rotation(world: World) -> None:
    def issuer_of(credential: Credential) -> Issuer:
        assert credential.kind is CredentialKind.GENERATED
        return GeneratedValues(credential, Counting())

    run = Run(f"run-{next(world.runs)}", world.time, world.secrets, 5.0)
    factory = AttemptFactory(run, catalog(world), issuer_of, lambda _credential: (), RunRequest())
    report = rotate(factory, ())
    assert (report.code, len(report.outcomes)) == (ExitCode.OK, MANY)
    assert {one.ending for one in report.outcomes} <= {Ending.NOTHING, Ending.ROTATED}


def nightly_status(world: World) -> None:
    with mock.patch.object(
        surveys, "map_in_order", lambda work, items, **_how: list(map(work, items))
    ):  # one clock, one thread
        rows, _ = survey_catalog(catalog(world), world.secrets, world.keys, (), world.clock, timedelta(0))
    assert len(rows) == MANY
    assert [row.name for row in rows if row.problems] == []


@pytest.mark.parametrize("verb", [nightly_rotation, nightly_status])
def test_each_latest_version_is_read_once_and_no_faster_than_the_quota_allows(
    night: World, verb: Callable[[World], None]
) -> None:
    began = night.clock
    verb(night)
    calls = Counter(name for name, _ in night.emulator.calls)
    assert calls == {"GetSecretVersion": MANY, "ListSecrets": 1}
    took = night.clock - began
    assert timedelta(minutes=MANY / QUOTA) - timedelta(seconds=15) < took < 1.3 * timedelta(minutes=MANY / QUOTA)


def test_what_could_not_be_read_is_told_by_both(night: World) -> None:
    night.arm("GetSecretVersion", Code.PERMISSION_DENIED, times=1)
    with pytest.raises(AssertionError):
        nightly_rotation(night)
    night.arm("GetSecretVersion", Code.PERMISSION_DENIED, times=1)
    with mock.patch.object(surveys, "map_in_order", lambda work, items, **_how: list(map(work, items))):
        rows, _ = survey_catalog(catalog(night), night.secrets, night.keys, (), night.clock, timedelta(0))
    assert [one.problem for row in rows for one in row.problems] == [Problem.NOT_READ]
