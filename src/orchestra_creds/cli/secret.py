"""`secret`: the secrets of the project and their versions. Values come in hidden and go out only where they are asked for."""

from pathlib import Path
from typing import Annotated

import typer

from orchestra_creds import outfile
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.exposure import refuse_exposed
from orchestra_creds.cli.cloud import EnvOption, JobsOption, cloud_verb
from orchestra_creds.cli.names import SecretNameArgument, VersionArgument, check_secret_and_version, check_version
from orchestra_creds.cli.secret_export import export
from orchestra_creds.cli.session import (
    ConfirmOption,
    Session,
    YesOption,
    confirm,
    confirm_name,
    file_of,
    refuse_terminal,
    write_stdout,
)
from orchestra_creds.cli.values import DEFAULT_RANDOM_BYTES, ValueSource, read_value
from orchestra_creds.core.material import Material
from orchestra_creds.core.result import Result
from orchestra_creds.core.values import part_of, version_selector
from orchestra_creds.errors import ConfigError
from orchestra_creds.manage import secrets
from orchestra_creds.manage.dotenv import read_dotenv
from orchestra_creds.parallel import CALLS_AT_ONCE
from orchestra_creds.render import cloud as show

app = typer.Typer(name="secret", rich_markup_mode=None, no_args_is_help=True, help="Secrets and their versions.")


@app.command("list")
@cloud_verb
def list_(
    session: Session,
    cloud: Cloud,
    *,
    query: Annotated[
        str, typer.Option("--filter", help="Secret Manager's filter, e.g. labels.env=dev or name:db.")
    ] = "",
    env: EnvOption = "",
) -> Result:
    """List secrets by name; never a value."""
    found = [s for s in cloud.secrets.list_secrets(query=query) if cloud.is_in_environment(s.name, env)]
    return show.secrets(found)


@app.command()
@cloud_verb
def versions(
    session: Session,
    cloud: Cloud,
    *,
    name: SecretNameArgument,
    env: EnvOption = "",
) -> Result:
    """List the versions of a secret, newest first."""
    secret, found = secrets.list_versions(cloud.secrets, cloud.full_name(name, env))
    return show.versions(secret, found)


@app.command()
@cloud_verb
def get(
    session: Session,
    cloud: Cloud,
    *,
    name: SecretNameArgument,
    version: Annotated[
        str, typer.Option("--version", help="A number, an alias, or latest.", callback=check_version)
    ] = "latest",
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the value on this terminal.")] = False,
    exists: Annotated[bool, typer.Option("--exists", help="Print nothing: 0 when it can be read, 4 when not.")] = False,
    json_path: Annotated[
        str,
        typer.Option(
            "--json-path", metavar="A.B", help=r"Only this part of a value that is JSON; tls\.crt is a key with a dot."
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the value to a file (mode 0600); - is stdout."),
    ] = None,
    env: EnvOption = "",
) -> None:
    """Print the bare bytes of a value to a pipe or a file; a terminal is refused without --reveal."""
    if exists:
        cloud.secrets.get_version(cloud.full_name(name, env), version_selector(version))
        return
    file = file_of(output)
    if file is not None:
        refuse_exposed(str(file))
    elif not reveal:
        refuse_terminal("the value", hint="use --reveal, -o FILE or a pipe")
    stored = secrets.access(cloud.secrets, cloud.full_name(name, env), version)

    material = part_of(stored.material, json_path, name=stored.secret)
    if file is None:
        write_stdout(material.reveal())
        return

    outfile.write(str(file), material.reveal())
    session.say(f"wrote version {stored.number} of {stored.secret} to {file}, {len(material)} bytes")


app.command()(export)


@app.command("set")
@cloud_verb
def set_(
    session: Session,
    cloud: Cloud,
    *,
    name: SecretNameArgument,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the value from standard input (the default off a terminal).")
    ] = False,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a random value; it is stored and never shown.")
    ] = False,
    random_bytes: Annotated[
        int, typer.Option("--bytes", min=16, max=4096, help="Random bytes of --generate.")
    ] = DEFAULT_RANDOM_BYTES,
    encoding: Annotated[
        str, typer.Option("--encoding", help="Of --generate: urlsafe-base64, base64 or hex.")
    ] = "urlsafe-base64",
    from_env: Annotated[
        str, typer.Option("--from-env", metavar="VARIABLE", help="Take the value of an environment variable.")
    ] = "",
    from_cmd: Annotated[
        str, typer.Option("--from-cmd", metavar="COMMAND", help="Take the output of a command, run without a shell.")
    ] = "",
    from_secret: Annotated[
        str,
        typer.Option(
            "--from-secret",
            metavar="SECRET[@VERSION]",
            help="Copy another secret's value; its full name.",
            callback=check_secret_and_version,
        ),
    ] = "",
    raw: Annotated[bool, typer.Option("--raw", help="Keep the final line break.")] = False,
    value_format: Annotated[
        str, typer.Option("--value-format", help="Refuse a value that is not: nonempty, json, pem, url, regex:PATTERN.")
    ] = "nonempty",
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="Label of a new secret; may be repeated.")
    ] = None,
    env: EnvOption = "",
) -> Result:
    """Store a value as the newest version; makes the secret where it is missing. The value is never an argument.

    Without an option it is asked for twice, hidden; off a terminal standard input is read. One final line break is taken off, and said.
    """
    source = ValueSource(stdin, generate, random_bytes, encoding, from_env, from_cmd, from_secret, raw)
    full = cloud.full_name(name, env)

    def other_value(named: str) -> Material:
        secret, _, version = named.partition("@")
        return secrets.access(cloud.secrets, secret, version or "latest").material

    value = read_value(source, name=full, other=other_value)
    labels = _labels(label) | ({"env": env} if env else {})
    version = secrets.store_value(cloud.secrets, full, value.material, format_=value_format, labels=labels)
    if value.note:
        session.say(value.note)
    return show.version_result(version, stripped=value.stripped)


@app.command()
@cloud_verb
def enable(
    session: Session,
    cloud: Cloud,
    *,
    name: SecretNameArgument,
    version: VersionArgument,
    env: EnvOption = "",
) -> Result:
    """Make a version readable again; also cancels a pending destruction."""
    changed = secrets.enable(cloud.secrets, cloud.full_name(name, env), version)
    return show.version_result(changed)


@app.command()
@cloud_verb
def disable(
    session: Session,
    cloud: Cloud,
    *,
    name: SecretNameArgument,
    version: VersionArgument,
    env: EnvOption = "",
) -> Result:
    """Make a version unreadable, reversibly; says when it is the one that latest shows."""
    full = cloud.full_name(name, env)
    changed = secrets.disable(cloud.secrets, full, version)
    if changed.number == cloud.secrets.get_version(full, "latest").number:
        session.say(f"version {changed.number} is what latest shows: its readers fail until a newer version is added")
    return show.version_result(changed)


@app.command()
@cloud_verb
def destroy(
    session: Session,
    cloud: Cloud,
    *,
    name: SecretNameArgument,
    version: VersionArgument,
    confirmed: ConfirmOption = "",
    yes: YesOption = False,
    env: EnvOption = "",
) -> Result:
    """Destroy the value of a disabled version, for ever; asks for the secret's name."""
    full = cloud.full_name(name, env)
    doomed = secrets.check_destroyable(cloud.secrets, full, version)
    confirm_name(
        f"destroying version {doomed.number} of {full} cannot be undone", full, given=full if yes else confirmed
    )
    changed = secrets.destroy(cloud.secrets, doomed)
    return show.version_result(changed)


@app.command("import-env")
@cloud_verb
def import_env(
    session: Session,
    cloud: Cloud,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .env file; it is parsed, never run.")],
    yes: YesOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be stored.")] = False,
    jobs: JobsOption = CALLS_AT_ONCE,
    env: EnvOption = "",
) -> Result:
    """Store the variables of a .env file as secrets: DB_PASSWORD becomes db-password. Shows names only."""
    variables = read_dotenv(file)
    plan = secrets.plan_import(
        cloud.secrets,
        variables,
        name_of=lambda v: cloud.full_name(secrets.secret_name(v), env),
        at_once=cloud.calls_at_once,
    )
    rows = [(step.variable, step.secret, step.state.value, step.reason) for step in plan]
    applied = False
    count = sum(step.state in secrets.TO_STORE for step in plan)
    if not dry_run and count:
        session.say("\n".join(f"{step.state.value:8}{step.variable} -> {step.secret}" for step in plan))
        confirm(f"store {count} values in {cloud.project}?", yes=yes)
        failures = secrets.apply_import(cloud.secrets, plan, at_once=cloud.calls_at_once)
        if failures:
            session.say(f"stored {count - len(failures)} of {count} values, but not {', '.join(failures)}")
            raise next(iter(failures.values()))
        applied = True
        session.say(f"the values still lie in {file}: remove it when every reader has moved")
    return show.import_result(rows, applied=applied)


@app.command()
@cloud_verb
def grant(
    session: Session,
    cloud: Cloud,
    *,
    name: SecretNameArgument,
    member: Annotated[
        str, typer.Argument(metavar="MEMBER", help="serviceAccount:MAIL, user:MAIL, group:MAIL or principal://...")
    ],
    role: Annotated[str, typer.Option("--role", help="accessor, adder, manager, viewer, or a full name.")] = "accessor",
    env: EnvOption = "",
) -> Result:
    """Give somebody a role on this one secret, keeping the rest of its policy."""
    granted = secrets.grant(cloud.policies, cloud.secret_resource(cloud.full_name(name, env)), member, role)
    return show.grant_result(granted.resource, granted.member, granted.role, changed=granted.changed)


def _labels(pairs: list[str] | None) -> dict[str, str]:
    labels = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"{pair!r} is not a label", hint="write --label KEY=VALUE")
        labels[key] = value
    return labels
