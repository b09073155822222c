"""`scripts/live` plays on an embedded cloud as if it were Google's: it names what differs, keeps no value, and leaves nothing behind."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import live_run
from live_run import RecordedCall
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.core.resources import ResourceKind
from orchestra_creds.emulator.server.transcode import Gateway, HttpReply, HttpRequest
from tests import loopback

PROJECT = "live-project"


@pytest.fixture(autouse=True)
def nothing_leaves_the_loopback() -> Iterator[None]:
    with loopback.guarded():
        yield


def run(folder: Path, *options: str) -> tuple[int, str]:
    """The exit code of a run, and what it wrote."""
    output = folder / "live.json"
    code = live_run.main([PROJECT, "--yes", "--local", "--output", str(output), *options])
    return code, output.read_text()


def keep_what_is_left(monkeypatch: pytest.MonkeyPatch) -> list[dict[ResourceKind, set[str]]]:
    """What `remove_new` leaves behind in each play."""
    left: list[dict[ResourceKind, set[str]]] = []
    remove: Callable[..., list[str]] = live_run.remove_new

    def remove_and_look(cloud: Cloud, before: dict[ResourceKind, set[str]], mark: str) -> list[str]:
        problems = remove(cloud, before, mark)
        left.append(live_run.list_names(cloud))
        return problems

    monkeypatch.setattr(live_run, "remove_new", remove_and_look)
    return left


def test_two_embedded_clouds_do_not_differ_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = keep_what_is_left(monkeypatch)
    code, text = run(tmp_path)
    report = json.loads(text)
    assert (code, report["differences"], report["problems"]) == (0, [], 0)
    assert [set().union(*names.values()) for names in left] == [set(), set()]
    steps = {(call["step"], call["method"].partition(" ")[0]) for call in report["calls"]["project"]}
    assert {step for step, _ in steps} == {*(step for step, _ in live_run.PLAY), live_run.CLEAN_UP}
    methods = {call["method"] for call in report["calls"]["project"]}
    assert len(methods) >= 40
    assert {"IAMClient.upload_service_account_key", "SecretManagerServiceClient.access_secret_version"} <= methods
    assert PROJECT not in text
    assert not re.search(r"BEGIN|live[0-9a-f]{8}|@", text)


def test_a_cloud_that_answers_otherwise_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second cloud leaves out a field of the project."""
    play, answer = live_run.play, Gateway.answer

    def answer_less(gateway: Gateway, request: HttpRequest) -> HttpReply:
        reply = answer(gateway, request)
        if request.target != f"/v3/projects/{PROJECT}":
            return reply
        return HttpReply(
            reply.status, json.dumps(json.loads(reply.body) | {"etag": ""}).replace("etag", "tag").encode()
        )

    def play_and_change(*arguments: Any) -> Any:
        played = play(*arguments)
        monkeypatch.setattr(Gateway, "answer", answer_less)
        return played

    monkeypatch.setattr(live_run, "play", play_and_change)
    monkeypatch.setattr(live_run, "PLAY", live_run.PLAY[:1])
    code, text = run(tmp_path)
    method = "setup: GET v3/projects/* 200: field"
    assert json.loads(text)["differences"] == [
        f"{method} etag only in the project",
        f"{method} tag only on the embedded cloud",
    ]
    assert code == 1


def test_a_project_with_secrets_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {kind: {"theirs"} for kind in live_run.REMOVALS}
    monkeypatch.setattr(live_run, "list_names", lambda _cloud: there)
    assert live_run.main([PROJECT, "--yes", "--local", "--output", str(tmp_path / "live.json")]) == 2
    assert not (tmp_path / "live.json").exists()


def test_what_an_api_that_was_off_had_hidden_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = live_run.Target("local", PROJECT, tmp_path)
    target.file.write_text(live_run.FILE.format(project=PROJECT, name="live", number=1))
    for name, value in target.variables().items():
        monkeypatch.setenv(name, value)
    with target.open() as cloud:
        cloud.secrets.create_secret("theirs")
        cloud.secrets.create_secret("live1234-mine")
        body = {"type": "email", "displayName": "theirs", "labels": {"email_address": "ops@example.com"}}
        cloud.session.rest("make", "POST", "monitoring", f"v3/projects/{PROJECT}/notificationChannels", body=body)
        assert live_run.remove_new(cloud, {}, "live1234") == [
            "1 of kind notification channel may be older than this run and stay"
        ]
        left = live_run.list_names(cloud)
    assert (left[ResourceKind.SECRET], len(left[ResourceKind.CHANNEL])) == ({"theirs"}, 1)


def test_nothing_is_done_until_the_project_is_named_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _prompt: "another")
    assert live_run.main([PROJECT, "--local"]) == 2


def test_statuses_methods_and_fields_are_compared_and_repeats_are_not() -> None:
    there = [
        RecordedCall("setup", "GET v1/b", "200", ("items", "kind")),
        RecordedCall("setup", "GET v1/b", "200", ("items",)),
        RecordedCall("setup", "POST v1/b", "409", ("error",)),
    ]
    here = [
        RecordedCall("setup", "GET v1/b", "200", ("items", "prefixes")),
        RecordedCall("setup", "POST v1/b", "200", ()),
    ]
    assert live_run.compare(there, here) == [
        "setup: GET v1/b 200: field kind only in the project",
        "setup: GET v1/b 200: field prefixes only on the embedded cloud",
        "setup: POST v1/b 200: only on the embedded cloud",
        "setup: POST v1/b 409: only in the project",
    ]


def test_names_of_fields_hold_no_keys_of_maps_and_methods_no_ids() -> None:
    document = {"keys": [{"name": "x", "labels": {"my-team": "y"}}], "@type": "z"}
    assert sorted(set(live_run.field_names(document))) == [
        "*",
        "keys",
        "keys[].labels",
        "keys[].labels.*",
        "keys[].name",
    ]
    assert (
        live_run.method_of("GET", "/v1/projects/acme/secrets/db:getIamPolicy")
        == "GET v1/projects/*/secrets/*:getIamPolicy"
    )
    assert live_run.method_of("GET", "/storage/v1/b/acme/iam") == "GET storage/v1/b/*/iam"
