"""Environments: the project that each lives in, and what of the file is meant when one of them, or one project, is worked on. Pure."""

from collections.abc import Mapping

import msgspec

from orchestra_creds.config.document import Document
from orchestra_creds.config.resources import SecretTable
from orchestra_creds.core.values import full_name
from orchestra_creds.errors import ConfigError

PRODUCTION = frozenset({"prod", "production"})
ALIASES = {"development": "dev", "production": "prod", "stage": "staging"}
"""Names of environments that services use, and the ones that secrets end in."""
PROJECT_VARIABLE = "ORCHESTRA_CREDS_PROJECT"
GOOGLE_PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"
"""Set on Cloud Run, in Cloud Shell and by many CI set-ups, so it counts last."""


def environment_of(document: Document, name: str) -> str:
    """Return the environment that `name` means: one of the file, or the short form of an alias; "" for none.

    Raises:
        ConfigError: the file has environments, and this is none of them.
    """
    known = document.environments
    found = name if name in known else ALIASES.get(name, name)
    if found and known and found not in known:
        raise ConfigError(f"there is no environment {name!r}", hint=f"configured: {', '.join(sorted(known))}")
    return found


def secret_name(document: Document, name: str, environment: str) -> str:
    """Return the full name of a secret in an environment, by the file's `[naming] secret`. All verbs and the library use it.

    Raises:
        ConfigError: the file has environments, and this is none of them.
    """
    return full_name(name, environment_of(document, environment), document.naming.secret)


def choose_project(document: Document, environment: str, given: str, variables: Mapping[str, str]) -> str:
    """Return the project that is meant, or "" if nothing names one. All verbs and the library use it.

    The order: what the caller gave, ORCHESTRA_CREDS_PROJECT, the environment's project, the file's project, GOOGLE_CLOUD_PROJECT.
    """
    return (
        given
        or variables.get(PROJECT_VARIABLE, "")
        or project_of(document, environment)
        or variables.get(GOOGLE_PROJECT_VARIABLE, "")
    )


def project_of(document: Document, environment: str) -> str:
    """The project of an environment, or the file's own; "" when the file names none."""
    known = document.environments.get(environment)
    return (known.project if known is not None else "") or document.project.id


def number_of(document: Document, project: str) -> str:
    """The number that the file says this project has, or ""."""
    return next((e.number for e in document.environments.values() if e.project == project), document.project.number)


def is_guarded(document: Document, environment: str) -> bool:
    """Whether a person is asked for more in it: production by its name, or where the file wants its name typed."""
    known = document.environments.get(environment)
    return environment in PRODUCTION or (known is not None and known.confirm != "")


def foreign_environments(document: Document, project: str) -> Mapping[str, str]:
    """Environment -> its project, of those that live in another one than this."""
    return {
        name: project_of(document, name)
        for name in document.environments
        if name not in _own_environments(document, project)
    }


def narrow_document(document: Document, project: str, environment: str = "") -> Document:
    """The file with what lives in this project only, or only what belongs to one environment.

    Accounts, roles, services and audit are each project's; secrets of no environment, and the state, are of the file's own project.

    Raises:
        ConfigError: there is no such environment.
    """
    if environment and environment not in document.environments:
        raise ConfigError(
            f"there is no environment {environment!r}",
            hint=f"configured: {', '.join(sorted(document.environments)) or 'none'}",
        )
    here = _own_environments(document, project) & ({environment} if environment else set(document.environments))
    own = not environment and not any(one.project == project for one in document.environments.values())
    secrets = {}
    for name, table in document.secrets.items():
        kept = _kept_environments(table, document, here)
        if kept or (own and not table.environments):
            secrets[name] = msgspec.structs.replace(table, environments=kept)
    github = document.github
    if github is not None:
        unknown_or_here = [
            rule for rule in github.federation if rule.env not in document.environments or rule.env in here
        ]
        github = msgspec.structs.replace(github, federation=tuple(unknown_or_here))
    return msgspec.structs.replace(document, secrets=secrets, github=github, state=document.state if own else None)


def _own_environments(document: Document, project: str) -> set[str]:
    """Environments of a project that one of them claims; else those that claim none."""
    claimed = {name for name, one in document.environments.items() if one.project == project and project}
    return claimed or {name for name, one in document.environments.items() if not one.project}


def _kept_environments(table: SecretTable, document: Document, here: set[str]) -> tuple[str, ...]:
    """Unknown names stay: they are an error, and not ours to hide."""
    return tuple(name for name in table.environments if name not in document.environments or name in here)
