"""What every verb of the cloud shares: its options, the stores it works on, and how its answer is printed."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from orchestra_creds.bootstrap.cloud import choose_cloud, open_cloud
from orchestra_creds.cli.core_dumps import forbid_attaching
from orchestra_creds.cli.names import check_account
from orchestra_creds.cli.session import Format, FormatOption, QuietOption, Session, emit
from orchestra_creds.parallel import CALLS_AT_ONCE, MOST_AT_ONCE


class Backend(StrEnum):
    """Which cloud is meant."""

    GCP = "gcp"
    LOCAL = "local"


BackendOption = Annotated[
    Backend | None,
    typer.Option(
        "--backend", envvar="ORCHESTRA_CREDS_BACKEND", help="Google Cloud, or the embedded one on this machine."
    ),
]
ProjectOption = Annotated[
    str, typer.Option("--project", envvar="ORCHESTRA_CREDS_PROJECT", help="The project. Default: the configured one.")
]
AsOption = Annotated[
    str, typer.Option("--as", metavar="ACCOUNT", help="Act as this service account.", callback=check_account)
]
ReasonOption = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="TEXT",
        envvar="ORCHESTRA_CREDS_REASON",
        help="Why; it stands in the audit log with every call.",
    ),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The orchestra-creds.toml to use.")]
FromLabelsOption = Annotated[
    bool, typer.Option("--from-labels", help="Also rotate what the labels of secrets declare.")
]
LocationOption = Annotated[
    str, typer.Option("--location", help="Regional secrets of this location; none means global.")
]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, max=MOST_AT_ONCE, help="Calls of the cloud to make at once.")
]
EnvOption = Annotated[
    str, typer.Option("--env", "-e", metavar="ENV", help="Environment (dev, staging, prod): added to the name once.")
]


def _shared_options(
    *,
    backend: BackendOption = None,
    project: ProjectOption = "",
    location: LocationOption = "",
    as_: AsOption = "",
    reason: ReasonOption = "",
    config: ConfigOption = None,
    format_: FormatOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """The signature that `cloud_verb` adds to a verb."""


def cloud_verb(verb: Callable[..., Any]) -> Callable[..., None]:
    """Turn `verb(session, cloud, *, its own options) -> Result | None` into a command with the shared options.

    The cloud is opened before and closed after the verb; its result is printed in the chosen format and gives the exit code.
    """

    def call(session: Session, chosen: dict[str, Any], options: dict[str, Any]) -> Any:
        with open_cloud(
            backend=_backend_name(chosen),
            project=chosen["project"],
            impersonate=chosen["as_"],
            reason=chosen["reason"],
            config=chosen["config"],
            location=chosen["location"],
            environment=options.get("env", ""),
            calls_at_once=options.get("jobs", CALLS_AT_ONCE),
            say=session.say,
        ) as cloud:
            if "env" in options:
                options["env"] = cloud.environment  # an alias such as `production` is its short form from here on
            return verb(session, cloud, **options)

    return _command(verb, call)


def project_verb(verb: Callable[..., Any]) -> Callable[..., None]:
    """Turn `verb(session, project, *, its own options) -> Result | None` into a command like those of `cloud_verb`.

    It gets the name of the project alone: nothing of its cloud is opened, or loaded.
    """

    def call(session: Session, chosen: dict[str, Any], options: dict[str, Any]) -> Any:
        choice = choose_cloud(_backend_name(chosen), chosen["project"], config=chosen["config"])
        return verb(session, choice.project, **options)

    return _command(verb, call)


def _backend_name(chosen: dict[str, Any]) -> str:
    return chosen["backend"].value if chosen["backend"] else ""


def _command(
    verb: Callable[..., Any], call: Callable[[Session, dict[str, Any], dict[str, Any]], Any]
) -> Callable[..., None]:
    """Return the command of a verb: `call` gets the shared options and the verb's own, and its result is printed."""
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[2:]
    shared = list(inspect.signature(_shared_options, eval_str=True).parameters.values())
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

    @wraps(verb)
    def command(ctx: typer.Context, **options: Any) -> None:
        forbid_attaching()
        chosen = {parameter.name: options.pop(parameter.name) for parameter in shared}
        result = call(Session.of(ctx), chosen, options)
        if result is not None:
            emit(result, chosen["format_"])

    hints = get_type_hints(verb, include_extras=True)
    command.__annotations__ = {p.name: hints.get(p.name, p.annotation) for p in own} | {
        p.name: p.annotation for p in [context, *shared]
    }
    command.__signature__ = inspect.Signature([context, *own, *shared])  # type: ignore[attr-defined]  # Typer reads it from here
    return command
