"""`setup`: one run brings about what the file says, a second changes nothing, nothing of others is lost, and drift is named."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra_creds.config.desired import desired_state
from orchestra_creds.config.parse import parse
from orchestra_creds.core import federation
from orchestra_creds.core.cloud_types import IamPolicy
from orchestra_creds.core.material import Material
from orchestra_creds.core.policies import merged_policy
from orchestra_creds.core.resources import Grant, Ref, Resource, ResourceKind
from orchestra_creds.emulator.protocol.errors import Code, EmuError
from orchestra_creds.errors import (
    ConfigError,
    ConstraintError,
    CredsError,
    MissingMemberError,
    NotFoundError,
    SoftDeletedError,
)
from orchestra_creds.gcp.policies import RestPolicyStore
from orchestra_creds.gcp.secrets import SecretManagerStore
from orchestra_creds.setup.apply import apply
from orchestra_creds.setup.change import ChangeKind, Risk
from orchestra_creds.setup.example import example
from orchestra_creds.setup.parts import select_part
from tests.gauge import Gauge
from tests.rotation.world import PROJECT, Died, Loss
from tests.setup.stage import (
    BUCKET,
    FULL,
    IMAGE,
    PLACE,
    SMALL,
    Stage,
    account,
    pool_path,
    provider_path,
    role_path,
    whole,
)
from tests.strictness import lenient_mode

SECRET = f"projects/{PROJECT}/secrets/api-key-dev"
ACCESSOR = "roles/secretmanager.secretAccessor"
RUNNER = f"serviceAccount:runner-one@{PROJECT}.iam.gserviceaccount.com"


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def done(stage: Stage) -> None:
    assert {one.ending for one in stage.apply()} <= {"done"}


def test_the_whole_example_applies_and_a_second_run_changes_nothing() -> None:
    stage = whole()
    try:
        endings = stage.apply()
        assert {one.ending for one in endings} == {"done"}
        assert len(endings) == 50
        before = stage.mutations()
        again = stage.plan()
        assert (again.work, again.has_drift) == ((), False)
        assert stage.apply() == []
        assert stage.mutations() == before
    finally:
        stage.close()


@pytest.mark.parametrize("only", ["services", "roles", "accounts", "secrets", "federation", "access", "audit"])
def test_a_part_by_itself_is_quiet_once_all_is_done(only: str) -> None:
    stage = whole()
    try:
        whole_plan = {change.what for change in stage.plan().work}
        everything, stage.wanted = stage.wanted, select_part(stage.wanted, only)
        part = {change.what for change in stage.plan().work}
        assert part
        assert part <= whole_plan
        stage.wanted = everything
        stage.apply()
        stage.wanted = select_part(everything, only)
        assert stage.plan().work == ()
    finally:
        stage.close()


def test_a_plan_changes_nothing(stage: Stage) -> None:
    before = stage.mutations()
    assert len(stage.plan().work) > 10
    assert stage.mutations() == before


def test_everything_is_as_the_file_says(stage: Stage) -> None:
    done(stage)
    stores = stage.project.stores
    pool = stores[ResourceKind.PROVIDER].find(Ref(ResourceKind.PROVIDER, "github-dev/github-provider"))
    assert pool is not None
    assert "assertion.repository_owner_id == '4242'" in str(pool.fields["attributeCondition"])
    assert "assertion.repository_id in ['777']" in str(pool.fields["attributeCondition"])
    assert stage.members(SECRET, ACCESSOR) == {RUNNER}
    number = stage.project.itself.number()
    holder = f"projects/{PROJECT}/serviceAccounts/deployer@{PROJECT}.iam.gserviceaccount.com"
    (member,) = stage.members(holder, "roles/iam.workloadIdentityUser")
    assert member.endswith(
        f"projects/{number}/locations/global/workloadIdentityPools/github-dev/attribute.repository_id/777"
    )
    assert stage.project.itself.audit() == {"secretmanager.googleapis.com": frozenset({"DATA_READ"})}


@pytest.mark.parametrize("loss", list(Loss))
def test_an_interrupted_run_is_completed_by_running_it_again(loss: Loss) -> None:
    count = 0
    with_all = Stage()
    with_all.apply()
    total = len(with_all.world.emulator.mutations)
    with_all.close()
    for number in range(0, 60, 3):
        stage = Stage()
        try:
            stage.apply(losses={number: loss})
        except Died:
            count += 1
        stage.world.emulator.losses.clear()
        stage.apply()
        assert stage.plan().work == ()
        assert len(stage.world.emulator.mutations) <= total + 4
        stage.close()
    assert (count > 10) is (loss in {Loss.DEATH_BEFORE, Loss.DEATH_AFTER})


def test_a_failure_stops_what_depends_on_it_and_nothing_else(stage: Stage) -> None:
    stage.world.arm("CreateWorkloadIdentityPool", Code.PERMISSION_DENIED)
    endings = {one.change.what: one.ending for one in stage.apply()}
    assert endings["workload identity pool github-dev"] == "failed"
    assert endings["workload identity provider github-dev/github-provider"] == "skipped"
    assert endings["secret api-key-dev"] == "done"
    stage.world.disarm()
    done(stage)
    assert stage.plan().work == ()


def test_bindings_labels_and_audit_of_others_are_kept(stage: Stage) -> None:
    stage.bind(f"projects/{PROJECT}", "roles/viewer", "user:ada@example.com")
    stage.project.itself.set_audit({"storage.googleapis.com": frozenset({"DATA_WRITE"})})
    stage.world.secrets.create_secret("api-key-dev", labels={"team": "a"})
    done(stage)
    assert stage.members(f"projects/{PROJECT}", "roles/viewer") == {"user:ada@example.com"}
    assert stage.project.itself.audit()["storage.googleapis.com"] == frozenset({"DATA_WRITE"})
    assert stage.world.secrets.get_secret("api-key-dev").labels["team"] == "a"
    assert stage.world.secrets.get_secret("api-key-dev").labels["managed-by"] == "orchestra-creds"


def test_other_accessors_of_an_exact_secret_are_drift_and_are_removed(stage: Stage) -> None:
    done(stage)
    stage.bind(SECRET, ACCESSOR, "user:eve@example.com")
    planned = stage.plan()
    (change,) = planned.work
    assert (change.kind, change.risk) == (ChangeKind.REVOKE, Risk.NARROWING)
    assert planned.has_drift
    done(stage)
    assert stage.members(SECRET, ACCESSOR) == {RUNNER}


def test_no_reader_is_removed_when_the_declared_one_lost_access_after_the_plan(stage: Stage) -> None:
    done(stage)
    stage.bind(SECRET, ACCESSOR, "user:eve@example.com")

    def remove_the_declared_one() -> None:
        policy = stage.policies.get_policy(SECRET)
        stage.policies.set_policy(SECRET, merged_policy(policy, (), (Grant(SECRET, ACCESSOR, RUNNER),)))

    (ended,) = stage.apply(remove_the_declared_one)
    assert (ended.change.kind, ended.ending) == (ChangeKind.REVOKE, "failed")
    assert "nobody else loses" in ended.message
    assert stage.members(SECRET, ACCESSOR) == {"user:eve@example.com"}
    done(stage)
    assert stage.members(SECRET, ACCESSOR) == {RUNNER}


def test_a_replication_that_differs_is_refused_and_nothing_is_replaced(stage: Stage) -> None:
    stage.world.secrets.create_secret("api-key-dev", replicas=("europe-west1",))
    refused = [change for change in stage.plan().changes if change.kind is ChangeKind.REFUSED]
    assert [change.ref for change in refused] == [Ref(ResourceKind.SECRET, "api-key-dev")]
    assert {one.ending for one in stage.apply()} == {"done"}
    assert stage.world.secrets.get_secret("api-key-dev").replicas == ("europe-west1",)


def test_a_deleted_pool_comes_back_closed_is_put_right_and_only_then_opened(stage: Stage) -> None:
    done(stage)
    wide = {"attributeCondition": "assertion.repository_owner_id != ''"}
    stage.rest("PATCH", provider_path(), wide, updateMask="attributeCondition")
    stage.rest("DELETE", pool_path())
    order: list[tuple[str, object, object]] = []

    def watch(name: str, mutates: bool) -> None:
        if mutates and "Pool" in name:
            with stage.world.aside():
                pool = stage.project.stores[ResourceKind.POOL].find(Ref(ResourceKind.POOL, "github-dev"))
                provider = stage.project.stores[ResourceKind.PROVIDER].find(
                    Ref(ResourceKind.PROVIDER, "github-dev/github-provider")
                )
            if pool is not None and provider is not None:
                condition = str(provider.fields["attributeCondition"])
                order.append(
                    (name.rpartition("/")[2], pool.fields["disabled"], condition == wide["attributeCondition"])
                )

    stage.world.emulator.after = watch
    assert {one.ending for one in stage.apply()} == {"done"}
    assert stage.plan().work == ()
    open_and_wide = [step for step, disabled, is_wide in order if not disabled and is_wide]
    assert open_and_wide[:1] == ["UndeleteWorkloadIdentityPool"]
    assert len(open_and_wide) <= 2


def test_a_deleted_role_comes_back_with_the_permissions_of_the_file(stage: Stage) -> None:
    done(stage)
    stage.rest("DELETE", role_path())
    assert [change.kind for change in stage.plan().work] == [ChangeKind.UNDELETE]
    done(stage)
    assert stage.plan().work == ()


def test_a_deleted_account_that_was_bound_does_not_stand_in_its_successors_way(stage: Stage) -> None:
    done(stage)
    mail = f"runner-one@{PROJECT}.iam.gserviceaccount.com"
    stage.rest("DELETE", f"v1/projects/{PROJECT}/serviceAccounts/{mail}")
    done(stage)
    assert stage.plan().work == ()
    assert stage.members(SECRET, ACCESSOR) == {RUNNER}


# -- changed by others between plan and apply


def test_what_changes_between_plan_and_apply_stops_with_changed_under_you(stage: Stage) -> None:
    done(stage)
    stage.rest("PATCH", role_path(), {"title": "theirs"}, updateMask="title")

    def between() -> None:
        stage.rest(
            "PATCH",
            role_path(),
            {"includedPermissions": ["secretmanager.secrets.get"]},
            updateMask="includedPermissions",
        )

    (one,) = stage.apply(between)
    assert one.ending == "failed"
    assert "changed under you" in one.message
    done(stage)
    assert stage.plan().work == ()


def map_the_whole_subject(stage: Stage) -> None:
    """Give the provider the mapping of earlier versions."""
    mapping = {**federation.MAPPING, "google.subject": "assertion.sub"}
    stage.rest("PATCH", provider_path(), {"attributeMapping": mapping}, updateMask="attributeMapping")


def live_subject(stage: Stage) -> str:
    found = stage.rest("GET", provider_path())
    return str(found["attributeMapping"]["google.subject"])


def test_a_provider_with_the_long_subject_gets_the_short_one_if_nobody_is_granted_anything_by_it(stage: Stage) -> None:
    done(stage)
    map_the_whole_subject(stage)
    (change,) = stage.plan().work
    assert (change.kind, change.fields, change.risk) == (ChangeKind.UPDATE, ("attributeMapping",), Risk.WIDENING)
    done(stage)
    assert live_subject(stage) == federation.MAPPING["google.subject"]
    assert stage.plan().work == ()


def test_a_grant_to_a_subject_keeps_the_mapping_until_it_is_given_to_the_repository(stage: Stage) -> None:
    done(stage)
    map_the_whole_subject(stage)
    pool = (
        f"iam.googleapis.com/projects/{stage.project.itself.number()}/locations/global/workloadIdentityPools/github-dev"
    )
    subject = f"principal://{pool}/subject/repo:acme/app:ref:refs/heads/main"
    stage.bind(f"projects/{PROJECT}", "roles/viewer", subject)
    planned = stage.plan()
    (change,) = (change for change in planned.changes if change.kind is not ChangeKind.AWAITING)
    assert (change.kind, planned.work, planned.has_drift) == (ChangeKind.REFUSED, (), True)
    assert f"roles/viewer on the project to {subject}" in change.reason
    assert stage.apply() == []
    assert live_subject(stage) == "assertion.sub"
    policy = stage.policies.get_policy(f"projects/{PROJECT}")
    gone = Grant(f"projects/{PROJECT}", "roles/viewer", subject)
    instead = Grant(f"projects/{PROJECT}", "roles/viewer", f"principalSet://{pool}/attribute.repository_id/777")
    stage.policies.set_policy(f"projects/{PROJECT}", merged_policy(policy, (instead,), (gone,)))
    done(stage)
    assert live_subject(stage) == federation.MAPPING["google.subject"]


JOB = f"{PLACE}/orchestra-creds-rotate"
DRIFTS: dict[str, Callable[[Stage], object]] = {
    "delete role": lambda s: s.rest("DELETE", role_path()),
    "widen role": lambda s: s.rest(
        "PATCH",
        role_path(),
        {"includedPermissions": ["secretmanager.versions.access"]},
        updateMask="includedPermissions",
    ),
    "rename role": lambda s: s.rest("PATCH", role_path(), {"title": "x"}, updateMask="title"),
    "delete pool": lambda s: s.rest("DELETE", pool_path()),
    "delete provider": lambda s: s.rest("DELETE", provider_path()),
    "open provider": lambda s: s.rest(
        "PATCH", provider_path(), {"attributeCondition": "assertion.sub != ''"}, updateMask="attributeCondition"
    ),
    "disable pool": lambda s: s.rest("PATCH", pool_path(), {"disabled": True}, updateMask="disabled"),
    "delete secret": lambda s: s.world.secrets.delete_secret("api-key-dev"),
    "relabel secret": lambda s: s.world.secrets.update_secret(
        s.world.secrets.get_secret("api-key-dev"), labels={"x": "y"}
    ),
    "foreign accessor": lambda s: s.bind(SECRET, ACCESSOR, "user:eve@example.com"),
    "delete account": lambda s: s.rest(
        "DELETE", f"v1/projects/{PROJECT}/serviceAccounts/deployer@{PROJECT}.iam.gserviceaccount.com"
    ),
    "foreign role": lambda s: s.bind(f"projects/{PROJECT}", "roles/viewer", "user:bob@example.com"),
    "forget audit": lambda s: s.project.itself.set_audit({}),
    "disable API": lambda s: s.rest("POST", f"v1/projects/{PROJECT}/services/run.googleapis.com:disable", {}),
    "delete bucket": lambda s: s.rest("DELETE", f"storage/v1/b/{BUCKET}"),
    "open bucket": lambda s: s.rest(
        "PATCH", f"storage/v1/b/{BUCKET}", {"iamConfiguration": {"publicAccessPrevention": "inherited"}}
    ),
    "forget versions of bucket": lambda s: s.rest(
        "PATCH", f"storage/v1/b/{BUCKET}", {"versioning": {"enabled": False}}
    ),
    "delete job": lambda s: s.rest("DELETE", job_path("v2")),
    "other image": lambda s: s.project.stores[ResourceKind.JOB].update(
        Resource(Ref(ResourceKind.JOB, JOB), {"image": IMAGE.replace("0", "1")}), ("image",), ""
    ),
    "delete schedule": lambda s: s.rest("DELETE", job_path("v1")),
    "pause schedule": lambda s: s.rest("POST", f"{job_path('v1')}:pause", {}),
    "delete metric": lambda s: s.rest("DELETE", f"v2/projects/{PROJECT}/metrics/orchestra-creds-starts"),
    "delete alert": lambda s: s.rest("DELETE", named(s, "alertPolicies")),
    "mute alert": lambda s: s.rest("PATCH", named(s, "alertPolicies"), {"enabled": False}, updateMask="enabled"),
    "mute channel": lambda s: s.rest(
        "PATCH", named(s, "notificationChannels"), {"enabled": False}, updateMask="enabled"
    ),
    "delete channel": lambda s: s.rest("DELETE", named(s, "notificationChannels"), force="true"),
}


def job_path(version: str) -> str:
    return f"{version}/projects/{PROJECT}/locations/{PLACE}/jobs/orchestra-creds-rotate"


def named(stage: Stage, collection: str) -> str:
    """The name of the first, which only the service gives."""
    found = stage.rest("GET", f"v3/projects/{PROJECT}/{collection}").get(collection)
    return f"v3/{found[0]['name']}" if found else f"v3/projects/{PROJECT}/{collection}/none"


@pytest.mark.parametrize("name", sorted(DRIFTS))
def test_each_drift_is_one(name: str) -> None:
    stage = Stage(FULL)
    try:
        done(stage)
        DRIFTS[name](stage)
        assert stage.plan().has_drift == (name not in {"foreign role", "relabel secret"} or bool(stage.plan().work))
        done(stage)
        assert stage.plan().work == ()
    finally:
        stage.close()


def tried(stage: Stage, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(CredsError, EmuError):  # a drift may forbid the next one
            DRIFTS[name](stage)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(sorted(DRIFTS)), max_size=4, unique=True),
    st.lists(st.sampled_from(sorted(DRIFTS)), max_size=2, unique=True),
)
def test_any_drift_converges_or_stops_and_nothing_foreign_is_lost(before: list[str], between: list[str]) -> None:
    stage = Stage(FULL)
    try:
        done(stage)
        stage.bind(f"projects/{PROJECT}", "roles/browser", "user:ada@example.com")
        foreign = account(stage, "not-ours")
        tried(stage, before)
        endings = stage.apply(lambda: tried(stage, between))
        if not between and "disable API" not in before:  # what is behind such an API takes a plan of its own
            assert {one.ending for one in endings} <= {"done"}, endings
            assert stage.plan().work == ()
        for one in endings:
            stopped = "changed under you" in one.message or ("disable API" in between and "not enabled" in one.message)
            uncounted = "delete metric" in between and "annot find metric" in one.message
            assert one.ending in {"done", "skipped"} or stopped or uncounted, one
        stage.apply()
        rest = stage.apply()
        assert {one.ending for one in rest} <= {"done"}, rest
        assert stage.plan().work == ()
        assert stage.members(f"projects/{PROJECT}", "roles/browser") == {"user:ada@example.com"}
        assert stage.project.stores[ResourceKind.ACCOUNT].find(Ref(ResourceKind.ACCOUNT, foreign)) is not None
    finally:
        stage.close()


# -- drift rules


def drop_condition(stage: Stage) -> None:
    """Make a provider as they were before Google asked for a condition; those stay without one."""
    with lenient_mode(stage.world.store):
        stage.rest("PATCH", provider_path(), {"attributeCondition": ""}, updateMask="attributeCondition")


RULES: dict[str, Callable[[Stage], object]] = {
    "federation.no-condition": drop_condition,
    "federation.by-name": lambda s: s.rest(
        "PATCH",
        provider_path(),
        {"attributeCondition": "assertion.repository == 'acme/app'"},
        updateMask="attributeCondition",
    ),
    "federation.by-actor": lambda s: s.rest(
        "PATCH", provider_path(), {"attributeCondition": "assertion.actor == 'ada'"}, updateMask="attributeCondition"
    ),
    "federation.unsafe-event": lambda s: s.rest(
        "PATCH",
        provider_path(),
        {"attributeCondition": "assertion.repository_id == '1' && assertion.event_name == 'pull_request_target'"},
        updateMask="attributeCondition",
    ),
    "federation.second-provider": lambda s: s.rest(
        "POST",
        f"{pool_path()}/providers",
        {
            "attributeMapping": {"google.subject": "assertion.sub"},
            "attributeCondition": "assertion.repository_id == '1'",
            "oidc": {"issuerUri": "https://token.actions.githubusercontent.com"},
        },
        workloadIdentityPoolProviderId="backdoor",
    ),
    "federation.foreign-issuer": lambda s: s.rest(
        "PATCH", provider_path(), {"oidc": {"issuerUri": "https://issuer.example.com"}}, updateMask="oidc.issuerUri"
    ),
    "federation.open-member": lambda s: s.bind(
        SECRET,
        ACCESSOR,
        "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github-dev/*",
    ),
    "federation.name-member": lambda s: s.bind(
        SECRET,
        ACCESSOR,
        "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/attribute.repository/acme/app",
    ),
    "access.everybody": lambda s: s.bind(SECRET, ACCESSOR, "allAuthenticatedUsers"),
    "access.project-wide": lambda s: s.bind(f"projects/{PROJECT}", "roles/secretmanager.admin", "user:ada@example.com"),
    "values.placeholder": lambda s: s.world.secrets.add_version("api-key-dev", Material(b"change-" + b"me")),
    "keys.forbidden": lambda s: s.world.keys.create_key(f"deployer@{PROJECT}.iam.gserviceaccount.com"),
}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_drift_rule_names_what_is_dangerous(stage: Stage, rule: str) -> None:
    done(stage)
    assert stage.plan().drifts == ()
    RULES[rule](stage)
    found = stage.plan()
    assert rule in {drift.rule for drift in found.drifts}
    assert found.has_drift


# -- the file


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[service_accounts.runner-one]", "[service_accounts.Runner]", "6 to 30 lower-case"),
        ('act_as = ["runner-one"]', 'act_as = ["nobody"]', "there is no service account 'nobody'"),
        ('environments = ["dev"]', 'environments = ["qa"]', "there is no environment 'qa'"),
        ('consumers = ["runner-one"]', 'consumers = ["nobody"]', "there is no service account 'nobody'"),
        ('consumers = ["runner-one"]', 'consumers = [{ member = "allUsers" }]', "there is no service account"),
        ('accessors = "exact"', 'accessors = "only"', "is not known"),
        ('accessors = "exact"', 'rotation = "weekly"', "there is no rotation policy 'weekly'"),
        ("owner_id = 4242", "owner_id = 0", "needs the numbers"),
        ('repositories = ["app"]', 'repositories = ["other"]', "there is no repository 'other'"),
        ('pool = "github-dev"', 'pool = "gcp-pool"', "4 to 32"),
        ('pool = "github-dev"', 'pool = "github-dev"\nevents = ["pull_request_target"]', "input of strangers"),
        ('pool = "github-dev"', 'pool = "github-dev"\nrefs = ["x\' || true || \'"]', "cannot stand in a condition"),
        ('["DATA_READ"]', '["EVERYTHING"]', "cannot log"),
        ("[custom_roles.watcher]", '[custom_roles."a b"]', "3 to 64 letters"),
        ("[environments.dev]", "[environments.dev]\n[environments.qa]\nvalue = 1", "would hold a value"),
        ("[secrets.api-key]", "[secrets.api-key]\nenviroments = []", "unknown key 'enviroments'"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_call(before: str, after: str, said: str) -> None:
    assert before in SMALL
    with pytest.raises(ConfigError) as caught:
        desired_state(parse(SMALL.replace(before, after, 1), "test.toml"), PROJECT)
    assert said in str(caught.value)


def test_the_number_of_another_project_stops_everything(stage: Stage) -> None:
    stage.read(SMALL.replace(f'id = "{PROJECT}"', f'id = "{PROJECT}"\nnumber = "1"'))
    before = stage.mutations()
    with pytest.raises(ConfigError, match="has number"):
        stage.plan()
    assert stage.mutations() == before


@pytest.mark.parametrize("project", ["", "Acme", "a", "acme_x", "x" * 31])
def test_an_example_for_no_project_is_refused(project: str) -> None:
    with pytest.raises(ConfigError, match="is no project id"):
        example(project)


def test_plans_take_a_call_a_page_and_one_for_each_policy() -> None:
    def text(count: int) -> str:
        secrets = "".join(
            f'[secrets.s{n:04}]\nenvironments = ["dev"]\nconsumers = ["runner-one"]\n' for n in range(count)
        )
        return SMALL.split("[secrets.api-key]")[0] + secrets

    calls = {}
    for count in (20, 40):
        stage = Stage(text(count))
        done(stage)
        for number in range(count):
            stage.world.secrets.add_version(f"s{number:04}-dev", Material(b"a value"))
        stage.world.emulator.calls.clear()
        assert stage.plan().work == ()
        names = [name for name, _ in stage.world.emulator.calls]
        calls[count] = {name: names.count(name) for name in set(names)}
        stage.close()
    growing = {name for name in calls[40] if calls[40][name] != calls[20].get(name, 0)}
    assert growing == {"GetIamPolicy", "AccessSecretVersion"}
    assert calls[40]["ListSecrets"] == 1


@pytest.mark.parametrize("error", [MissingMemberError("x does not exist"), NotFoundError("no account x")])
def test_an_account_that_is_not_known_everywhere_yet_is_waited_for(
    stage: Stage, error: CredsError, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, write = list[str](), stage.policies.set_policy

    def late(resource: str, policy: IamPolicy) -> IamPolicy:
        writes.append(resource)
        if writes.count(resource) < 3:
            raise error
        return write(resource, policy)

    monkeypatch.setattr(stage.policies, "set_policy", late)
    assert {one.ending for one in stage.apply()} == {"done"}
    assert writes.count(SECRET) == 3


@pytest.mark.parametrize("error", [MissingMemberError("no such member"), ConstraintError("no such member by policy")])
def test_a_grant_that_is_never_possible_stops_alone_and_says_why(
    stage: Stage, error: CredsError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(resource: str, policy: IamPolicy) -> IamPolicy:
        assert resource
        assert policy.bindings
        raise error

    monkeypatch.setattr(stage.policies, "set_policy", never)
    endings = stage.apply()
    failed = [one.change.kind for one in endings if one.ending == "failed"]
    assert set(failed) == {ChangeKind.GRANT}
    assert all("no such member" in one.message for one in endings if one.ending == "failed")


def test_a_role_whose_id_is_not_free_yet_is_told_by_its_class(stage: Stage) -> None:
    done(stage)
    stage.rest("DELETE", role_path())
    stage.sleep(10 * 86_400.0)  # it can no longer be undeleted
    with pytest.raises(SoftDeletedError) as caught:
        stage.project.stores[ResourceKind.ROLE].create(
            Resource(Ref(ResourceKind.ROLE, "watcher"), {"title": "w", "description": "", "includedPermissions": []})
        )
    assert "37 days" in caught.value.hint


MANY = SMALL + "".join(
    f'[secrets.value-{number}]\nenvironments = ["dev"]\nconsumers = ["runner-one"]\n' for number in range(6)
)


def test_changes_that_do_not_need_one_another_are_made_at_once_and_told_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage, gauges = Stage(MANY, at_once=8), {"secrets": Gauge(), "policies": Gauge()}

    def measure(kind: type, name: str, gauge: Gauge) -> None:
        work = getattr(kind, name)

        def call(*arguments: object, **options: object) -> object:
            with gauge.call():
                return work(*arguments, **options)

        monkeypatch.setattr(kind, name, call)

    measure(SecretManagerStore, "create_secret", gauges["secrets"])
    measure(RestPolicyStore, "set_policy", gauges["policies"])
    planned = stage.plan()
    endings = stage.apply()
    assert [one.change for one in endings] == list(planned.work)
    assert {one.ending for one in endings} == {"done"}
    assert {name: gauge.most > 1 for name, gauge in gauges.items()} == {"secrets": True, "policies": True}
    assert not stage.plan().work
    stage.close()


def test_nothing_is_begun_once_setup_was_told_to_stop() -> None:
    stage, stopping = Stage(MANY), threading.Event()
    planned, before = stage.plan(), stage.mutations()
    stopping.set()
    assert planned.work
    assert list(apply(planned, stage.project, stage.sleep, stage.plan, stopping=stopping)) == []
    assert stage.mutations() == before
    stage.close()
