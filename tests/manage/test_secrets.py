"""What the secret verbs do beyond one call, on the handlers of an embedded cloud."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra_creds.core.cloud_types import Binding, IamPolicy, VersionState
from orchestra_creds.core.material import Material
from orchestra_creds.core.policies import merged_policy
from orchestra_creds.core.resources import Grant
from orchestra_creds.emulator.server import control
from orchestra_creds.errors import ConfigError, PreconditionError
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.manage import secrets
from orchestra_creds.manage.dotenv import read_dotenv
from tests.contract.direct import DirectSession

VALUE = Material(b"value-" + b"one")
READER = "serviceAccount:reader@demo-project.iam.gserviceaccount.com"
ROLE = secrets.ROLES["accessor"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.InProcessEmulator]:
    with control.start_in_process(tmp_path_factory.mktemp("cloud") / "emulator.db") as running:
        yield running


@pytest.fixture
def session(running: control.InProcessEmulator) -> Iterator[DirectSession]:
    running.emulator.store.reset()
    session = DirectSession("demo-project", running.emulator, environment={})
    yield session
    session.close()


@pytest.fixture
def store(session: DirectSession) -> SecretManagerStore:
    return SecretManagerStore(session)


@pytest.fixture
def policies(session: DirectSession) -> RestPolicyStore:
    return RestPolicyStore(session)


def test_a_value_that_is_refused_creates_nothing(store: SecretManagerStore) -> None:
    for value, format_ in ((b"", "nonempty"), (b"changeme", "nonempty"), (b"{", "json"), (b"n", "nonempty")):
        with pytest.raises(ConfigError):
            secrets.store_value(store, "n", Material(value), format_=format_)
    assert list(store.list_secrets()) == []


def test_storing_asks_nothing_but_to_add(store: SecretManagerStore, running: control.InProcessEmulator) -> None:
    secrets.store_value(store, "n", VALUE, labels={"env": "dev"})
    assert store.get_secret("n").labels == {"env": "dev"}
    with running.emulator.store.transaction() as txn:
        before = len(txn.audit())
    secrets.store_value(store, "n", VALUE)
    with running.emulator.store.transaction() as txn:
        assert [entry.method.rpartition("/")[2] for entry in txn.audit()][before:] == ["AddSecretVersion"]


def test_disable_and_enable_are_done_once_and_destroying_needs_the_first(
    store: SecretManagerStore, running: control.InProcessEmulator
) -> None:
    secrets.store_value(store, "n", VALUE)
    with pytest.raises(PreconditionError, match="is enabled"):
        secrets.check_destroyable(store, "n", "1")
    etag = secrets.disable(store, "n", "1").etag
    assert secrets.disable(store, "n", "latest").etag == etag
    doomed = secrets.check_destroyable(store, "n", "1")
    secrets.enable(store, "n", "1")
    with pytest.raises(PreconditionError):  # somebody enabled it in between
        secrets.destroy(store, doomed)
    secrets.disable(store, "n", "1")
    gone = secrets.destroy(store, secrets.check_destroyable(store, "n", "1"))
    assert (gone.state, secrets.destroy(store, gone)) == (VersionState.DESTROYED, gone)


def test_an_import_is_planned_applied_and_then_has_nothing_to_do(store: SecretManagerStore, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("export DB_PASSWORD='a b#c'\nEMPTY=\nBARE\nTODO=changeme\n")
    variables = read_dotenv(path)
    plan = secrets.plan_import(store, variables, name_of=secrets.secret_name)
    assert [(step.secret, step.state.value) for step in plan] == [
        ("db-password", "create"),
        ("empty", "refused"),
        ("todo", "refused"),
    ]
    assert list(store.list_secrets()) == []
    secrets.apply_import(store, plan)
    assert store.access("db-password", 1).material == Material(b"a b#c")
    again = secrets.plan_import(store, variables, name_of=secrets.secret_name)
    assert again[0].state is secrets.ImportState.SAME
    store.disable_version("db-password", 1)
    assert secrets.plan_import(store, variables, name_of=secrets.secret_name)[0].state is secrets.ImportState.ADD


@pytest.mark.parametrize("text", ["A=1\n'broken no assignment\n", "# nothing\n", ""])
def test_a_file_that_is_none_is_refused_without_its_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".env"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_dotenv(path)
    assert "broken" not in str(caught.value)


def test_a_grant_keeps_the_rest_of_the_policy(store: SecretManagerStore, policies: RestPolicyStore) -> None:
    store.create_secret("n")
    resource = "projects/demo-project/secrets/n"
    until = Binding(
        ROLE, frozenset({"user:ada@example.com"}), 'request.time < timestamp("2100-01-01T00:00:00Z")', "t", "d"
    )
    other = Binding("roles/secretmanager.viewer", frozenset({"group:all@example.com"}))
    policies.set_policy(resource, IamPolicy((until, other), policies.get_policy(resource).etag))
    assert secrets.grant(policies, resource, READER, "accessor").changed
    assert set(policies.get_policy(resource).bindings) == {until, other, Binding(ROLE, frozenset({READER}))}
    assert not secrets.grant(policies, resource, READER, ROLE).changed


class Racing:
    """A policy store on which somebody else is always a moment earlier, so many times."""

    def __init__(self, inner: RestPolicyStore, times: int) -> None:
        self._inner, self._times = inner, times
        self.get_policy = inner.get_policy
        self.test_permissions = inner.test_permissions

    def set_policy(self, resource: str, policy: IamPolicy) -> IamPolicy:
        if self._times:
            self._times -= 1
            theirs = merged_policy(
                self._inner.get_policy(resource), (Grant(resource, ROLE, f"user:{self._times}@example.com"),)
            )
            self._inner.set_policy(resource, theirs)
        return self._inner.set_policy(resource, policy)


@pytest.mark.parametrize(("times", "succeeds"), [(secrets.TRIES - 1, True), (secrets.TRIES, False)])
def test_a_grant_survives_others_changes_and_loses_none(
    store: SecretManagerStore, policies: RestPolicyStore, times: int, succeeds: bool
) -> None:
    store.create_secret("n")
    resource = "projects/demo-project/secrets/n"
    racing = Racing(policies, times)
    if succeeds:
        secrets.grant(racing, resource, READER, "accessor")
    else:
        with pytest.raises(PreconditionError):
            secrets.grant(racing, resource, READER, "accessor")
    (binding,) = policies.get_policy(resource).bindings
    others = {f"user:{number}@example.com" for number in range(times)}
    assert binding.members == others | ({READER} if succeeds else set())


@pytest.mark.parametrize(
    ("member", "role"),
    [
        ("allUsers", "accessor"),
        ("allAuthenticatedUsers", "accessor"),
        ("ada@example.com", "accessor"),
        ("user:", "accessor"),
        ("user:ada@example.com", "owner"),
    ],
)
def test_a_grant_to_everybody_or_nobody_is_refused(policies: RestPolicyStore, member: str, role: str) -> None:
    with pytest.raises(ConfigError):
        secrets.grant(policies, "projects/demo-project/secrets/n", member, role)
