"""What the secret verbs do beyond one call of the store: look first, refuse what loses something, say what happened.

Works on ports only. Guarantees: a value is checked before anything is created; a version is destroyed only when it is disabled; a
policy is changed under its etag; nothing here holds or prints a value but inside `Material`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestra_creds.core import google, values
from orchestra_creds.core.cloud_types import SecretResource, Version, VersionMaterial, VersionState
from orchestra_creds.core.material import Material
from orchestra_creds.core.policies import change_policy
from orchestra_creds.core.ports import PolicyStore, SecretStore
from orchestra_creds.core.resources import Grant
from orchestra_creds.errors import AuthError, ConfigError, CredsError, NotFoundError, PreconditionError
from orchestra_creds.parallel import CALLS_AT_ONCE, call_both, map_in_order

TRIES = 5
"""How often a policy is read and written again when somebody changes it in between."""

ROLES = {
    "accessor": google.SECRET_ACCESSOR,
    "adder": google.SECRET_VERSION_ADDER,
    "manager": google.SECRET_VERSION_MANAGER,
    "viewer": google.SECRET_VIEWER,
}
"""Short names of the roles that make sense on one secret."""


def store_value(
    store: SecretStore,
    name: str,
    material: Material,
    *,
    format_: str = "nonempty",
    labels: Mapping[str, str] | None = None,
) -> Version:
    """Check the value, add the version, and make the secret first where it is missing.

    Who may only add versions can do that here: nothing is looked up before.

    Raises:
        ConfigError: the value is empty, a placeholder, too long or not of the format; nothing was created.
    """
    values.check(material, name=name, format_=format_)
    try:
        return store.add_version(name, material)
    except NotFoundError:
        store.create_secret(name, labels=labels)
        return store.add_version(name, material)


def _newest_is(store: SecretStore, name: str, material: Material) -> bool:
    newest = next(store.list_versions(name), None)
    if newest is None or newest.state is not VersionState.ENABLED:
        return False
    try:
        return store.access(name, newest.number).material == material
    except AuthError:
        return False


class ImportState(StrEnum):
    """What becomes of one line of a .env file."""

    ADD = "add"
    CREATE = "create"
    SAME = "same"
    REFUSED = "refused"


TO_STORE = frozenset({ImportState.ADD, ImportState.CREATE})
"""The states in which applying the plan changes something."""


@dataclass(frozen=True, slots=True)
class ImportStep:
    """One variable and what will become of it; `reason` says why it is refused."""

    variable: str
    secret: str
    state: ImportState
    reason: str = ""
    material: Material | None = None


def plan_import(
    store: SecretStore,
    variables: Mapping[str, Material],
    *,
    name_of: Callable[[str], str],
    at_once: int = CALLS_AT_ONCE,
) -> tuple[ImportStep, ...]:
    """Return what `secret import-env` would do, without doing it; one step a variable, in their order.

    Raises:
        ConfigError: two variables would become one secret; the store was not asked.
    """
    names: dict[str, str] = {}
    for variable in variables:
        name = name_of(variable)
        if name in names:
            raise ConfigError(
                f"variables {names[name]} and {variable} would both become secret {name}",
                hint="nothing was stored; rename or remove one of them",
            )
        names[name] = variable

    def plan_step(name: str) -> ImportStep:
        variable = names[name]
        material = variables[variable]
        try:
            values.check(material, name=name)
        except ConfigError as error:
            return ImportStep(variable, name, ImportState.REFUSED, reason=str(error))
        if store.find_secret(name) is None:
            state = ImportState.CREATE
        else:
            state = ImportState.SAME if _newest_is(store, name, material) else ImportState.ADD
        return ImportStep(variable, name, state, material=material)

    return tuple(map_in_order(plan_step, names, at_once=at_once))


def apply_import(
    store: SecretStore, steps: Sequence[ImportStep], *, at_once: int = CALLS_AT_ONCE
) -> dict[str, CredsError]:
    """Store what the plan says, each value whatever becomes of the others; return why a variable's value was not stored, by variable.

    A plan made after it has nothing left to store but those.
    """

    def store_step(step: ImportStep) -> CredsError | None:
        if step.material is not None:
            try:
                store_value(store, step.secret, step.material)
            except CredsError as error:
                return error
        return None

    due = [step for step in steps if step.state in TO_STORE]
    failures = zip(due, map_in_order(store_step, due, at_once=at_once), strict=True)
    return {step.variable: error for step, error in failures if error is not None}


def secret_name(variable: str) -> str:
    """`DB_PASSWORD` -> `db-password`: the name that `import-env` gives a variable."""
    return variable.lower().replace("_", "-")


def resolve(store: SecretStore, name: str, version: str) -> Version:
    """The version by number, alias or `latest`.

    Raises:
        NotFoundError: there is none.
    """
    return store.get_version(name, values.version_selector(version))


def access(store: SecretStore, name: str, version: str) -> VersionMaterial:
    """Return the value of a version, given by number, alias or `latest`.

    Raises:
        PreconditionError: the version is disabled or destroyed; the hint names the newest that is enabled.
    """
    try:
        return store.access(name, values.version_selector(version))
    except PreconditionError as error:
        if type(error) is not PreconditionError:  # its hint says what is in the way
            raise
        raise PreconditionError(str(error), hint=_hint_at_versions(store, name)) from None


def _hint_at_versions(store: SecretStore, name: str) -> str:
    see_all = f"see all of them: orchestra-creds secret versions {name}"
    try:
        enabled = next((one for one in store.list_versions(name) if one.state is VersionState.ENABLED), None)
    except CredsError:  # who may read a value may not always list
        return see_all
    if enabled is None:
        return f"no version of it is enabled; {see_all}"
    return f"the newest enabled version is {enabled.number} (--version {enabled.number}); {see_all}"


def disable(store: SecretStore, name: str, version: str) -> Version:
    """Disable a version; one that is disabled already stays so."""
    found = resolve(store, name, version)
    return found if found.state is VersionState.DISABLED else store.disable_version(name, found.number, etag=found.etag)


def enable(store: SecretStore, name: str, version: str) -> Version:
    """Enable a version; also cancels its pending destruction."""
    found = resolve(store, name, version)
    return found if found.state is VersionState.ENABLED else store.enable_version(name, found.number, etag=found.etag)


def check_destroyable(store: SecretStore, name: str, version: str) -> Version:
    """The version that may be destroyed.

    Raises:
        PreconditionError: it is enabled: disabling, which can be undone, comes first.
    """
    found = resolve(store, name, version)
    if found.state is VersionState.ENABLED:
        raise PreconditionError(
            f"version {found.number} of {name} is enabled, and destroying cannot be undone",
            hint=f"disable it first and watch its readers: orchestra-creds secret disable {name} {found.number}",
        )
    return found


def destroy(store: SecretStore, version: Version) -> Version:
    """Destroy a version that `check_destroyable` answered, if it is still the same."""
    if version.state is VersionState.DESTROYED:
        return version
    return store.destroy_version(version.secret, version.number, etag=version.etag)


@dataclass(frozen=True, slots=True)
class GrantResult:
    """A grant; `changed` is False when the member had the role already."""

    resource: str
    member: str
    role: str
    changed: bool


def grant(policies: PolicyStore, resource: str, member: str, role: str) -> GrantResult:
    """Give a member a role on one secret, keeping everything else in its policy.

    Raises:
        ConfigError: the member has no type, or is everybody.
        PreconditionError: the policy kept changing.
    """
    full = ROLES.get(role, role)
    kind, _, who = member.partition(":")
    if kind in google.EVERYONE:
        raise ConfigError(f"{kind} would make the secret public", hint="name one account, user or group")
    if not who:
        raise ConfigError(
            f"{member!r} has no type", hint="write serviceAccount:MAIL, user:MAIL, group:MAIL or principal://..."
        )
    if not full.startswith(("roles/", "projects/", "organizations/")):
        raise ConfigError(f"unknown role {role!r}", hint=f"one of {', '.join(ROLES)}, or a full name: roles/...")
    changed = change_policy(policies, resource, (Grant(resource, full, member),), tries=TRIES)
    return GrantResult(resource, member, full, changed=changed)


def list_versions(store: SecretStore, name: str) -> tuple[SecretResource, tuple[Version, ...]]:
    """A secret with all its versions, newest first."""
    return call_both(lambda: store.get_secret(name), lambda: tuple(store.list_versions(name)))
