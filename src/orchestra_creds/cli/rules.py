"""`scan rules`: lists the rules, or explains one with a made-up example."""

from typing import Annotated

import typer

from orchestra_creds.cli.session import Format, FormatOption, Session, write_stdout


def rules(
    ctx: typer.Context,
    *,
    rule_id: Annotated[str, typer.Argument(metavar="[RULE]", help="Explain this rule; none lists all of them.")] = "",
    family: Annotated[str, typer.Option("--family", help="List one family only: google, keys, forges, ...")] = "",
    format_: FormatOption = Format.TABLE,
) -> None:
    """List the credential formats that a scan knows, or explain one: what it is, how sure, what to do when it leaks."""
    from orchestra_creds import bootstrap

    Session.of(ctx)
    write_stdout(bootstrap.describe_rules(rule_id, family=family, format_=format_.value))
