"""Any order of calls on one secret, against a small model: numbers, states, etags, aliases, payloads."""

import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from google.cloud.secretmanager_v1.types import SecretVersion
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from orchestra_creds.emulator.protocol.errors import Code
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.store.store import Store
from tests.emulator.conftest import Cloud, refused

State = SecretVersion.State
DELAY = timedelta(days=1)
NUMBERS = st.integers(min_value=1, max_value=6)


@dataclass
class Model:
    """What should be true of one version."""

    payload: bytes
    state: int = State.ENABLED
    etag: str = ""
    pending: bool = False
    stale: list[str] = field(default_factory=list)


class Versions(RuleBasedStateMachine):
    """One secret with a destroy delay; model and emulator must agree after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.cloud = Cloud(Emulator(Store(Path(self.folder.name) / "emulator.db"), control.SERVICES))
        self.name = ""
        self.models: dict[int, Model] = {}
        self.aliases: dict[str, int] = {}
        self.delayed = False

    etags = Bundle("etags")

    @initialize(delayed=st.booleans())
    def create(self, *, delayed: bool) -> None:
        self.delayed = delayed
        fields = {"version_destroy_ttl": DELAY} if delayed else {}
        self.name = self.cloud.secret("db", **fields)

    def teardown(self) -> None:
        self.cloud.store.close()
        self.folder.cleanup()

    @rule(payload=st.binary(min_size=1, max_size=8))
    def add(self, payload: bytes) -> None:
        added = self.cloud.call("AddSecretVersion", parent=self.name, payload={"data": payload})
        number = len(self.models) + 1
        assert f"{self.name}/versions/{number}" == added.name
        self.models[number] = Model(payload, etag=added.etag)

    @rule(number=NUMBERS, verb=st.sampled_from(["Enable", "Disable", "Destroy"]), how=st.sampled_from("-=!"))
    def change(self, number: int, verb: str, how: str) -> None:
        """`-` gives no etag, `=` the current one, `!` a stale one."""
        name = f"{self.name}/versions/{number}"
        model = self.models.get(number)
        etag = '"stale"' if how == "!" else "" if model is None or how == "-" else model.etag
        method = f"{verb}SecretVersion"
        if model is None:
            with refused(Code.NOT_FOUND):
                self.cloud.call(method, name=name, etag=etag)
            return
        if how == "!" or model.state == State.DESTROYED or (verb == "Destroy" and model.pending):
            with refused(Code.FAILED_PRECONDITION):
                self.cloud.call(method, name=name, etag=etag)
            return
        model.etag = self.cloud.call(method, name=name, etag=etag).etag
        model.pending = verb == "Destroy" and self.delayed
        if verb == "Destroy":
            model.state = State.DISABLED if self.delayed else State.DESTROYED
        else:
            model.state = State.ENABLED if verb == "Enable" else State.DISABLED

    @rule(target=etags, alias=st.sampled_from(["current", "previous"]), number=NUMBERS)
    def point(self, alias: str, number: int) -> object:
        wanted = {**self.aliases, alias: number}
        etag = self.cloud.call("GetSecret", name=self.name).etag
        if not set(wanted.values()) <= self.models.keys():
            with refused(Code.INVALID_ARGUMENT):
                self.cloud.update(self.name, "version_aliases", version_aliases=wanted, etag=etag)
            return multiple()
        self.cloud.update(self.name, "version_aliases", version_aliases=wanted, etag=etag)
        self.aliases = wanted
        return etag

    @rule(etag=consumes(etags))
    def an_old_etag_is_refused(self, etag: str) -> None:
        with refused(Code.FAILED_PRECONDITION):
            self.cloud.update(self.name, "labels", etag=etag)

    @rule()
    def a_day_passes(self) -> None:
        self.cloud.store.advance(DELAY)
        for model in self.models.values():
            if model.pending:
                model.state, model.pending = State.DESTROYED, False

    @invariant()
    def everyone_agrees(self) -> None:
        if not self.name:
            return
        listed = self.cloud.call("ListSecretVersions", parent=self.name).versions
        assert list(reversed(self.models)) == [int(version.name.rpartition("/")[2]) for version in listed]
        assert [self.models[number].state for number in reversed(self.models)] == [v.state for v in listed]
        latest = {"latest": max(self.models)} if self.models else {}
        for alias, number in {**self.aliases, **latest}.items():
            self._reads(alias, self.models[number])
        for number, model in self.models.items():
            self._reads(str(number), model)

    def _reads(self, version: str, model: Model) -> None:
        name = f"{self.name}/versions/{version}"
        if model.state == State.ENABLED:
            assert model.payload == self.cloud.access(name)
        else:
            with refused(Code.FAILED_PRECONDITION):
                self.cloud.access(name)


TestVersions = Versions.TestCase
TestVersions.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
