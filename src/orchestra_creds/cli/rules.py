"""`scan rules`: lists the rules, or explains one with a made-up example."""

import difflib
from typing import Annotated

import typer

from orchestra_creds.bootstrap import scanning
from orchestra_creds.cli.session import Format, FormatOption, write_stdout
from orchestra_creds.errors import ConfigError
from orchestra_creds.render import rules as show


def rules(
    *,
    rule_id: Annotated[str, typer.Argument(metavar="[RULE]", help="Explain this rule; none lists all of them.")] = "",
    family: Annotated[str, typer.Option("--family", help="List one family only: google, keys, forges, ...")] = "",
    format_: FormatOption = Format.TABLE,
) -> None:
    """List the credential formats that a scan knows, or explain one: what it is, how sure, what to do when it leaks."""
    families = scanning.rule_families()
    if family and family not in families:
        raise ConfigError(f"there is no family {family!r}", hint=f"one of {', '.join(sorted(families))}")
    chosen = {name: members for name, members in families.items() if family in {"", name}}
    if rule_id:
        chosen = {name: [rule for rule in members if rule.id == rule_id] for name, members in chosen.items()}
        chosen = {name: members for name, members in chosen.items() if members}
        if not chosen:
            known = [rule.id for members in families.values() for rule in members]
            near = difflib.get_close_matches(rule_id, known, n=1, cutoff=0.5)
            raise ConfigError(
                f"no rule is called {rule_id!r}",
                hint=f"did you mean {near[0]!r}?" if near else "`scan rules` lists them",
            )
    if format_ is Format.JSON:
        write_stdout(show.as_json(chosen))
    elif rule_id:
        write_stdout("".join(show.rule_text(rule, name) for name, members in chosen.items() for rule in members))
    else:
        write_stdout(show.as_list(chosen))
