"""ResourceStores over REST: services, custom roles, service accounts, workload identity pools and their providers.

Field names are ours where Google's are nested; operations that take a while are waited for.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from orchestra_creds.core.resources import Ref, Resource, ResourceKind
from orchestra_creds.errors import ApiDisabledError, SoftDeletedError
from orchestra_creds.gcp.api import Api
from orchestra_creds.gcp.errors import KnownRefusal
from orchestra_creds.gcp.policies import VERSION
from orchestra_creds.gcp.session import ApiSession

PAGE = 100
"""Items of a page: the smallest of the maxima that Google documents for these lists (iam.v1: service accounts, providers)."""
_ID_NOT_FREE = KnownRefusal(
    "FAILED_PRECONDITION",
    re.compile("marked for deletion"),
    SoftDeletedError,
    hint="its id is free 37 days after the deletion; give the role another name until then",
)
"""Google's answer to a role whose id belonged to one that was deleted (cloud.google.com/iam/docs/creating-custom-roles)."""


class _RestStore:
    """What all of them share: one version of one API."""

    service, version = "iam", "v1"

    def __init__(self, session: ApiSession, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._session = session
        self._sleep = sleep
        self._project = f"projects/{session.project}"
        self._api = Api(session, self.service, self.version, sleep=sleep)

    def _pages(self, doing: str, path: str, field: str, **query: str) -> Iterator[Mapping[str, Any]]:
        return self._api.list_items(doing, path, field, {"pageSize": str(PAGE), **query})


class Services(_RestStore):
    """Enabled APIs. What is not enabled is not there."""

    service = "serviceusage"

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        for item in self._pages(
            "list the enabled APIs", f"{self._project}/services", "services", filter="state:ENABLED"
        ):
            yield Resource(Ref(ResourceKind.SERVICE, str(item["name"]).rpartition("/")[2]))

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"look at {ref.name}", f"{self._project}/services/{ref.name}")
        return Resource(ref) if item is not None and item.get("state") == "ENABLED" else None

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        doing = f"enable {wanted.ref.name}"
        self._api.finish(
            doing, self._api.call(doing, "POST", f"{self._project}/services/{wanted.ref.name}:enable", body={})
        )

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:
        """See ResourceStore: an API has no fields."""

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: an API is never deleted."""


class Roles(_RestStore):
    """Custom roles of the project."""

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        for item in self._pages(
            "list the custom roles", f"{self._project}/roles", "roles", view="FULL", showDeleted="true"
        ):
            yield self._resource(item)

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"read role {ref.name}", self._path(ref))
        return self._resource(item) if item is not None else None

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        body = {"roleId": wanted.ref.name, "role": {**wanted.fields, "stage": "GA"}}
        doing = f"create role {wanted.ref.name}"
        self._api.call(doing, "POST", f"{self._project}/roles", body=body, refusals=[_ID_NOT_FREE])

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:
        """See ResourceStore."""
        body = {**{name: wanted.fields[name] for name in fields}, "etag": etag}
        query = {"updateMask": ",".join(fields)}
        self._api.call(f"change role {wanted.ref.name}", "PATCH", self._path(wanted.ref), body=body, query=query)

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore."""
        self._api.call(f"undelete role {ref.name}", "POST", f"{self._path(ref)}:undelete", body={})

    def _path(self, ref: Ref) -> str:
        return f"{self._project}/roles/{ref.name}"

    @staticmethod
    def _resource(item: Mapping[str, Any]) -> Resource:
        fields = {
            "title": item.get("title", ""),
            "description": item.get("description", ""),
            "includedPermissions": sorted(item.get("includedPermissions", [])),
        }
        ref = Ref(ResourceKind.ROLE, str(item["name"]).rpartition("/")[2])
        return Resource(ref, fields, str(item.get("etag", "")), deleted=bool(item.get("deleted", False)))


class Accounts(_RestStore):
    """Service accounts, by their mail."""

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        for item in self._pages("list the service accounts", f"{self._project}/serviceAccounts", "accounts"):
            yield self._resource(item)

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"read {ref.name}", f"{self._project}/serviceAccounts/{ref.name}")
        return self._resource(item) if item is not None else None

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        body = {"accountId": wanted.ref.name.partition("@")[0], "serviceAccount": dict(wanted.fields)}
        self._api.call(f"create {wanted.ref.name}", "POST", f"{self._project}/serviceAccounts", body=body)

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:
        """See ResourceStore."""
        account = {name: wanted.fields[name] for name in fields} | {"etag": etag}
        body = {"serviceAccount": account, "updateMask": ",".join(fields)}
        self._api.call(
            f"change {wanted.ref.name}", "PATCH", f"{self._project}/serviceAccounts/{wanted.ref.name}", body=body
        )

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: only by its number, which a list does not show."""

    @staticmethod
    def _resource(item: Mapping[str, Any]) -> Resource:
        fields = {"displayName": item.get("displayName", ""), "description": item.get("description", "")}
        return Resource(Ref(ResourceKind.ACCOUNT, str(item["email"])), fields, str(item.get("etag", "")))


class _Federation(_RestStore):
    """Pools and providers: soft-deleted for 30 days, and without etags."""

    def _is_deleted(self, item: Mapping[str, Any]) -> bool:
        return item.get("state") == "DELETED"

    def _change(self, doing: str, verb: str, path: str, **options: Any) -> None:
        self._api.finish(doing, self._api.call(doing, verb, path, **options))


class Pools(_Federation):
    """Workload identity pools."""

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        found = self._pages("list the pools", self._parent, "workloadIdentityPools", showDeleted="true")
        return (self._resource(item) for item in found)

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"read pool {ref.name}", f"{self._parent}/{ref.name}")
        return self._resource(item) if item is not None else None

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        query = {"workloadIdentityPoolId": wanted.ref.name}
        self._change(f"create pool {wanted.ref.name}", "POST", self._parent, body=dict(wanted.fields), query=query)

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:  # noqa: ARG002  pools have none
        """See ResourceStore."""
        body = {name: wanted.fields[name] for name in fields}
        path, query = f"{self._parent}/{wanted.ref.name}", {"updateMask": ",".join(fields)}
        self._change(f"change pool {wanted.ref.name}", "PATCH", path, body=body, query=query)

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore: everything in it returns, too."""
        self._change(f"undelete pool {ref.name}", "POST", f"{self._parent}/{ref.name}:undelete", body={})

    @property
    def _parent(self) -> str:
        return f"{self._project}/locations/global/workloadIdentityPools"

    def _resource(self, item: Mapping[str, Any]) -> Resource:
        fields = {
            "displayName": item.get("displayName", ""),
            "description": item.get("description", ""),
            "disabled": bool(item.get("disabled", False)),
        }
        ref = Ref(ResourceKind.POOL, str(item["name"]).rpartition("/")[2])
        return Resource(ref, fields, deleted=self._is_deleted(item))


class Providers(_Federation):
    """Providers of all pools; a name is `POOL/PROVIDER`."""

    def every(self) -> Iterator[Resource]:
        """See ResourceStore."""
        for pool in Pools(self._session, sleep=self._sleep).every():
            if pool.deleted:
                continue
            path = f"{self._parent(pool.ref.name)}"
            for item in self._pages("list the providers", path, "workloadIdentityPoolProviders", showDeleted="true"):
                yield self._resource(item)

    def find(self, ref: Ref) -> Resource | None:
        """See ResourceStore."""
        item = self._api.find(f"read provider {ref.name}", self._path(ref))
        return self._resource(item) if item is not None else None

    def create(self, wanted: Resource) -> None:
        """See ResourceStore."""
        pool, _, name = wanted.ref.name.partition("/")
        query = {"workloadIdentityPoolProviderId": name}
        doing = f"create provider {wanted.ref.name}"
        self._change(doing, "POST", self._parent(pool), body=_provider_body(wanted.fields), query=query)

    def update(self, wanted: Resource, fields: Sequence[str], etag: str) -> None:  # noqa: ARG002  providers have none
        """See ResourceStore."""
        mask = ",".join("oidc.issuerUri" if name == "issuerUri" else name for name in fields)
        body = _provider_body({name: wanted.fields[name] for name in fields})
        doing = f"change provider {wanted.ref.name}"
        self._change(doing, "PATCH", self._path(wanted.ref), body=body, query={"updateMask": mask})

    def undelete(self, ref: Ref) -> None:
        """See ResourceStore."""
        self._change(f"undelete provider {ref.name}", "POST", f"{self._path(ref)}:undelete", body={})

    def _parent(self, pool: str) -> str:
        return f"{self._project}/locations/global/workloadIdentityPools/{pool}/providers"

    def _path(self, ref: Ref) -> str:
        pool, _, name = ref.name.partition("/")
        return f"{self._parent(pool)}/{name}"

    def _resource(self, item: Mapping[str, Any]) -> Resource:
        parts = str(item["name"]).split("/")
        fields = {
            "attributeMapping": dict(item.get("attributeMapping", {})),
            "attributeCondition": item.get("attributeCondition", ""),
            "issuerUri": item.get("oidc", {}).get("issuerUri", ""),
            "disabled": bool(item.get("disabled", False)),
        }
        return Resource(Ref(ResourceKind.PROVIDER, f"{parts[-3]}/{parts[-1]}"), fields, deleted=self._is_deleted(item))


def _provider_body(fields: Mapping[str, object]) -> dict[str, object]:
    body = {name: value for name, value in fields.items() if name != "issuerUri"}
    return {**body, "oidc": {"issuerUri": fields["issuerUri"]}} if "issuerUri" in fields else body


class RestProjectStore(_RestStore):
    """See ProjectStore."""

    service, version = "cloudresourcemanager", "v3"

    def number(self) -> str:
        """See ProjectStore."""
        try:
            reply = self._api.get("read the project", f"projects/{self._session.project}")
        except ApiDisabledError as error:  # Service Usage, which can enable it, tells the number as well
            usage = Api(self._session, Services.service, Services.version)
            found = usage.get(f"look at {error.service}", f"projects/{self._session.project}/services/{error.service}")
            number = str(found["name"]).split("/")[1]
            if not number.isdigit():
                raise
            return number
        return str(reply["name"]).rpartition("/")[2]

    def audit(self) -> Mapping[str, frozenset[str]]:
        """See ProjectStore."""
        return _audit(self._policy())

    def set_audit(self, wanted: Mapping[str, frozenset[str]]) -> None:
        """See ProjectStore: the mask names the audit configuration alone."""
        before = self._policy()
        exempt = {
            (item["service"], log["logType"]): log["exemptedMembers"]
            for item in before.get("auditConfigs", [])
            for log in item.get("auditLogConfigs", [])
            if log.get("exemptedMembers")
        }
        configs = [
            {
                "service": service,
                "auditLogConfigs": [
                    {
                        "logType": kind,
                        **({"exemptedMembers": exempt[service, kind]} if (service, kind) in exempt else {}),
                    }
                    for kind in sorted(kinds)
                ],
            }
            for service, kinds in sorted(wanted.items())
        ]
        policy = {"version": VERSION, "auditConfigs": configs, "etag": before.get("etag", "")}
        body = {"policy": policy, "updateMask": "auditConfigs,etag"}
        self._api.call("change what is audited", "POST", f"projects/{self._session.project}:setIamPolicy", body=body)

    def _policy(self) -> dict[str, Any]:
        body = {"options": {"requestedPolicyVersion": VERSION}}
        path = f"projects/{self._session.project}:getIamPolicy"
        return self._api.call("read the policy of the project", "POST", path, body=body, repeatable=True)


def _audit(policy: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    return {
        str(item["service"]): frozenset(str(log["logType"]) for log in item.get("auditLogConfigs", []))
        for item in policy.get("auditConfigs", [])
    }
