"""`setup export`: every resource and grant in each form, labels that never meet, and nothing of a name that becomes code."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_creds.config.desired import desired_state
from orchestra_creds.config.parse import parse
from orchestra_creds.core.resources import DesiredState, Grant, Ref, Resource, ResourceKind
from orchestra_creds.setup import alerts, export, pulumi, runner, state, terraform
from orchestra_creds.setup.example import example
from orchestra_creds.setup.snapshot import ExistingParts
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


def existing_of(wanted: DesiredState) -> ExistingParts:
    """All of it."""
    return ExistingParts({resource.ref for resource in wanted.resources}, set(wanted.audit))


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
    blocks = terraform.blocks(wanted, NUMBER, existing_of(wanted))
    assert len(blocks) == len(wanted.resources) + len(wanted.grants) + len(wanted.audit)
    document = json.loads(export.export(wanted, NUMBER, "terraform", existing_of(wanted)))
    assert sum(len(kind) for kind in document["resource"].values()) == len(blocks)
    unnamed = {"google_monitoring_notification_channel", "google_monitoring_alert_policy"}
    imported = {block["to"].partition(".")[0] for block in document["import"]}
    assert imported == {kind for kind in document["resource"] if not kind.endswith("_iam_member")} - unnamed
    policy = document["resource"]["google_monitoring_alert_policy"]["orchestra_creds_key_created"]
    (channel,) = document["resource"]["google_monitoring_notification_channel"]
    assert policy["notification_channels"] == [f"${{google_monitoring_notification_channel.{channel}.name}}"]


def test_m5_only_what_exists_is_imported() -> None:
    wanted = everything()
    nothing = ExistingParts(frozenset())
    assert "import" not in json.loads(export.export(wanted, NUMBER, "terraform", nothing))
    assert "import_=" not in export.export(wanted, NUMBER, "pulumi-python", nothing)
    one = next(resource.ref for resource in wanted.resources if resource.ref.kind is ResourceKind.SECRET)
    some = ExistingParts({one}, {"secretmanager.googleapis.com"})
    document = json.loads(export.export(wanted, NUMBER, "terraform", some))
    assert sorted(block["id"] for block in document["import"]) == sorted(
        [f"projects/{PROJECT}/secrets/{one.name}", f"{PROJECT} secretmanager.googleapis.com"]
    )
    alert = next(resource.ref for resource in wanted.resources if resource.ref.kind is ResourceKind.ALERT)
    assert export.unimportable(wanted, ExistingParts({one, alert})) == [alert]


def test_m5_a_first_apply_does_not_race() -> None:
    wanted = everything()
    blocks = terraform.blocks(wanted, NUMBER, existing_of(wanted))
    place = {(block.kind, block.label): number for number, block in enumerate(blocks)}
    assert all(place[needed] < number for number, block in enumerate(blocks) for needed in block.needs)  # no cycle
    needs = {(block.kind, block.label): {kind for kind, _ in block.needs} for block in blocks}
    expected = {
        "google_secret_manager_secret": {"google_project_service"},
        "google_secret_manager_secret_iam_member": {
            "google_project_service",
            "google_secret_manager_secret",
            "google_service_account",
        },
        "google_iam_workload_identity_pool_provider": {"google_project_service", "google_iam_workload_identity_pool"},
        "google_cloud_run_v2_job_iam_member": {
            "google_project_service",
            "google_cloud_run_v2_job",
            "google_service_account",
        },
        "google_cloud_scheduler_job": {
            "google_project_service",
            "google_cloud_run_v2_job",
            "google_service_account",
        },
    }
    for kind, wanted_kinds in expected.items():
        found = [needed for (each, _), needed in needs.items() if each == kind]
        assert found
        assert all(needed <= wanted_kinds for needed in found), (kind, found)
        assert set().union(*found) == wanted_kinds, (kind, found)
    document = json.loads(export.export(wanted, NUMBER, "terraform", existing_of(wanted)))
    members = document["resource"]["google_secret_manager_secret_iam_member"].values()
    assert all(f"google_secret_manager_secret.{m['secret_id'].replace('-', '_')}" in m["depends_on"] for m in members)
    program = export.export(wanted, NUMBER, "pulumi-python", existing_of(wanted))
    assigned: set[str] = set()
    for statement in ast.parse(program).body:
        used = {
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        assert used - {"gcp", "pulumi"} <= assigned
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            assigned.add(statement.targets[0].id)
    assert program.count("depends_on=[") == sum(bool(block.needs) for block in blocks)


def test_m5_the_provider_and_the_versions_are_named() -> None:
    document = json.loads(export.export(everything(), NUMBER, "terraform", ExistingParts(frozenset())))
    providers = {"google": {"source": "hashicorp/google", "version": ">= 6.0, < 8.0"}}
    assert document["terraform"] == {
        "required_version": ">= 1.5",
        "required_providers": providers,
    }  # 1.5 has import blocks
    assert document["provider"] == {"google": {"project": PROJECT}}


ARGUMENTS = json.loads((Path(__file__).parent / "provider_arguments.json").read_text())["types"]


def unknown_arguments(body: Any, known: Any, place: str) -> list[str]:
    """Return the arguments of a block that the provider does not have; the keys of a map, such as labels, are no arguments."""
    if isinstance(body, list):
        return [each for item in body for each in unknown_arguments(item, known, place)]
    if not isinstance(body, dict) or known is None:
        return []
    found = [f"{place}.{name}" for name in body if name not in known]
    return found + [
        each
        for name in body.keys() & known.keys()
        for each in unknown_arguments(body[name], known[name], f"{place}.{name}")
    ]


def test_m5_the_provider_has_every_argument() -> None:
    document = json.loads(export.export(everything(), NUMBER, "terraform", ExistingParts(frozenset())))
    unknown = []
    for kind, blocks in document["resource"].items():
        for body in blocks.values():
            body.pop("depends_on", None)
            unknown += unknown_arguments(body, ARGUMENTS[kind], kind)
    assert unknown == []
    job = ARGUMENTS["google_cloud_run_v2_job"]
    assert unknown_arguments({"template": {"template": {"retries": 1}}}, job, "job") == [
        "job.template.template.retries"
    ]


def test_pulumi_says_the_same_as_terraform() -> None:
    wanted = everything()
    blocks = terraform.blocks(wanted, NUMBER, existing_of(wanted))
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
    document = json.loads(export.export(wanted, NUMBER, "terraform", existing_of(wanted)))["resource"]
    assert len(document["google_service_account"]) == len(names) == len(document["google_project_iam_member"])
    assert [body["account_id"] for body in document["google_service_account"].values()] == [
        name.partition("@")[0].replace("${", "$${").replace("%{", "%%{") for name in names
    ]
    for body in document["google_service_account"].values():
        assert body["display_name"] == '$${file("x")} %%{if true}'
    found = calls(export.export(wanted, NUMBER, "pulumi-python", existing_of(wanted)))
    assert len(found) == 2 * len(names)
    assert [ast.literal_eval(words["description"]) for _, _, words, _ in found[: len(names)]] == ["'''\n\"\"\""] * len(
        names
    )


@pytest.mark.parametrize("form", export.FORMATS)
def test_the_same_again_is_the_same(form: str) -> None:
    first, second = (export.export(everything(), NUMBER, form, existing_of(everything())) for _ in range(2))
    assert first == second
