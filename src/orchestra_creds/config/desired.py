"""The tables of the file -> what `setup` shall bring about. Pure; every reference is checked before any call."""

import re
from collections.abc import Iterator, Mapping
from datetime import date

from orchestra_creds.config import credential_declarations
from orchestra_creds.config.credentials import CredentialTable
from orchestra_creds.config.document import Document
from orchestra_creds.config.environments import number_of, secret_name
from orchestra_creds.config.resources import AccountTable, ConsumerTable, FederationTable, GithubTable, SecretTable
from orchestra_creds.core import credential, durations, federation, google
from orchestra_creds.core.accounts import mail
from orchestra_creds.core.policies import distinct_grants
from orchestra_creds.core.resources import PROJECT_WIDE, DesiredState, Grant, Ref, Resource, ResourceKind
from orchestra_creds.errors import ConfigError

NEEDED_SERVICES = (
    "secretmanager.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "serviceusage.googleapis.com",
    "orgpolicy.googleapis.com",
    "policyanalyzer.googleapis.com",
    "monitoring.googleapis.com",
)
"""APIs that `setup`, `rotate`, `status`, `secret` and `key` call whatever the file says."""
STS = "sts.googleapis.com"
API_KEYS = "apikeys.googleapis.com"
KEYS = ("none", "forbidden", "rotated")
LOGGED = ("ADMIN_READ", "DATA_READ", "DATA_WRITE")
_ACCOUNT = re.compile(r"[a-z](?:[-a-z0-9]{4,28}[a-z0-9])")
_ROLE = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_POOL = re.compile(r"(?!gcp-)[a-z0-9-]{4,32}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,200}")


def desired_state(document: Document, project: str) -> DesiredState:
    """What the file asks for.

    Raises:
        ConfigError: a name, a reference or a policy that cannot be.
    """
    accounts = dict(_accounts(document, project))
    secrets = dict(_secrets(document, project))
    pools = list(_federation(document))
    return DesiredState(
        project=project,
        number=number_of(document, project),
        resources=(
            *(Resource(Ref(ResourceKind.SERVICE, name)) for name in sorted(_services(document))),
            *_roles(document),
            *accounts.values(),
            *secrets.values(),
            *pools,
        ),
        grants=distinct_grants((*_grants(document, project), *_accessors(document, project))),
        exact=frozenset(_exact_holders(document, project)),
        audit=_audit(document),
        keyless=frozenset(mail(n, project) for n, t in document.service_accounts.items() if t.keys != "rotated"),
        waiting=frozenset(name for name, r in secrets.items() if not _is_rotated_by_us(r)),
        guarded=dict(_guarded_resources(document, project)),
    )


def _services(document: Document) -> set[str]:
    """Return the APIs that the file names and those that its sections need."""
    kinds = {table.kind for table in document.credentials.values()}
    return {
        *NEEDED_SERVICES,
        *document.services,
        *([STS] if document.github else []),
        *([API_KEYS] if credential.CredentialKind.API_KEY in kinds else []),
    }


def _roles(document: Document) -> Iterator[Resource]:
    for name, table in document.custom_roles.items():
        if not _ROLE.fullmatch(name):
            raise ConfigError(f"custom role {name!r}: 3 to 64 letters, digits, dots and underscores")
        fields = {
            "title": table.title or name,
            "description": table.description,
            "includedPermissions": sorted(set(table.permissions)),
        }
        yield Resource(Ref(ResourceKind.ROLE, name), fields)


def _accounts(document: Document, project: str) -> Iterator[tuple[str, Resource]]:
    for name, table in document.service_accounts.items():
        if not _ACCOUNT.fullmatch(name):
            raise ConfigError(f"service account {name!r}: 6 to 30 lower-case letters, digits and hyphens")
        if table.keys not in KEYS:
            raise ConfigError(
                f"service account {name}: keys {table.keys!r} is not known", hint=f"one of {', '.join(KEYS)}"
            )
        if (table.keys == "rotated") != bool(table.rotation):
            raise ConfigError(f'service account {name}: keys = "rotated" and rotation = "POLICY" go together')
        fields = {
            "displayName": table.display_name or name,
            "description": f"{table.description} [{google.OWNER}]".strip(),
        }
        yield name, Resource(Ref(ResourceKind.ACCOUNT, mail(name, project)), fields)


def _secrets(document: Document, project: str) -> Iterator[tuple[str, Resource]]:
    for name, table in document.secrets.items():
        for environment in _environments(document, name, table):
            secret = secret_name(document, name, environment)
            labels = {**google.MANAGED_LABELS, **({"env": environment} if environment else {})}
            if table.rotation:
                labels |= _policy_labels(document, table.rotation, secret, "", project)
            yield secret, _secret(document, table, secret, labels, environment)
    for name, account in document.service_accounts.items():
        if account.keys == "rotated":
            secret = google.key_secret(name)
            labels = {**google.MANAGED_LABELS, **_policy_labels(document, account.rotation, secret, name, project)}
            yield secret, _secret(document, SecretTable(), secret, labels)


def _secret(
    document: Document, table: SecretTable, secret: str, labels: Mapping[str, str], environment: str = ""
) -> Resource:
    if not _SECRET.fullmatch(secret):
        raise ConfigError(f"secret {secret!r}: letters, digits, - and _, at most 200")
    default = document.defaults.secret
    fields: dict[str, object] = {
        "labels": dict(labels),
        "replication": sorted(default.replication if table.replication is None else table.replication),
    }
    least = document.environments[environment].destroy_ttl if environment else ""
    spans = [text for text in (table.destroy_ttl or default.destroy_ttl, least) if text]
    if spans:
        seconds = [durations.parse(text, what=f"secret {secret}: destroy_ttl").total_seconds() for text in spans]
        fields["destroyTtl"] = int(max(seconds))
    return Resource(Ref(ResourceKind.SECRET, secret), fields)


def _policy_labels(document: Document, policy: str, secret: str, account: str, project: str) -> dict[str, str]:
    table = document.rotation.get(policy)
    if table is None:
        raise ConfigError(
            f"secret {secret}: there is no rotation policy {policy!r}", hint=_known_names(document.rotation)
        )
    as_credential = CredentialTable(
        kind=table.kind,
        account=account,
        secret=secret,
        every=table.every,
        grace=table.grace,
        soak=table.soak,
        settle=table.settle,
        require_unused=table.require_unused,
    )
    return credential_declarations.labels_of(
        credential_declarations.credential(secret, as_credential, project), project
    )


def _environments(document: Document, name: str, table: SecretTable) -> tuple[str, ...]:
    for environment in table.environments:
        if environment not in document.environments:
            raise ConfigError(
                f"secret {name}: there is no environment {environment!r}", hint=_known_names(document.environments)
            )
    return table.environments or ("",)


def _require_narrow(role: str, account: str) -> None:
    """Refuse a role that would let an account read every secret of the project, or become every other account."""
    if role in PROJECT_WIDE:
        raise ConfigError(
            f"{role} for {account} would reach the whole project",
            hint="name the role that it needs; consumers of [secrets.NAME] may read that one secret; see docs/setup.md",
        )


def _grants(document: Document, project: str) -> Iterator[Grant]:
    for name, table in document.service_accounts.items():
        member = f"serviceAccount:{mail(name, project)}"
        for role in table.project_roles:
            _require_narrow(role, name)
            yield Grant(f"projects/{project}", role, member)
        for role in table.custom_roles:
            if role not in document.custom_roles:
                raise ConfigError(
                    f"service account {name}: there is no custom role {role!r}",
                    hint=_known_names(document.custom_roles),
                )
            yield Grant(f"projects/{project}", f"projects/{project}/roles/{role}", member)
        for other in table.act_as:
            yield Grant(
                _account_name(document, other, project, f"service account {name}: act_as"), google.ACCOUNT_USER, member
            )
    if document.github is not None:
        for rule in document.github.federation:
            for target in rule.impersonates:
                holder = _account_name(document, target, project, f"federation {rule.pool}: impersonates")
                for number in _repository_ids(document.github, rule):
                    yield Grant(holder, google.WORKLOAD_IDENTITY_USER, federation.member(rule.pool, number))


def _accessors(document: Document, project: str) -> Iterator[Grant]:
    for name, table in document.secrets.items():
        for environment in _environments(document, name, table):
            holder = f"projects/{project}/secrets/{secret_name(document, name, environment)}"
            for consumer in table.consumers:
                one = consumer if isinstance(consumer, ConsumerTable) else ConsumerTable(consumer)
                if one.only and environment not in one.only:
                    continue
                yield _accessor(document, project, name, holder, one)


def _accessor(document: Document, project: str, name: str, holder: str, one: ConsumerTable) -> Grant:
    member = one.member
    if ":" not in member:
        if member not in document.service_accounts:
            raise ConfigError(
                f"secret {name}: there is no service account {member!r}", hint=_known_names(document.service_accounts)
            )
        member = f"serviceAccount:{mail(member, project)}"
    if member in google.EVERYONE:
        raise ConfigError(f"secret {name}: {member} would be everybody")
    if not one.expires:
        return Grant(holder, google.SECRET_ACCESSOR, member)
    try:
        ends = date.fromisoformat(one.expires)
    except ValueError:
        raise ConfigError(f"secret {name}: {one.expires!r} is no day", hint="write it as 2027-01-31") from None
    return Grant(
        holder, google.SECRET_ACCESSOR, member, f'request.time < timestamp("{ends}T00:00:00Z")', f"until {ends}"
    )


def _exact_holders(document: Document, project: str) -> Iterator[str]:
    for name, table in document.secrets.items():
        if table.accessors not in {"additive", "exact"}:
            raise ConfigError(f"secret {name}: accessors {table.accessors!r} is not known", hint="additive or exact")
        if table.accessors == "exact":
            for environment in _environments(document, name, table):
                yield f"projects/{project}/secrets/{secret_name(document, name, environment)}"


def _guarded_resources(document: Document, project: str) -> Iterator[tuple[str, str]]:
    """What belongs to environments whose name must be typed: holders of policies, and resources as they are told."""
    asking = {name for name, one in document.environments.items() if one.confirm}
    for name, table in document.secrets.items():
        for environment in asking & set(_environments(document, name, table)):
            secret = secret_name(document, name, environment)
            yield f"projects/{project}/secrets/{secret}", environment
            yield str(Ref(ResourceKind.SECRET, secret)), environment
    for rule in document.github.federation if document.github is not None else ():
        if rule.env in asking:
            yield str(Ref(ResourceKind.POOL, rule.pool)), rule.env
            yield str(Ref(ResourceKind.PROVIDER, f"{rule.pool}/{rule.provider}")), rule.env


def _federation(document: Document) -> Iterator[Resource]:
    github = document.github
    if github is None:
        return
    protected = sorted({rule.github_environment for rule in github.federation if rule.github_environment})
    seen = set()
    for rule in github.federation:
        if rule.env not in document.environments:
            raise ConfigError(
                f"federation {rule.pool}: there is no environment {rule.env!r}",
                hint=_known_names(document.environments),
            )
        if not _POOL.fullmatch(rule.pool) or not _POOL.fullmatch(rule.provider):
            raise ConfigError(f"federation {rule.pool}/{rule.provider}: 4 to 32 lower-case letters, digits and hyphens")
        if rule.pool in seen:
            raise ConfigError(
                f"federation: pool {rule.pool} stands for two rules",
                hint="a member names the pool and not the provider: one pool each",
            )
        seen.add(rule.pool)
        about = f"GitHub Actions, {rule.env} [{google.OWNER}]"
        yield Resource(
            Ref(ResourceKind.POOL, rule.pool), {"displayName": rule.pool, "description": about, "disabled": False}
        )
    for rule in github.federation:
        text = federation.condition(
            github.owner_id,
            _repository_ids(github, rule),
            rule.refs,
            rule.events,
            environment=rule.github_environment,
            not_environments=protected,
        )
        fields = {
            "attributeMapping": dict(federation.MAPPING),
            "attributeCondition": text,
            "issuerUri": federation.ISSUER,
            "disabled": False,
        }
        yield Resource(Ref(ResourceKind.PROVIDER, f"{rule.pool}/{rule.provider}"), fields)


def _repository_ids(github: GithubTable, rule: FederationTable) -> list[int]:
    numbers = {repository.name: repository.id for repository in github.repositories}
    for name in rule.repositories:
        if name not in numbers:
            raise ConfigError(f"federation {rule.pool}: there is no repository {name!r}", hint=_known_names(numbers))
    return [numbers[name] for name in rule.repositories]


def _audit(document: Document) -> dict[str, frozenset[str]]:
    for service, kinds in document.audit.data_access.items():
        wrong = sorted(set(kinds) - set(LOGGED))
        if wrong:
            raise ConfigError(f"audit: {service} cannot log {wrong[0]!r}", hint=f"one of {', '.join(LOGGED)}")
    return {service: frozenset(kinds) for service, kinds in document.audit.data_access.items() if kinds}


def _account_name(document: Document, name: str, project: str, what: str) -> str:
    if name not in document.service_accounts:
        raise ConfigError(f"{what}: there is no service account {name!r}", hint=_known_names(document.service_accounts))
    return f"projects/{project}/serviceAccounts/{mail(name, project)}"


def _known_names(names: Mapping[str, AccountTable] | Mapping[str, object]) -> str:
    return f"known here: {', '.join(sorted(names)) or 'none'}"


def _is_rotated_by_us(secret: Resource) -> bool:
    labels = secret.fields.get("labels")
    kind = labels.get(credential_declarations.LABEL_KIND, "manual") if isinstance(labels, Mapping) else "manual"
    return kind != "manual"
