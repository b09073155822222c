"""Arguments and options that name a secret, a version, an account or a key: each is checked before a cloud is opened."""

from collections.abc import Callable
from typing import Annotated

import typer

from orchestra_creds.core import names


def _checked_by(require: Callable[[str], None]) -> Callable[[str], str]:
    """Return a callback that checks a text, unless it is empty because the option was not given."""

    def check(value: str) -> str:
        if value:
            require(value)
        return value

    return check


def _each_checked_by(require: Callable[[str], None]) -> Callable[[list[str] | None], list[str] | None]:
    """Return a callback that checks every text of a list."""

    def check(values: list[str] | None) -> list[str] | None:
        for value in values or ():
            require(value)
        return values

    return check


def _require_secret_names(value: str) -> None:
    for name in value.split(","):
        if name:
            names.require_secret_name(name)


def _require_secret_and_version(value: str) -> None:
    name, at, version = value.partition("@")
    names.require_secret_name(name)
    if at and version:
        names.require_version(version)


def _require_secret_and_variable(value: str) -> None:
    names.require_secret_name(value.partition("=")[0])


check_secret_name = _checked_by(names.require_secret_name)
check_secret_names = _checked_by(_require_secret_names)
check_secret_and_version = _checked_by(_require_secret_and_version)
check_version = _checked_by(names.require_version)
check_account = _checked_by(names.require_account)
check_credential_id = _checked_by(names.require_credential_id)
check_each_secret_name = _each_checked_by(names.require_secret_name)
check_each_mapping = _each_checked_by(_require_secret_and_variable)

SecretNameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The secret.", callback=check_secret_name)]
VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="A number, an alias, or latest.", callback=check_version)
]
AccountArgument = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="The service account's mail address.", callback=check_account)
]
KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="The key's id.", callback=_checked_by(names.require_key_id))
]
CredentialsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CREDENTIAL]...", help="Credentials by name.", callback=check_each_secret_name),
]
ManagedArgument = Annotated[
    str,
    typer.Argument(
        metavar="CREDENTIAL",
        help="A credential by name, or the secret of one that nothing declares.",
        callback=check_secret_name,
    ),
]
CredentialArgument = Annotated[
    str, typer.Argument(metavar="CREDENTIAL", help="A credential by name.", callback=check_secret_name)
]
