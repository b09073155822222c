"""Records what a program of any commit writes while credentials live: the changing calls, with everything secret and every time left out.

`tests/rotation/test_upgrades.py` plays the record back, stops at any call, and lets the program of today go on from there. Run it in a
work tree of the commit, with the interpreter of this one:

    PYTHONPATH=src:. PYTHON scripts/record_states.py > tests/rotation/recorded/COMMIT.json

A record has the lives by name; a life is a list of calls: seconds since its beginning, method, request. In the requests stand instead of
what differs each time: `@+N@` a time, `@KEY:N@` the id of the Nth key, `@PAIR:N@` a private key, `@PRINT:N@` the fingerprint of its public
half, `@CERTIFICATE:N:FROM:TO@`, `@VALUE:N@` a generated value. Bytes are text; an envelope of the staging secret is `{"envelope": [ID, TEXT]}`.
"""

import base64
import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from google.protobuf.json_format import MessageToDict
from tests.rotation import world as worlds
from tests.rotation.test_invariants import Shelf
from tests.rotation.test_issuers import Counting
from tests.rotation.world import POLICY, Died, World, service_account_key

try:  # names of programs before 0.2
    from orchestra_creds.core.declaration import Copy, Credential, Kind, Strategy
    from orchestra_creds.emulator.dispatch import Emulator

    from orchestra_creds.rotation.situation import LEASE, Want
except ImportError:
    from orchestra_creds.core.credential import Copy, Credential, Strategy
    from orchestra_creds.core.credential import CredentialKind as Kind
    from orchestra_creds.emulator.server.dispatch import Emulator
    from orchestra_creds.rotation.situation import RunRequest as Want
    from orchestra_creds.rotation.timing import LEASE
from orchestra_creds.rotation.issuers.generated import GeneratedValues

ENVELOPE = b'{"orchestra-creds":'
PEM = serialization.Encoding.PEM
SERVE = "_serve"
"""The method of the emulator that answers a call."""


class Recorder:
    """The changing calls of one world."""

    def __init__(self, world: World) -> None:
        self.world, self.calls = world, list[Any]()
        self._keys: list[str] = []
        self._values: list[str] = []
        self._serve = getattr(Emulator, SERVE)

    def __enter__(self) -> Self:
        recorder, serve = self, self._serve

        def record(emulator: Emulator, call: Any) -> Any:
            reply = serve(emulator, call)
            if call.what.mutates and hasattr(call.request, "DESCRIPTOR"):
                recorder.note(call, reply)
            return reply

        setattr(Emulator, SERVE, record)
        return self

    def __exit__(self, *_error: object) -> None:
        setattr(Emulator, SERVE, self._serve)

    def note(self, call: Any, reply: Any) -> None:
        """Keep a call that changed something."""
        method = call.name.rpartition("/")[2]
        request = MessageToDict(call.request, preserving_proto_field_name=True)
        for secret in (request, request.get("secret", {})):
            secret.pop("etag", None)
        if method == "AddSecretVersion":
            request["payload"] = self._payload(call.request.payload.data)
        if method == "UploadServiceAccountKey":
            request["public_key_data"] = self._certificate(call.request.public_key_data.decode())
        if method in {"UploadServiceAccountKey", "CreateServiceAccountKey"}:
            self._keys.append(reply.name.rpartition("/")[2])
        offset = int((self.world.clock - self.world.began).total_seconds())
        self.calls.append([offset, method, json.loads(self._without_what_differs(json.dumps(request)))])

    def _without_what_differs(self, text: str) -> str:
        for number, key in enumerate(self._keys):
            text = text.replace(key, f"@KEY:{number}@")
        for number, pair in enumerate(worlds.pairs()):
            text = text.replace(_print(pair), f"@PRINT:{number}@")
        began = int(self.world.began.timestamp())
        return re.sub(r"(?<![\w.@+-])(\d{10})(?!\w)|(?<=-)(\d{10})(?=\W)", lambda at: f"@+{int(at[0]) - began}@", text)

    def _payload(self, data: bytes) -> Any:
        if data.startswith(ENVELOPE):
            body = json.loads(data)["orchestra-creds"]
            return {"envelope": [body["id"], self._text(base64.b64decode(body["material"]))]}
        return self._text(data)

    def _text(self, data: bytes) -> str:
        text = data.decode()
        if "PRIVATE KEY" not in text:
            self._values += [text] if text not in self._values else []
            return f"@VALUE:{self._values.index(text)}@"
        for number, pair in enumerate(worlds.pairs()):
            form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            private = pair.private_bytes(PEM, form, none).decode()
            text = text.replace(json.dumps(private)[1:-1], f"@PAIR:{number}@")
        if "certificate" in (body := json.loads(text)):
            pem = body["certificate"]
            text = text.replace(json.dumps(pem)[1:-1], self._certificate(pem))
        if "-----" in text:
            raise ValueError("a key that nobody knows")
        return text

    def _certificate(self, pem: str) -> str:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        public = certificate.public_key()
        number = next(n for n, pair in enumerate(worlds.pairs()) if pair.public_key() == public)
        begins, ends = (
            int((moment - self.world.began).total_seconds())
            for moment in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        )
        return f"@CERTIFICATE:{number}:{begins}:{ends}@"


def _print(pair: Any) -> str:
    """The fingerprint of a public half, as states hold it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = pair.public_key().public_bytes(PEM, form)
    return hashlib.sha256(public.strip() + b"\n").hexdigest()[:32]


def by_keys(world: World, strategy: Strategy, *wants: tuple[timedelta, Want]) -> None:
    """Runs of a key, each after a time."""
    declared = service_account_key(ACCOUNT, strategy=strategy)
    for step, want in wants:
        world.pass_time(step)
        with contextlib.suppress(Died):
            world.rotate(declared, want)


def lost_creation(world: World) -> None:
    """The reply of a creation dies on its way, so that the next run begins another."""
    by_keys(world, Strategy.CREATE, (NOW, Want()))
    real = world.emulator.after

    def die(name: str, _mutates: object) -> None:
        if name.endswith("/CreateServiceAccountKey"):
            world.emulator.after = real
            raise Died

    world.pass_time(POLICY.every)
    world.emulator.after = die
    by_keys(world, Strategy.CREATE, (NOW, Want()), (LEASE + timedelta(minutes=1), Want()), (LEASE, Want()))


def delivered_value(world: World) -> None:
    """A generated value whose destination fails for a while."""
    shelf = Shelf()
    declared = Credential("db-key", Kind.GENERATED, "db-key", POLICY, copies=(Copy("file", "shelf"),))
    issuer = GeneratedValues(declared, Counting())
    for step, broken in (
        (NOW, False),
        (POLICY.every, True),
        (HOUR, False),
        (POLICY.grace, False),
        (POLICY.soak, False),
    ):
        world.pass_time(step)
        shelf.broken = broken
        world.rotate(declared, issuer=issuer, destinations=[shelf])


NOW, HOUR = timedelta(0), timedelta(hours=1)
ACCOUNT = "app-one@demo-project.iam.gserviceaccount.com"
WHOLE = ((NOW, Want()), (POLICY.every, Want()), (POLICY.grace, Want()), (POLICY.soak, Want()))
LIVES: dict[str, Callable[[World], None]] = {
    "upload": lambda world: by_keys(world, Strategy.UPLOAD, *WHOLE),
    "create": lambda world: by_keys(world, Strategy.CREATE, *WHOLE),
    "leaked": lambda world: by_keys(
        world, Strategy.UPLOAD, (NOW, Want()), (HOUR, Want(leaked=True, force=True)), (HOUR, Want())
    ),
    "rollback": lambda world: by_keys(
        world, Strategy.UPLOAD, (NOW, Want()), (HOUR, Want(force=True)), (POLICY.grace, Want()), (HOUR, Want(back=True))
    ),
    "lost creation": lost_creation,
    "value": delivered_value,
}
"""What happens to a credential in each life."""


def main() -> None:
    """Print the record of all lives."""
    found = {}
    for name, live in LIVES.items():
        world = World()
        world.account()
        with Recorder(world) as recorder:
            live(world)
        found[name] = recorder.calls
        world.close()
    lines = [
        json.dumps(name) + ": [\n" + ",\n".join(json.dumps(call) for call in calls) + "\n]"
        for name, calls in found.items()
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
