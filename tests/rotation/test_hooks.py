"""The operator's programs around a rotation."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from unittest import mock

import pytest

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Copy, Credential, Hooks, Strategy
from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import PreconditionError
from orchestra_creds.rotation.executor import StepExecutor
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.state import ANNOTATION, STAGING_SUFFIX, Phase
from tests.rotation.test_invariants import Shelf
from tests.rotation.world import POLICY, Loss, World, service_account_key

HOOKS = Hooks(("may-we",), ("restart",), ("page",))


class Programs:
    """Remembers what was run, and with which names; those in `broken` fail."""

    def __init__(self) -> None:
        self.run: list[str] = []
        self.variables: list[Mapping[str, str]] = []
        self.broken: set[str] = set()

    def __call__(self, argv: Sequence[str], variables: Mapping[str, str]) -> None:
        self.run.append(argv[0])
        self.variables.append(variables)
        if argv[0] in self.broken:
            raise PreconditionError(f"hook {argv[0]} ended with 1")


@pytest.fixture
def hooked(world: World) -> Iterator[tuple[Credential, Programs]]:
    programs, real = Programs(), StepExecutor.__init__

    def with_hook(executor: StepExecutor, *args: object, **options: object) -> None:
        real(executor, *args, **{**options, "hook": programs})  # type: ignore[arg-type]

    with mock.patch.object(StepExecutor, "__init__", with_hook):
        yield service_account_key(world.account(), hooks=HOOKS), programs


def test_hooks_run_once_around_a_rotation_and_are_told_names_and_numbers(
    world: World, hooked: tuple[Credential, Programs]
) -> None:
    credential, programs = hooked
    world.rotate(credential)
    assert programs.run == ["may-we", "restart"]
    assert programs.variables[1]["ORCHESTRA_CREDS_VERSION"] == "1"
    world.rotate(credential)
    assert programs.run == ["may-we", "restart"]


def test_a_pre_hook_vetoes_before_anything_is_changed_but_the_secrets_themselves(
    world: World, hooked: tuple[Credential, Programs]
) -> None:
    credential, programs = hooked
    programs.broken = {"may-we"}
    outcome = world.rotate(credential)
    assert (outcome.ending, outcome.message) == (Ending.FAILED, "hook may-we ended with 1")
    assert programs.run == ["may-we", "page"]
    assert world.enabled_keys(credential.account) == set()


def test_a_deploy_hook_is_repeated_until_it_succeeds_and_holds_the_grace(
    world: World, hooked: tuple[Credential, Programs]
) -> None:
    credential, programs = hooked
    programs.broken = {"restart"}
    assert world.rotate(credential).ending is Ending.PENDING
    assert world.state().phase is Phase.PUBLISHED
    programs.broken = set()
    assert world.rotate(credential).ending is Ending.ROTATED
    assert programs.run == ["may-we", "restart", "page", "restart"]


def test_a_failure_is_told_and_a_failing_fail_hook_is_only_a_note(
    world: World, hooked: tuple[Credential, Programs]
) -> None:
    credential, programs = hooked
    programs.broken = {"page"}
    world.arm("UploadServiceAccountKey", Code.PERMISSION_DENIED)
    outcome = world.rotate(credential)
    assert programs.run == ["may-we", "page"]
    assert "hook page ended with 1" in outcome.notes
    assert outcome.code == 3


def test_a_dry_run_runs_no_program(world: World, hooked: tuple[Credential, Programs]) -> None:
    credential, programs = hooked
    world.rotate(credential, dry=True)
    assert programs.run == []


REASON, STEP = "ORCHESTRA_CREDS_REASON", "ORCHESTRA_CREDS_STEP"


def told(programs: Programs) -> tuple[str, str]:
    """The step that failed and the reason, as the program for failures got them, called once."""
    assert programs.run.count("page") == 1
    variables = programs.variables[programs.run.index("page")]
    return variables[STEP], variables[REASON]


def test_the_program_for_failures_learns_the_step_and_the_reason(
    world: World, hooked: tuple[Credential, Programs]
) -> None:
    credential, programs = hooked
    world.arm("UploadServiceAccountKey", Code.PERMISSION_DENIED)
    outcome = world.rotate(credential)
    assert told(programs) == (f"make valid {credential.account}", outcome.message)
    assert "make valid" not in outcome.message
    assert [STEP in variables for variables in programs.variables] == [False, True]


def test_it_learns_of_each_destination_and_hook_that_failed(world: World, hooked: tuple[Credential, Programs]) -> None:
    credential, programs = hooked
    first, second = Shelf("first"), Shelf("second")
    declared = replace(credential, copies=(Copy("file", "first"), Copy("file", "second")))
    first.broken = second.broken = True
    assert world.rotate(declared, destinations=[first, second]).ending is Ending.PENDING
    assert told(programs) == (
        "deliver first; deliver second",
        "the shelf does not answer; the shelf does not answer",
    )
    first.broken = second.broken = False
    programs.run, programs.variables, programs.broken = [], [], {"restart"}
    assert world.rotate(declared, destinations=[first, second]).ending is Ending.PENDING
    assert told(programs) == ("deploy hook restart", "hook restart ended with 1")


def test_it_learns_of_a_successor_that_was_given_up(world: World, hooked: tuple[Credential, Programs]) -> None:
    credential, programs = hooked
    world.rotate(credential)
    programs.run, programs.variables = [], []
    world.pass_time(POLICY.every)
    world.lag(faults.Lag.IAM, 3600.0)
    outcome = world.rotate(credential)
    assert (outcome.ending, "given up" in outcome.message) == (Ending.FAILED, True)
    step, reason = told(programs)
    assert step == f"verify {credential.account}"
    assert "authenticate" in reason


def test_it_learns_why_a_rotation_could_not_begin(world: World, hooked: tuple[Credential, Programs]) -> None:
    credential, programs = hooked
    world.secrets.create_secret("db-key", annotations={ANNOTATION: "{"})
    outcome = world.rotate(credential)
    assert told(programs) == ("look at what is there", outcome.message)
    assert programs.variables[0]["ORCHESTRA_CREDS_GENERATION"] == "0"
    programs.run, programs.variables = [], []
    world.rotate(credential, dry=True)
    assert programs.run == []


@pytest.mark.parametrize("strategy", [Strategy.UPLOAD, Strategy.CREATE])
def test_it_never_gets_a_value_whatever_call_is_refused(world: World, strategy: Strategy, exhaustive: bool) -> None:
    """Calls of a rotation are refused; what the program gets is looked through for everything secret."""
    for number in range(40) if exhaustive else (14, 24):
        programs = Programs()
        credential = replace(
            service_account_key(world.account(f"app-{number:03}"), strategy=strategy),
            name=f"c{number}", secret=f"c{number}", hooks=HOOKS,
        )  # fmt: skip
        world.lose(dict.fromkeys(range(number, number + 5), Loss.REFUSED))
        attempt = world.attempt(credential)
        attempt.executor._hook = programs
        world.finish(attempt)
        world.emulator.losses.clear()
        text = json.dumps([dict(each) for each in programs.variables])
        for name in (credential.secret, credential.secret + STAGING_SUFFIX):
            if world.secrets.find_secret(name) is not None:
                for version in world.secrets.list_versions(name):
                    if version.state is not VersionState.ENABLED:
                        continue
                    body = json.loads(world.secrets.access(name, version.number).material.reveal())
                    private = body.get("private_key", "").splitlines()
                    assert not any(line in text for line in private[1:-1])
