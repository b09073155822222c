"""`setup export`: every resource and grant in each form, labels that never meet, and nothing of a name that becomes code."""

import ast
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.config.desired import desired_state
from orchestra_creds.config.parse import parse
from orchestra_creds.core.resources import DesiredState, Grant, Ref, Resource, ResourceKind
from orchestra_creds.setup import alerts, export, pulumi, runner, state, terraform
from orchestra_creds.setup.example import example
from tests.rotation.world import PROJECT

MAIL = f"creds-rotator@{PROJECT}.iam.gserviceaccount.com"
NUMBER = "123456789012"


def everything() -> DesiredState:
    """The example, and all that may stand around it."""
    base = desired_state(parse(example(PROJECT), "test.toml"), PROJECT)
    run = runner.cloud_run_job(
        PROJECT,
        image="place/image@sha256:" + "0" * 64,
        identity=MAIL,
        region="us-central1",
        cron="17 3,15 * * *",
        arguments=("rotate", "--due"),
    )
    more = [
        *state.bucket(f"{PROJECT}-state", "us-central1"),
        *run.resources,
        *alerts.alerts(("email:ops@example.com",), (), rotator=MAIL, cron="17 3,15 * * *"),
    ]
    every = {resource.ref: resource for resource in (*base.resources, *more)}
    return DesiredState(PROJECT, resources=tuple(every.values()), grants=(*base.grants, *run.grants), audit=base.audit)


def calls(text: str) -> list[tuple[str, str, dict[str, Any], ast.Call]]:
    """Class, label, and keyword arguments of each resource of a program; references stay as text."""
    found = []
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Expr | ast.Assign) and isinstance(statement.value, ast.Call):
            call = statement.value
            words = {k.arg or "": ast.unparse(k.value) for k in call.keywords}
            found.append((ast.unparse(call.func).removeprefix("gcp."), ast.literal_eval(call.args[0]), words, call))
    return found


def test_every_kind_is_there_and_every_kind_is_exported() -> None:
    wanted = everything()
    assert {resource.ref.kind for resource in wanted.resources} == set(ResourceKind)
    blocks = terraform.blocks(wanted, NUMBER)
    assert len(blocks) == len(wanted.resources) + len(wanted.grants) + len(wanted.audit)
    document = json.loads(export.export(wanted, NUMBER, "terraform"))
    assert sum(len(kind) for kind in document["resource"].values()) == len(blocks)
    unnamed = {"google_monitoring_notification_channel", "google_monitoring_alert_policy"}
    imported = {block["to"].partition(".")[0] for block in document["import"]}
    assert imported == {kind for kind in document["resource"] if not kind.endswith("_iam_member")} - unnamed
    policy = document["resource"]["google_monitoring_alert_policy"]["orchestra_creds_key_created"]
    (channel,) = document["resource"]["google_monitoring_notification_channel"]
    assert policy["notification_channels"] == [f"${{google_monitoring_notification_channel.{channel}.name}}"]


def test_pulumi_says_the_same_as_terraform() -> None:
    wanted = everything()
    blocks = terraform.blocks(wanted, NUMBER)
    found = calls(pulumi.program(blocks))
    assert [(kind, label) for kind, label, _, _ in found] == [(pulumi.CLASSES[b.kind], b.label) for b in blocks]
    for block, (_, _, words, _) in zip(blocks, found, strict=True):
        assert (f"import_={block.identifier!r}" in words.pop("opts")) == bool(block.identifier)
        assert set(words) == {pulumi._property_name(key, value) for key, value in block.body.items()}
    by_label = {label: words for _, label, words, _ in found}
    assert by_label["orchestra_creds_key_created"]["notification_channels"] == "[channel_1.name]"
    assert "'env': 'dev'" in by_label["redis_host_dev"]["labels"]  # a label of that name is no list of variables
    audited = [words for kind, _, words, _ in found if kind == "projects.IAMAuditConfig"]
    assert len(audited) == len(wanted.audit) > 0
    assert all("audit_log_configs" in words for words in audited)


NASTY = st.text(st.sampled_from("ab-_./@ \"'\\\n${}%#é"), min_size=1, max_size=12)


@given(st.lists(NASTY, min_size=1, max_size=6, unique=True))
def test_no_name_becomes_code_and_no_label_meets_another(names: list[str]) -> None:
    fields = {"displayName": '${file("x")} %{if true}', "description": "'''\n\"\"\""}
    resources = tuple(Resource(Ref(ResourceKind.ACCOUNT, f"{name}@p"), fields) for name in names)
    grants = tuple(Grant("projects/p", f"roles/{name}", "user:a") for name in names)
    wanted = DesiredState("p", resources=resources, grants=grants)
    document = json.loads(export.export(wanted, NUMBER, "terraform"))["resource"]
    assert len(document["google_service_account"]) == len(names) == len(document["google_project_iam_member"])
    assert [body["account_id"] for body in document["google_service_account"].values()] == [
        name.partition("@")[0].replace("${", "$${").replace("%{", "%%{") for name in names
    ]
    for body in document["google_service_account"].values():
        assert body["display_name"] == '$${file("x")} %%{if true}'
    found = calls(export.export(wanted, NUMBER, "pulumi-python"))
    assert len(found) == 2 * len(names)
    assert [ast.literal_eval(words["description"]) for _, _, words, _ in found[: len(names)]] == ["'''\n\"\"\""] * len(
        names
    )


@pytest.mark.parametrize("form", export.FORMATS)
def test_the_same_again_is_the_same(form: str) -> None:
    assert export.export(everything(), NUMBER, form) == export.export(everything(), NUMBER, form)
