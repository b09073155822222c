"""What earlier programs wrote, in every phase, is read by this one and carried on to the end.

`recorded/` holds the changing calls of whole lives, as `scripts/record_states.py` noted them of the programs of those commits. A test plays
a life back to one of its calls, where that program died, and goes on with this program until nothing is left to do.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from google.protobuf.json_format import ParseDict

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.credential import Copy, Credential, CredentialKind, Strategy
from orchestra_creds.emulator.protocol.routes import IAM_ADMIN, SECRET_MANAGER, rpcs
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.errors import ExitCode, PreconditionError
from orchestra_creds.rotation.issuers.generated import GeneratedValues
from orchestra_creds.rotation.outcome import Ending
from orchestra_creds.rotation.state import ANNOTATION, Phase, Retirement
from orchestra_creds.rotation.status import Problem
from orchestra_creds.rotation.timing import LEASE, SWEEP_AFTER
from tests.rotation.promises import Watch
from tests.rotation.test_invariants import Shelf
from tests.rotation.test_issuers import Counting
from tests.rotation.test_status import problems
from tests.rotation.world import POLICY, KeyPairs, World, pairs, service_account_key

RECORDED = Path(__file__).parent / "recorded"
COMMITS = ("31e29a4", "18e1fa0")
LIVES = ("upload", "create", "leaked", "rollback", "lost creation", "value")
PEM = serialization.Encoding.PEM
NOW = timedelta(0)


@cache
def record(commit: str) -> dict[str, list[Any]]:
    """The lives that a program lived, by name."""
    found: dict[str, list[Any]] = json.loads((RECORDED / f"{commit}.json").read_text(encoding="utf-8"))
    return found


def shape(call: Any) -> str:
    """What a state is like: its phase, those of its predecessors, and what else it holds; empty for a call that writes none."""
    text = call[2].get("secret", {}).get("annotations", {}).get(ANNOTATION, "")
    if not text:
        return ""
    body = json.loads(re.sub(r"@\+-?\d+@", "0", text))
    old = "+".join(sorted({entry[2] for entry in body.get("old", ())}))
    parts = sorted(body.keys() & {"lost", "leak", "dest"})
    return f"{body['ph']} {old} {' '.join(parts)}"


class Playback:
    """Plays a record into a world; what differs each time is made here."""

    def __init__(self, world: World, account: str) -> None:
        self.world, self.account = world, account
        self.keys: list[str] = []
        self._certificates: dict[str, str] = {}

    def play(self, calls: list[Any]) -> None:
        for offset, method, request in calls:
            self.world.pass_time(self.world.began + timedelta(seconds=offset) - self.world.clock)
            service = IAM_ADMIN if method.endswith("ServiceAccountKey") else SECRET_MANAGER
            fields = json.loads(self._filled(json.dumps(request), quoted=True))
            if method == "AddSecretVersion":
                fields["payload"] = {"data": base64.b64encode(self._payload(request["payload"])).decode()}
            if method == "UploadServiceAccountKey":
                text = self._filled(request["public_key_data"], quoted=False)
                fields["public_key_data"] = base64.b64encode(text.encode()).decode()
            name = f"{service}/{method}"
            reply = Emulator.rpc(self.world.emulator, name, ParseDict(fields, rpcs()[name].request()), {})
            if method in {"UploadServiceAccountKey", "CreateServiceAccountKey"}:
                self.keys.append(reply.name.rpartition("/")[2])
        spent = 1 + max((int(n) for n in re.findall(r"@PAIR:(\d+)@", json.dumps(calls))), default=11) - 12
        drawn = self.world.uploads[self.account] = KeyPairs(pairs()[12:])
        for _ in range(spent):
            next(drawn)

    def _payload(self, template: Any) -> bytes:
        if isinstance(template, str):
            return self._filled(template, quoted=True).encode()
        identifier, text = (self._filled(each, quoted=True) for each in template["envelope"])
        body = {"id": identifier, "material": base64.b64encode(text.encode()).decode()}
        return b'{"orchestra-creds":' + json.dumps(body).encode() + b"}"

    def _filled(self, text: str, *, quoted: bool) -> str:
        """The text with what its marks stand for; `quoted` if it is part of a JSON text."""
        began = int(self.world.began.timestamp())

        def fill(mark: re.Match[str]) -> str:
            kind, *values = mark[1].split(":")
            match kind:
                case "KEY":
                    return self.keys[int(values[0])]
                case "PRINT":
                    return hashlib.sha256(_public(int(values[0])).strip() + b"\n").hexdigest()[:32]
                case "VALUE":
                    return f"generated value {values[0]}"
                case "PAIR":
                    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                    found = pairs()[int(values[0])].private_bytes(PEM, form, none).decode()
                case "CERTIFICATE":
                    found = self._certificate(mark[1], *map(int, values))
                case _:
                    return str(began + int(kind.removeprefix("+")))
            return json.dumps(found)[1:-1] if quoted else found

        return re.sub(r"@([A-Z+-][A-Z0-9:+-]*)@", fill, text)

    def _certificate(self, mark: str, number: int, begins: int, ends: int) -> str:
        if mark not in self._certificates:
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "orchestra-creds")])
            made = (
                x509.CertificateBuilder(name, name)
                .public_key(pairs()[number].public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(self.world.began + timedelta(seconds=begins))
                .not_valid_after(self.world.began + timedelta(seconds=ends))
                .sign(pairs()[number], hashes.SHA256())
            )
            self._certificates[mark] = made.public_bytes(PEM).decode()
        return self._certificates[mark]


def _public(number: int) -> bytes:
    return pairs()[number].public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def moments() -> Iterator[tuple[str, str, int, bool]]:
    """Each commit, life and call after which its program died; True for the first that leaves a state of its shape.

    A shape counts once for both commits unless it is one that only the second of them wrote.
    """
    known: set[str] = set()
    for commit in COMMITS:
        for life in LIVES:
            for number, call in enumerate(record(commit)[life]):
                left = shape(call)
                yield commit, life, number, bool(left) and left not in known
                known.add(left)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every moment, or of each shape of state the first."""
    if "number" in metafunc.fixturenames:
        every = metafunc.config.getoption("--exhaustive")
        chosen = [(commit, life, number) for commit, life, number, first in moments() if first or every]
        metafunc.parametrize(("commit", "life", "number"), chosen, ids=[" ".join(map(str, one)) for one in chosen])


def declared(life: str, account: str) -> Credential:
    """The credential of a life."""
    if life == "value":
        return Credential("db-key", CredentialKind.GENERATED, "db-key", POLICY, copies=(Copy("file", "shelf"),))
    return service_account_key(account, strategy=Strategy.CREATE if "crea" in life else Strategy.UPLOAD)


def test_what_an_earlier_program_left_is_carried_on_to_the_end(commit: str, life: str, number: int) -> None:
    world = World()
    try:
        carry_on(world, life, record(commit)[life][: number + 1])
    finally:
        world.close()


def carry_on(world: World, life: str, calls: list[Any]) -> None:
    account, shelf = world.account(), Shelf()
    Playback(world, account).play(calls)
    credential = declared(life, account)
    watch = Watch(world, account) if life != "value" else None
    if watch is not None:
        watch.own(*(key.id for key in world.keys.list_keys(account)))
    if life == "leaked":  # its readers lose it at once, which is what was asked for
        world.emulator.after = lambda _name, _mutates: None
    options: dict[str, Any] = {}
    if watch is None:
        options = {"issuer": GeneratedValues(credential, Counting()), "destinations": [shelf]}
    world.pass_time(LEASE + SWEEP_AFTER + timedelta(minutes=1))
    before = world.state()
    if before.current is not None and before.delivered.get(shelf.name) == before.current.id:
        shelf.held = world.secrets.access("db-key", before.current.version).material
    told = problems(world, credential) if world.secrets.find_secret("db-key") else set()
    assert Problem.STATE not in told
    for step in (NOW, POLICY.grace, POLICY.soak, POLICY.soak, POLICY.soak):
        world.pass_time(step)
        outcome = world.rotate(credential, **options)
        assert outcome.code is ExitCode.OK, (outcome.ending, outcome.message, outcome.notes)
    assert outcome.ending is Ending.NOTHING
    assert problems(world, credential) == set()
    if watch is not None:
        watch.settled([credential])
        return
    state = world.state()
    assert (state.phase, state.lease, state.retiring, world.staged()) == (Phase.IDLE, None, (), [])
    assert state.current is not None
    enabled = [number for number, there in world.versions().items() if there is VersionState.ENABLED]
    assert enabled == [state.current.version]
    assert shelf.held == world.secrets.access("db-key", "latest").material


@pytest.mark.parametrize("commit", COMMITS)
def test_the_record_has_every_phase_that_a_state_can_be_in(commit: str) -> None:
    shapes = [shape(call) for life in LIVES for call in record(commit)[life]]
    told = " ".join(shapes)
    assert {str(phase) for phase in Phase} <= {each.split()[0] for each in shapes if each}
    assert {str(one) for one in Retirement} <= set(re.findall(r"[a-z]+", told))
    assert "lost" in told
    assert ("leak" in re.findall(r"[a-z]+", told)) == (commit != "31e29a4")


def test_the_record_holds_no_value_and_no_time() -> None:
    for path in RECORDED.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"-----BEGIN|[A-Za-z0-9+/]{60}|\b[0-9a-f]{32,40}\b|\b1[5-9]\d{8}\b", text), path.name


def test_a_state_that_this_program_could_not_read_would_be_noticed() -> None:
    calls = record(COMMITS[0])["upload"]
    cut = next(n for n, call in enumerate(calls) if shape(call).startswith("prepared"))
    spoiled = json.loads(json.dumps(calls[: cut + 1]).replace(r"\"prepared\"", r"\"made ready\""))
    world = World()
    try:
        with pytest.raises(PreconditionError, match="damaged"):
            carry_on(world, "upload", spoiled)
    finally:
        world.close()
