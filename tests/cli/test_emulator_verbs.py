"""`emulator` as an operator uses it: a daemon of their own, gcloud's variables, the log, the clock, faults."""

import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from datetime import datetime

import pytest

from orchestra_creds.emulator.protocol import faults
from orchestra_creds.emulator.server import control
from tests import loopback
from tests.cli.cloud import daemon_of, document, exported, make_account, state_of
from tests.cli.conftest import COMMAND, Operator, one_error


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


def test_start_finds_status_tells_and_stop_ends(operator: Operator) -> None:
    before = operator.call("emulator", "status", "-f", "json")
    assert (before.code, document(before.stdout)["running"]) == (4, False)
    with daemon_of(operator) as daemon:
        told = document(operator.call("emulator", "status", "-f", "json").stdout)
        assert (told["running"], told["pid"], told["auth"]) == (True, daemon.pid, False)
        assert (told["grpc"], told["http"]) == (daemon.endpoints.grpc, daemon.endpoints.http)
        again = document(operator.call("emulator", "start", "-f", "json").stdout)
        assert again == told
        ended = operator.call("emulator", "stop", "-f", "json")
        assert (ended.code, document(ended.stdout)) == (
            0,
            {"schema": "orchestra-creds/emulator/1", "running": False, "stopped": True},
        )
    ended = operator.call("emulator", "stop")
    assert (ended.code, "was not running" in ended.text) == (0, True)
    assert operator.call("emulator", "status").code == 4


def test_ports_are_as_asked_and_other_settings_are_refused(operator: Operator) -> None:
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(str(free.getsockname()[1]))
    with daemon_of(operator, "--port", ports[0], "--http-port", ports[1]) as daemon:
        assert [str(daemon.endpoints.grpc_port), str(daemon.endpoints.http_port)] == ports
        refused = operator.call("emulator", "start", "--auth")
        assert (refused.code, "other settings" in one_error(refused)) == (4, True)


@pytest.mark.parametrize("option", ["--port", "--http-port"])
def test_a_port_in_use_is_one_line(operator: Operator, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = operator.call("emulator", "start", option, str(port))
    assert (ended.code, f"127.0.0.1:{port}" in one_error(ended)) == (6, True)
    assert operator.call("emulator", "status").code == 4


def test_what_a_verb_stored_the_daemon_has_and_the_other_way_round(operator: Operator) -> None:
    local = {"ORCHESTRA_CREDS_BACKEND": "local"}
    assert operator.call("secret", "set", "before", stdin=b"value-one", variables=local).code == 0
    with daemon_of(operator):
        through = exported(operator)
        assert operator.call("secret", "get", "before", variables=through).stdout == b"value-one"
        operator.call("secret", "set", "during", stdin=b"value-two", variables=through)
        assert operator.call("secret", "get", "during", variables=local).stdout == b"value-two"
        operator.call("secret", "set", "both", stdin=b"value-three", variables=local)
    assert operator.call("secret", "get", "both", variables=local).stdout == b"value-three"


def test_a_running_daemon_is_used_by_the_local_backend(operator: Operator) -> None:
    local = {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.call("secret", "set", "n", stdin=b"value-one", variables=local)
    with daemon_of(operator, "--auth"):
        assert operator.call("secret", "get", "n", variables=local).stdout == b"value-one"
        account = make_account(operator)
        refused = operator.call("secret", "get", "n", "--as", account, variables=local)
        assert (refused.code, "secretmanager.versions.access is missing" in one_error(refused)) == (3, True)
        member = f"serviceAccount:{account}"
        assert operator.call("secret", "grant", "n", member, "--role", "adder", variables=local).code == 0
        as_adder = ("--as", account)
        assert operator.call("secret", "set", "n", *as_adder, stdin=b"value-two", variables=local).code == 0
        assert operator.call("secret", "get", "n", *as_adder, variables=local).code == 3
        for arguments in (["list"], ["versions", "n"], ["disable", "n", "1"], ["grant", "n", member]):
            refused = operator.call("secret", *arguments, *as_adder, variables=local)
            assert (refused.code, " is missing" in one_error(refused)) == (3, True)
        made = operator.call("key", "create", account, "-o", "key.json", variables=local)
        assert made.code == 0
        by_key = local | {"GOOGLE_APPLICATION_CREDENTIALS": str(operator.folder / "key.json")}
        assert operator.call("secret", "set", "n", stdin=b"value-three", variables=by_key).code == 0
        assert operator.call("secret", "get", "n", variables=by_key).code == 3
        callers = {e["caller"] for e in document(operator.call("emulator", "log", "-f", "json").stdout)["entries"]}
        assert member in callers


def test_the_environment_has_the_fixed_names_and_can_be_taken_away(operator: Operator) -> None:
    missing = operator.call("emulator", "env")
    assert (missing.code, missing.stdout, "not running" in one_error(missing)) == (4, b"", True)
    with daemon_of(operator) as daemon:
        variables = exported(operator)
        assert variables["ORCHESTRA_CREDS_EMULATOR_GRPC"] == daemon.endpoints.grpc
        assert variables["ORCHESTRA_CREDS_EMULATOR_HTTP"] == daemon.endpoints.http
        assert variables["CLOUDSDK_CORE_PROJECT"] == "demo-project"
        assert exported(operator, "--project", "other")["CLOUDSDK_CORE_PROJECT"] == "other"
        for shell, word in (("fish", "set -gx"), ("powershell", "$env:")):
            assert word in operator.call("emulator", "env", "--shell", shell).text
    unset = operator.call("emulator", "env", "--unset")
    assert unset.code == 0
    assert {*variables, "CLOUDSDK_AUTH_ACCESS_TOKEN"} <= {
        line.removeprefix("unset ") for line in unset.text.splitlines()
    }


def test_with_auth_the_environment_is_the_owners(operator: Operator) -> None:
    with daemon_of(operator, "--auth"):
        variables = exported(operator)
        assert operator.call("secret", "set", "n", stdin=b"value-one", variables=variables).code == 0
        nameless = {name: value for name, value in variables.items() if name != "CLOUDSDK_AUTH_ACCESS_TOKEN"}
        assert operator.call("secret", "get", "n", variables=nameless).code == 3


def test_the_log_tells_every_call_and_what_it_changed(operator: Operator) -> None:
    local = {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.call("secret", "set", "n", stdin=b"value-one", variables=local)
    operator.call("secret", "get", "n", variables=local)
    operator.call("secret", "get", "nowhere", variables=local)
    entries = document(operator.call("emulator", "log", "-f", "json").stdout)["entries"]
    assert all(list(e) == ["time", "method", "resource", "caller", "status", "mutating", "reason"] for e in entries)
    assert all(
        datetime.fromisoformat(e["time"]).tzinfo is not None and isinstance(e["mutating"], bool) for e in entries
    )
    last = [(e["method"].rpartition("/")[2], e["status"], e["mutating"]) for e in entries]
    assert last[-2:] == [("AccessSecretVersion", "OK", False), ("AccessSecretVersion", "NOT_FOUND", False)]
    assert ("AddSecretVersion", "OK", True) in last
    changing = document(operator.call("emulator", "log", "--mutating", "-f", "json").stdout)["entries"]
    assert all(e["mutating"] for e in changing)
    assert changing
    assert len(document(operator.call("emulator", "log", "--limit", "1", "-f", "json").stdout)["entries"]) == 1
    assert "AccessSecretVersion" in operator.call("emulator", "log").text


@pytest.mark.parametrize(("span", "seconds"), [("8d", 691_200), ("80h", 288_000)])
def test_the_clock_moves_forward_for_everybody(operator: Operator, span: str, seconds: int) -> None:
    local = {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.call("secret", "set", "n", stdin=b"value-one", variables=local)
    before = datetime.fromisoformat(document(operator.call("emulator", "clock", "-f", "json").stdout)["now"])
    moved = document(operator.call("emulator", "clock", "--advance", span, "-f", "json").stdout)
    passed = (datetime.fromisoformat(moved["now"]) - before).total_seconds()
    assert (moved["advanced_seconds"], seconds <= passed < seconds + 60) == (seconds, True)
    operator.call("secret", "set", "n", stdin=b"value-two", variables=local)
    newest = document(operator.call("secret", "versions", "n", "-f", "json", variables=local).stdout)["versions"][0]
    assert datetime.fromisoformat(newest["created"]) >= datetime.fromisoformat(moved["now"])


def test_a_key_made_before_a_move_of_the_clock_still_authenticates(operator: Operator) -> None:
    with daemon_of(operator, "--auth"):
        local = {"ORCHESTRA_CREDS_BACKEND": "local"}
        account = make_account(operator)
        operator.call("key", "create", account, "-o", "key.json", variables=local)
        operator.call("emulator", "clock", "--advance", "80d")
        by_key = local | {"GOOGLE_APPLICATION_CREDENTIALS": str(operator.folder / "key.json")}
        found = document(operator.call("doctor", "-f", "json", variables=by_key).stdout)["checks"]
        assert [check["detail"].split()[0] for check in found if check["name"] == "identity"] == [account]


@pytest.mark.lenient  # clearing brings the lags of strict mode back
def test_faults_are_armed_listed_met_and_cleared(operator: Operator) -> None:
    local = {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.call("secret", "set", "n", stdin=b"value-one", variables=local)
    armed = operator.call(
        "emulator", "fault", "*/AddSecretVersion", "--code", "ABORTED", "--phase", "after", "--first", "1",
        "--lag", "latest=30s", "--quota", "write=600", "-f", "json",
    )  # fmt: skip
    body = document(armed.stdout)
    assert body["faults"] == [
        {"method": "*/AddSecretVersion", "code": "ABORTED", "phase": "after", "first": 1, "times": 1, "seen": 0}
    ]
    assert (body["lags"], body["quotas"]) == ({"latest": 30.0}, {"write": 600})
    met = operator.call("secret", "set", "n", stdin=b"value-two", variables=local)
    assert (met.code, met.stdout) == (4, b"")
    assert document(operator.call("emulator", "fault", "-f", "json").stdout)["faults"] == []
    cleared = document(operator.call("emulator", "fault", "--clear", "-f", "json").stdout)
    assert cleared == {"schema": "orchestra-creds/emulator-faults/1", "faults": [], "lags": {}, "quotas": {}}
    assert (
        operator.call("secret", "get", "n", variables=local).stdout == b"value-two"
    )  # the work was done, the reply lost


@pytest.mark.lenient  # in strict mode no API is on after a reset
def test_reset_asks_and_forgets_everything(operator: Operator) -> None:
    local = {"ORCHESTRA_CREDS_BACKEND": "local"}
    operator.call("secret", "set", "n", stdin=b"value-one", variables=local)
    operator.call("emulator", "clock", "--advance", "8d")
    unasked = operator.call("emulator", "reset")
    assert (unasked.code, "no terminal" in one_error(unasked)) == (2, True)
    ended = operator.call("emulator", "reset", "--yes", "-f", "json")
    assert (ended.code, document(ended.stdout)["empty"]) == (0, True)
    assert document(operator.call("secret", "list", "-f", "json", variables=local).stdout)["secrets"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["clock", "--advance", "8 days"], 2, "not a length of time"),
        (["clock", "--advance", "-8d"], 2, "not a length of time"),
        (["clock"], 2, "no embedded cloud"),
        (["log"], 2, "no embedded cloud"),
        (["fault", "*/X", "--code", "BAD"], 2, "BAD"),
        (["fault", "--lag", "latest"], 2, "a name and a value"),
        (["fault", "--lag", "nothing=3s"], 2, "nothing"),
        (["fault", "--quota", "write=many"], 2, "many"),
        (["start", "--port", "70000"], 2, ""),
    ],
    ids=range(9),
)  # fmt: skip
def test_bad_input_is_told(operator: Operator, arguments: list[str], code: int, says: str) -> None:
    if arguments[0] == "fault":
        operator.call("secret", "list", "--backend", "local")
    ended = operator.call("emulator", *arguments)
    assert (ended.code, ended.stdout, says in ended.stderr) == (code, b"", True)


def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed_under_writes(operator: Operator) -> None:
    """Two operators store values as fast as they can while the daemon dies by SIGKILL; the next one has every value told stored."""
    acknowledged: set[tuple[str, str]] = set()
    with daemon_of(operator) as daemon:
        script = (
            'i=0; while [ $i -lt 40 ]; do i=$((i+1)); printf "value-%s-%s" "$1" "$i" | '
            '"$0" secret set "n$1" --format json --quiet > "$1.$i.json" 2>> errors || exit 0; done'
        )
        writers = [
            subprocess.Popen(
                ["sh", "-c", script, COMMAND, str(number)],
                cwd=operator.folder,
                env=operator.environment | exported(operator),
            )
            for number in (1, 2)
        ]
        while len(list(operator.folder.glob("*.json"))) < 4:
            assert any(writer.poll() is None for writer in writers)
            os.sched_yield()
        os.kill(daemon.pid, signal.SIGKILL)
        for writer in writers:
            writer.wait()
        os.waitpid(daemon.pid, 0)
    numbers: dict[str, list[int]] = {}
    for path in operator.folder.glob("*.json"):
        if path.stat().st_size:
            version = json.loads(path.read_bytes())["version"]
            who, turn = path.name.split(".")[:2]
            numbers.setdefault(version["secret"], []).append(version["number"])
            acknowledged.add((f"{version['secret']}:{version['number']}", f"value-{who}-{turn}"))
    assert acknowledged
    assert all(len(found) == len(set(found)) for found in numbers.values())
    with control.start_in_process(state_of(operator)):
        pass  # it opens after such an end
    for place, value in sorted(acknowledged)[-4:]:
        name, number = place.split(":")
        stored = operator.call("secret", "get", name, "--version", number, "--backend", "local")
        assert stored.stdout == value.encode()


def test_a_verb_that_may_hold_material_leaves_no_core_file(operator: Operator) -> None:
    operator.call("secret", "list", "--backend", "local")
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] in {0, 1}  # one byte: less than the smallest core


@pytest.mark.lenient  # the test itself switches the mode
def test_strict_mode_is_one_setting_of_the_state(operator: Operator) -> None:
    call = ("secret", "list", "--backend", "local")
    assert operator.call(*call).code == 0
    with daemon_of(operator, "--strict"):
        assert document(operator.call("emulator", "status", "--format", "json").stdout)["strict"] is True
        assert operator.call("emulator", "start", "--quiet").code == 0
        assert operator.call("emulator", "start", "--quiet", "--no-strict").code == 4
        refused = operator.call(*call)
        assert (refused.code, "secretmanager.googleapis.com is not enabled" in one_error(refused)) == (4, True)
    assert operator.call(*call).code == 4, "a verb that runs the cloud itself meets the same mode"
    operator.environment["ORCHESTRA_CREDS_EMULATOR_STRICT"] = "0"
    assert operator.call(*call).code == 0
    operator.environment["ORCHESTRA_CREDS_EMULATOR_STRICT"] = "1"
    assert operator.call(*call).code == 4
    operator.environment["ORCHESTRA_CREDS_EMULATOR_STRICT"] = "maybe"
    assert operator.call(*call).code == 2


def test_every_lag_is_set_at_once(operator: Operator) -> None:
    assert operator.call("secret", "list", "--backend", "local").code == 0
    shown = document(operator.call("emulator", "fault", "--lag", "all=8s", "--format", "json").stdout)["lags"]
    assert shown == {lag.value: 8.0 for lag in faults.Lag}
    shown = document(operator.call("emulator", "fault", "--lag", "all=0s", "--format", "json").stdout)["lags"]
    assert shown == {}


def test_m9_a_restart_keeps_both_ports(operator: Operator) -> None:
    ports = []
    for _ in range(2):
        with daemon_of(operator) as daemon:
            ports.append((daemon.endpoints.grpc_port, daemon.endpoints.http_port))
    assert ports[0] == ports[1]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0][0]))
        taken.listen()
        with daemon_of(operator) as daemon:
            assert daemon.endpoints.grpc_port not in {0, ports[0][0]}
            assert daemon.endpoints.http_port == ports[0][1]
