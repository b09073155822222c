"""Which secrets `setup destroy` may delete."""

from collections.abc import Collection

from orchestra_creds.core.cloud_types import VersionState
from orchestra_creds.core.google import MANAGED_BY, OWNER
from orchestra_creds.core.ports import SecretStore
from orchestra_creds.errors import PreconditionError


def require_deletable(secrets: SecretStore, name: str, keeping: Collection[str]) -> str:
    """Return the etag of a secret that may be deleted; `keeping` are the environments where nothing is deleted.

    Raises:
        PreconditionError: setup did not make it, its environment keeps it, or a version of it can still be read.
    """
    secret = secrets.get_secret(name)
    if secret.labels.get(MANAGED_BY) != OWNER:
        raise PreconditionError(f"secret {name} was not made by setup", hint="nothing that is not ours is deleted")
    environment = secret.labels.get("env", "")
    if environment in keeping:
        raise PreconditionError(
            f"secret {name} is of {environment}, where nothing is deleted",
            hint=f"environments.{environment}.deletion in orchestra-creds.toml says so",
        )
    enabled = [version.number for version in secrets.list_versions(name) if version.state is VersionState.ENABLED]
    if enabled:
        raise PreconditionError(
            f"version {enabled[0]} of secret {name} can still be read",
            hint=f"orchestra-creds secret disable {name} {enabled[0]}; watch for a day whether anybody misses it",
        )
    return secret.etag
