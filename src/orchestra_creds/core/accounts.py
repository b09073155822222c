"""Service accounts by their mail address. Pure."""

import re

from orchestra_creds.core.google import ACCOUNT_DOMAIN
from orchestra_creds.errors import ConfigError

_MAIL = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.:-]+" + re.escape(ACCOUNT_DOMAIN))
"""cloud.google.com/iam/docs/service-accounts-create: 6 to 30 characters before the @."""


def mail(name: str, project: str) -> str:
    """The mail address of the account that a project calls by this name."""
    return f"{name}@{project}{ACCOUNT_DOMAIN}"


def account_project(account: str, default: str) -> str:
    """Return the project in the mail address of an account; Google's own accounts (appspot, developer) do not tell it: `default`."""
    _, _, domain = account.partition("@")
    project, suffix, _ = domain.partition(ACCOUNT_DOMAIN)
    return project if suffix else default


def require_identity(identity: str) -> None:
    """Refuse what cannot be the mail address of a service account that something runs as.

    Raises:
        ConfigError: it cannot.
    """
    if not _MAIL.fullmatch(identity):
        raise ConfigError(f"identity {identity!r} is no service account", hint="name its mail address: --identity MAIL")
