"""`--jobs` means the same for every verb of the cloud: how many calls are under way at once."""

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from orchestra_creds.bootstrap.clock import utc_now
from orchestra_creds.core.credential import Strategy
from orchestra_creds.emulator.server import control
from orchestra_creds.gcp.project import RestProjectInspector
from orchestra_creds.gcp.session import ApiSession
from orchestra_creds.rotation.issuers.service_account_key import NO_UPLOAD, ServiceAccountKeys
from tests.cli.cloud import PROJECT, arm, make_account, state_of
from tests.cli.conftest import Operator
from tests.gauge import Gauge
from tests.rotation.world import service_account_key

SECRETS = ("db-password", "api-token", "redis-url")
FILE = f"""
schema = 1
[project]
id = "{PROJECT}"
[environments.dev]
[service_accounts.app-one]
{"".join(f'[secrets.{name}]{chr(10)}environments = ["dev"]{chr(10)}consumers = ["app-one"]{chr(10)}' for name in SECRETS)}
[credentials.one]
kind = "generated"
secret = "db-password-dev"
every = "30d"
[credentials.two]
kind = "generated"
secret = "api-token-dev"
every = "30d"
"""
VERBS = [
    ("status",),
    ("setup", "--check"),
    ("setup", "adopt"),
    ("setup", "export", "--to", "terraform"),
    ("secret", "export", "--env", "dev", "--to", "json", "-o", "values.json"),
    ("secret", "import-env", ".env", "--dry-run"),
    ("doctor",),
    ("rotate", "--all", "--dry-run"),
]


@pytest.fixture
def worker(operator: Operator) -> Operator:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.write("orchestra-creds.toml", FILE)
    operator.write(".env", "DB_PASSWORD_DEV=value-1\nAPI_TOKEN_DEV=value-2\nREDIS_URL_DEV=value-3\n").chmod(0o600)
    assert operator.call("secret", "import-env", ".env", "--yes").code == 0
    make_account(operator)
    return operator


def measure(monkeypatch: pytest.MonkeyPatch, patience: float) -> Gauge:
    """Count the calls of Google's clients."""
    gauge = Gauge(patience)

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with gauge.call():
                return work(*arguments, **options)

        return call

    for name in ("call", "rest"):
        monkeypatch.setattr(ApiSession, name, counted(getattr(ApiSession, name)))
    return gauge


def without_port(text: bytes) -> bytes:
    """What a verb printed, without the place of the embedded cloud, which each process has elsewhere."""
    return re.sub(rb"127\.0\.0\.1:[0-9]+", b"", text)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_calls_that_do_not_need_one_another_are_made_at_once(
    verb: tuple[str, ...], worker: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = measure(monkeypatch, 0.1)
    first = worker.call(*verb)
    assert together.most > 1
    monkeypatch.undo()
    alone = measure(monkeypatch, 0.0)
    second = worker.call(*verb, "--jobs", "1")
    assert alone.most == 1
    assert (second.code, second.stderr) == (first.code, first.stderr)
    assert without_port(second.stdout) == without_port(first.stdout)


def test_a_value_that_cannot_be_stored_holds_up_no_other(worker: Operator) -> None:
    worker.write(".env", "".join(f"NEW_{number}=value-{number}\n" for number in range(5)))
    arm(worker, "CreateSecret", "before", code="PERMISSION_DENIED", times=1)
    ended = worker.call("secret", "import-env", ".env", "--yes", "--jobs", "1")
    assert ended.code == 3
    assert "stored 4 of 5 values, but not NEW_0" in ended.stderr
    again = worker.call("secret", "import-env", ".env", "--yes")
    assert again.code == 0
    assert "create  NEW_0 -> new-0" in again.stderr


KEYS = 3


def test_an_organization_policy_is_asked_for_once_a_run(operator: Operator) -> None:
    operator.environment |= {"ORCHESTRA_CREDS_BACKEND": "local"}
    declared = "".join(
        f'[credentials.key-{n}]\nkind = "service-account-key"\naccount = "account-{n}"\nsettle = "0s"\n'
        for n in range(KEYS)
    )
    operator.write("orchestra-creds.toml", f'schema = 1\n[project]\nid = "{PROJECT}"\n{declared}')
    for number in range(KEYS):
        make_account(operator, f"account-{number}")
    assert operator.call("rotate", "--all", "--jobs", "3").code == 0
    with control.open_state(state_of(operator)) as store:
        asked = Counter(one.resource for one in store.audit() if one.method.endswith("/GetEffectivePolicy"))
    assert asked == {f"projects/{PROJECT}": len(NO_UPLOAD)}


def test_a_credential_does_not_wait_for_the_policies_of_another(mocker: MockerFixture) -> None:
    meeting, met = threading.Barrier(2), []

    def is_enforced(_constraint: str, *, project: str) -> bool:
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(meeting.wait(0.5))
        return False

    inspector = mocker.Mock(spec=RestProjectInspector, is_constraint_enforced=is_enforced)
    issuers = [
        ServiceAccountKeys(
            service_account_key(f"{name}@x.invalid", strategy=Strategy.AUTO),
            mocker.Mock(),
            mocker.Mock(),
            inspector,
            mocker.Mock(),
            token_uri="",
            now=utc_now,
        )
        for name in "ab"
    ]
    threads = [threading.Thread(target=issuer.accepts_material) for issuer in issuers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(met) == 2 * len(NO_UPLOAD)
