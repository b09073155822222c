"""Service accounts: naming, changing, switching off, deleting and bringing back."""

from datetime import timedelta

import pytest

from orchestra_creds.emulator.protocol.errors import Code
from tests.emulator.conftest import Cloud, refused
from tests.emulator.identities import PROJECT, Caller, account_name, email
from tests.strictness import switch_to_strict


@pytest.fixture
def iam(cloud: Cloud) -> Caller:
    return Caller(cloud.emulator, "")


def test_an_account_is_created_with_a_unique_id_and_found_by_it(iam: Caller) -> None:
    made = iam.call(
        "CreateServiceAccount",
        name=PROJECT,
        account_id="rotator",
        service_account={"display_name": "Rotator", "description": "turns"},
    )
    assert (made.name, made.email) == (account_name("rotator"), email("rotator"))
    assert (made.project_id, made.display_name, made.description) == ("demo-project", "Rotator", "turns")
    assert len(made.unique_id) == 21
    assert made.oauth2_client_id == made.unique_id
    for name in (email("rotator"), made.unique_id):
        for project in ("demo-project", "-"):
            assert iam.call("GetServiceAccount", name=f"projects/{project}/serviceAccounts/{name}") == made


@pytest.mark.parametrize(
    "account_id", ["short", "a" * 31, "Upper-case", "1digit-first", "ends-with-", "under_score", ""]
)
def test_an_account_id_is_6_to_30_lower_case_letters_digits_and_hyphens(iam: Caller, account_id: str) -> None:
    with refused(Code.INVALID_ARGUMENT):
        iam.account(account_id)


def test_an_address_is_given_once(iam: Caller) -> None:
    iam.account()
    with refused(Code.ALREADY_EXISTS, "rotator already exists"):
        iam.account()


def test_an_account_of_another_project_is_not_found_there(iam: Caller, cloud: Cloud) -> None:
    switch_to_strict(cloud.store, "other-project")
    iam.account()
    with refused(Code.NOT_FOUND):
        iam.call("GetServiceAccount", name=f"projects/other-project/serviceAccounts/{email('rotator')}")


def test_a_project_has_a_limited_number_of_accounts(iam: Caller, cloud: Cloud) -> None:
    with cloud.store.transaction() as txn:
        txn.set_setting("most_accounts", 2)
    iam.account("first-one")
    iam.account("second-one")
    with refused(Code.RESOURCE_EXHAUSTED, "Maximum number"):
        iam.account("third-one")


def test_accounts_are_listed_in_pages(iam: Caller) -> None:
    for number in range(5):
        iam.account(f"account-{number}")
    seen: list[str] = []
    token = ""
    while True:
        page = iam.call("ListServiceAccounts", name=PROJECT, page_size=2, page_token=token)
        seen += [account.email for account in page.accounts]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == [email(f"account-{number}") for number in range(5)]


def test_update_changes_the_display_name_under_the_etag(iam: Caller) -> None:
    made = iam.account()
    changed = iam.call("UpdateServiceAccount", name=made.name, display_name="New", etag=made.etag)
    assert (changed.display_name, changed.etag != made.etag) == ("New", True)
    with refused(Code.ABORTED):
        iam.call("UpdateServiceAccount", name=made.name, display_name="Newer", etag=made.etag)


def test_patch_changes_what_the_mask_names(iam: Caller) -> None:
    made = iam.account()
    fields = {"name": made.name, "display_name": "no", "description": "yes"}
    changed = iam.call("PatchServiceAccount", service_account=fields, update_mask={"paths": ["description"]})
    assert (changed.display_name, changed.description) == ("", "yes")
    for mask in ([], ["email"], ["disabled"]):
        with refused(Code.INVALID_ARGUMENT):
            iam.call("PatchServiceAccount", service_account=fields, update_mask={"paths": mask})
    with refused(Code.INVALID_ARGUMENT):
        iam.call(
            "PatchServiceAccount",
            service_account={"name": made.name, "display_name": "x" * 101},
            update_mask={"paths": ["display_name"]},
        )


def test_disable_and_enable_can_be_repeated(iam: Caller) -> None:
    made = iam.account()
    for method, disabled in (("Disable", True), ("Disable", True), ("Enable", False), ("Enable", False)):
        iam.call(f"{method}ServiceAccount", name=made.name)
        assert iam.call("GetServiceAccount", name=made.name).disabled is disabled


def test_a_deleted_account_comes_back_by_its_unique_id_within_30_days(iam: Caller, cloud: Cloud) -> None:
    made = iam.account()
    iam.call("DeleteServiceAccount", name=made.name)
    with refused(Code.NOT_FOUND):
        iam.call("GetServiceAccount", name=made.name)
    cloud.store.advance(timedelta(days=29))
    back = iam.call("UndeleteServiceAccount", name=f"{PROJECT}/serviceAccounts/{made.unique_id}").restored_account
    assert (back.email, back.unique_id) == (made.email, made.unique_id)
    iam.call("DeleteServiceAccount", name=made.name)
    cloud.store.advance(timedelta(days=31))
    with refused(Code.NOT_FOUND):
        iam.call("UndeleteServiceAccount", name=f"{PROJECT}/serviceAccounts/{made.unique_id}")


def test_a_new_account_under_an_old_address_is_another_one(iam: Caller) -> None:
    first = iam.account()
    iam.bind(PROJECT, "roles/viewer", f"serviceAccount:{first.email}")
    iam.call("DeleteServiceAccount", name=first.name)
    second = iam.account()
    assert second.unique_id != first.unique_id
    policy = iam.call("GetIamPolicy", "google.iam.v1.IAMPolicy", resource=PROJECT)
    assert list(policy.bindings[0].members) == [f"deleted:serviceAccount:{first.email}?uid={first.unique_id}"]
    with refused(Code.FAILED_PRECONDITION, "has the address"):
        iam.call("UndeleteServiceAccount", name=f"{PROJECT}/serviceAccounts/{first.unique_id}")


def test_bindings_come_back_with_the_account(iam: Caller) -> None:
    made = iam.account()
    iam.bind(PROJECT, "roles/viewer", f"serviceAccount:{made.email}")
    iam.call("DeleteServiceAccount", name=made.name)
    iam.call("UndeleteServiceAccount", name=f"{PROJECT}/serviceAccounts/{made.unique_id}")
    policy = iam.call("GetIamPolicy", "google.iam.v1.IAMPolicy", resource=PROJECT)
    assert list(policy.bindings[0].members) == [f"serviceAccount:{made.email}"]


def test_an_account_carries_a_policy_under_every_name(iam: Caller) -> None:
    made = iam.account()
    iam.bind(made.name, "roles/iam.serviceAccountTokenCreator", "user:a@example.com")
    policy = iam.call("GetIamPolicy", resource=f"projects/-/serviceAccounts/{made.unique_id}")
    assert policy.bindings[0].members == ["user:a@example.com"]
    with refused(Code.NOT_FOUND):
        iam.call("GetIamPolicy", resource=account_name("nobody"))


@pytest.mark.parametrize(
    "method", ["GetServiceAccount", "DisableServiceAccount", "EnableServiceAccount", "DeleteServiceAccount"]
)
@pytest.mark.parametrize(("name", "code"), [(account_name("nobody"), Code.NOT_FOUND), ("x", Code.INVALID_ARGUMENT)])
def test_an_unknown_account_is_refused(iam: Caller, method: str, name: str, code: Code) -> None:
    with refused(code):
        iam.call(method, name=name)
