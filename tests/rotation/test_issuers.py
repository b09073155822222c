"""Kinds of credentials beside service-account keys: what they make, prove and revoke."""

import base64
import json
import stat
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import ApiKey, Copy, Credential, CredentialKind, GenerateOptions
from orchestra_creds.core.material import Material
from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.errors import AuthError, ConfigError, NotFoundError, PreconditionError, UnavailableError
from orchestra_creds.gcp.api_keys import RestApiKeyStore
from orchestra_creds.rotation import programs
from orchestra_creds.rotation.issuers.api_key import ApiKeys
from orchestra_creds.rotation.issuers.command import ProgramIssuer
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.issuers.manual import ManualIssuer
from orchestra_creds.rotation.outcome import Ending
from tests.rotation.test_invariants import Shelf
from tests.rotation.world import POLICY, World


def declared(kind: CredentialKind, **fields: Any) -> Credential:
    return replace(Credential("db", kind, "db", POLICY), **fields)


def counting() -> "Counting":
    return Counting()


class Counting:
    """Random bytes that are none: 0, 1, 2 and so on."""

    def __init__(self) -> None:
        self.next = 0

    def __call__(self, count: int) -> bytes:
        data = bytes((self.next + n) % 256 for n in range(count))
        self.next += count
        return data


# -- generated


@given(st.integers(16, 200), st.sampled_from(["urlsafe-base64", "base64", "hex"]))
def test_generated_bytes_are_worth_what_was_asked_for(count: int, encoding: str) -> None:
    issuer = GeneratedValues(declared(CredentialKind.GENERATED, generated=GenerateOptions(count, encoding)), Counting())
    issuer.check()
    text = issuer.make("", "t").reveal().decode()
    if encoding == "hex":
        assert bytes.fromhex(text) == Counting()(count)
    else:
        padded = text + "=" * (-len(text) % 4)
        assert base64.b64decode(padded, altchars=b"-_" if encoding.startswith("url") else None) == Counting()(count)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=2, max_size=90).map(
        lambda t: "".join(sorted(set(t)))
    )
)
def test_letters_come_from_the_alphabet_alone_and_none_is_favoured(alphabet: str) -> None:
    if len(alphabet) < 2:
        return
    wanted = GenerateOptions(length=256 - 256 % len(alphabet), alphabet=alphabet)
    issuer = GeneratedValues(declared(CredentialKind.GENERATED, generated=wanted), Counting())
    made = issuer.make("", "t").reveal().decode()
    assert len(made) == wanted.length
    assert set(Counter(made).values()) == {wanted.length // len(alphabet)}


@pytest.mark.parametrize(
    "wanted",
    [
        GenerateOptions(bytes=8),
        GenerateOptions(bytes=100_000),
        GenerateOptions(length=8, alphabet="abc"),
        GenerateOptions(length=200, alphabet="aab"),
        GenerateOptions(length=200, alphabet="a\n"),
        GenerateOptions(length=200),
        GenerateOptions(encoding="rot13"),
    ],
)
def test_a_weak_or_impossible_value_is_refused(wanted: GenerateOptions) -> None:
    with pytest.raises(ConfigError):
        GeneratedValues(declared(CredentialKind.GENERATED, generated=wanted), Counting()).check()


def test_a_generated_value_lives_and_ends(world: World) -> None:
    credential = declared(CredentialKind.GENERATED)
    issuer = GeneratedValues(credential, Counting())
    for step, ending in (
        (timedelta(0), Ending.ROTATED),
        (POLICY.every, Ending.ROTATED),
        (POLICY.grace, Ending.RETIRED),
        (POLICY.soak, Ending.RETIRED),
        (timedelta(0), Ending.NOTHING),
    ):
        world.pass_time(step)
        assert world.rotate(credential, issuer=issuer).ending is ending
    assert world.versions("db") == {1: VersionState.DESTROYED, 2: VersionState.ENABLED}


def test_a_value_that_a_person_set_becomes_the_current_one_and_is_carried_on(world: World) -> None:
    shelf = Shelf()
    credential = declared(CredentialKind.GENERATED, copies=(Copy("file", "shelf"),))
    issuer = GeneratedValues(credential, Counting())
    world.rotate(credential, issuer=issuer, destinations=[shelf])
    world.secrets.add_version("db", Material(b"set by hand, and long enough"))
    world.pass_time(POLICY.every / 2)
    outcome = world.rotate(credential, issuer=issuer, destinations=[shelf])
    assert (outcome.ending, outcome.version) == (Ending.ROTATED, 2)
    assert shelf.held == Material(b"set by hand, and long enough")


# -- manual


def test_a_manual_credential_is_never_rotated_but_recorded(world: World) -> None:
    credential = declared(CredentialKind.MANUAL)
    issuer = ManualIssuer(credential)
    assert world.rotate(credential, issuer=issuer).ending is Ending.ATTENTION
    world.secrets.create_secret("db")
    world.secrets.add_version("db", Material(b"first"))
    assert world.rotate(credential, issuer=issuer).ending is Ending.ROTATED
    assert world.rotate(credential, issuer=issuer).ending is Ending.NOTHING
    world.pass_time(POLICY.every)
    outcome = world.rotate(credential, issuer=issuer)
    assert (outcome.ending, outcome.code) == (Ending.ATTENTION, 1)
    assert "secret set db" in outcome.hint
    world.secrets.add_version("db", Material(b"second"))
    assert world.rotate(credential, issuer=issuer).version == 2
    assert world.versions("db")[1] is VersionState.ENABLED


# -- API keys


def test_an_api_key_takes_over_the_restrictions_and_its_predecessor_is_deleted(world: World) -> None:
    keys = RestApiKeyStore(world.session)
    limits = {"apiTargets": [{"service": "vision.googleapis.com"}]}
    keys.create("model", display_name="vision", restrictions=limits)
    credential = declared(CredentialKind.API_KEY, api_key=ApiKey(like="model"))
    issuer = ApiKeys(credential, keys)
    first = world.rotate(credential, issuer=issuer)
    assert first.ending is Ending.ROTATED
    facts = keys.find(first.identifier)
    assert facts is not None
    assert (facts.restrictions, facts.display_name) == (limits, "vision")
    world.pass_time(POLICY.every)
    assert world.rotate(credential, issuer=issuer).ending is Ending.ROTATED
    for step in (POLICY.grace, POLICY.soak):
        world.pass_time(step)
        world.rotate(credential, issuer=issuer)
    gone, model = keys.find(first.identifier), keys.find("model")
    assert gone is not None
    assert model is not None
    assert (gone.deleted, model.deleted) == (True, False)


def test_a_lost_creation_of_an_api_key_is_found_again(world: World) -> None:
    keys = RestApiKeyStore(world.session)
    keys.create("model", display_name="m", restrictions={})
    credential = declared(CredentialKind.API_KEY, api_key=ApiKey(like="model"))
    issuer = ApiKeys(credential, keys)
    from orchestra_creds.emulator.protocol import faults

    world.arm("CreateKey", Code.INTERNAL, phase=faults.FaultPhase.AFTER, times=1)
    outcome = world.rotate(credential, issuer=issuer)
    assert outcome.ending is Ending.ROTATED
    with world.aside():
        reply = world.session.rest(
            "list", "GET", "apikeys", f"v2/projects/{world.session.project}/locations/global/keys"
        )
    assert len(reply["keys"]) == 2


def test_an_api_key_without_a_model_is_refused(world: World) -> None:
    credential = declared(CredentialKind.API_KEY, api_key=ApiKey(like="nowhere"))
    outcome = world.rotate(credential, issuer=ApiKeys(credential, RestApiKeyStore(world.session)))
    assert isinstance(outcome.error, NotFoundError)


def test_a_deleted_api_key_does_not_verify(world: World) -> None:
    keys = RestApiKeyStore(world.session)
    keys.create("model", display_name="m", restrictions={})
    issuer = ApiKeys(declared(CredentialKind.API_KEY, api_key=ApiKey(like="model")), keys)
    material = keys.material("model")
    issuer.verify(material)
    keys.delete("model")
    with pytest.raises(AuthError):
        issuer.verify(material)
    with pytest.raises(AuthError):
        issuer.verify(Material(b"AIza" + b"x" * 35))


# -- the operator's program

PROGRAM = """#!{python}
import base64, json, os, pathlib, sys
verb, question, shelf = sys.argv[1], json.load(sys.stdin), pathlib.Path({shelf!r})
assert len(sys.argv) == 2 and not any("secret-of" in value for value in os.environ.values())
if verb in ("create", "find"):
    file = shelf / question["token"]
    if verb == "create":
        file.exists() or file.write_text("secret-of-" + question["token"])
    print(json.dumps({{"id": file.name, "material": base64.b64encode(file.read_bytes()).decode()}} if file.exists() else {{}}))
elif verb == "verify":
    known = [file.read_bytes() for file in shelf.iterdir()]
    print(json.dumps({{"ok": base64.b64decode(question["material"]) in known}}))
elif verb == "revoke":
    (shelf / question["id"]).unlink(missing_ok=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> tuple[Path, Path]:
    import sys

    shelf = tmp_path / "shelf"
    shelf.mkdir()
    file = tmp_path / "issuer"
    file.write_text(PROGRAM.format(python=sys.executable, shelf=str(shelf)))
    file.chmod(0o755)
    return file, shelf


def test_the_operators_program_makes_proves_and_revokes(world: World, program: tuple[Path, Path]) -> None:
    file, shelf = program
    credential = declared(CredentialKind.COMMAND, command=(str(file),))
    issuer = ProgramIssuer(credential)
    for step, ending in (
        (timedelta(0), Ending.ROTATED),
        (POLICY.every, Ending.ROTATED),
        (POLICY.grace, Ending.RETIRED),
        (POLICY.soak, Ending.RETIRED),
    ):
        world.pass_time(step)
        outcome = world.rotate(credential, issuer=issuer)
        assert outcome.ending is ending, outcome.message
    assert [each.name for each in shelf.iterdir()] == [outcome.identifier]
    assert world.secrets.access("db", "latest").material.reveal().startswith(b"secret-of-db-")


@pytest.mark.parametrize(
    "output",
    [
        "{",
        "[]",
        '{"id": ""}',
        '{"id": "a"}',
        '{"id": "a", "material": "?"}',
        '{"id": "a", "material": ""}',
        '{"id": 7, "material": "YQ=="}',
    ],
)
def test_an_answer_that_is_none_is_refused_without_being_quoted(tmp_path: Path, output: str) -> None:
    file = tmp_path / "issuer"
    file.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{output}'\necho canary-on-stderr >&2\n")
    file.chmod(0o755)
    with pytest.raises(PreconditionError) as caught:
        ProgramIssuer(declared(CredentialKind.COMMAND, command=(str(file),))).create("t")
    assert "canary" not in str(caught.value) + caught.value.hint
    assert output not in str(caught.value)


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda i: st.lists(i, max_size=2) | st.dictionaries(st.sampled_from(["id", "material", "ok"]), i),
    )
)
def test_any_json_is_an_answer_or_one_clear_refusal(answer: object) -> None:
    class Echo(ProgramIssuer):
        def _call(self, verb: str, question: dict[str, str]) -> dict[str, Any]:  # noqa: ARG002  the answer is given
            if not isinstance(answer, dict):
                raise self._answer_error(verb)
            return answer

    try:
        identifier, material = Echo(declared(CredentialKind.COMMAND, command=("x",))).create("t")
    except PreconditionError:
        return
    assert identifier
    assert material


def test_a_program_that_is_missing_fails_slow_or_talks_too_much_is_one_line(tmp_path: Path) -> None:
    def script(name: str, text: str) -> tuple[str, ...]:
        file = tmp_path / name
        file.write_text("#!/bin/sh\n" + text)
        file.chmod(0o755)
        return (str(file),)

    with pytest.raises(ConfigError, match="cannot be run"):
        programs.check(("/nowhere/at/all",), "probe")
    with pytest.raises(PreconditionError, match="ended with 3"):
        programs.run(script("fails", "exit 3\n"), "probe")
    with pytest.raises(UnavailableError, match="longer than 0 s"):
        programs.run(script("slow", "sleep 60 & sleep 60\n"), "probe", timeout=timedelta(seconds=0.05))
    with pytest.raises(PreconditionError, match="more than"):
        programs.run(script("loud", "head -c 2000000 /dev/zero\n"), "probe")


def test_a_program_gets_material_on_standard_input_and_an_environment_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRA_CREDS_ACCESS_TOKEN", "canary-token")
    file = tmp_path / "tell"
    file.write_text("#!/bin/sh\ncat; env; echo $#\n")
    file.chmod(0o755)
    output = programs.run(
        (str(file),), "x", material=Material(b"the material\n"), variables={"ORCHESTRA_CREDS_ID": "7"}
    )
    assert output.startswith(b"the material\n")
    assert b"ORCHESTRA_CREDS_ID=7" in output
    assert b"canary-token" not in output
    assert output.endswith(b"\n0\n")


def test_a_probe_that_says_no_stops_the_rotation(world: World, tmp_path: Path) -> None:
    file = tmp_path / "probe"
    file.write_text("#!/bin/sh\ncat > /dev/null\nexit 1\n")
    file.chmod(0o755)
    assert file.stat().st_mode & stat.S_IXUSR
    credential = declared(CredentialKind.GENERATED)
    world.rotate(credential, issuer=GeneratedValues(credential, Counting()))
    picky = replace(credential, probe=(str(file),))
    world.pass_time(POLICY.every)
    outcome = world.rotate(picky, issuer=GeneratedValues(picky, Counting()))
    assert outcome.ending is Ending.FAILED
    assert world.versions("db") == {1: VersionState.ENABLED}
    assert world.staged("db") == []
    assert json.loads(json.dumps(list(outcome.notes)))
