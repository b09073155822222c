"""The operator's programs around a rotation."""

from collections.abc import Iterator, Mapping, Sequence
from unittest import mock

import pytest

from orchestra_creds.core.credential import Credential, Hooks
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import PreconditionError
from orchestra_creds.rotation.executor import StepExecutor
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.state import Phase
from tests.rotation.world import World, service_account_key

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
