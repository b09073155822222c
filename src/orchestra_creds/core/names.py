"""Names as Google Cloud allows them, to refuse a value that was typed where a name belongs. Pure.

A refusal never repeats what it refuses: a name stands in errors, in logs and in the audit log of the project; a value must not.
"""

import re

from orchestra_creds.errors import ConfigError

_SECRET = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create."""
_VERSION = re.compile(r"[0-9]{1,19}|[A-Za-z][A-Za-z0-9_-]{0,62}")
"""A number or an alias (cloud.google.com/secret-manager/docs/assign-alias-to-secret-version)."""
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}@[a-z0-9.:-]{1,253}\.gserviceaccount\.com|[0-9]{1,30}")
"""A mail address, also of a default account or a service agent, or the unique id of an account."""
_KEY = re.compile(r"[0-9a-f]{1,64}")
"""Google makes 40 hexadecimal digits."""

_CREDENTIAL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}")
"""The id of a key, of a version (`v3`), of a role, or what the operator's program calls it."""


def require_secret_name(name: str) -> None:
    """Refuse text that cannot be the name of a secret, or of a credential that is named after its secret.

    Raises:
        ConfigError: it cannot; the text is not repeated.
    """
    if not _SECRET.fullmatch(name):
        raise ConfigError(
            "this cannot be the name of a secret: a name has 1 to 255 letters, digits, hyphens and underscores",
            hint="give the name as the argument, and the value by --stdin, --from-env or at the prompt",
        )


def require_version(selector: str) -> None:
    """Refuse text that is neither the number of a version nor an alias.

    Raises:
        ConfigError: it is neither; the text is not repeated.
    """
    if not _VERSION.fullmatch(selector):
        raise ConfigError(
            "this cannot be a version: a version is a number, an alias of at most 63 characters, or latest",
            hint="list them: orchestra-creds secret versions NAME",
        )


def require_account(account: str) -> None:
    """Refuse text that is neither the mail address nor the unique id of a service account.

    Raises:
        ConfigError: it is neither; the text is not repeated.
    """
    if not _ACCOUNT.fullmatch(account):
        raise ConfigError(
            "this cannot be a service account: it has a mail address that ends in .gserviceaccount.com",
            hint="name it like NAME@PROJECT.iam.gserviceaccount.com",
        )


def require_key_id(key_id: str) -> None:
    """Refuse text that cannot be the id of a key.

    Raises:
        ConfigError: it cannot; the text is not repeated.
    """
    if not _KEY.fullmatch(key_id):
        raise ConfigError(
            "this cannot be the id of a key: an id has 40 hexadecimal digits",
            hint="list them: orchestra-creds key list ACCOUNT",
        )


def require_credential_id(identifier: str) -> None:
    """Refuse text that cannot be the id of a credential, as `status` shows it.

    Raises:
        ConfigError: it cannot; the text is not repeated.
    """
    if not _CREDENTIAL_ID.fullmatch(identifier):
        raise ConfigError(
            "this cannot be the id of a credential: an id has 1 to 64 letters, digits and . _ : @ -",
            hint="see them: orchestra-creds status --format json",
        )
