"""Many attempts at once: waiting costs nobody else anything, a bug ends one attempt, and quotas are kept."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest

from orchestra_creds.core.credential import Credential, CredentialKind
from orchestra_creds.gcp.rate_limit import PER_MINUTE, SHARE, Pace, bucket_of
from orchestra_creds.rotation import batch
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.outcome import Ending
from tests.rotation.test_issuers import Counting
from tests.rotation.world import POLICY, World, service_account_key


def keys(world: World, count: int) -> list[Credential]:
    made = [service_account_key(world.account(f"account-{n}")) for n in range(count)]
    return [replace(credential, name=f"c{n}", secret=f"c{n}") for n, credential in enumerate(made)]


def test_settle_times_overlap(world: World) -> None:
    before = world.clock
    outcomes = list(batch.run((world.attempt(each) for each in keys(world, 6)), world.time))
    assert {outcome.ending for outcome in outcomes} == {Ending.ROTATED}
    assert world.clock - before < 2 * POLICY.settle


def test_attempts_are_taken_from_their_source_as_places_become_free(world: World) -> None:
    taken = 0
    waiting: list[int] = []

    def source() -> Iterator[Any]:
        nonlocal taken
        for credential in keys(world, 12):
            taken += 1
            yield world.attempt(credential)

    with mock.patch.object(batch, "WAITING_FOR_EACH", 3):
        for done, _ in enumerate(batch.run(source(), world.time), 1):
            waiting.append(taken - done)
    assert taken == 12
    assert max(waiting) <= 4


def test_workers_share_the_work(world: World) -> None:
    credentials = [Credential(f"g{n}", CredentialKind.GENERATED, f"g{n}", POLICY) for n in range(20)]
    attempts = (world.attempt(each, issuer=GeneratedValues(each, Counting())) for each in credentials)
    outcomes = list(batch.run(attempts, world.time, jobs=4))
    assert {outcome.credential for outcome in outcomes} == {credential.name for credential in credentials}
    assert {outcome.ending for outcome in outcomes} == {Ending.ROTATED}


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_bug_ends_one_attempt_and_its_text_is_not_shown(world: World, jobs: int) -> None:
    first, second = keys(world, 2)
    broken = world.attempt(first)
    with mock.patch.object(broken.executor, "effects", {}):
        outcomes = {o.credential: o for o in batch.run([broken, world.attempt(second)], world.time, jobs=jobs)}
    assert (outcomes["c0"].ending, outcomes["c0"].code) == (Ending.FAILED, 70)
    assert "KeyError" in outcomes["c0"].message
    assert outcomes["c1"].ending is Ending.ROTATED


class Clock:
    """A stopwatch that moves only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("bucket", "limit"), PER_MINUTE.items())
def test_a_minute_never_sees_more_calls_than_its_quota(bucket: str, limit: int) -> None:
    clock = Clock()
    pace = Pace(monotonic=lambda: clock.now, sleep=clock.sleep)
    times = []
    for _ in range(min(3 * limit, 3000)):
        pace.take(bucket)
        times.append(clock.now)
    for index, moment in enumerate(times):
        assert sum(1 for other in times[index : index + limit + 1] if other < moment + 60) <= limit
    if len(times) > limit:
        assert len(times) / (clock.now / 60) >= limit * SHARE * 0.95


@pytest.mark.parametrize(
    ("service", "method", "bucket"),
    [
        ("secretmanager", "access_secret_version", "secretmanager:access"),
        ("secretmanager", "get_secret", "secretmanager:read"),
        ("secretmanager", "add_secret_version", "secretmanager:write"),
        ("iam", "upload_service_account_key", "iam:write"),
        ("iam", "GET", "iam:read"),
        ("apikeys", "POST", "apikeys:write"),
    ],
)
def test_calls_are_counted_by_their_kind(service: str, method: str, bucket: str) -> None:
    assert bucket_of(service, method) == bucket


def test_the_engine_stays_under_the_emulated_quota(world: World) -> None:
    from orchestra_creds.emulator.protocol import faults
    from tests.contract.direct import DirectSession
    from tests.rotation.world import PROJECT

    with world.store.transaction() as txn:
        for kind in ("read", "write"):
            faults.set_quota(txn, f"google.cloud.secretmanager.v1.SecretManagerService:{kind}", 600)
    pace = Pace(monotonic=lambda: world.clock.timestamp(), sleep=lambda s: world.pass_time(timedelta(seconds=s)))  # noqa: PLW0108
    world.session = DirectSession(PROJECT, world.emulator, environment={}, pace=pace)
    from orchestra_creds.gcp.secrets import SecretManagerStore

    world.secrets = SecretManagerStore(world.session)
    credentials = [Credential(f"g{n:03}", CredentialKind.GENERATED, f"g{n:03}", POLICY) for n in range(150)]
    attempts = (world.attempt(each, issuer=GeneratedValues(each, Counting())) for each in credentials)
    before, began = len(world.emulator.mutations), world.clock
    assert {outcome.ending for outcome in batch.run(attempts, world.time)} == {Ending.ROTATED}
    fastest = timedelta(minutes=(len(world.emulator.mutations) - before) / 600)
    assert fastest < timedelta(minutes=5)
    assert world.clock - began < 1.3 * fastest
