"""`secret export`: values for another program, or the names under which it finds them."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import typer

from orchestra_creds import outfile
from orchestra_creds.bootstrap.cloud import Cloud
from orchestra_creds.bootstrap.delivery import read_deliveries, select_deliveries
from orchestra_creds.bootstrap.exposure import refuse_exposed
from orchestra_creds.cli.cloud import EnvOption, JobsOption, cloud_verb
from orchestra_creds.cli.run import MapOption, OnlyOption
from orchestra_creds.cli.session import STDOUT, Session, file_of, refuse_terminal, write_stdout
from orchestra_creds.errors import ConfigError
from orchestra_creds.parallel import CALLS_AT_ONCE
from orchestra_creds.render import export as forms
from orchestra_creds.render.export import UnwritableError


class ExportForm(StrEnum):
    """How secrets are written for others."""

    DOTENV = "dotenv"
    SHELL = "shell"
    JSON = "json"
    GITHUB = "github"
    SYSTEMD = "systemd"
    K8S = "k8s"
    CLOUDRUN = "cloudrun"


@cloud_verb
def export(
    session: Session,
    cloud: Cloud,
    *,
    form: Annotated[
        ExportForm,
        typer.Option(
            "--to", help="k8s and cloudrun hold names, the others values; github adds to $GITHUB_ENV in a job."
        ),
    ],
    only: OnlyOption = "",
    renamed: MapOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file (mode 0600); - is stdout.")
    ] = None,
    jobs: JobsOption = CALLS_AT_ONCE,
    env: EnvOption = "",
) -> None:
    """Write secrets for another program: to a pipe or a file; a terminal is refused for values."""
    file = file_of(output)
    names = [name for name in only.split(",") if name]
    secrets = {
        one.variable: cloud.full_name(one.secret, env) for one in select_deliveries(cloud, env, names, renamed or ())
    }
    if form.value in forms.REFERENCES:
        text = forms.REFERENCES[form.value](list(secrets.items()))
    else:
        if file is None or form is ExportForm.GITHUB:
            refuse_terminal("values", hint="use -o FILE or a pipe")
        if file is not None:
            refuse_exposed(str(file))
        if form is ExportForm.GITHUB:
            target = _file_of_the_job(output)
            values = read_deliveries(cloud, env, names, renamed or ())
            with _name_secret(secrets):
                masks, variables = forms.github_masks(values), forms.github(values, lambda: token_hex(16))
            write_stdout(masks if target else masks + variables)  # masks first, and where the runner reads them
            if target:
                outfile.append(target, variables)
            return
        values = read_deliveries(cloud, env, names, renamed or ())
        with _name_secret(secrets):
            text = forms.VALUES[form.value](values, lambda: token_hex(16))
    if file is None:
        write_stdout(text)
        return
    outfile.write(str(file), text)
    session.say(f"wrote {file}")


@contextlib.contextmanager
def _name_secret(secrets: Mapping[str, str]) -> Iterator[None]:
    """Add the secret to what is said about a variable that cannot be written; `secrets` is variable -> secret."""
    try:
        yield
    except UnwritableError as error:
        raise ConfigError(f"secret {secrets[error.variable]}: {error}", hint=error.hint) from None


def _file_of_the_job(output: Path | None) -> str:
    """Return the file from which later steps of a job of GitHub Actions read their variables; "" where all is printed.

    Raises:
        ConfigError: standard output goes there, too: its masks would be no variables, and the log would not get them.
    """
    target = str(file_of(output) or "") or os.environ.get("GITHUB_ENV", "")
    with contextlib.suppress(OSError):
        if target and os.path.samestat(os.fstat(1), os.stat(target)):
            raise ConfigError(
                f"standard output goes to {target}, where the variables go by themselves",
                hint="leave out the redirection: the masks on standard output belong into the log of the step",
            )
    return "" if output == STDOUT else target
