"""Who can make the rotator do what: one test for each row of that table of docs/security-model.md, which names it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestra_creds.config.declarations import ProjectDeclarations
from orchestra_creds.config.parse import parse
from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Copy, Credential, Strategy
from orchestra_creds.core.material import Material
from orchestra_creds.errors import ExitCode
from orchestra_creds.rotation import batch
from orchestra_creds.rotation.attempts import AttemptFactory, rotate
from orchestra_creds.rotation.catalog import CredentialCatalog
from orchestra_creds.rotation.destinations import FileCopy
from orchestra_creds.rotation.engine import Run
from orchestra_creds.rotation.outcome import Ending, Outcome
from orchestra_creds.rotation.situation import RunRequest, StepKind
from orchestra_creds.rotation.state import ANNOTATION, STAGING_SUFFIX, Phase, Predecessor, Retirement, encode
from orchestra_creds.rotation.timing import SWEEP_AFTER
from tests.rotation.test_status import problems
from tests.rotation.world import POLICY, PROJECT, World, service_account_key

HEAD = f'schema = 1\n[project]\nid = "{PROJECT}"\n'
KEY = (
    '[credentials.db-key]\nkind = "service-account-key"\naccount = "app-one"\nevery = "90d"\ngrace = "2d"\n'
    'soak = "3d"\nsettle = "0s"\nrequire_unused = "0s"\nstrategy = "upload"\n'
)
FORCE, LEAKED, RETIRE = RunRequest(force=True), RunRequest(leaked=True, force=True), RunRequest(retire=True)


@pytest.fixture
def account(world: World) -> str:
    return world.account()


@pytest.fixture
def credential(account: str) -> Credential:
    return service_account_key(account)


def run_over(
    world: World, text: str, want: RunRequest | None = None, *, from_labels: bool = False, names: tuple[str, ...] = ()
) -> dict[str, Outcome]:
    """What one run over the declared credentials, or the named ones, did to each."""
    declared = ProjectDeclarations(parse(HEAD + text, "orchestra-creds.toml"), PROJECT, labels_count=from_labels)
    catalog = CredentialCatalog(declared, world.secrets)
    run = Run(f"run-{next(world.runs)}", world.time, world.secrets, 5.0)
    factory = AttemptFactory(run, catalog, world.issuer, lambda _credential: (), want or RunRequest())
    return {one.credential: one for one in rotate(factory, names).outcomes}


def second_generation(world: World, credential: Credential) -> tuple[str, str]:
    """A credential whose predecessor is in its grace: the ids of both."""
    old = world.rotate(credential).identifier
    world.pass_time(POLICY.every)
    return old, world.rotate(credential).identifier


def stop_after(world: World, credential: Credential, kind: StepKind) -> None:
    """Begin a rotation and stop it after a step, as a process that is asked to end does."""
    attempt = world.attempt(credential, FORCE)
    attempt.run.tell = lambda event: setattr(world, "stopping", event.step.kind == kind)
    assert world.finish(attempt).ending is Ending.STOPPED
    world.stopping = False


def test_whoever_writes_the_file_can_do_all_that_the_rotator_may(world: World, account: str) -> None:
    (made,) = run_over(world, KEY).values()
    assert world.enabled_keys(account) == {made.identifier}
    other = world.account("app-two")
    (moved,) = run_over(world, KEY.replace("app-one", "app-two")).values()
    assert world.enabled_keys(other) == {moved.identifier}
    ended = run_over(world, KEY.replace("app-one", "app-two"), RETIRE, names=("db-key",))
    assert ended["db-key"].ending is Ending.RETIRED
    assert world.enabled_keys(account) | world.enabled_keys(other) == set()


def test_whoever_labels_a_secret_gets_a_key_only_where_labels_count(world: World, account: str) -> None:
    labels: Mapping[str, str] = {
        "orchestra-kind": "service-account-key", "orchestra-account": "app-one", "orchestra-settle": "0s",
        "orchestra-require-unused": "0s",
    }  # fmt: skip
    world.secrets.create_secret("planted", labels=labels)
    forbidden = world.account("app-two")
    world.secrets.create_secret("greedy", labels={**labels, "orchestra-account": "app-two"})
    rules = '[service_accounts.app-one]\n[service_accounts.app-two]\nkeys = "forbidden"\n'
    assert "planted" not in run_over(world, KEY + rules) or world.secrets.find_secret("planted") is None
    assert list(world.secrets.list_versions("planted")) == []
    allowed = rules.replace("app-one]\n", 'app-one]\nkeys = "rotated"\n')
    assert run_over(world, allowed)["planted"].ending is Ending.ROTATED
    assert run_over(world, rules, from_labels=True)["greedy"].ending is Ending.FAILED
    assert world.enabled_keys(forbidden) == set()
    assert list(world.secrets.list_versions("greedy")) == []


def test_whoever_writes_annotations_ends_no_key_that_is_not_of_the_secret(
    world: World, credential: Credential, account: str
) -> None:
    old, current = second_generation(world, credential)
    victim = world.keys.create_key(account)
    assert world.tokens.mint(victim.material)
    asleep = world.keys.create_key(account).key.id
    world.keys.disable_key(account, asleep)
    for phase in Retirement:
        forged = [
            Predecessor(name, (1,), phase, world.began, world.began - timedelta(days=1))
            for name in (victim.key.id, asleep)
        ]
        secret = world.secrets.get_secret("db-key")
        state = replace(world.state(), retiring=tuple(forged))
        world.secrets.update_secret(secret, annotations={**secret.annotations, ANNOTATION: encode(state)})
        assert world.rotate(credential).code is not ExitCode.OK
    assert world.enabled_keys(account) == {old, current, victim.key.id}  # what it can: forget the predecessor
    assert world.keys.find_key(account, asleep) is not None
    secret = world.secrets.get_secret("db-key")
    world.secrets.update_secret(secret, annotations={**secret.annotations, ANNOTATION: "{"})
    assert world.rotate(credential).ending is Ending.FAILED


def test_whoever_adds_versions_makes_a_run_fail_and_nothing_more(
    world: World, credential: Credential, account: str
) -> None:
    old, current = second_generation(world, credential)
    foreign = world.keys.create_key(world.account("app-two"))
    world.secrets.add_version("db-key", foreign.material)
    assert world.rotate(credential).ending is Ending.FAILED
    assert world.rotate(credential, RunRequest(adopt=True)).ending is Ending.FAILED
    assert world.state().current is not None
    assert (world.state().generation, world.enabled_keys(account)) == (2, {old, current})
    assert world.rotate(credential, FORCE).ending is Ending.ROTATED
    assert world.versions()[3] is VersionState.ENABLED


def test_whoever_disables_versions_causes_a_successor_and_no_death(
    world: World, credential: Credential, account: str
) -> None:
    old, current = second_generation(world, credential)
    world.secrets.disable_version("db-key", 2)
    assert world.rotate(credential).ending is Ending.ROTATED
    assert {old, current} <= world.enabled_keys(account)
    assert current not in world.state().leaked
    world.secrets.destroy_version("db-key", 1)
    world.pass_time(POLICY.grace)
    outcome = world.rotate(credential)
    assert outcome.code is ExitCode.ATTENTION
    assert old in " ".join([outcome.message, *outcome.notes])
    assert old in world.enabled_keys(account)


def test_whoever_writes_the_staging_secret_publishes_nothing_that_does_not_authenticate(
    world: World, credential: Credential, account: str
) -> None:
    world.rotate(credential)
    issuer = world.issuer(credential)
    mixed = json.loads(issuer.make("", "t").reveal()) | {
        "private_key": json.loads(issuer.make("", "t").reveal())["private_key"]
    }
    for planted in (b"{}", b"not even JSON", json.dumps(mixed).encode()):
        stop_after(world, credential, StepKind.STAGE)
        world.secrets.add_version("db-key" + STAGING_SUFFIX, Material(planted))
        (outcome,) = batch.run([world.attempt(credential)], world.time)
        assert (outcome.ending, outcome.code is ExitCode.BUG) == (Ending.FAILED, False), outcome.message
        assert (world.state().generation, len(world.versions())) == (1, 1)
        assert world.authenticates("db-key", "latest")
        if world.state().phase is not Phase.IDLE:  # it waits for somebody to look
            world.secrets.delete_secret("db-key" + STAGING_SUFFIX)
            world.pass_time(SWEEP_AFTER)
            stop_after(world, credential, StepKind.GIVE_UP)
            assert world.state().phase is Phase.IDLE
    stop_after(world, credential, StepKind.STAGE)
    own = issuer.make("", "t")
    world.secrets.add_version("db-key" + STAGING_SUFFIX, own)
    assert world.rotate(credential).ending is Ending.ROTATED
    published = json.loads(world.secrets.access("db-key", "latest").material.reveal())
    assert published["client_email"] == account
    assert published["private_key"] == json.loads(own.reveal())["private_key"]
    assert world.authenticates("db-key", "latest")


def test_whoever_reads_the_secret_changes_nothing(world: World, credential: Credential) -> None:
    world.rotate(credential)
    before = (world.state(), len(world.emulator.mutations))
    for _ in range(20):
        assert world.authenticates("db-key", "latest")
        list(world.secrets.list_versions("db-key"))
    assert world.rotate(credential).ending is Ending.NOTHING
    assert (world.state(), len(world.emulator.mutations)) == before


def test_whoever_creates_keys_takes_the_room_but_not_that_of_an_emergency(
    world: World, credential: Credential, account: str
) -> None:
    leaked = world.rotate(credential).identifier
    foreign = {world.keys.create_key(account).key.id for _ in range(8)}
    refused = world.rotate(credential, FORCE)
    assert (refused.ending, refused.code) == (Ending.FAILED, ExitCode.PRECONDITION)
    assert "no room" in refused.message
    assert problems(world, credential) != set()
    assert world.rotate(credential, LEAKED).code is ExitCode.OK
    world.pass_time(POLICY.every)
    world.rotate(credential)
    assert leaked not in world.enabled_keys(account)
    assert foreign <= world.enabled_keys(account)


def test_whoever_turns_keys_off_and_on_causes_a_successor_and_loses_no_key_that_is_on(
    world: World, credential: Credential, account: str
) -> None:
    old, current = second_generation(world, credential)
    world.pass_time(POLICY.grace)
    world.rotate(credential)
    assert old not in world.enabled_keys(account)
    world.keys.enable_key(account, old)
    world.pass_time(POLICY.soak)
    outcome = world.rotate(credential)
    assert outcome.code is ExitCode.ATTENTION
    assert f"{old} was enabled again" in outcome.message
    assert old in world.enabled_keys(account)
    world.keys.disable_key(account, current)
    assert world.rotate(credential).ending is Ending.ROTATED
    assert old in world.enabled_keys(account)


@pytest.mark.parametrize("strategy", [Strategy.UPLOAD, Strategy.CREATE])
def test_whoever_writes_the_file_of_a_destination_gets_it_delivered_again(
    world: World, account: str, tmp_path: Path, strategy: Strategy
) -> None:
    file = tmp_path / "key.json"
    declared = service_account_key(account, strategy=strategy, copies=(Copy("file", "file", {"path": str(file)}),))
    old, current = second_generation(world, replace(declared, copies=()))
    destinations = [FileCopy(declared.copies[0])]
    world.rotate(declared, destinations=destinations)
    for text in (b"", b"{}", world.keys.create_key(account).material.reveal()):
        file.write_bytes(text)
        before = (world.versions(), world.enabled_keys(account))
        assert world.rotate(declared, destinations=destinations).ending is Ending.DELIVERED
        assert file.read_bytes() == world.secrets.access("db-key", "latest").material.reveal()
        assert (world.versions(), world.enabled_keys(account)) == before
    assert {old, current} <= world.enabled_keys(account)
