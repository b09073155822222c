"""`key`: the keys of service accounts, their state and last use. A private key goes to a file, a pipe or a secret."""

from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds import outfile
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.exposure import refuse_exposed
from orchestra_creds.cli.cloud import cloud_verb
from orchestra_creds.cli.names import AccountArgument, KeyArgument, check_secret_name
from orchestra_creds.cli.session import (
    ConfirmOption,
    Session,
    YesOption,
    confirm_name,
    file_of,
    refuse_terminal,
    write_stdout,
)
from orchestra_creds.core.result import Result
from orchestra_creds.errors import ConfigError
from orchestra_creds.manage import keys
from orchestra_creds.render import cloud as show

app = typer.Typer(name="key", rich_markup_mode=None, no_args_is_help=True, help="Keys of service accounts.")


@app.command("list")
@cloud_verb
def list_(session: Session, cloud: Cloud, *, account: AccountArgument) -> Result:
    """List the keys of an account with state, reason and last use."""
    found, unknown = keys.list_with_use(cloud.keys, account)
    if unknown:
        session.say(f"last use is unknown: {unknown}")
    return show.keys(account, found)


@app.command()
@cloud_verb
def create(
    session: Session,
    cloud: Cloud,
    *,
    account: AccountArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the key to this new file (mode 0600); - is stdout."),
    ] = None,
    secret: Annotated[
        str,
        typer.Option(
            "--secret",
            metavar="NAME",
            help="Store the key file as a version of this secret instead.",
            callback=check_secret_name,
        ),
    ] = "",
) -> Result | None:
    """Make a new key; its file goes to -o FILE, to a pipe (-o -) or into a secret, and nowhere else. It is shown this once.

    The place is checked before the key is made. If the key cannot be kept, it is deleted again: no valid key is ever lost.
    """
    if bool(output) == bool(secret):
        raise ConfigError("say where the key file goes", hint="-o FILE, or --secret NAME")
    file = file_of(output)
    if file is not None:
        outfile.check(str(file), new=True)
        refuse_exposed(str(file))
    elif secret:
        cloud.secrets.get_secret(secret)
    else:
        refuse_terminal("a private key", hint="use -o FILE, --secret NAME or a pipe")
    new = keys.create(cloud.keys, account)
    with keys.delete_on_failure(cloud.keys, new.key):
        if file is not None:
            outfile.write(str(file), new.material.reveal(), new=True)
        elif secret:
            cloud.secrets.add_version(secret, new.material)
        else:
            write_stdout(new.material.reveal())
    session.say(f"key {new.key.id} is in {file or (f'secret {secret}' if secret else 'standard output')}")
    return show.key_result(new.key) if file or secret else None  # standard output holds one document


@app.command()
@cloud_verb
def upload(
    session: Session,
    cloud: Cloud,
    *,
    account: AccountArgument,
    certificate: Annotated[Path, typer.Argument(metavar="CERTIFICATE", help="A PEM certificate (X.509 v3, RSA).")],
) -> Result:
    """Make the public key of your own certificate valid for an account; the private half never leaves you."""
    return show.key_result(keys.upload(cloud.keys, account, keys.read_certificate(certificate)))


@app.command()
@cloud_verb
def disable(session: Session, cloud: Cloud, *, account: AccountArgument, key: KeyArgument) -> Result:
    """Make a key unable to authenticate, reversibly. Tokens that it got live on for up to an hour."""
    return show.key_result(keys.disable(cloud.keys, account, key))


@app.command()
@cloud_verb
def enable(session: Session, cloud: Cloud, *, account: AccountArgument, key: KeyArgument) -> Result:
    """Make a key able to authenticate again; refused for one that Google disabled because it leaked."""
    return show.key_result(keys.enable(cloud.keys, account, key))


@app.command()
@cloud_verb
def delete(
    session: Session,
    cloud: Cloud,
    *,
    account: AccountArgument,
    key: KeyArgument,
    confirmed: ConfirmOption = "",
    yes: YesOption = False,
) -> Result:
    """Delete a disabled key, for ever; asks for its id."""
    keys.check_deletable(cloud.keys, account, key)
    confirm_name(f"deleting key {key} of {account} cannot be undone", key, given=key if yes else confirmed)
    cloud.keys.delete_key(account, key)
    return show.key_deletion_result(account, key)
