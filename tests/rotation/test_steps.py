"""What a kind of step may do is a table, and the table is true: watched over whole lives, with one entry that lies."""

import ast
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from mypy import api as mypy

from orchestra_creds.core.credential import CredentialKind, Strategy
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.errors import PreconditionError
from orchestra_creds.gcp.api_keys import RestApiKeyStore
from orchestra_creds.rotation import transitions
from orchestra_creds.rotation.executor import StepExecutor
from orchestra_creds.rotation.issuer import LocalIssuer, RemoteIssuer, RevocableIssuer
from orchestra_creds.rotation.issuers.api_key import ApiKeys
from orchestra_creds.rotation.issuers.command import ProgramIssuer
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.issuers.postgres import PostgresRoles
from orchestra_creds.rotation.outcome import Ending, Step
from orchestra_creds.rotation.situation import (
    EFFECTS,
    WRITES_STATE,
    RunRequest,
    Situation,
    StepEffect,
    StepKind,
    StepResult,
)
from tests.rotation.test_issuers import Counting, declared
from tests.rotation.world import POLICY, World, service_account_key

ROTATION = Path(transitions.__file__).parent


class ForbiddenChangeError(Exception):
    """A step changed something that its kind may not change."""


def watch(executor: StepExecutor, world: World, table: Mapping[StepKind, StepEffect], seen: set[StepKind]) -> None:
    """Let every effect of the executor fail that changes the cloud, unless the table says that its kind does."""
    effects = dict(executor.effects)

    def watched(kind: StepKind, situation: Situation, step: Step) -> StepResult:
        before = len(world.emulator.mutations)
        result = effects[kind](situation, step)
        seen.add(kind)
        if len(world.emulator.mutations) > before and table[kind] is not StepEffect.CHANGES:
            raise ForbiddenChangeError(kind)
        return result

    executor.effects = {kind: partial(watched, kind) for kind in effects}


def live(world: World, strategy: Strategy, table: Mapping[StepKind, StepEffect]) -> set[StepKind]:
    """Two rotations, a rollback, a leak and all ends; returns the kinds of steps whose effects were watched."""
    credential, seen = service_account_key(world.account(), strategy=strategy), set[StepKind]()
    for wait, request in (
        (POLICY.every, RunRequest()),
        (POLICY.every, RunRequest()),
        (POLICY.grace, RunRequest(back=True)),
        (POLICY.soak, RunRequest(leaked=True)),
        (POLICY.every, RunRequest()),
        (POLICY.grace, RunRequest()),
        (POLICY.soak, RunRequest()),
    ):
        world.pass_time(wait)
        attempt = world.attempt(credential, request)
        watch(attempt.executor, world, table, seen)
        assert world.finish(attempt).ending is not Ending.FAILED
    return seen


@pytest.mark.parametrize("strategy", [Strategy.UPLOAD, Strategy.CREATE])
def test_only_steps_that_change_the_cloud_do(world: World, strategy: Strategy) -> None:
    seen = live(world, strategy, EFFECTS)
    assert {StepKind.LOOK_AT_VERSIONS, StepKind.PREFLIGHT, StepKind.PROVE, StepKind.PUBLISH, StepKind.DISABLE} <= seen


@pytest.mark.parametrize(
    ("kind", "lie"),
    [
        (StepKind.STAGE, StepEffect.READS),
        (StepKind.PUBLISH, StepEffect.RECORDS),
        (StepKind.DISABLE, StepEffect.READS),
    ],
)
def test_an_entry_that_lies_is_caught(world: World, kind: StepKind, lie: StepEffect) -> None:
    with pytest.raises(ForbiddenChangeError, match=kind):
        live(world, Strategy.UPLOAD, {**EFFECTS, kind: lie})


def test_every_kind_of_step_has_an_effect_and_the_states_are_those_that_record() -> None:
    assert set(EFFECTS) == set(StepKind)
    assert set(transitions._STATES) == WRITES_STATE


# -- kinds of issuers


def test_what_each_kind_can_do_is_told_by_its_type(world: World) -> None:
    manual, generated = declared(CredentialKind.MANUAL), declared(CredentialKind.GENERATED)
    command, api_key = declared(CredentialKind.COMMAND), declared(CredentialKind.API_KEY)
    kinds = [
        (world.issuer(service_account_key(world.account())), (True, True, True)),
        (PostgresRoles(declared(CredentialKind.POSTGRES), world.secrets, Counting()), (True, False, True)),
        (GeneratedValues(generated, Counting()), (True, False, False)),
        (ProgramIssuer(command), (False, True, False)),
        (ApiKeys(api_key, RestApiKeyStore(world.session)), (False, True, False)),
        (ManualIssuer(manual), (False, False, False)),
    ]
    for issuer, expected in kinds:
        parts = tuple(isinstance(issuer, part) for part in (LocalIssuer, RemoteIssuer, RevocableIssuer))
        assert parts == expected, type(issuer).__name__


def test_a_kind_that_was_changed_half_way_is_refused_and_nothing_is_changed(world: World) -> None:
    credential = declared(CredentialKind.GENERATED)
    issuer = GeneratedValues(credential, Counting())
    attempt = world.attempt(credential, issuer=issuer)
    world.emulator.before = refuse_staging
    assert world.finish(attempt).ending is Ending.FAILED
    world.emulator.before = lambda _name: None
    other = declared(CredentialKind.MANUAL)
    outcome = world.rotate(other, issuer=ManualIssuer(other))
    assert isinstance(outcome.error, PreconditionError)
    assert "began" in outcome.hint
    assert world.rotate(credential, issuer=issuer).ending is Ending.ROTATED


def refuse_staging(name: str) -> None:
    if name.endswith("/AddSecretVersion"):
        raise EmuError(Code.FAILED_PRECONDITION, "Injected.")


# -- types are not switched off


def loopholes(code: str) -> list[int]:
    """The lines that switch off the type checker, or hand `replace` a mapping whose names it cannot check."""
    lines = [number for number, line in enumerate(code.splitlines(), 1) if "type: ignore" in line]
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace":
            lines += [node.lineno for keyword in node.keywords if keyword.arg is None]
    return lines


def references(code: str) -> list[str]:
    """Docstrings that only point elsewhere."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = (ast.get_docstring(node) for node in ast.walk(ast.parse(code)) if isinstance(node, kinds))
    return [text for text in texts if text and text.startswith("See ")]


@pytest.mark.parametrize("path", sorted(ROTATION.rglob("*.py")), ids=lambda path: path.name)
def test_facts_are_typed_and_docstrings_say_what_is_done(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    assert (loopholes(code), references(code)) == ([], [])


def test_a_loophole_is_named() -> None:
    assert loopholes("replace(seen, **facts)\nx = y  # type: ignore[arg-type]\nreplace(seen, proved=True)") == [2, 1]
    assert references('def check() -> None:\n    """See Issuer."""') == ["See Issuer."]


FACTS = """
from dataclasses import replace
from orchestra_creds.rotation.situation import Observations, StepResult

def good(seen: Observations) -> StepResult:
    return StepResult(seen=replace(seen, proved=True))

def misspelt(seen: Observations) -> StepResult:
    return StepResult(seen=replace(seen, prooved=True))

def mistyped(seen: Observations) -> StepResult:
    return StepResult(seen=replace(seen, orphans="f00"))
"""


def test_a_misspelt_or_mistyped_fact_is_an_error_of_the_type_checker(tmp_path: Path) -> None:
    file = tmp_path / "facts.py"
    file.write_text(FACTS)
    report, _, _ = mypy.run([str(file), "--cache-dir", str(tmp_path / "cache")])
    lines = [line for line in report.splitlines() if ": error:" in line]
    assert [re.findall(r":(\d+):", line)[0] for line in lines] == ["9", "12"], report
