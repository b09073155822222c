"""Trouble on demand, in process and from another store on the same file."""

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.emulator.protocol.faults import Fault, FaultPhase
from orchestra_creds.emulator.protocol.routes import SECRET_MANAGER
from orchestra_creds.emulator.secret_manager.secrets import SERVICE
from orchestra_creds.emulator.server import control
from orchestra_creds.emulator.server.dispatch import Emulator
from orchestra_creds.emulator.store.store import Store
from orchestra_creds.errors import ConfigError
from tests.emulator.conftest import AUTOMATIC, PROJECT, Cloud, refused

ADD = "*/AddSecretVersion"


def add(cloud: Cloud, name: str) -> None:
    cloud.call("AddSecretVersion", parent=name, payload={"data": b"x"})


def count(cloud: Cloud, name: str) -> int:
    return int(cloud.call("ListSecretVersions", parent=name).total_size)


def test_an_error_before_the_work_leaves_nothing(cloud: Cloud) -> None:
    name = cloud.secret()
    cloud.arm(Fault(ADD, Code.UNAVAILABLE, message="Try again."))
    with refused(Code.UNAVAILABLE, "Try again."):
        add(cloud, name)
    assert count(cloud, name) == 0
    add(cloud, name)
    assert count(cloud, name) == 1


def test_an_error_after_the_work_is_a_lost_reply(cloud: Cloud) -> None:
    name = cloud.secret()
    cloud.arm(Fault(ADD, Code.DEADLINE_EXCEEDED, FaultPhase.AFTER))
    with refused(Code.DEADLINE_EXCEEDED, "after the work"):
        add(cloud, name)
    assert count(cloud, name) == 1


def test_a_lost_reply_of_a_refusal_is_the_refusal(cloud: Cloud) -> None:
    cloud.arm(Fault("*/GetSecret", Code.UNAVAILABLE, FaultPhase.AFTER))
    with refused(Code.NOT_FOUND):
        cloud.call("GetSecret", name=f"{PROJECT}/secrets/none")


NAME = f"{PROJECT}/secrets/db"
CHANGES: dict[str, dict[str, Any]] = {
    "CreateSecret": {"parent": PROJECT, "secret_id": "new", "secret": AUTOMATIC},
    "UpdateSecret": {"secret": {"name": NAME, "labels": {"a": "b"}}, "update_mask": {"paths": ["labels"]}},
    "DeleteSecret": {"name": NAME},
    "AddSecretVersion": {"parent": NAME, "payload": {"data": b"new"}},
    "EnableSecretVersion": {"name": f"{NAME}/versions/1"},
    "DisableSecretVersion": {"name": f"{NAME}/versions/1"},
    "DestroySecretVersion": {"name": f"{NAME}/versions/1"},
    "SetIamPolicy": {"resource": NAME, "policy": {}},
}


def snapshot(cloud: Cloud) -> list[Any]:
    with cloud.store.transaction() as txn:
        return txn.database.execute("SELECT kind, name, body FROM resource ORDER BY kind, name").fetchall()


def test_every_method_that_changes_anything_is_listed_here() -> None:
    changing = {name for name, method in SERVICE.methods.items() if method.mutates}
    assert {f"{SECRET_MANAGER}/{name}" for name in CHANGES} == changing


@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("phase", FaultPhase)
def test_an_error_before_changes_nothing_and_one_after_comes_too_late(
    cloud: Cloud, method: str, phase: FaultPhase
) -> None:
    cloud.secret("db", b"one")
    before = snapshot(cloud)
    cloud.arm(Fault(f"*/{method}", phase=phase))
    with refused(Code.UNAVAILABLE):
        cloud.call(method, **CHANGES[method])
    assert (snapshot(cloud) != before) == (phase is FaultPhase.AFTER)
    with cloud.store.transaction() as txn:
        assert txn.audit()[-1].status == ("OK" if phase is FaultPhase.AFTER else "UNAVAILABLE")


def test_a_fault_fires_from_its_first_call_as_often_as_asked(cloud: Cloud) -> None:
    name = cloud.secret()
    cloud.arm(Fault(ADD, first=2, times=2))
    outcomes = []
    for _ in range(5):
        before = count(cloud, name)
        with contextlib.suppress(EmuError):
            add(cloud, name)
        outcomes.append(count(cloud, name) - before)
    assert outcomes == [1, 0, 0, 1, 1]
    with cloud.store.transaction() as txn:
        assert faults.active_faults(txn) == []


@pytest.mark.lenient  # clearing faults brings the lags of strict mode back
def test_a_fault_without_end_stays(cloud: Cloud) -> None:
    name = cloud.secret()
    cloud.arm(Fault(ADD, times=0))
    for _ in range(3):
        with refused(Code.UNAVAILABLE):
            add(cloud, name)
    with cloud.store.transaction() as txn:
        assert [fault.seen for fault in faults.active_faults(txn)] == [3]
        faults.clear(txn)
    add(cloud, name)


def test_a_fault_meets_only_its_methods(cloud: Cloud) -> None:
    name = cloud.secret()
    cloud.arm(Fault("google.iam.*", times=0))
    add(cloud, name)
    cloud.arm(Fault("google.cloud.secretmanager.v1.*", times=0))
    with refused(Code.UNAVAILABLE):
        add(cloud, name)


def test_another_process_arms_faults_by_the_file(cloud: Cloud) -> None:
    name = cloud.secret()
    with control.change_state(cloud.store.path) as txn:
        faults.arm(txn, Fault(ADD))
    with refused(Code.UNAVAILABLE):
        add(cloud, name)


def test_a_delay_sleeps_outside_of_the_transaction(cloud: Cloud) -> None:
    slept: list[float] = []
    other = Store(cloud.store.path)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        other.now()  # would wait for ever if the transaction were open

    slow = Emulator(cloud.store, control.SERVICES, sleep=sleep)
    cloud.emulator = slow
    name = cloud.secret()
    cloud.arm(Fault(ADD, Code.OK, delay=timedelta(seconds=2)))
    add(cloud, name)
    cloud.arm(Fault(ADD, Code.OK, delay=timedelta(days=2)))
    add(cloud, name)
    assert [2.0, faults.LONGEST_DELAY.total_seconds()] == slept
    other.close()


def test_a_delay_may_pass_on_the_clock_alone(cloud: Cloud) -> None:
    name = cloud.secret()
    before = cloud.store.now()
    cloud.arm(Fault(ADD, Code.OK, delay=timedelta(hours=1), on_clock=True))
    add(cloud, name)
    assert timedelta(hours=1) <= cloud.store.now() - before < timedelta(hours=1, minutes=1)


@pytest.mark.parametrize("fault", [Fault("*", first=0), Fault("*", times=-1), Fault("*", delay=timedelta(-1))])
def test_a_fault_that_makes_no_sense_is_refused(cloud: Cloud, fault: Fault) -> None:
    with pytest.raises(ConfigError):
        cloud.arm(fault)


def test_a_negative_lag_is_refused(cloud: Cloud) -> None:
    with pytest.raises(ConfigError):
        cloud.lag(faults.Lag.LATEST, -1)


def test_a_quota_is_used_up_and_comes_back_with_the_next_minute(cloud: Cloud) -> None:
    name = cloud.secret("db", b"x")
    with cloud.store.transaction() as txn:
        faults.set_quota(txn, "access", 2)
        faults.set_quota(txn, "write", 600)
        assert faults.quotas(txn) == {"access": 2, "write": 600}
    cloud.store.advance(timedelta(seconds=60 - cloud.store.now().timestamp() % 60))
    for _ in range(2):
        cloud.access(f"{name}/versions/1")
    with refused(Code.RESOURCE_EXHAUSTED, "Quota exceeded"):
        cloud.access(f"{name}/versions/1")
    add(cloud, name)
    cloud.store.advance(timedelta(minutes=1))
    cloud.access(f"{name}/versions/1")
    with cloud.store.transaction() as txn:
        faults.set_quota(txn, "access", None)
        assert faults.quotas(txn) == {"write": 600}


def test_a_quota_may_be_that_of_one_service(cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        faults.set_quota(txn, f"{SECRET_MANAGER}:write", 0)
        faults.set_quota(txn, "google.iam.admin.v1.IAM:read", 0)
    with refused(Code.RESOURCE_EXHAUSTED):
        cloud.secret()
    assert not cloud.call("ListSecrets", parent=PROJECT).secrets


def test_every_call_stands_in_the_audit_log(cloud: Cloud) -> None:
    name = cloud.secret()
    cloud.arm(Fault(ADD))
    with refused(Code.UNAVAILABLE):
        add(cloud, name)
    with refused(Code.NOT_FOUND):
        cloud.access(f"{name}/versions/1")
    with refused(Code.UNIMPLEMENTED):
        cloud.call("RotateSecret", parent=name)
    with cloud.store.transaction() as txn:
        kept = [(e.method.rpartition("/")[2], e.resource, e.status, e.mutating) for e in txn.audit()]
    assert [
        ("CreateSecret", PROJECT, "OK", True),
        ("AddSecretVersion", f"{PROJECT}/secrets/db", "UNAVAILABLE", True),
        ("AccessSecretVersion", f"{PROJECT}/secrets/db/versions/1", "NOT_FOUND", False),
        ("RotateSecret", "", "UNIMPLEMENTED", False),
    ] == kept
